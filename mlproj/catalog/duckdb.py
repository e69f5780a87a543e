"""The table inside DuckDB: loaded once as text, then asked for many numbers at a time.

Columns are called c0, c1, ... inside, so that no name, whatever it holds, is ever part of a statement.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.catalog import dates, scan, spellings
from mlproj.catalog.source import Reading

Item = TypeVar("Item")

NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_MEMORY = "2GB"
_THREADS = 2
_CELLS_A_QUERY = 20_000_000
_MOST_COLUMNS_A_QUERY = 200
# No field of a text file is this, so an empty field stays empty text, as pandas keeps it.
_NEVER = "'\x01\x02\x03'"


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Of one column, missing spellings included."""

    given: int
    distinct: int
    spellings: dict[str, int]
    """How often each value that may mean missing occurs."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Of the values of one column that are no missing spelling."""

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
    values: int
    dates: int
    first: str | None
    last: str | None


class Table:
    """A table of text; None where the file has no value at all (Parquet, JSON)."""

    def __init__(self, connection: Any, names: Sequence[str], told: Sequence[str]) -> None:
        self._connection = connection
        self._told = tuple(told)
        self.names = tuple(names)
        self.rows = int(self._one("select count(*) from t")[0])

    def totals(self) -> list[Totals]:
        found = []
        for batch in self._batches():
            asked = ", ".join(
                f"count(c{i}), count(distinct hash(c{i})) - (count(c{i}) < count(*))::integer, "
                f"histogram(c{i}) filter (where {self._may_be_missing(i)})"
                for i in batch
            )
            row = self._one(f"select {asked} from t")
            for place in range(len(batch)):
                given, distinct, seen = row[3 * place : 3 * place + 3]
                found.append(
                    Totals(given=given, distinct=distinct, spellings=dict(sorted((seen or {}).items())))
                )
        return found

    def sample(self, rows: int) -> list[tuple[str | None, ...]]:
        """Rows taken at even steps over the whole table, in file order."""
        step = max(1, self.rows // max(rows, 1))
        return self._all(
            f"select {self._columns()} from t where rowid % {step} = 0 order by rowid limit {rows}"
        )

    def head(self, rows: int) -> list[tuple[str | None, ...]]:
        return self._all(f"select {self._columns()} from t where rowid < {rows} order by rowid")

    def some(self, column: int, rows: int) -> list[str]:
        """The first values of one column that are no missing spelling."""
        found = self._all(
            f"select c{column} from t where {self._is_value(column)} order by rowid limit {rows}"
        )
        return [value for (value,) in found if value is not None]

    def numbers(self, columns: Sequence[int]) -> dict[int, Numbers]:
        pattern, integer = _text(NUMBER), _text(r"\s*[+-]?\d+\s*")
        padded = _text(r"\s*0\d+\s*")
        found = {}
        for batch in self._batches(columns):
            inner = ", ".join(
                f"case when {self._is_value(i)} then c{i} end as v{i}, "
                f"case when regexp_full_match(v{i}, {pattern}) then try_cast(v{i} as double) end as n{i}"
                for i in batch
            )
            asked = ", ".join(
                f"count(v{i}), count(n{i}), count(*) filter (where n{i} = floor(n{i}) and regexp_full_match(v{i}, {integer})), "
                f"count(*) filter (where n{i} = floor(n{i})), "
                f"count(*) filter (where v{i}[1] = '0' and regexp_full_match(v{i}, {padded})), "
                f"min(n{i}), max(n{i}), avg(n{i}), min(length(v{i})), max(length(v{i}))"
                for i in batch
            )
            row = self._one(f"select {asked} from (select {inner} from t)")
            for place, i in enumerate(batch):
                values, numbers, integers, whole, zeros, low, high, mean, short, long = row[10 * place :][:10]
                found[i] = Numbers(
                    values=values,
                    numbers=numbers,
                    integers=integers,
                    whole=whole,
                    padded=zeros,
                    minimum=low,
                    maximum=high,
                    mean=mean,
                    widths=(short or 0, long or 0),
                )
        return found

    def dates(self, asked: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Dates]:
        """How many values of a column keep to a format, and the first and last as ISO text."""
        found = {}
        for batch in _chunks(asked, _MOST_COLUMNS_A_QUERY):
            inner = ", ".join(
                f"case when {self._is_value(i)} then c{i} end as v{n}, {_parsed(f'v{n}', form)} as d{n}"
                for n, (i, form) in enumerate(batch)
            )
            outer = ", ".join(
                f"count(v{n}), count(d{n}), min(d{n})::varchar, max(d{n})::varchar" for n in range(len(batch))
            )
            row = self._one(f"select {outer} from (select {inner} from t)")
            for n, key in enumerate(batch):
                values, kept, first, last = row[4 * n : 4 * n + 4]
                found[key] = Dates(values=values, dates=kept, first=_iso(first), last=_iso(last))
        return found

    def levels(self, columns: Sequence[int]) -> dict[int, dict[str, int]]:
        """Every value of these columns with its number of rows; for columns of few different values."""
        found = {}
        for batch in self._batches(columns):
            row = self._one("select " + ", ".join(f"histogram(c{i})" for i in batch) + " from t")
            for i, seen in zip(batch, row, strict=True):
                found[i] = dict(sorted((seen or {}).items()))
        return found

    def number_of_duplicates(self) -> int:
        """Rows that repeat an earlier row in every column."""
        self._hash_rows()
        alike = int(self._one("select count(*) - count(distinct h) from hashes")[0])
        if alike == 0:
            return 0
        # Rows of one hash are compared whole: the hash only says where to look.
        return int(
            self._one(
                "with again as (select rowid as r from hashes where h in"
                " (select h from hashes group by h having count(*) > 1)),"
                " rows_again as (select t.* from t where rowid in (select r from again))"
                " select (select count(*) from rows_again) - (select count(*) from (select distinct * from rows_again))"
            )[0]
        )

    def spread(self, column: int, missing: Sequence[str]) -> tuple[float | None, float | None]:
        """Median and standard deviation of a column of numbers."""
        row = self._one(
            f"select median(n), stddev_samp(n) from"
            f" (select try_cast(c{column} as double) as n from t where {_is_label(f'c{column}', missing)})"
        )
        return row[0], row[1]

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

        The same rows whatever their order in the file; rows alike in all columns, or of one group, share a half.
        With `balanced`, `rows` of each class at most.
        """
        self._hash_rows()
        label = f"c{target}"
        by = f"partition by {label} " if balanced else ""
        half = f"hash(c{group})" if group is not None else "h"
        chosen = ", ".join(f"t.c{i}" for i in columns)
        return self._all(
            f"with drawn as (select t.rowid as r, h from t join hashes on hashes.r = t.rowid"
            f" where {_is_label(label, missing)}"
            f" qualify row_number() over ({by}order by h, t.rowid) <= {rows})"
            f" select ((({half}) >> 7) & 1)::integer, t.{label}{', ' if chosen else ''}{chosen}"
            f" from t join drawn on drawn.r = t.rowid order by h, t.rowid"
        )

    def _may_be_missing(self, column: int) -> str:
        listed = ", ".join(_text(word) for word in sorted(spellings.ALL))
        known = (
            f"(length(c{column}) <= {spellings.LONGEST} and lower(trim(c{column}, {_SPACES})) in ({listed}))"
        )
        return f"({known} or c{column} in ({', '.join(map(_text, self._told))}))" if self._told else known

    def _is_value(self, column: int) -> str:
        return f"c{column} is not null and not {self._may_be_missing(column)}"

    def _hash_rows(self) -> None:
        self._connection.execute(
            f"create table if not exists hashes as select rowid as r, hash({self._columns()}) as h from t"
        )

    def _columns(self) -> str:
        return ", ".join(f"c{i}" for i in range(len(self.names)))

    def _batches(self, columns: Sequence[int] | None = None) -> Iterator[list[int]]:
        asked = list(range(len(self.names))) if columns is None else list(columns)
        size = max(1, min(_MOST_COLUMNS_A_QUERY, _CELLS_A_QUERY // max(self.rows, 1)))
        yield from _chunks(asked, size)

    def _one(self, sql: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(sql).fetchone()
        return row

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        return rows


@contextlib.contextmanager
def opened(reading: Reading, told: Sequence[str] = ()) -> Iterator[Table]:
    """The table of a file, `told` spellings meaning missing in it; raises ConfigError, with the line to look at, for a file that is not one."""
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="mlproj-") as folder,
        contextlib.closing(
            duckdb.connect(config={"threads": _THREADS, "memory_limit": _MEMORY, "temp_directory": folder})
        ) as connection,
    ):
        # A moment with its offset is shown as the same moment everywhere.
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        try:
            if reading.format == "parquet":
                yield _load_parquet(connection, reading, told)
            elif reading.format == "jsonl":
                yield _load_json_lines(connection, reading, Path(folder), told)
            else:
                yield _load_text(connection, reading, Path(folder), told)
        except duckdb.OutOfMemoryException as error:
            raise MlprojError(
                f"`{reading.path}` needs more memory or temporary disk than there is: {_first_line(error)}",
                hint="free some space in the temporary folder (TMPDIR), or infer from a part of the table",
            ) from error


def _load_text(connection: Any, reading: Reading, folder: Path, told: Sequence[str]) -> Table:
    import duckdb

    names = scan.header(reading)
    check_names(reading.path, names, delimiter=reading.delimiter)
    if scan.is_plain(reading):
        try:
            _read_csv(connection, reading.path, reading.delimiter, len(names))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            connection.execute("drop table if exists t")
        else:
            return _some_rows(Table(connection, names, told), reading)
    copy = folder / "plain.csv"
    scan.write_plainly(reading, names, copy)
    _read_csv(connection, copy, ",", len(names))
    return _some_rows(Table(connection, names, told), reading)


def _read_csv(connection: Any, path: Path, delimiter: str, columns: int) -> None:
    declared = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(columns))
    connection.execute(
        f"create table t as select * from read_csv({_text(_literally(path))}, auto_detect=false, header=true,"
        f" delim={_text(delimiter)}, quote='\"', escape='\"', nullstr={_NEVER}, columns={{{declared}}},"
        " max_line_size=33554432)"
    )


def _load_parquet(connection: Any, reading: Reading, told: Sequence[str]) -> Table:
    import duckdb

    source = f"read_parquet({_text(_literally(reading.path))})"
    try:
        described = connection.execute(f"describe select * from {source}").fetchall()
        names, types = [row[0] for row in described], [row[1] for row in described]
        check_names(reading.path, names)
        listed = ", ".join(
            # As Python writes them, which is how pandas will show them.
            f"case when {_quoted(name)} then 'True' when not {_quoted(name)} then 'False' end as c{i}"
            if kind == "BOOLEAN"
            else f"{_quoted(name)}::varchar as c{i}"
            for i, (name, kind) in enumerate(zip(names, types, strict=True))
        )
        connection.execute(f"create table t as select {listed} from {source}")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise ConfigError(
            f"`{reading.path}` could not be read as Parquet: {_first_line(error)}",
            hint="the file may be cut short: write or copy it again",
        ) from error
    return _some_rows(Table(connection, names, told), reading)


def _load_json_lines(connection: Any, reading: Reading, folder: Path, told: Sequence[str]) -> Table:
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
        names = [row[0] for row in connection.execute(f"describe select * from {source}").fetchall()]
        check_names(reading.path, names)
        listed = ", ".join(
            f"case json_type({_quoted(name)}) when 'NULL' then null"
            f" when 'BOOLEAN' then if({_quoted(name)} = 'true', 'True', 'False')"
            f" else {_quoted(name)} ->> '$' end as c{i}"
            for i, name in enumerate(names)
        )
        connection.execute(f"create table t as select {listed} from {source}")
    except duckdb.OutOfMemoryException:
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
                value = json.loads(line)
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
        only = f": `{names[0][:60]}`" if names else ""
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
            f"`{path}` has {'a column' if len(empty) == 1 else f'{len(empty):,} columns'} without a name: {_places(empty)}",
            hint="write a name for it into the header line (a first column of row numbers may be `row_id`)",
        )
    again = [(name, where) for name, where in places.items() if len(where) > 1]
    if again:
        said = "; ".join(f"`{name}` is {_places(where)}" for name, where in again[:5])
        raise ConfigError(
            f"`{path}` has {'a column name' if len(again) == 1 else f'{len(again):,} column names'} more than once: {said}",
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


def _parsed(value: str, form: str) -> str:
    if form == dates.ISO:
        return f"case when regexp_full_match({value}, {_text(dates.ISO_PATTERN)}) then try_cast({value} as timestamptz) end"
    guard = f"{value} = trim({value}, {_SPACES})"
    if form == "%Y%m%d":
        guard += f" and length({value}) = 8 and {value}[1:2] in ('19', '20')"
    return f"case when {guard} then try_strptime({value}, {_text(form)}) end"


def _is_label(column: str, missing: Sequence[str]) -> str:
    given = f"{column} is not null"
    return f"{given} and {column} not in ({', '.join(map(_text, missing))})" if missing else given


def _iso(stamp: str | None) -> str | None:
    if stamp is None:
        return None
    day, _, time = stamp.partition(" ")
    time = time.removesuffix("+00")
    return day if time in ("", "00:00:00") else f"{day}T{time}"


def _chunks(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literally(path: Path) -> str:
    """The path with nothing in it read as a pattern: `data[1].csv` is one file."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path.absolute()))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
