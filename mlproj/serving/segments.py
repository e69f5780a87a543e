"""The prediction log as files: one SQLite database a day, `log/2026-11-23.db`.

Days are UTC and follow from the ids, so an id names its file. Older days are sealed to Parquet
(`sealing.py`), which `mlproj.monitoring.records` reads; here is only what SQLite can answer, since the
gateway uses it and loads nothing heavier.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from mlproj.serving import ids
from mlproj.serving.record import COLUMNS, Record, Role

# One statement a page, so that no reader holds a snapshot for long: a snapshot keeps the log's WAL growing.
_PAGE = 10_000
_WAIT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prediction (
    id INTEGER PRIMARY KEY,
    arrived_us INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    row INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    role TEXT NOT NULL,
    share REAL NOT NULL,
    version INTEGER NOT NULL,
    run TEXT NOT NULL,
    engine TEXT NOT NULL,
    entity TEXT,
    sticky INTEGER NOT NULL,
    features BLOB NOT NULL,
    output TEXT,
    score REAL,
    confidence REAL,
    decision TEXT,
    status INTEGER NOT NULL,
    error TEXT,
    latency_us INTEGER NOT NULL,
    unseen TEXT
);
CREATE INDEX IF NOT EXISTS newcomer ON prediction (request_id) WHERE role <> 'primary';
CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, space BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batch (seq INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT OR IGNORE INTO mark VALUES (1, hex(randomblob(8)));
"""
# Records become visible in the order of their commits, not of their ids: who follows the log reads these.
BATCH = "INSERT INTO batch (first, last) VALUES (?, ?)"
# What SQLite says to an insert into a day that is being turned into Parquet.
SEALED = "this day is sealed"
_SEAL = f"CREATE TRIGGER sealed BEFORE INSERT ON prediction BEGIN SELECT RAISE(ABORT, '{SEALED}'); END"
_STICKY = COLUMNS.index("sticky")
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM prediction"


def folder(home: Path) -> Path:
    return home / "log"


def path(home: Path, day: date) -> Path:
    return folder(home) / f"{day.isoformat()}.db"


def sealed_path(home: Path, day: date) -> Path:
    return folder(home) / f"{day.isoformat()}.parquet"


def hot_days(home: Path) -> list[date]:
    """The days that have a database, oldest first."""
    return _days(home, ".db")


def sealed_days(home: Path) -> list[date]:
    """The days that have a Parquet file, oldest first."""
    return _days(home, ".parquet")


def create(file: Path, *, wait_s: float) -> sqlite3.Connection:
    """Open a day to write to, making it if there is none; may be used from any one thread at a time."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        _put(file)
    connection = sqlite3.connect(file, timeout=wait_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _put(file: Path) -> None:
    """Make a day's file with its tables in it: a reader never meets one without."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        # Another writer may have been quicker; and where there are no links, the tables are made in place.
        with contextlib.suppress(OSError):
            os.link(new, file)
    finally:
        new.unlink(missing_ok=True)


def read(file: Path) -> sqlite3.Connection:
    """Open a day to read; sees all that is committed, also what a killed writer left in its WAL."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)


def seal(connection: sqlite3.Connection) -> None:
    """Within a transaction: from its commit on, nobody adds a row to this file, however they hold it open."""
    connection.execute(_SEAL)


def is_sealed(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'sealed'"
    return connection.execute(query).fetchone() is not None


def find(home: Path, number: int) -> Record | None:
    """The record with that id, if its day is not sealed and has it."""
    file = path(home, ids.day(number))
    if not file.exists():
        return None
    with closing(read(file)) as connection:
        row = connection.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone()
    return None if row is None else _record(row)


def related(connection: sqlite3.Connection, record: Record, since_id: int, until_id: int) -> list[Record]:
    """The other records of the same row of the same request, in one open day."""
    same = f"{_SELECT} WHERE request_id = ? AND row = ? AND id <> ? AND id >= ? AND id < ?"
    given = (record.request_id, record.row, record.id, since_id, until_id)
    # By index the newcomers' records; the primary's (most rows, and not indexed) from the newest on.
    found = connection.execute(f"{same} AND role <> 'primary'", given).fetchall()
    if record.role != Role.PRIMARY:
        found += connection.execute(f"{same} AND role = 'primary' ORDER BY id DESC LIMIT 1", given).fetchall()
    return sorted(map(_record, found))


def batches(connection: sqlite3.Connection, since: int, *, most: int) -> tuple[int, list[tuple[int, int]]]:
    """Up to `most` commits after the one of that number: the number of the last of them, and ranges of ids,
    both ends included, that hold all their records (and some of others, where commits overlap)."""
    query = "SELECT seq, first, last FROM batch WHERE seq > ? ORDER BY seq LIMIT ?"
    found = connection.execute(query, (since, most)).fetchall()
    ranges: list[tuple[int, int]] = []
    for _, first, last in sorted(found, key=lambda row: row[1]):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return (found[-1][0] if found else since), ranges


def newest_batch(connection: sqlite3.Connection) -> tuple[str, int]:
    """The file's own name, since a day that was sealed may get another, and the number of its last commit."""
    row = connection.execute("SELECT name, (SELECT coalesce(max(seq), 0) FROM batch) FROM mark").fetchone()
    return str(row[0]), int(row[1])


def last_id(home: Path) -> int:
    """No id in the log is larger; 0 for an empty log. For a sealed day, the largest that day could have."""
    for day in sorted({*hot_days(home), *sealed_days(home)}, reverse=True):
        if sealed_path(home, day).exists():
            return ids.bounds(day)[1] - 1
        with closing(read(path(home, day))) as connection:
            largest = connection.execute("SELECT max(id) FROM prediction").fetchone()[0]
        if largest is not None:
            return int(largest)
    return 0


def rows(home: Path, since_id: int, until_id: int = ids.LARGEST + 1) -> Iterator[Record]:
    """The records of unsealed days with since_id <= id < until_id, in the order of their ids."""
    for day in hot_days(home):
        first, past = ids.bounds(day)
        if past > since_id and first < until_id:
            yield from day_rows(path(home, day), max(since_id, first), min(until_id, past))


def day_rows(file: Path, since_id: int, until_id: int) -> Iterator[Record]:
    """The same of one database."""
    with closing(read(file)) as connection:
        yield from pages(connection, since_id, until_id)


def pages(connection: sqlite3.Connection, since_id: int, until_id: int) -> Iterator[Record]:
    """The same of an open database; holds no snapshot between its statements."""
    query = f"{_SELECT} WHERE id >= ? AND id < ? ORDER BY id LIMIT {_PAGE}"
    while page := connection.execute(query, (since_id, until_id)).fetchall():
        yield from map(_record, page)
        since_id = page[-1][0] + 1


def _days(home: Path, suffix: str) -> list[date]:
    found = []
    for file in folder(home).glob(f"*{suffix}"):
        try:
            found.append(date.fromisoformat(file.stem))
        except ValueError:
            continue  # a copy or a temporary file that somebody put here
    return sorted(found)


def _record(row: tuple[Any, ...]) -> Record:
    # SQLite knows no booleans. (`_replace` would cost as much as the rest of reading a row.)
    return Record._make((*row[:_STICKY], row[_STICKY] == 1, *row[_STICKY + 1 :]))
