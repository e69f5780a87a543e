"""A head that was read before is not parsed again, and nobody can tell by the answers."""

from __future__ import annotations

import asyncio
import types
from typing import Any, cast

import pytest

from mlproj.serving.connection import Connection
from mlproj.serving.control import Settings
from mlproj.serving.desk import Desk
from mlproj.serving.exchange import Ask, Client
from mlproj.serving.frames import Kind
from mlproj.serving.front import Front
from mlproj.serving.metrics import Metrics
from tests.serving.gateway.stage import request


class Heard:
    """A desk that keeps what it is asked, and answers at once."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.table = types.SimpleNamespace(version=lambda number: number == 1)
        self.asked: list[tuple[Ask, bytes]] = []

    def predict(self, client: Client, ask: Ask, body: bytes) -> None:
        self.asked.append((ask, body))
        client.respond(200, b"", body)

    def refuse(self, client: Client, path: str, status: int, code: str, *_: Any) -> None:
        client.respond(status, b"", code.encode())


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False


class Door:
    def __init__(self) -> None:
        self.desk = Heard()
        self.front = Front(cast(Desk, self.desk), lambda connection, _: connection.respond(404, b"", b""))

    def send(self, *pieces: bytes) -> list[tuple[Ask, bytes]]:
        """What the desk is asked when these pieces arrive on a new connection."""

        async def arrive() -> None:
            connection, wire = Connection(self.front), Wire()
            connection.connection_made(wire)
            for piece in pieces:
                connection.data_received(piece)
                await asyncio.sleep(0)
            self.statuses = [int(answer.split()[1]) for answer in wire.written]

        self.desk.asked.clear()
        asyncio.run(arrive())
        return list(self.desk.asked)


BODY = b'{"tenure": 3}'
PLAIN = request("POST", "/predict", BODY, Content_Type="application/json")


def named(request_id: str, entity: str, **more: str) -> bytes:
    return request("POST", "/predict", BODY, X_Request_Id=request_id, X_Entity_Id=entity, **more)


@pytest.fixture
def door() -> Door:
    return Door()


def test_the_same_head_asks_the_same_wherever_its_bytes_are_cut(door: Door) -> None:
    other = PLAIN.replace(b"3}", b"4}")
    stream = PLAIN + other + named("r-1", "e-1") + named("r-2", "e-2")
    wanted = [(Ask("/predict", Kind.PREDICT), BODY), (Ask("/predict", Kind.PREDICT), BODY[:-2] + b"4}")]
    wanted += [
        (Ask("/predict", Kind.PREDICT, request_id="r-1", entity="e-1"), BODY),
        (Ask("/predict", Kind.PREDICT, request_id="r-2", entity="e-2"), BODY),
    ]
    for door_ in (Door(), door):
        if door_ is door:
            door.send(PLAIN, named("r-0", "e-0"))
            assert len(door.front.heads) == 2
        for cut in range(1, len(stream)):
            assert door_.send(stream[:cut], stream[cut:]) == wanted, cut
            assert door_.statuses == [200] * 4


def test_a_known_head_brings_its_own_names(door: Door) -> None:
    for at in range(3):
        (asked,) = door.send(named(f"r-{at}", f"e-{at}", Accept="*/*"))
        assert (asked[0].request_id, asked[0].entity) == (f"r-{at}", f"e-{at}")
    assert len(door.front.heads) == 1
    (asked,) = door.send(request("POST", "/predict", BODY, Accept="*/*", X_Entity_Id="e-9"))
    assert (asked[0].request_id, asked[0].entity) == (None, "e-9")
    (asked,) = door.send(request("POST", "/predict", BODY, Accept="*/*"))
    assert (asked[0].request_id, asked[0].entity) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        b"X-Entity-Id: \xc3\xa9",  # UTF-8
        b"X-Entity-Id: e 1",
        b"X-Entity-Id:\te",
        b"X-Entity-Id: e\r\nX-Entity-Id: f",
        b"X-Request-Id: " + b"r" * 201,
        b"Expect: 100-continue",
        b"Connection: close",
    ],
)
def test_a_head_that_is_not_plain_is_read_each_time(door: Door, line: bytes) -> None:
    sent = PLAIN.replace(b"Content-Type: application/json", line)
    first, again = (door.send(sent), door.statuses), (door.send(sent), door.statuses)
    assert first == again
    assert len(door.front.heads) == 0


def test_a_name_that_goes_on_in_the_next_line_is_not_taken_for_whole(door: Door) -> None:
    door.send(request("POST", "/predict", BODY, Accept="a"), named("r", "e", Accept="a"))
    sent = request("POST", "/predict", BODY, Accept="a", X_Request_Id="r-1\r\n more")
    assert door.send(sent) == []
    assert door.statuses == [400]


def test_what_was_known_is_read_anew_when_the_settings_change(door: Door) -> None:
    assert len(door.send(PLAIN)) == 1
    door.front.apply(Settings(token="secret"))
    assert door.send(PLAIN) == []
    assert door.statuses == [401]
    allowed = PLAIN.replace(b"Content-Type: application/json", b"Authorization: Bearer secret")
    assert len(door.send(allowed)) == len(door.send(allowed)) == 1
    door.front.apply(Settings(token="another"))
    assert door.send(allowed) == []
    assert door.statuses == [401]
    door.front.apply(Settings(max_body=5))
    assert door.send(PLAIN) == []
    assert door.statuses == [413]


def test_a_body_of_another_length_is_no_known_request(door: Door) -> None:
    door.send(PLAIN)
    assert door.send(PLAIN + b"x") == [(Ask("/predict", Kind.PREDICT), BODY)]
    assert door.statuses == [200, 400]
    assert door.send(PLAIN[:-1]) == []
    assert door.statuses == []


def test_a_version_asked_for_is_looked_up_each_time(door: Door) -> None:
    sent = request("POST", "/v2/models/model/versions/1/infer", b"{}")
    assert door.send(sent)[0][0].version == 1
    door.desk.table.version = lambda _: False
    assert door.send(sent) == []
    assert door.statuses == [404]


def test_heads_that_never_come_again_fill_no_memory(door: Door) -> None:
    door.send(*(request("POST", "/predict", BODY, Trace=f"t-{at}") for at in range(1500)))
    assert len(door.front.heads) <= 1000
    long = request("POST", "/predict", BODY, Trace="t" * 2000)
    door.front.heads.forget()
    assert len(door.send(long)) == 1
    assert len(door.front.heads) == 0
