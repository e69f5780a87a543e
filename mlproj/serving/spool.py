"""The local log as a spool: what is in it is shipped to PostgreSQL, at least once.

    python -m mlproj.serving.spool HOME        ships until it is ended; the URL is in MLPROJ_POSTGRES

Predictions are acknowledged by the local disk and never wait for the server. Records become visible in the
order of their commits, not of their ids, so the cursor stays two minutes behind the clock: what lies after it
is read again each round and shipped if it was not. After a restart those two minutes are shipped twice, which
the server's primary key makes once.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from mlproj.base import clock, files
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.serving import feedback, ids, postgres, sealing, segments
from mlproj.serving.postgres import Shipper
from mlproj.serving.record import Record

# No request waits this long for its record.
LAG = timedelta(minutes=2)

_BATCH = 5_000
_EVERY_S = 1.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """All records below `record` and all feedback up to `feedback` are shipped."""

    record: int = 0
    feedback: int = 0


class Spool:
    """Ships one home's log; one at a time."""

    def __init__(self, home: Path, url: str, *, now: Callable[[], datetime] = clock.now) -> None:
        self._home = home
        self._url = url
        self._now = now
        self._shipper: Shipper | None = None
        self._after_cursor: set[int] = set()

    def ship(self) -> int:
        """Ship what is new; returns how many records and pieces of feedback that was.

        Raises MlprojError if the server cannot be reached or refuses; the next call goes on where this one
        stopped.
        """
        driver = postgres.driver()
        try:
            if self._shipper is None:
                self._shipper = Shipper(self._url)
            return self._ship_records(self._shipper) + self._ship_feedback(self._shipper)
        except (driver.Error, sqlite3.Error) as error:
            raise MlprojError(f"the prediction log is not shipped: {str(error).strip()}") from error
        finally:
            if sys.exc_info()[0] is not None:
                self.close()

    def run(self, stopping: threading.Event) -> None:
        """Ship until told to stop; a server that is away is asked again, ever less often."""
        pause_s = _EVERY_S
        while not stopping.is_set():
            try:
                self.ship()
                pause_s = _EVERY_S
            except MlprojError as error:
                print(error.message, file=sys.stderr, flush=True)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            stopping.wait(pause_s)
        self.close()

    def close(self) -> None:
        shipper, self._shipper = self._shipper, None
        if shipper is not None:
            shipper.close()

    def _ship_records(self, shipper: Shipper) -> int:
        cursor = read_cursor(self._home)
        steady = ids.at(self._now() - LAG)
        count = 0
        records = (
            record for record in _rows(self._home, cursor.record) if record.id not in self._after_cursor
        )
        while batch := list(islice(records, _BATCH)):
            shipper.records(batch)
            count += len(batch)
            self._after_cursor.update(record.id for record in batch)
            self._advance(min(batch[-1].id + 1, steady))
        self._advance(steady)
        return count

    def _advance(self, record: int) -> None:
        cursor = read_cursor(self._home)
        if record > cursor.record:
            _write_cursor(self._home, Cursor(record=record, feedback=cursor.feedback))
            self._after_cursor = {number for number in self._after_cursor if number >= record}

    def _ship_feedback(self, shipper: Shipper) -> int:
        count = 0
        rows = feedback.digests(self._home, since_seq=read_cursor(self._home).feedback)
        while batch := list(islice(rows, _BATCH)):
            shipper.feedback([(digest, one) for _, digest, one in batch])
            count += len(batch)
            cursor = read_cursor(self._home)
            _write_cursor(self._home, Cursor(record=cursor.record, feedback=batch[-1][0]))
        return count


def read_cursor(home: Path) -> Cursor:
    """Where shipping stands; from the beginning if nothing was shipped yet."""
    said = files.read_json(_cursor_path(home))
    if not isinstance(said, dict):
        return Cursor()
    return Cursor(record=int(said.get("record", 0)), feedback=int(said.get("feedback", 0)))


def _write_cursor(home: Path, cursor: Cursor) -> None:
    files.write_json(_cursor_path(home), {"record": cursor.record, "feedback": cursor.feedback})


def _cursor_path(home: Path) -> Path:
    return home / "spool.json"


def _rows(home: Path, since_id: int) -> Iterator[Record]:
    """From the databases and, of days that were sealed before they were shipped, from Parquet."""
    for day in sorted({*segments.hot_days(home), *segments.sealed_days(home)}):
        first, past = ids.bounds(day)
        if past <= since_id:
            continue
        hot, sealed = segments.path(home, day), segments.sealed_path(home, day)
        if sealed.exists():
            yield from sealing.rows(sealed, max(since_id, first), past)
        if hot.exists():
            with closing(segments.read(hot)) as connection:
                yield from segments.pages(connection, max(since_id, first), past)


def main() -> int:
    url = os.environ.get("MLPROJ_POSTGRES", "")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        if len(sys.argv) != 2 or not url:
            raise ConfigError("a home is wanted, and the URL of a PostgreSQL database in `MLPROJ_POSTGRES`")
        Spool(Path(sys.argv[1]), url).run(stopping)
    except MlprojError as error:
        print(error.message, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
