"""The writer of the prediction log: a thread that commits whatever has queued, and says so only then.

A prediction is answered when its record is durable. One commit costs an fsync (milliseconds), however many
records it holds, so all that arrived during the last commit go into the next (group commit). The thread
shares the process with the gateway's event loop, so it holds Python's lock as little as it can: many rows
go into one statement (a statement a row would hand the lock over once a row), and one call into the loop
answers for a whole commit.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from mlproj.base.errors import MlprojError
from mlproj.serving import ids, segments
from mlproj.serving.record import COLUMNS, Record

Done = Callable[[Exception | None], object]

_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = f"INSERT INTO prediction ({', '.join(COLUMNS)}) VALUES "
# By rows a statement, largest first; SQLite takes 32,766 values, and each size is compiled once. What waits
# under load are a few dozen rows, which are one statement, however many.
_INSERTS = {size: _INSERT + ", ".join([_ROW] * size) for size in (256, 64, *range(32, 0, -1))}
_ROWS_A_COMMIT = 4096
_TICK_S = 1.0
# How long the segment of the day before stays open for requests that began before midnight.
_KEEP_OPEN_S = 60.0
# 4 kB each: a WAL longer than that is started over as soon as the database has caught up.
_WAL_FRAMES = 8192
# The probe of a log that failed needs room for more than a record, or it would recover on every freed page.
_PROBE = "INSERT OR REPLACE INTO probe (id, space) VALUES (1, zeroblob(262144))"


class LogError(MlprojError):
    """The records could not be made durable; unless their write was given up, nothing is in the log."""


class _Item:
    """A submission; `done` is None once its submitter was told. `at` is of the monotonic clock."""

    __slots__ = ("at", "done", "records")

    def __init__(self, records: Sequence[Record], done: Done) -> None:
        self.records = records
        self.done: Done | None = done
        self.at = time.monotonic()


class Loop(Protocol):
    """What the writer needs of an event loop."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object: ...


class Writer:
    """Appends records to the day segments under `home`, from one thread, in groups.

    `submit` may be called from the loop's thread only. When the log cannot be written (locked, disk full,
    read-only) the whole group is told so and nothing of it is in the log; the next group tries anew, and
    while none comes the writer tries by itself each second. A submission that SQLite cannot take (a text
    that is not Unicode) fails alone. A disk that has stalled holds up the thread for as long as it likes:
    who shall not wait for it calls `give_up`.
    """

    def __init__(self, home: Path, loop: Loop, *, most_rows: int = 100_000, lock_wait_s: float = 1.0) -> None:
        self._home = home
        self._loop = loop
        self._most_rows = most_rows
        self._lock_wait_s = lock_wait_s
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting = 0
        self._pending: deque[_Item] = deque()
        self._is_stalled = False
        self._open: dict[date, sqlite3.Connection] = {}
        self._error: Exception | None = None
        self._checkpoints = _Checkpoints(lock_wait_s)
        self._roll(datetime.now(UTC).date())
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the log took the last write, and none that was given up is still under way."""
        return self._error is None and not self._is_stalled

    @property
    def error(self) -> Exception | None:
        """Why the log did not take the last write, if so."""
        return self._error

    @property
    def waiting(self) -> int:
        """Records submitted and not yet answered for."""
        return self._waiting

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Queue records to be written all or none; never blocks.

        `done` is called in the loop with None once they are durable, else with the LogError; so it is, at
        the loop's next turn, when `most_rows` would be waiting.
        """
        if self._waiting + len(records) > self._most_rows:
            error = LogError(f"the prediction log is {self._waiting:,} records behind")
            self._loop.call_soon_threadsafe(done, error)
            return
        self._waiting += len(records)
        item = _Item(records, done)
        self._pending.append(item)
        self._queue.put(item)

    def give_up(self, before: float) -> None:
        """Answer for what was submitted before that moment of the monotonic clock as having failed.

        It may yet be written. The log is not healthy until the write under way has come to an end. To be
        called in the loop's thread.
        """
        pending = self._pending
        while pending and pending[0].at < before:
            self._is_stalled = True
            item = pending.popleft()
            done, item.done = item.done, None
            if done is not None:
                done(LogError("the prediction log takes too long to write"))

    def close(self) -> None:
        """Write what is queued and stop; the last `done` calls are then with the loop."""
        self._queue.put(None)
        self._thread.join()
        self._checkpoints.close()

    def _run(self) -> None:
        closing = False
        self._probe()
        while not closing:
            items, closing = self._take()
            if items:
                self._settle(items)
                if self._checkpoints.start_over and self._error is None:
                    self._start_over()
            elif self._error is not None and not closing:
                self._probe()
            if len(self._open) > 1 and time.monotonic() - self._rolled_s > _KEEP_OPEN_S:
                for day in [day for day in self._open if day != self._day]:
                    self._checkpoints.retire(self._open.pop(day))
        self._let_go()

    def _take(self) -> tuple[list[_Item], bool]:
        """All that waits, up to a commit's worth, and whether it is the last; waits for the first."""
        items: list[_Item] = []
        taken = 0
        calm = self._error is None and len(self._open) < 2
        try:
            item = self._queue.get(timeout=None if calm else _TICK_S)
            while item is not None:
                items.append(item)
                taken += len(item.records)
                if taken >= _ROWS_A_COMMIT:
                    return items, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return items, False
        return items, True

    def _settle(self, items: list[_Item]) -> None:
        """Write all of the submissions in one commit and answer for them."""
        rows = list(chain.from_iterable([item.records for item in items]))
        failed: Exception | None = None
        try:
            self._write(rows)
        except (sqlite3.OperationalError, OSError) as error:
            failed = self._fail(error)
        except Exception as error:
            # Python's sqlite3 raises what it likes for a value that it cannot bind. Halving finds the one
            # submission at fault in few commits, so that a client who sends such things slows nobody much.
            if type(error) is sqlite3.DatabaseError:
                failed = self._fail(error)
            elif len(items) > 1:
                self._settle(items[: len(items) // 2])
                self._settle(items[len(items) // 2 :])
                return
            else:
                failed = LogError(f"the prediction log does not take this record: {error}")
        else:
            self._error = None
            self._checkpoints.wrote(len(rows))
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._tell, items, len(rows), failed)

    def _tell(self, items: list[_Item], rows: int, error: Exception | None) -> None:
        self._waiting -= rows
        self._is_stalled = False
        pending = self._pending
        for item in items:
            done, item.done = item.done, None
            if done is not None:
                # Answered in the order of their submission, so it is the first that still waits.
                pending.popleft()
                done(error)

    def _fail(self, error: Exception) -> LogError:
        self._let_go()
        self._error = error
        return LogError(f"the prediction log cannot be written: {error}")

    def _probe(self) -> None:
        """Whether a log that failed can be written again."""
        try:
            connection = self._segment(self._day)
            connection.execute(_PROBE)
            connection.execute("DELETE FROM probe")
            self._error = None
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def _start_over(self) -> None:
        """Copy the last of the WAL, so that the next write starts it from its beginning.

        The other thread has copied nearly all; only between two writes can it be all.
        """
        self._checkpoints.start_over = False
        with contextlib.suppress(sqlite3.Error):
            self._open[self._day].execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _write(self, rows: list[Record]) -> None:
        """One transaction a day; all days are written before the first commits."""
        first, past = self._bounds
        if rows and first <= min(rows)[0] and max(rows)[0] < past:
            by_day = {self._day: rows}
        else:
            by_day = {}
            for row in rows:
                by_day.setdefault(ids.day(row.id), []).append(row)
            if by_day:
                self._roll(max(by_day))
        try:
            for day, of_day in by_day.items():
                self._insert(day, of_day)
            for day in by_day:
                self._open[day].execute("COMMIT")
        except BaseException:
            for day in by_day:
                if day in self._open and self._open[day].in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._open[day].execute("ROLLBACK")
            raise

    def _insert(self, day: date, rows: list[Record]) -> None:
        for last_attempt in (False, True):
            connection = self._segment(day)
            connection.execute("BEGIN IMMEDIATE")
            try:
                at = 0
                while left := len(rows) - at:
                    size = left if left in _INSERTS else next(size for size in _INSERTS if size < left)
                    values = list(chain.from_iterable(rows[at : at + size]))
                    connection.execute(_INSERTS[size], values)
                    at += size
                connection.execute(segments.BATCH, (min(rows)[0], max(rows)[0]))
                return
            except sqlite3.IntegrityError as error:
                if str(error) != segments.SEALED or last_attempt:
                    raise
                # The day was sealed under our hands: its file is gone, and late records start another.
                connection.execute("ROLLBACK")
                self._checkpoints.retire(self._open.pop(day))

    def _segment(self, day: date) -> sqlite3.Connection:
        connection = self._open.get(day)
        if connection is None:
            file = segments.path(self._home, day)
            connection = self._open[day] = segments.create(file, wait_s=self._lock_wait_s)
        return connection

    def _roll(self, day: date) -> None:
        self._day, self._bounds, self._rolled_s = day, ids.bounds(day), time.monotonic()
        self._checkpoints.file = segments.path(self._home, day)

    def _let_go(self) -> None:
        while self._open:
            self._checkpoints.retire(self._open.popitem()[1])


class _Checkpoints:
    """Copies the WAL into the database from a thread and a connection of its own.

    Done by the writer, as SQLite does by default, every thousandth page would hold up a commit. Closes the
    writer's old connections too, since the last one to close a database copies all that is left.
    """

    def __init__(self, lock_wait_s: float) -> None:
        self.file: Path | None = None
        self.start_over = False
        self._lock_wait_s = lock_wait_s
        self._rows = 0
        self._seen = 0
        self._retired: queue.SimpleQueue[sqlite3.Connection | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="prediction-log-checkpoints", daemon=True)
        self._thread.start()

    def wrote(self, rows: int) -> None:
        self._rows += rows

    def retire(self, connection: sqlite3.Connection) -> None:
        self._retired.put(connection)

    def close(self) -> None:
        self._retired.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection = self._retired.get(timeout=_TICK_S)
            except queue.Empty:
                if self._rows != self._seen:
                    self._seen = self._rows
                    self._checkpoint()
                continue
            if connection is None:
                return
            with contextlib.suppress(sqlite3.Error):  # what is left in the WAL is read from there
                connection.close()

    def _checkpoint(self) -> None:
        file = self.file
        if file is None:
            return
        try:
            address = f"{file.absolute().as_uri()}?mode=rw"  # never makes a file that is not there
            with contextlib.closing(
                sqlite3.connect(address, uri=True, timeout=self._lock_wait_s)
            ) as connection:
                _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (sqlite3.Error, OSError):
            return  # a full disk: the rows are safe in the WAL, and the next turn tries again
        self.start_over = self.start_over or frames > _WAL_FRAMES
