"""Records found by what joins them: the request they belong to, or the version that answered.

A look-up by id needs none of this. Requests are looked for around the moment of a record, since the log is
kept in the order of time; versions are counted over the whole log.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from mlproj.base.errors import MlprojError
from mlproj.serving import ids, sealing, segments
from mlproj.serving.record import COLUMNS, Record

# Models that call each other answer within one request of a client; two minutes is longer than any waits.
APART = timedelta(minutes=2)
_MOST = 1_000
# SQLite asks after this many of its instructions whether to go on: some milliseconds.
_STEPS = 20_000
_OF_REQUEST = "request_id = ? AND id >= ? AND id < ?"
# Version, run, how many, and the first and last of their ids.
_Row = tuple[int, str, int, int, int]
_BY_VERSION = "SELECT version, run, count(*), min(id), max(id) FROM {} GROUP BY version, run"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Records of one version made by one run; `complete` is False where there may be more."""

    version: int
    run: str
    count: int
    first: int
    last: int
    complete: bool


@contextmanager
def told(home: Path) -> Iterator[None]:
    """Turn what SQLite and DuckDB say of a damaged log into an MlprojError that names the folder."""
    try:
        yield
    except sqlite3.Error as error:
        raise MlprojError(f"`{home / 'log'}`: {error}") from error
    except Exception as error:
        # DuckDB is only loaded where a sealed day was read, and its errors with it.
        if not type(error).__module__.startswith(("duckdb", "_duckdb")):
            raise
        raise MlprojError(f"`{home / 'log'}`: {str(error).splitlines()[0]}") from error


def of_request(home: Path, request: str, near: int, *, postgres: str | None = None) -> list[Record]:
    """The records of a request within two minutes of an id, oldest first; at most 1,000."""
    moment = ids.moment(near)
    since_id, until_id = ids.at(moment - APART), ids.at(moment + APART)
    if postgres:
        from mlproj.serving.postgres import Archive

        # The server's index is by id too: it reads those four minutes and nothing else.
        rows = Archive(postgres).rows(since_id, until_id)
        return [record for record in rows if record.request_id == request][:_MOST]
    found: dict[int, Record] = {}
    for day in sorted({ids.day(since_id), ids.day(until_id)}):
        found |= {record.id: record for record in _hot(segments.path(home, day), request, since_id, until_id)}
        found |= {
            record.id: record
            for record in _sealed(segments.sealed_path(home, day), request, since_id, until_id)
        }
    return [found[number] for number in sorted(found)][:_MOST]


def count(home: Path, *, patience_s: float | None, postgres: str | None = None) -> tuple[Counted, ...]:
    """How many records each version has, refusals and shadows included.

    Sealed days are counted whole, in no time. A day that is not sealed has to be read: after `patience_s`
    that is stopped, and what was not counted is said to be more. None: to the end, however long it takes.
    """
    if postgres:
        return _merged(_on_server(postgres), complete=True)
    end = None if patience_s is None else time.monotonic() + patience_s
    rows: list[_Row] = []
    complete = True
    files = [segments.sealed_path(home, day) for day in segments.sealed_days(home)]
    if files:
        with closing(sealing.connect()) as duck:
            query = _BY_VERSION.format("read_parquet(?, union_by_name = true)")
            rows += duck.execute(query, [[str(file) for file in files]]).fetchall()
    sealed = set(segments.sealed_days(home))
    for day in segments.hot_days(home):
        if day in sealed:
            # Counted above. What came late for that day, some requests around midnight at most, is left out
            # until it is sealed too: within an hour.
            continue
        counted, whole = _count_hot(home, day, end)
        rows += counted
        complete = complete and whole
    return _merged(rows, complete=complete)


def _merged(rows: list[_Row], *, complete: bool) -> tuple[Counted, ...]:
    joined: dict[tuple[int, str], tuple[int, int, int]] = {}
    for version, run, many, first, last in rows:
        so_far = joined.get((version, run), (0, first, last))
        joined[version, run] = (so_far[0] + many, min(so_far[1], first), max(so_far[2], last))
    return tuple(
        Counted(version=version, run=run, count=many, first=first, last=last, complete=complete)
        for (version, run), (many, first, last) in sorted(joined.items())
    )


def _count_hot(home: Path, day: date, end: float | None) -> tuple[list[_Row], bool]:
    """The counts of an open day, a few minutes at a time, so that what was counted when time is up stands."""
    first, past = ids.bounds(day)
    file = segments.path(home, day)
    with closing(segments.read(file)) as connection:
        if end is not None:
            connection.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        rows: list[_Row] = []
        step = max(1, (past - first) // 288)  # five minutes
        query = _BY_VERSION.format("prediction WHERE id >= ? AND id < ?")
        try:
            known = connection.execute("SELECT min(id), max(id) FROM prediction").fetchone()
            if known[0] is None:
                return [], True
            at = first + (known[0] - first) // step * step
            while at <= known[1]:
                rows += connection.execute(query, (at, at + step)).fetchall()
                at += step
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return rows, False
        return rows, True


def _hot(file: Path, request: str, since_id: int, until_id: int) -> list[Record]:
    if not file.exists():
        return []
    with closing(segments.read(file)) as connection:
        query = f"SELECT {', '.join(COLUMNS)} FROM prediction WHERE {_OF_REQUEST} ORDER BY id LIMIT {_MOST}"
        found = connection.execute(query, (request, since_id, until_id)).fetchall()
    # SQLite knows no booleans.
    return [record._replace(sticky=record.sticky == 1) for record in map(Record._make, found)]


def _sealed(file: Path, request: str, since_id: int, until_id: int) -> list[Record]:
    if not file.exists():
        return []
    with closing(sealing.connect()) as duck:
        query = f"SELECT id FROM read_parquet(?) WHERE {_OF_REQUEST} ORDER BY id LIMIT {_MOST}"
        numbers = duck.execute(query, [str(file), request, since_id, until_id]).fetchall()
    if not numbers:
        return []
    wanted = {number for (number,) in numbers}
    rows = sealing.rows(file, min(wanted), max(wanted) + 1)
    return [record for record in rows if record.id in wanted]


def _on_server(url: str) -> list[_Row]:
    from mlproj.serving.postgres import connect

    with closing(connect(url)) as connection:
        return [
            (int(version), str(run), int(many), int(first), int(last))
            for version, run, many, first, last in connection.execute(
                _BY_VERSION.format("prediction")
            ).fetchall()
        ]
