"""The prediction log shared by several machines: tables in PostgreSQL that any of them reads.

One database a project. `prediction` is partitioned by day, as ranges of ids, so an id names its partition.
The driver (psycopg 3) comes with the extra `mlproj[postgres]`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlproj.base.errors import MissingToolError, ToolError
from mlproj.serving import ids
from mlproj.serving.record import COLUMNS, Feedback, Kind, Record, Role

if TYPE_CHECKING:
    import psycopg

_CONNECT_S = 5
_PAGE = 10_000
# Any number, the same on every machine: who makes tables waits for who does so already.
_MAKING = 0x6D6C7072
_OFFICE = 0x6D6C

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prediction (
    id BIGINT PRIMARY KEY,
    arrived_us BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    "row" INTEGER NOT NULL,
    deployment BIGINT NOT NULL,
    role TEXT NOT NULL,
    share DOUBLE PRECISION NOT NULL,
    version BIGINT NOT NULL,
    run TEXT NOT NULL,
    engine TEXT NOT NULL,
    entity TEXT,
    sticky BOOLEAN NOT NULL,
    features BYTEA NOT NULL,
    output TEXT,
    score DOUBLE PRECISION,
    confidence DOUBLE PRECISION,
    decision TEXT,
    status INTEGER NOT NULL,
    error TEXT,
    latency_us BIGINT NOT NULL,
    unseen TEXT
) PARTITION BY RANGE (id);
CREATE INDEX IF NOT EXISTS prediction_newcomer ON prediction (request_id) WHERE role <> 'primary';
CREATE TABLE IF NOT EXISTS feedback (
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    digest BYTEA PRIMARY KEY,
    prediction_id BIGINT,
    entity TEXT,
    since_us BIGINT,
    until_us BIGINT,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    arrived_us BIGINT NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS feedback_prediction ON feedback (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS feedback_entity ON feedback (entity) WHERE entity IS NOT NULL;
"""
_COLUMNS = ", ".join(f'"{name}"' for name in COLUMNS)
_SELECT = f"SELECT {_COLUMNS} FROM prediction"
_FEEDBACK = "prediction_id, entity, since_us, until_us, kind, value, at_us, arrived_us, source"


def driver() -> ModuleType:
    """The module `psycopg`. Raises MissingToolError, with the command that installs it, if it is not here."""
    try:
        import psycopg
    except ImportError as error:
        raise MissingToolError(
            "`psycopg`, which speaks with PostgreSQL, is not installed",
            hint="install mlproj with it: `uv tool install 'mlproj[postgres]'`",
        ) from error
    return psycopg


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection that commits each statement by itself, waiting for the disk as the local log does.

    Raises MissingToolError without the driver, ToolError if the server cannot be reached.
    """
    module = driver()
    try:
        connection: psycopg.Connection[Any] = module.connect(url, autocommit=True, connect_timeout=_CONNECT_S)
        connection.execute("SET synchronous_commit = on")
        return connection
    except module.Error as error:
        raise ToolError(
            f"PostgreSQL cannot be reached: {str(error).strip()}",
            hint="see that the server runs and that the URL in `mlproj.toml` or `MLPROJ_POSTGRES` is right",
        ) from error


class Shipper:
    """Writes records and feedback to PostgreSQL; what is there already changes nothing."""

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self._days: set[date] = set()
        try:
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                self._connection.execute(_SCHEMA)
        except BaseException:
            self._connection.close()
            raise

    def records(self, records: Sequence[Record]) -> None:
        """All or none of them; committed when it returns."""
        for day in {ids.day(record.id) for record in records} - self._days:
            self._make_day(day)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE incoming (LIKE prediction) ON COMMIT DROP")
            with cursor.copy(f"COPY incoming ({_COLUMNS}) FROM STDIN") as copy:
                for record in records:
                    copy.write_row([_storable(value) for value in record])
            cursor.execute(
                f"INSERT INTO prediction ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming ON CONFLICT DO NOTHING"
            )

    def feedback(self, rows: Sequence[tuple[bytes, Feedback]]) -> None:
        """Feedback with its digest, all or none of it."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO feedback (digest, {_FEEDBACK}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (digest) DO NOTHING",
                [
                    (
                        digest,
                        one.prediction_id,
                        _storable(one.entity),
                        one.since_us,
                        one.until_us,
                        one.kind.value,
                        _storable(one.value),
                        one.at_us,
                        one.arrived_us,
                        _storable(one.source),
                    )
                    for digest, one in rows
                ],
            )

    def close(self) -> None:
        self._connection.close()

    def _make_day(self, day: date) -> None:
        first, past = ids.bounds(day)
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS prediction_{day:%Y%m%d} PARTITION OF prediction"
                f" FOR VALUES FROM ({first}) TO ({past})"
            )
        self._days.add(day)


class Archive:
    """The shared log, read: what `mlproj.monitoring.records` asks of a place where records lie."""

    def __init__(self, url: str) -> None:
        self._url = url

    def find(self, number: int) -> Record | None:
        return next(iter(self._records(f"{_SELECT} WHERE id = %s", (number,))), None)

    def related(self, record: Record, since_id: int, until_id: int) -> list[Record]:
        same = 'request_id = %s AND "row" = %s AND id <> %s AND id >= %s AND id < %s'
        given = (record.request_id, record.row, record.id, since_id, until_id)
        found = self._records(f"{_SELECT} WHERE {same} AND role <> 'primary'", given)
        if record.role != Role.PRIMARY:
            found += self._records(f"{_SELECT} WHERE {same} AND role = 'primary'", given)
        return sorted(found)

    def rows(self, since_id: int, until_id: int) -> Iterator[Record]:
        query = f"{_SELECT} WHERE id >= %s AND id < %s ORDER BY id LIMIT {_PAGE}"
        with closing(connect(self._url)) as connection:
            while page := connection.execute(query, (since_id, until_id)).fetchall():
                yield from map(Record._make, page)
                since_id = page[-1][0] + 1

    def said(self, numbers: Iterable[int], entities: Iterable[str]) -> list[Feedback]:
        query = f"""SELECT {_FEEDBACK} FROM feedback WHERE prediction_id = ANY(%s::bigint[])
            OR entity = ANY(%s::text[]) ORDER BY at_us, arrived_us, seq"""
        with closing(connect(self._url)) as connection:
            found = connection.execute(query, (list(numbers), list(entities))).fetchall()
        return [_feedback(row) for row in found]

    def all_said(self) -> Iterator[Feedback]:
        with closing(connect(self._url)) as connection:
            last = 0
            query = f"SELECT seq, {_FEEDBACK} FROM feedback WHERE seq > %s ORDER BY seq LIMIT {_PAGE}"
            while page := connection.execute(query, (last,)).fetchall():
                yield from (_feedback(row[1:]) for row in page)
                last = page[-1][0]

    def _records(self, query: str, parameters: Sequence[Any]) -> list[Record]:
        with closing(connect(self._url)) as connection:
            return [Record._make(row) for row in connection.execute(query, parameters).fetchall()]


class Election:
    """One machine of several does the work that only one may do: it holds a lock of the server's.

    The lock goes with the connection, so a machine that dies or is cut off loses it.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._key = zlib.crc32(name.encode())
        self._connection: psycopg.Connection[Any] | None = None

    def won(self) -> bool:
        """Whether this machine holds the lock now, taking it if it is free; ask before each piece of work."""
        module = driver()
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
            self._connection = connect(self._url)
            query = "SELECT pg_try_advisory_lock(%s, %s)"
            row = self._connection.execute(query, (_OFFICE, self._signed)).fetchone()
            if row is not None and row[0]:
                return True
        except (module.Error, ToolError):
            pass  # whoever cannot ask does not hold it
        self.resign()
        return False

    def resign(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _signed(self) -> int:
        """The key as the signed 32 bits that the server takes."""
        return self._key - (1 << 32) if self._key >> 31 else self._key


def _storable(value: Any) -> Any:
    """PostgreSQL's text knows no NUL."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) and "\x00" in value else value


def _feedback(row: Sequence[Any]) -> Feedback:
    prediction, entity, since_us, until_us, kind, value, at_us, arrived_us, source = row
    return Feedback(
        prediction_id=prediction,
        entity=entity,
        since_us=since_us,
        until_us=until_us,
        kind=Kind(kind),
        value=value,
        at_us=at_us,
        arrived_us=arrived_us,
        source=source,
    )
