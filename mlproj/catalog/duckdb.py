"""The table inside DuckDB: loaded once as text, then asked for many numbers at a time.

Columns are called c0, c1, ... inside, so that no name, whatever it holds, is ever part of a statement.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.catalog import dates, scan, spellings
from mlproj.catalog.source import Reading
from mlproj.catalog.wording import count, tick

NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_INTEGER = r"\s*[+-]?\d+\s*"
_PADDED = r"\s*0\d+\s*"
_MEMORY = "2GB"
_THREADS = 2
_CELLS_A_QUERY = 1_000_000
_MOST_COLUMNS_A_QUERY = 250
_SAMPLE = 100
# No field of a text file is this, so an empty field stays empty text, as pandas keeps it.
_NEVER = "'\x01\x02\x03'"


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Of one column, missing spellings included; `given` leaves out what has no value at all."""

    given: int
    distinct: int
    spellings: dict[str, int]
    """How often each value that may mean missing occurs."""
    sample: tuple[str, ...]
    """Some different values that cannot mean missing, all of them if they are few; the same each time."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Of the values of one column that are no missing spelling, in rows."""

    values: int
    numbers: int
    integers: int
    whole: int
    padded: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    widths: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Dates:
    """Of the same values, read in one format; the first and the last as ISO text."""

    values: int
    dates: int
    first: str | None
    last: str | None


class Connection:
    """Statements in, rows out.

    Each runs on a thread of its own while the main thread waits: DuckDB looks at signals only now and then,
    and a Ctrl-C that falls between is lost to it.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, sql: str) -> None:
        self._wait_for(lambda: self._connection.execute(sql))

    def one(self, sql: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._wait_for(lambda: self._connection.execute(sql).fetchone())
        return row

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._wait_for(lambda: self._connection.execute(sql).fetchall())
        return rows

    def _wait_for(self, ask: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(max_workers=1) as pool:
            asked = pool.submit(ask)
            try:
                return asked.result()
            except KeyboardInterrupt:
                while not asked.done():
                    # Again, in case the statement had not begun when it was first told to stop.
                    self._connection.interrupt()
                    wait([asked], timeout=0.1)
                raise


class Dictionary:
    """The different values of some columns with their numbers of rows: the table d(i, v, n, m)."""

    def __init__(self, connection: Connection, columns: Sequence[int]) -> None:
        self._connection = connection
        self.columns = tuple(columns)

    def totals(self) -> dict[int, Totals]:
        found = dict.fromkeys(self.columns, Totals(given=0, distinct=0, spellings={}, sample=()))
        for i, given, distinct, words, sample in self._connection.all(
            "select i, sum(n)::bigint, count(*), list({v: v, n: n}) filter (where m),"
            f" arg_min(v, hash(v), {_SAMPLE}) filter (where not m) from d group by i"
        ):
            seen = sorted((word["v"], int(word["n"])) for word in words or ())
            found[i] = Totals(
                given=given, distinct=distinct, spellings=dict(seen), sample=tuple(sorted(sample or ()))
            )
        return found

    def numbers(self, columns: Sequence[int]) -> dict[int, Numbers]:
        found = {}
        for i, values, numbers, integers, whole, padded, low, high, total, short, long in self._asked(
            columns,
            "select i, sum(n)::bigint, (sum(n) filter (where x is not null))::bigint,"
            f" (sum(n) filter (where case when x = floor(x)"
            f" then regexp_full_match(v, {_text(_INTEGER)}) end))::bigint,"
            " (sum(n) filter (where x = floor(x)))::bigint,"
            f" (sum(n) filter (where case when x = floor(x) and contains(v, '0')"
            f" then regexp_full_match(v, {_text(_PADDED)}) end))::bigint,"
            " min(x), max(x), fsum(x * n), min(length(v)), max(length(v))"
            f" from (select i, v, n, case when regexp_full_match(v, {_text(NUMBER)})"
            " then try_cast(v as double) end as x from d where not m and {asked}) group by i",
        ):
            found[i] = Numbers(
                values=values,
                numbers=numbers or 0,
                integers=integers or 0,
                whole=whole or 0,
                padded=padded or 0,
                minimum=low,
                maximum=high,
                mean=_steady(total / numbers) if numbers else None,
                widths=(short, long),
            )
        return found

    def dates(self, form: str, columns: Sequence[int]) -> dict[int, Dates]:
        return {
            i: Dates(values=values, dates=kept or 0, first=_iso(first), last=_iso(last))
            for i, values, kept, first, last in self._asked(
                columns,
                "select i, sum(n)::bigint, (sum(n) filter (where x is not null))::bigint,"
                " min(x)::varchar, max(x)::varchar"
                f" from (select i, n, {_parsed(form)} as x from d where not m and {{asked}}) group by i",
            )
        }

    def levels(self, columns: Sequence[int]) -> dict[int, dict[str, int]]:
        """Every value of these columns with its number of rows, in the order of the alphabet."""
        found: dict[int, dict[str, int]] = {i: {} for i in columns}
        for i, value, rows in self._asked(columns, "select i, v, n from d where {asked} order by i, v"):
            found[i][value] = rows
        return found

    def _asked(self, columns: Sequence[int], sql: str) -> list[tuple[Any, ...]]:
        if not columns:
            return []
        return self._connection.all(sql.replace("{asked}", f"i in ({', '.join(map(str, columns))})"))


class Table:
    """A table of text; None where the file has no value at all (Parquet, JSON)."""

    def __init__(self, connection: Connection, names: Sequence[str], told: Sequence[str]) -> None:
        self._connection = connection
        self._told = tuple(told)
        self.names = tuple(names)
        self.rows = int(connection.one("select count(*) from t")[0])

    def dictionaries(self) -> Iterator[Dictionary]:
        """All the columns, some at a time; each dictionary is gone when the next is asked for.

        Going from cells to different values first makes every question cheap, and keeps the statements short
        however many columns there are.
        """
        size = max(1, min(_MOST_COLUMNS_A_QUERY, _CELLS_A_QUERY // self.rows))
        for start in range(0, len(self.names), size):
            columns = range(start, min(start + size, len(self.names)))
            self._connection.run(
                f"create or replace temp table d as select i, v, n, {self._may_be_missing()} as m"
                f" from ({_counted(columns)})"
            )
            yield Dictionary(self._connection, columns)
        self._connection.run("drop table if exists d")

    def head(self, rows: int) -> list[tuple[str | None, ...]]:
        # They come in the order of the file; sorting them would take seconds for thousands of columns.
        return self._connection.all(f"select {self._columns()} from t limit {rows}")

    def number_of_duplicates(self) -> int:
        """Rows that repeat an earlier row in every column."""
        self._hash_rows()
        alike = int(self._connection.one("select count(*) - count(distinct h) from hashes")[0])
        if alike == 0:
            return 0
        # Rows of one hash are compared whole: the hash only says where to look.
        return int(
            self._connection.one(
                "with again as (select rowid as r from hashes where h in"
                " (select h from hashes group by h having count(*) > 1)),"
                " rows_again as (select t.* from t where rowid in (select r from again))"
                " select (select count(*) from rows_again)"
                " - (select count(*) from (select distinct * from rows_again))"
            )[0]
        )

    def spread(self, column: int, missing: Sequence[str]) -> tuple[float | None, float | None]:
        """Median and standard deviation of a column of numbers."""
        row = self._connection.one(
            f"select median(n), stddev_samp(n) from"
            f" (select try_cast(c{column} as double) as n from t where {_is_label(f'c{column}', missing)})"
        )
        return row[0], None if row[1] is None else _steady(row[1])

    def draw(
        self,
        target: int,
        columns: Sequence[int],
        *,
        missing: Sequence[str],
        rows: int,
        group: int | None,
        balanced: bool,
    ) -> list[tuple[Any, ...]]:
        """Labelled rows chosen by the hash of what they hold: (half, label, values...).

        The same rows whatever their order in the file; rows alike in all columns, or of one group, share
        a half.
        With `balanced`, `rows` of each class at most.
        """
        self._hash_rows()
        label = f"c{target}"
        by = f"partition by {label} " if balanced else ""
        half = f"hash(c{group})" if group is not None else "h"
        drawn = self._connection.all(
            f"select t.rowid, ((({half}) >> 7) & 1)::integer from t join hashes on hashes.r = t.rowid"
            f" where {_is_label(label, missing)}"
            f" qualify row_number() over ({by}order by h, t.rowid) <= {rows} order by h, t.rowid"
        )
        if not drawn:
            return []
        wanted = ", ".join(str(row) for row, _ in drawn)
        chosen = ", ".join(f"c{i}" for i in (target, *columns))
        found = {
            row: values
            for row, *values in self._connection.all(
                f"select rowid, {chosen} from t where rowid in ({wanted})"
            )
        }
        return [(half, *found[row]) for row, half in drawn]

    def _may_be_missing(self) -> str:
        listed = ", ".join(map(_text, sorted(spellings.ALL)))
        # Most values begin with a digit, and no spelling does; a CASE asks no further then, an AND would.
        longest = spellings.LONGEST
        known = (
            f"case when ascii(v) between {ord('0')} and {ord('9')} then false"
            f" when length(v) > {longest} then false else lower(trim(v, {_SPACES})) in ({listed}) end"
        )
        return f"({known} or v in ({', '.join(map(_text, self._told))}))" if self._told else known

    def _hash_rows(self) -> None:
        self._connection.run(
            f"create table if not exists hashes as select rowid as r, hash({self._columns()}) as h from t"
        )

    def _columns(self) -> str:
        return ", ".join(f"c{i}" for i in range(len(self.names)))


@contextlib.contextmanager
def opened(reading: Reading, told: Sequence[str] = ()) -> Iterator[Table]:
    """The table of a file; `told` are spellings that mean missing in it, besides those that are well known.

    Raises ConfigError, with the line to look at, for a file that is no table.
    """
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="mlproj-") as folder,
        contextlib.closing(
            duckdb.connect(config={"threads": _THREADS, "memory_limit": _MEMORY, "temp_directory": folder})
        ) as raw,
    ):
        # A moment with its offset is shown as the same moment everywhere.
        connection = Connection(raw)
        connection.run("set timezone = 'UTC'")
        connection.run("set enable_progress_bar = false")
        try:
            if reading.format == "parquet":
                yield _load_parquet(connection, reading, told)
            elif reading.format == "jsonl":
                yield _load_json_lines(connection, reading, Path(folder), told)
            else:
                yield _load_text(connection, reading, Path(folder), told)
        except (duckdb.InterruptException, RuntimeError) as error:
            # A Ctrl-C during a statement reaches us as DuckDB's own error.
            if "interrupted" in str(error).casefold():
                raise KeyboardInterrupt from error
            raise
        except (duckdb.OutOfMemoryException, duckdb.IOException, OSError) as error:
            raise MlprojError(
                f"`{reading.path}` could not be worked on in `{folder}`: {_first_line(error)}",
                hint="free some memory, or some space in the temporary folder (TMPDIR says where that is)",
            ) from error


def _load_text(connection: Connection, reading: Reading, folder: Path, told: Sequence[str]) -> Table:
    import duckdb

    names = scan.header(reading)
    check_names(reading.path, names, delimiter=reading.delimiter)
    if scan.is_plain(reading):
        try:
            _read_csv(connection, reading.path, reading.delimiter, len(names))
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error:
            connection.run("drop table if exists t")
        else:
            return _some_rows(Table(connection, names, told), reading)
    copy = folder / "plain.csv"
    scan.write_plainly(reading, names, copy)
    _read_csv(connection, copy, ",", len(names))
    return _some_rows(Table(connection, names, told), reading)


def _read_csv(connection: Connection, path: Path, delimiter: str, columns: int) -> None:
    declared = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(columns))
    connection.run(
        f"create table t as select * from read_csv({_text(_literally(path))}, auto_detect=false, header=true,"
        f" delim={_text(delimiter)}, quote='\"', escape='\"', nullstr={_NEVER}, columns={{{declared}}},"
        " max_line_size=33554432)"
    )


def _load_parquet(connection: Connection, reading: Reading, told: Sequence[str]) -> Table:
    import duckdb

    source = f"read_parquet({_text(_literally(reading.path))})"
    try:
        described = connection.all(f"describe select * from {source}")
        names, types = [row[0] for row in described], [row[1] for row in described]
        check_names(reading.path, names)
        listed = ", ".join(
            # As Python writes them, which is how pandas will show them.
            f"case when {_quoted(name)} then 'True' when not {_quoted(name)} then 'False' end as c{i}"
            if kind == "BOOLEAN"
            else f"{_quoted(name)}::varchar as c{i}"
            for i, (name, kind) in enumerate(zip(names, types, strict=True))
        )
        connection.run(f"create table t as select {listed} from {source}")
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        raise ConfigError(
            f"`{reading.path}` could not be read as Parquet: {_first_line(error)}",
            hint="the file may be cut short: write or copy it again",
        ) from error
    return _some_rows(Table(connection, names, told), reading)


def _load_json_lines(connection: Connection, reading: Reading, folder: Path, told: Sequence[str]) -> Table:
    import duckdb

    path = reading.path
    if reading.encoding != "utf-8":
        path = folder / "plain.jsonl"
        with reading.path.open(encoding=reading.encoding) as old, path.open("w", encoding="utf-8") as new:
            new.writelines(old)
    source = (
        f"read_json({_text(_literally(path))}, format='newline_delimited', records=true, maximum_depth=1,"
        " sample_size=-1, map_inference_threshold=-1, maximum_object_size=67108864)"
    )
    try:
        names = [row[0] for row in connection.all(f"describe select * from {source}")]
        check_names(reading.path, names)
        listed = ", ".join(
            f"case json_type({_quoted(name)}) when 'NULL' then null"
            f" when 'BOOLEAN' then if({_quoted(name)} = 'true', 'True', 'False')"
            f" else {_quoted(name)} ->> '$' end as c{i}"
            for i, name in enumerate(names)
        )
        connection.run(f"create table t as select {listed} from {source}")
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        _find_broken_line(reading)
        raise ConfigError(
            f"`{reading.path}` could not be read as JSON lines: {_first_line(error)}",
            hint="give one JSON object a line, all with plain values",
        ) from error
    return _some_rows(Table(connection, names, told), reading)


def _find_broken_line(reading: Reading) -> None:
    """Raise ConfigError for the first line that is no JSON object; return if there is none."""
    with reading.path.open(encoding=reading.encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.rstrip())
            except json.JSONDecodeError as error:
                raise ConfigError(
                    f"`{reading.path}` is broken in line {number:,}: {error.msg} at character {error.colno}",
                    hint=f"look at line {number:,}: each line is one whole JSON object",
                ) from None
            if not isinstance(value, dict):
                raise ConfigError(
                    f"`{reading.path}` has no JSON object in line {number:,}",
                    hint='give one object a line, such as {"age": 41, "label": "yes"}',
                )


def check_names(path: Path, names: Sequence[str], *, delimiter: str = "") -> None:
    """Raise ConfigError for column names that cannot be told apart, or of which there are too few."""
    if len(names) < 2:
        only = f": {tick(names[0][:60])}" if names else ""
        raise ConfigError(
            f"`{path}` has only one column{only}",
            hint="a table needs a target and something to predict it from"
            + ("; if other columns are there, say what parts them with `--delimiter`" if delimiter else ""),
        )
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names, start=1):
        places.setdefault(name, []).append(place)
    empty = [place for name, where in places.items() if not name.strip() for place in where]
    if empty:
        raise ConfigError(
            f"`{path}` has {count(len(empty), 'column')} without a name: {_places(empty)}",
            hint="write a name for it into the header line (a first column of row numbers may be `row_id`)",
        )
    again = [(name, where) for name, where in places.items() if len(where) > 1]
    if again:
        said = "; ".join(f"{tick(name)} is {_places(where)}" for name, where in again[:5])
        raise ConfigError(
            f"`{path}` has {count(len(again), 'name')} for more than one column: {said}",
            hint="give each column a name of its own in the header line",
        )


def _some_rows(table: Table, reading: Reading) -> Table:
    if table.rows == 0:
        raise ConfigError(
            f"`{reading.path}` has {len(table.names):,} columns and no rows",
            hint="give a table with rows below its header",
        )
    return table


def _places(places: Sequence[int]) -> str:
    shown = ", ".join(f"{place:,}" for place in places[:6])
    return f"{'column' if len(places) == 1 else 'columns'} {shown}{' and more' if len(places) > 6 else ''}"


_SPACES = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"


def _counted(columns: Sequence[int]) -> str:
    """The different values of each column, and how many rows have them."""
    if len(columns) == 1:
        (i,) = columns
        return f"select {i} as i, c{i} as v, count(*) as n from t where c{i} is not null group by c{i}"
    chosen = ", ".join(f'c{i} as "{i}"' for i in columns)
    return (
        f"select i::integer as i, v, count(*) as n from (unpivot (select {chosen} from t) on columns(*)"
        " into name i value v) group by i, v"
    )


def _parsed(form: str) -> str:
    if form == dates.ISO:
        return (
            f"case when regexp_full_match(v, {_text(dates.ISO_PATTERN)}) then try_cast(v as timestamptz) end"
        )
    guard = f"v = trim(v, {_SPACES})"
    if form == "%Y%m%d":
        guard += " and length(v) = 8 and v[1:2] in ('19', '20')"
    return f"case when {guard} then try_strptime(v, {_text(form)}) end"


def _steady(value: float) -> float:
    """Nine digits: threads add numbers up in an order of their own, which shows in the last few."""
    return float(f"{value:.9g}")


def _is_label(column: str, missing: Sequence[str]) -> str:
    given = f"{column} is not null"
    return f"{given} and {column} not in ({', '.join(map(_text, missing))})" if missing else given


def _iso(stamp: str | None) -> str | None:
    if stamp is None:
        return None
    day, _, time = stamp.partition(" ")
    time = time.removesuffix("+00")
    return day if time in ("", "00:00:00") else f"{day}T{time}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literally(path: Path) -> str:
    """The path with nothing in it read as a pattern: `data[1].csv` is one file."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path.absolute()))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
