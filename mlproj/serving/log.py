"""The writer of the prediction log: a thread that commits whatever has queued, and says so only then.

A prediction is answered when its record is durable. One commit costs an fsync (milliseconds), however many
records it holds, so all that arrived during the last commit go into the next (group commit).
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from mlproj.base.errors import MlprojError
from mlproj.serving import ids, segments
from mlproj.serving.record import COLUMNS, Record

Done = Callable[[Exception | None], object]
_Item = tuple[Sequence[Record], Done]

_INSERT = f"INSERT INTO prediction ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_ROWS_A_COMMIT = 4096
_PROBE_S = 1.0


class LogError(MlprojError):
    """The records could not be made durable; nothing of them is in the log."""


class Loop(Protocol):
    """What the writer needs of an event loop."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object: ...


class Writer:
    """Appends records to the day segments under `home`, from one thread, in groups.

    `submit` may be called from the loop's thread only. A write that fails (locked, disk full, read-only)
    fails all of its group, leaves nothing of it in the log, and is tried anew with the next group; while
    none comes, the writer tries by itself each second.
    """

    def __init__(self, home: Path, loop: Loop, *, most_rows: int = 100_000, lock_wait_s: float = 1.0) -> None:
        self._home = home
        self._loop = loop
        self._most_rows = most_rows
        self._lock_wait_s = lock_wait_s
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting = 0
        self._connection: sqlite3.Connection | None = None
        self._day: date | None = None
        self._bounds = (0, 0)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the last write went well."""
        return self._error is None

    @property
    def error(self) -> Exception | None:
        """Why the last write failed, if it did."""
        return self._error

    @property
    def waiting(self) -> int:
        """Records submitted and not yet answered for."""
        return self._waiting

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """Queue records to be written all or none; never blocks.

        `done` is called in the loop with None once they are durable, else with the LogError. With more
        than `most_rows` waiting it is called with one at the next turn of the loop.
        """
        if self._waiting + len(records) > self._most_rows:
            error = LogError(f"the prediction log is {self._waiting} records behind")
            self._loop.call_soon_threadsafe(done, error)
            return
        self._waiting += len(records)
        self._queue.put((records, done))

    def close(self) -> None:
        """Write what is queued and stop; the last `done` calls are then with the loop."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            items, closing = self._take()
            if items:
                rows = (
                    [row for records, _ in items for row in records] if len(items) > 1 else list(items[0][0])
                )
                error = self._attempt(rows)
                self._answer([done for _, done in items], len(rows), error)
            elif self._error is not None and not closing:
                self._attempt([])
        self._let_go()

    def _take(self) -> tuple[list[_Item], bool]:
        """All that waits, up to a commit's worth; waits for the first."""
        items: list[_Item] = []
        taken = 0
        try:
            item = self._queue.get(timeout=None if self._error is None else _PROBE_S)
            while item is not None:
                items.append(item)
                taken += len(item[0])
                if taken >= _ROWS_A_COMMIT:
                    return items, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return items, False
        return items, True

    def _attempt(self, rows: list[Record]) -> LogError | None:
        try:
            self._write(rows)
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            self._error = error
            return LogError(f"the prediction log cannot be written: {error}")
        self._error = None
        return None

    def _write(self, rows: list[Record]) -> None:
        if not rows:
            return
        connection = self._open(ids.day(rows[0].id))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, rows)
        connection.execute("COMMIT")

    def _open(self, day: date) -> sqlite3.Connection:
        if self._connection is None or self._day != day:
            self._let_go()
            self._connection = segments.create(segments.path(self._home, day), wait_s=self._lock_wait_s)
            self._day = day
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _answer(self, dones: list[Done], rows: int, error: Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._tell, dones, rows, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _tell(self, dones: list[Done], rows: int, error: Exception | None) -> None:
        self._waiting -= rows
        for done in dones:
            done(error)
