"""Records, a loop in a thread, and a server of PostgreSQL: what the tests of the log are made of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from mlproj.serving import ids, segments
from mlproj.serving.log import Writer
from mlproj.serving.record import COLUMNS, Record

FEATURES = {"tenure": 12, "Contract": "Month-to-month", "MonthlyCharges": 70.35, "Partner": None}
DAY = date(2026, 11, 20)


def record(number: int, **changes: Any) -> Record:
    """A record as the gateway makes them; `features` may be given as a dict."""
    made = Record(
        id=number,
        arrived_us=int(ids.moment(number).timestamp() * 1e6),
        request_id=ids.text(number),
        row=0,
        deployment=5,
        role="primary",
        share=1.0,
        version=3,
        run="0a1b2c3d",
        engine="numpy",
        entity=None,
        sticky=False,
        features=json.dumps(FEATURES).encode(),
        output='"prediction":"Yes","confidence":0.83,"probabilities":{"No":0.17,"Yes":0.83}',
        score=0.83,
        confidence=0.83,
        decision=None,
        status=200,
        error=None,
        latency_us=1200,
        unseen=None,
    )._replace(**{name: value for name, value in changes.items() if name != "features"})
    if "features" in changes:
        features = changes["features"]
        made = made._replace(
            features=features
            if isinstance(features, bytes)
            else json.dumps(features, ensure_ascii=False, separators=(",", ":")).encode()
        )
    else:
        made = made._replace(features=json.dumps(FEATURES, separators=(",", ":")).encode())
    return made


def of_day(day: date, count: int, **changes: Any) -> list[Record]:
    first = ids.bounds(day)[0]
    return [record(first + (place * 1000 << 22), **changes) for place in range(count)]


def put(home: Path, records: Sequence[Record]) -> None:
    """Records written into their days, without a writer."""
    for day in sorted({ids.day(one.id) for one in records}):
        with closing(segments.create(segments.path(home, day), wait_s=5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                f"INSERT INTO prediction VALUES ({', '.join('?' * len(COLUMNS))})",
                of_day := [one for one in records if ids.day(one.id) == day],
            )
            connection.execute(segments.BATCH, (min(of_day).id, max(of_day).id))
            connection.execute("COMMIT")


class Answers:
    """Stands for the event loop: runs what the writer hands over, at once, and lets a test wait for it."""

    def __init__(self) -> None:
        self.calls = 0

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        self.calls += 1
        callback(*args)


class Outcome:
    """What a submission came to."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._error: Exception | None = None
        self.times = 0

    def __call__(self, error: Exception | None) -> None:
        self._error = error
        self.times += 1
        self._told.set()

    def wait(self) -> Exception | None:
        assert self._told.wait(30), "nobody answered for this submission"
        return self._error


def write(writer: Writer, records: Sequence[Record]) -> Exception | None:
    """Submit and wait; the error, if there was one."""
    outcome = Outcome()
    writer.submit(records, outcome)
    return outcome.wait()
