"""Past days turned from SQLite into Parquet: a fifth of the space, and scans in seconds.

    python -m mlproj.serving.sealing HOME

Run beside the gateway, never in it. It may be killed at any moment and run again: the Parquet file appears
whole or not at all, the database goes only after it, and a record that comes late for a sealed day starts a
database beside it, which the next sealing merges. Where the log is shipped to PostgreSQL, a day is sealed
when all of it has been.

In the Parquet file each input of the model is a typed column `feature.NAME` (DOUBLE for numbers, else
VARCHAR). A row whose features these columns cannot give back (a refused body, a text where numbers are, an
integer beyond 2^53) keeps them as they came, in `features_raw`. The file's metadata name each version's
inputs in their order.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import heapq
import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproj.base import clock
from mlproj.base.errors import MlprojError
from mlproj.serving import ids, segments, shipping
from mlproj.serving.record import COLUMNS, Record

if TYPE_CHECKING:
    import duckdb

# A request that began before midnight may be logged after it.
GRACE = timedelta(minutes=10)

_CHUNK = 200_000
_PAGE = 10_000
_ATTEMPTS = 5
_WAIT_S = 30.0
_GROUP_ROWS = 20_000
_MEMORY = "1GB"
_LONGEST_LINE = 64 << 20
# No text that we log is this, so that empty and missing stay apart in the CSV between SQLite and DuckDB.
_NULL = "\x01\x02\x03"
_EXACT = 1 << 53
_TYPES = {
    "id": "BIGINT",
    "arrived_us": "BIGINT",
    "request_id": "VARCHAR",
    "row": "INTEGER",
    "deployment": "BIGINT",
    "role": "VARCHAR",
    "share": "DOUBLE",
    "version": "BIGINT",
    "run": "VARCHAR",
    "engine": "VARCHAR",
    "entity": "VARCHAR",
    "sticky": "BOOLEAN",
    "features": "VARCHAR",
    "output": "VARCHAR",
    "score": "DOUBLE",
    "confidence": "DOUBLE",
    "decision": "VARCHAR",
    "status": "INTEGER",
    "error": "VARCHAR",
    "latency_us": "BIGINT",
    "unseen": "VARCHAR",
}
_FEATURES = COLUMNS.index("features")
_PLAIN = [name for name in COLUMNS if name != "features"]
_METADATA = "mlproj"


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One day made into a file of that many rows."""

    day: date
    rows: int


def seal(home: Path, *, now: datetime | None = None) -> list[Sealed]:
    """Seal every day that is over; a day's failure does not keep the others from being sealed.

    Nothing happens while another process seals the same log. Raises MlprojError naming the days that
    could not be sealed, with the reason; their databases stay as they are.
    """
    last = ((now or clock.now()).astimezone(UTC) - GRACE).date()
    done: list[Sealed] = []
    failed: list[str] = []
    with _alone(segments.folder(home)) as alone:
        for day in segments.hot_days(home) if alone else ():
            if day < last:
                try:
                    done.append(_seal_day(home, day))
                except Exception as error:  # DuckDB and SQLite raise many kinds; the other days go on
                    failed.append(f"    {day}: {error}")
    if failed:
        raise MlprojError("these days of the prediction log could not be sealed:\n" + "\n".join(failed))
    return done


def find(file: Path, number: int) -> Record | None:
    """The record with that id in a sealed day."""
    return next(rows(file, number, number + 1), None)


def related(file: Path, record: Record, since_id: int, until_id: int) -> list[Record]:
    """The other records of the same row of the same request with since_id <= id < until_id."""
    where = "id >= ? AND id < ? AND request_id = ? AND row = ? AND id <> ?"
    return list(_select(file, where, [since_id, until_id, record.request_id, record.row, record.id]))


def rows(file: Path, since_id: int, until_id: int) -> Iterator[Record]:
    """The records of a sealed day with since_id <= id < until_id, in the order of their ids."""
    return _select(file, "id >= ? AND id < ?", [since_id, until_id])


def connect(folder: Path | None = None) -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, held to two threads and a gigabyte, since it runs beside live traffic.

    What does not fit goes below `folder` until it is closed; without one it has to fit.
    """
    import duckdb

    # A name of its own: two processes that spilled into one folder would overwrite each other's files.
    spill = str(folder.absolute() / f".duckdb-{secrets.token_hex(4)}") if folder is not None else ""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": _MEMORY, "temp_directory": spill})
    connection.execute("SET enable_progress_bar = false")
    return connection


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    if not folder.is_dir():
        yield False
        return
    with (folder / ".sealing.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _seal_day(home: Path, day: date) -> Sealed:
    database, target = segments.path(home, day), segments.sealed_path(home, day)
    scratch = segments.folder(home) / f".sealing-{day.isoformat()}"
    opened = sqlite3.connect(database, timeout=_WAIT_S, isolation_level=None)
    with contextlib.closing(opened) as connection, _emptied(scratch):
        # Already sealed: the run before this one died with the file in place, and the database still there.
        count = 0 if segments.is_sealed(connection) else _publish(home, connection, day, target, scratch)
        # Before the files go one by one, all is in the first of them: a WAL left alone must hold nothing
        # that a new database of that name could take for its own.
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise MlprojError(f"`{database}` is being read; it is removed at the next sealing")
    _remove(database)
    return Sealed(day=day, rows=count)


def _publish(home: Path, connection: sqlite3.Connection, day: date, target: Path, scratch: Path) -> int:
    """Write the day's file and seal the database in the same transaction that found nothing new in it."""
    for _ in range(_ATTEMPTS):
        connection.execute("PRAGMA synchronous = FULL")
        version = _data_version(connection)
        if not shipping.covers(home, day, connection):
            raise MlprojError("not all of it has been shipped to PostgreSQL yet")
        made = scratch / "day.parquet"
        count = _write(_all_rows(connection, day, target), scratch, made)
        connection.execute("BEGIN IMMEDIATE")
        if _data_version(connection) == version:
            if count:
                _put_in_place(made, target)
            segments.seal(connection)
            connection.execute("COMMIT")
            return count
        connection.execute("ROLLBACK")
    raise MlprojError("predictions of this day are still being logged")


def _data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection commits to this database."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _all_rows(connection: sqlite3.Connection, day: date, target: Path) -> Iterator[Record]:
    """What the database holds, merged with what was sealed of this day before; each id once."""
    first, past = ids.bounds(day)
    hot = segments.pages(connection, first, past)
    if not target.exists():
        return hot
    return distinct(heapq.merge(rows(target, first, past), hot, key=lambda record: record.id))


def distinct(records: Iterable[Record]) -> Iterator[Record]:
    """Records in the order of their ids, each id once."""
    last = -1
    for record in records:
        if record.id != last:
            last = record.id
            yield record


def _write(records: Iterator[Record], scratch: Path, made: Path) -> int:
    """All records into one Parquet file; returns how many. None of them, and there is no file."""
    count = 0
    chunks: list[str] = []
    with contextlib.closing(connect(scratch)) as duck:
        while chunk := list(islice(records, _CHUNK)):
            text = scratch / "chunk.csv"
            with text.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows(map(_line, chunk))
            chunks.append(str(scratch / f"chunk-{len(chunks)}.parquet"))
            _load(duck, text, chunks[-1])
            count += len(chunk)
        if count:
            _convert(duck, chunks, made)
            written = _one(duck.execute("SELECT count(*) FROM read_parquet(?)", [str(made)]))
            if written != count:
                raise MlprojError(f"of {count:,} rows, {written:,} came out in Parquet")
    return count


def _line(record: Record) -> list[Any]:
    line: list[Any] = [_NULL if value is None else value for value in record]
    features = record.features
    text = _as_text(features) if record.status == 200 else None
    line[_FEATURES] = _NULL if text is None else text
    line.append(_NULL if text is not None else features.hex())
    return line


def _as_text(features: bytes) -> str | None:
    try:
        text = features.decode("utf-8")
    except UnicodeDecodeError:
        return None
    # DuckDB's texts end at a NUL, also at one that JSON spells out.
    return None if "\x00" in text or "\\u0000" in text else text


def _load(duck: duckdb.DuckDBPyConnection, text: Path, chunk: str) -> None:
    columns = json.dumps({**_TYPES, "features_hex": "VARCHAR"})
    duck.execute(
        f"""COPY (SELECT * EXCLUDE (features_hex), unhex(features_hex) AS features_raw FROM read_csv(
            '{_quoted(str(text))}', columns = {columns}, header = false, auto_detect = false, delim = ',',
            quote = '"', escape = '"', nullstr = '{_NULL}', max_line_size = {_LONGEST_LINE},
            buffer_size = {4 * _LONGEST_LINE}, parallel = false, strict_mode = true))
        TO '{_quoted(chunk)}' (FORMAT parquet, COMPRESSION zstd)"""
    )


def _convert(duck: duckdb.DuckDBPyConnection, chunks: Sequence[str], made: Path) -> None:
    """From features as text to typed columns."""
    duck.execute(f"CREATE OR REPLACE TEMP VIEW logged AS SELECT * FROM read_parquet({list(chunks)!r})")
    inputs = _inputs(duck)
    names = sorted({name for given in inputs.values() for name in given})
    pointers = "[" + ", ".join(f"'{_quoted(_pointer(name))}'" for name in names) + "]"
    numeric, whole = _numeric(duck, names, pointers)
    columns = _column_names(names)
    # The typed columns give a row back if it has its version's inputs in their order, each of its column's
    # kind, and no integer that a double cannot hold.
    fits = " OR ".join(
        f"(version = {version} AND json_keys(features) = {_list(given)})" for version, given in inputs.items()
    )
    kinds = "".join(
        f" AND coalesce(types[{at}], 'NULL') IN "
        + ("('NULL', 'DOUBLE', 'BIGINT', 'UBIGINT')" if name in numeric else "('NULL', 'VARCHAR')")
        + (
            f" AND coalesce(isfinite(TRY_CAST(texts[{at}] AS DOUBLE)), true) AND (types[{at}] = 'DOUBLE'"
            f" OR coalesce(abs(TRY_CAST(texts[{at}] AS DOUBLE)), 0) < {_EXACT})"
            if name in numeric
            else ""
        )
        for at, name in enumerate(names, start=1)
    )
    typed = ", ".join(
        f"CASE WHEN typed THEN {f'CAST(texts[{at}] AS DOUBLE)' if name in numeric else f'texts[{at}]'} END"
        f' AS "{_identifier(columns[name])}"'
        for at, name in enumerate(names, start=1)
    )
    metadata = json.dumps({"inputs": inputs, "columns": columns, "whole": sorted(whole)})
    plain = ", ".join(f'"{name}"' for name in _PLAIN)
    parsed = (
        f"json_extract_string(features, {pointers}) AS texts, json_type(features, {pointers}) AS types"
        if names
        else "NULL AS texts, NULL AS types"
    )
    duck.execute(
        f"""COPY (
            SELECT {plain},
                CASE WHEN NOT typed THEN coalesce(features_raw, encode(features)) END AS features_raw
                {", " + typed if typed else ""}
            FROM (SELECT *, coalesce(({fits or "false"}){kinds}, false) AS typed FROM (
                SELECT * REPLACE (CASE WHEN json_valid(features) THEN features END AS features,
                    coalesce(features_raw, CASE WHEN NOT json_valid(features) THEN encode(features) END)
                        AS features_raw),
                FROM logged) CROSS JOIN LATERAL (SELECT {parsed}))
        ) TO '{_quoted(str(made))}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2,
            ROW_GROUP_SIZE {_GROUP_ROWS}, KV_METADATA {{{_METADATA}: '{_quoted(metadata)}'}})"""
    )


def _inputs(duck: duckdb.DuckDBPyConnection) -> dict[int, list[str]]:
    """Of each version the inputs that most of its rows have, in their order."""
    found: dict[int, list[str]] = {}
    query = """SELECT version, json_keys(features) AS keys FROM logged WHERE json_valid(features)
        AND json_type(features) = 'OBJECT' GROUP BY ALL ORDER BY version, count(*) DESC, keys"""
    for version, keys in duck.execute(query).fetchall():
        if len(set(keys)) == len(keys):
            found.setdefault(version, keys)
    return found


def _numeric(
    duck: duckdb.DuckDBPyConnection, names: Sequence[str], pointers: str
) -> tuple[set[str], set[str]]:
    """The inputs that are numbers in most of their rows, and of these the ones that are always integers."""
    if not names:
        return set(), set()
    counts = ", ".join(
        f"count(*) FILTER (types[{at}] IN ('BIGINT', 'UBIGINT')), count(*) FILTER (types[{at}] = 'DOUBLE'), "
        f"count(*) FILTER (types[{at}] = 'VARCHAR')"
        for at in range(1, len(names) + 1)
    )
    found = duck.execute(
        f"""SELECT {counts} FROM (SELECT json_type(features, {pointers}) AS types FROM logged
            WHERE json_valid(features))"""
    ).fetchone()
    assert found is not None
    of = {name: found[3 * at : 3 * at + 3] for at, name in enumerate(names)}
    numeric = {name for name, (integers, doubles, texts) in of.items() if integers + doubles > texts}
    return numeric, {name for name in numeric if of[name][1] == 0}


def _column_names(names: Sequence[str]) -> dict[str, str]:
    """A column a name; names that differ only by case, which DuckDB takes for one, are numbered."""
    columns: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        column, number = f"feature.{name}", 1
        while column.casefold() in taken:
            number += 1
            column = f"feature.{name}~{number}"
        taken.add(column.casefold())
        columns[name] = column
    return columns


def _select(file: Path, where: str, parameters: Sequence[Any]) -> Iterator[Record]:
    with contextlib.closing(connect(file.parent)) as duck:
        said = _metadata(duck, file)
        names = list(said["columns"])
        features = "".join(f', "{_identifier(said["columns"][name])}"' for name in names)
        plain = ", ".join(f'"{name}"' if name != "features" else "features_raw" for name in COLUMNS)
        found = duck.execute(
            f"SELECT {plain}{features} FROM read_parquet(?) WHERE {where} ORDER BY id",
            [str(file), *parameters],
        )
        places = {
            int(version): [(name, len(COLUMNS) + names.index(name)) for name in given]
            for version, given in said["inputs"].items()
        }
        whole = set(said["whole"])
        while page := found.fetchmany(_PAGE):
            for row in page:
                record = Record._make(row[: len(COLUMNS)])
                if row[_FEATURES] is None:
                    record = record._replace(features=_features(row, places[record.version], whole))
                yield record


def _features(row: Sequence[Any], places: Sequence[tuple[str, int]], whole: set[str]) -> bytes:
    given = {name: int(row[at]) if name in whole and row[at] is not None else row[at] for name, at in places}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()


def _metadata(duck: duckdb.DuckDBPyConnection, file: Path) -> dict[str, Any]:
    found = duck.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(file)]).fetchall()
    for key, value in found:
        if bytes(key).decode() == _METADATA:
            said: dict[str, Any] = json.loads(bytes(value).decode())
            return said
    raise MlprojError(f"`{file}` is not a sealed day of the prediction log")


def _put_in_place(made: Path, target: Path) -> None:
    """The file's bytes on the disk first, then its name, then the folder that holds the name."""
    _sync(made)
    made.replace(target)
    _sync(target.parent)


def _remove(database: Path) -> None:
    for name in (f"{database.name}-wal", f"{database.name}-shm", database.name):
        database.with_name(name).unlink(missing_ok=True)
    _sync(database.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _emptied(scratch: Path) -> Iterator[None]:
    """A folder for the block, without what a killed run left in it."""
    _clear(scratch)
    scratch.mkdir(mode=0o700)
    try:
        yield
    finally:
        _clear(scratch)


def _clear(scratch: Path) -> None:
    import shutil

    shutil.rmtree(scratch, ignore_errors=True)


def _one(result: duckdb.DuckDBPyConnection) -> Any:
    row = result.fetchone()
    assert row is not None
    return row[0]


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _identifier(text: str) -> str:
    return text.replace('"', '""')


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{_quoted(name)}'" for name in names) + "]"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _give_way() -> None:
    """Run when nobody else wants to: those who answer requests share this machine."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        # A container may forbid it; the nice value is then what keeps us behind.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> int:
    _give_way()
    try:
        for sealed in seal(Path(sys.argv[1])):
            print(json.dumps({"day": sealed.day.isoformat(), "rows": sealed.rows}), flush=True)
    except MlprojError as error:
        print(error.message, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
