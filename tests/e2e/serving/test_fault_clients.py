"""Clients who hold connections, send slowly or by halves, before the whole service: the others are served."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, logged

pytestmark = pytest.mark.slow

_HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_BODY = b'{"x": 1.5}'
_IDLE = 1500


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Started where a process may have 1,024 files at first, as most systems have it."""
    with toys.site(tmp_path_factory.mktemp("clients")) as live:
        usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, usual), most))
        try:
            live.deploy()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
        yield live


def _connect(live: Live, stack: ExitStack) -> socket.socket:
    address = urlsplit(live.url)
    return stack.enter_context(
        socket.create_connection((address.hostname or "", address.port or 0), timeout=20)
    )


def test_idle_connections_beyond_a_thousand_leave_the_others_served_and_are_answered(live: Live) -> None:
    with ExitStack() as stack:
        idle = [_connect(live, stack) for _ in range(_IDLE)]
        with toys.traffic(live, clients=8, pause_s=0.0) as load:
            load.more(200)
        assert set(load.statuses) == {200}
        assert load.lost == []
        assert load.refused == 0
        for one in (idle[0], idle[_IDLE // 2], idle[-1]):
            one.sendall(_HEAD % len(_BODY) + _BODY)
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert_all_logged(live.home, load.answers)


def test_slow_and_half_sent_requests_leave_the_others_served_and_nothing_in_the_log(live: Live) -> None:
    before = len(logged(live.home))
    with ExitStack() as stack:
        halves = [_connect(live, stack) for _ in range(100)]
        for number, one in enumerate(halves):
            one.sendall((_HEAD % len(_BODY) + _BODY)[: 10 + number])
        slow = _connect(live, stack)
        message = _HEAD % len(_BODY) + _BODY
        with toys.traffic(live, clients=8, pause_s=0.0) as load:
            started = time.monotonic()
            for at in range(0, len(message), 4):
                slow.sendall(message[at : at + 4])
                time.sleep(0.05)
            assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
            taken = time.monotonic() - started
            load.more(50)
        for one in halves[:50]:
            one.close()
    assert taken > 1.0
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert max(one.came - one.sent for one in load.answers) < 2.0
    assert_all_logged(live.home, load.answers)
    whole = sum(one >= len(message) - 10 for one in range(100))
    assert len(logged(live.home)) - before == len(load.answers) + 1 + whole
    assert_sound(live.home)


def test_who_does_not_read_the_answer_is_not_waited_for(live: Live) -> None:
    with ExitStack() as stack:
        deaf = _connect(live, stack)
        deaf.settimeout(0.2)
        question = _HEAD % len(_BODY) + _BODY
        try:
            for _ in range(5000):
                deaf.sendall(question)
        except TimeoutError:
            pass  # nobody reads what nobody will take the answer of
        with toys.traffic(live, clients=8, pause_s=0.0) as load:
            load.more(100)
        assert set(load.statuses) == {200}
        assert load.lost == []
    assert live.ask("/health/ready").status == 200
