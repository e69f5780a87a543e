"""The local log as a spool: what is in it is shipped to PostgreSQL, at least once.

    python -m mlproj.serving.spool HOME        ships until it is ended; the URL is in MLPROJ_POSTGRES

Predictions are acknowledged by the local disk and never wait for the server. Records become visible in the
order of their commits, not of their ids, so commits are followed (each notes the range of its ids), and one
that comes hours after its id was given is shipped like any other. After a restart the last round may be
shipped twice, which the server's primary key makes once.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.project import POSTGRES
from mlproj.serving import feedback, ids, postgres, sealing, segments, shipping
from mlproj.serving.postgres import Shipper
from mlproj.serving.record import Record
from mlproj.serving.settings import node_name

_BATCH = 5_000
_COMMITS = 1_000
# A commit with one slow request spans all that was answered meanwhile, which has been shipped.
_RECENT = 500_000
_EVERY_S = 1.0
_LONGEST_PAUSE_S = 5.0


class Spool:
    """Ships one home's log; one at a time."""

    def __init__(self, home: Path, url: str) -> None:
        self._home = home
        self._url = url
        self._shipper: Shipper | None = None
        self._recent: set[int] = set()

    def ship(self) -> int:
        """Ship what is new; returns how many records and pieces of feedback that was.

        Raises MlprojError if the server cannot be reached or refuses; the next call goes on where this one
        stopped.
        """
        with self._connected() as shipper:
            began_us = time.time_ns() // 1000
            count = self._ship_records(shipper) + self._ship_feedback(shipper)
            shipper.reached(node_name(self._home), ids.at_us(began_us))
            return count

    def ship_feedback(self) -> None:
        """Ship what is new of feedback only."""
        with self._connected() as shipper:
            self._ship_feedback(shipper)

    @contextmanager
    def _connected(self) -> Iterator[Shipper]:
        driver = postgres.driver()
        try:
            if self._shipper is None:
                self._shipper = Shipper(self._url)
            yield self._shipper
        except (driver.Error, sqlite3.Error) as error:
            self.close()
            raise MlprojError(f"the prediction log is not shipped: {postgres.line(error)}") from error
        except BaseException:
            self.close()
            raise

    def run(self, stopping: threading.Event) -> None:
        """Ship until told to stop, and then once more; a server that is away is asked ever less often."""
        pause_s, fault = _EVERY_S, ""
        while not stopping.is_set():
            try:
                self.ship()
                if fault:
                    print("the prediction log is shipped again", file=sys.stderr, flush=True)
                pause_s, fault = _EVERY_S, ""
            except MlprojError as error:
                if not fault:
                    print(error.message, file=sys.stderr, flush=True)
                pause_s, fault = min(2 * pause_s, _LONGEST_PAUSE_S), error.message
            stopping.wait(pause_s)
        with suppress(MlprojError):  # it was said before, and the next start ships what is left
            self.ship()
        self.close()

    def close(self) -> None:
        shipper, self._shipper = self._shipper, None
        if shipper is not None:
            shipper.close()

    def _ship_records(self, shipper: Shipper) -> int:
        count = 0
        for day in segments.hot_days(self._home):
            count += self._ship_hot(shipper, day)
        # A day that was sealed under shipping was shipped before; the others are from before it began.
        known = shipping.read(self._home).days
        for day in segments.sealed_days(self._home):
            if day.isoformat() not in known:
                first, past = ids.bounds(day)
                rows = sealing.rows(segments.sealed_path(self._home, day), first, past)
                count += self._ship(shipper, rows)
                self._advance(day, ("", 0))
        return count

    def _ship_hot(self, shipper: Shipper, day: date) -> int:
        count = 0
        name, since = shipping.read(self._home).days.get(day.isoformat(), ("", 0))
        try:
            opened = segments.read(segments.path(self._home, day))
        except sqlite3.OperationalError:
            if segments.path(self._home, day).exists():
                raise
            return 0  # sealed between the two looks
        with closing(opened) as connection:
            own, newest = segments.newest_batch(connection)
            since = since if name == own else 0
            # What is committed meanwhile is for the next round: under load there is always some.
            while since < newest:
                since, ranges = segments.batches(connection, since, most=_COMMITS)
                for first, last in ranges:
                    count += self._ship(shipper, segments.pages(connection, first, last + 1))
                self._advance(day, (own, since))
        return count

    def _ship(self, shipper: Shipper, records: Iterator[Record]) -> int:
        count = 0
        fresh = (record for record in records if record.id not in self._recent)
        while batch := list(islice(fresh, _BATCH)):
            shipper.records(batch)
            count += len(batch)
            if len(self._recent) > _RECENT:
                self._recent.clear()
            self._recent.update(record.id for record in batch)
        return count

    def _advance(self, day: date, reached: tuple[str, int]) -> None:
        cursor = shipping.read(self._home)
        shipping.write(self._home, replace(cursor, days={**cursor.days, day.isoformat(): reached}))

    def _ship_feedback(self, shipper: Shipper) -> int:
        count = 0
        rows = feedback.digests(self._home, since_seq=shipping.read(self._home).feedback)
        while batch := list(islice(rows, _BATCH)):
            shipper.feedback([(digest, one) for _, digest, one in batch])
            count += len(batch)
            shipping.write(self._home, replace(shipping.read(self._home), feedback=batch[-1][0]))
        return count


def ship_feedback(home: Path, url: str) -> None:
    """Ship the feedback that has been kept and not shipped; a spool that runs may ship it once more.

    Raises MlprojError if the server cannot be reached or refuses.
    """
    spool = Spool(home, url)
    with closing(spool):
        spool.ship_feedback()


def _end_with(stream: int, stopping: threading.Event) -> None:
    """Stop when whoever holds the other end of a pipe is gone."""
    while os.read(stream, 1024):
        pass
    stopping.set()


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--until-eof"]
    url = os.environ.get(POSTGRES, "")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        if len(words) != 1 or not url:
            raise ConfigError("a home is wanted, and the URL of a PostgreSQL database in `MLPROJ_POSTGRES`")
        if "--until-eof" in sys.argv:
            threading.Thread(target=_end_with, args=(sys.stdin.fileno(), stopping), daemon=True).start()
        shipping.begin(Path(words[0]))
        Spool(Path(words[0]), url).run(stopping)
    except MlprojError as error:
        print(error.message, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
