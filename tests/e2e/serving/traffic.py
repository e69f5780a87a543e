"""A bounded load of well-behaved clients who remember every answer, for tests that break what serves them."""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mlproj.monitoring import records
from mlproj.serving import ids
from mlproj.serving.record import Record

_MOST_REQUESTS = 100_000
_PAUSE_AFTER_TROUBLE_S = 0.02
_POLL_S = 0.02


def wait_until(is_so: Callable[[], object], *, seconds: float = 20.0, what: str = "it") -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"{what} did not happen within {seconds:g} s"
        time.sleep(_POLL_S)


class Answer(NamedTuple):
    """Times are seconds of the monotonic clock; `id` and `version` are those of the headers.

    `told` is the version that the prediction itself gives away, 0 where none is told.
    """

    sent: float
    came: float
    status: int
    id: str
    version: int
    entity: str
    told: int
    has_retry: bool


class Traffic:
    """Some clients in a loop, each with a connection kept alive, until the block ends.

    `refused` counts connections that were not made: nothing was sent on them. `lost` says which requests
    were sent whole and never answered.
    """

    def __init__(
        self,
        url: str,
        row: Any,
        *,
        clients: int = 4,
        pause_s: float = 0.01,
        entities: int = 200,
        timeout_s: float = 30.0,
        told: Callable[[Any], int] = lambda said: 0,
    ) -> None:
        self.answers: list[Answer] = []
        self.lost: list[str] = []
        self.refused = 0
        self._address = urlsplit(url).netloc
        self._body = json.dumps(row).encode()
        self._pause_s, self._entities, self._timeout_s = pause_s, entities, timeout_s
        self._told = told
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(number, clients)) for number in range(clients)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in tuple(self.answers))

    @property
    def versions(self) -> Counter[int]:
        """By whom the predictions were made that were given."""
        return Counter(answer.version for answer in tuple(self.answers) if answer.status == 200)

    def good_since(self, moment: float) -> list[Answer]:
        """The predictions that were asked for after a moment of the monotonic clock."""
        return [one for one in tuple(self.answers) if one.status == 200 and one.sent >= moment]

    def more(self, count: int = 30, *, seconds: float = 20.0) -> None:
        """Let this many more predictions be asked for and given."""
        now = time.monotonic()
        wait_until(lambda: len(self.good_since(now)) >= count, seconds=seconds, what=f"{count} good answers")

    def by(self, version: int, count: int = 10, *, seconds: float = 20.0) -> None:
        """Let this many requests that are made from now on be answered by a version."""
        now = time.monotonic()

        def is_so() -> bool:
            return sum(one.version == version for one in self.good_since(now)) >= count

        wait_until(is_so, seconds=seconds, what=f"{count} answers by version {version}")

    def _ask_on(self, number: int, step: int) -> None:
        line: http.client.HTTPConnection | None = None
        for turn in range(number, _MOST_REQUESTS, step):
            if self._stopping.is_set():
                break
            if line is None:
                line = http.client.HTTPConnection(self._address, timeout=self._timeout_s)
            if not self._ask(line, f"e{turn % self._entities}"):
                line.close()
                line = None
                time.sleep(_PAUSE_AFTER_TROUBLE_S)
            time.sleep(self._pause_s)
        if line is not None:
            line.close()

    def _ask(self, line: http.client.HTTPConnection, entity: str) -> bool:
        """One request; False where the connection is not to be used again."""
        if line.sock is None:
            try:
                line.connect()
            except OSError:
                self.refused += 1
                return False
        sent = time.monotonic()
        try:
            line.request(
                "POST", "/predict", self._body, {"X-Entity-Id": entity, "Content-Type": "application/json"}
            )
            found = line.getresponse()
            body = found.read()
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(f"{error!r} after {time.monotonic() - sent:.3f} s")
            return False
        told = self._told(json.loads(body)) if found.status == 200 else 0
        self.answers.append(
            Answer(
                sent,
                time.monotonic(),
                found.status,
                found.getheader("X-Prediction-Id") or "",
                int(found.getheader("X-Model-Version") or 0),
                entity,
                told,
                found.getheader("Retry-After") is not None,
            )
        )
        return True


def logged(home: Path) -> dict[str, Record]:
    """All that is in the log, by the ids that clients are given."""
    return {ids.text(record.id): record for record in records.since(home, 0)}


def assert_all_logged(home: Path, answers: Iterable[Answer]) -> None:
    """Every id that a client was given is in the log, with what the client was told."""
    found = logged(home)
    named = [one for one in answers if one.id]
    assert named
    assert [one for one in named if one.id not in found] == []
    wrong = [
        one for one in named if (found[one.id].status, found[one.id].version) != (one.status, one.version)
    ]
    assert wrong == []
    assert [one for one in named if found[one.id].entity != one.entity] == []


def assert_sound(home: Path) -> None:
    """No file of the project's state is damaged."""
    for file in [home / "serving.db", *home.glob("feedback.db"), *home.glob("log/*.db")]:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], file
