"""The answers of two runs to the same rows, as `evaluate` kept them in `models/predictions.parquet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproj.base.errors import MlprojError
from mlproj.provenance.flips import Flip, Flips, Group, Tally

if TYPE_CHECKING:
    import duckdb

PREDICTIONS = "models/predictions.parquet"

_PROBABILITY, _SLICE = "probability ", "slice "
_ERROR_GREW = "abs(after - actual) > abs(before - actual) + 1e-9 * (1 + abs(actual))"
_ERROR_SHRANK = "abs(after - actual) < abs(before - actual) - 1e-9 * (1 + abs(actual))"
# An answer that is missing (NULL) is not right.
_WAS_RIGHT, _IS_RIGHT = "before IS NOT DISTINCT FROM actual", "after IS NOT DISTINCT FROM actual"


def splits(path: Path) -> tuple[str, ...]:
    """The splits that the file has answers for. Raises MlprojError if it cannot be read."""
    with _opened(path) as database:
        rows = database.execute("SELECT DISTINCT split FROM read_parquet(?)", [str(path)]).fetchall()
    return tuple(sorted(str(row[0]) for row in rows))


def flips(before: Path, after: Path, split: str, *, most: int = 20) -> Flips:
    """Hold two runs' answers to a split against each other; rows are the same where their keys are.

    The `most` worst rows are told in full. Raises MlprojError if a file cannot be read.
    """
    with _opened(before, after) as database:
        for name, path in (("old", before), ("new", after)):
            database.execute(
                f"CREATE TEMP TABLE {name} AS SELECT * REPLACE (CAST(key AS VARCHAR) AS key),"
                # Rows that are wholly alike share a key: the first meets the first, and so on.
                " row_number() OVER (PARTITION BY key ORDER BY file_row_number) AS nth,"
                " row_number() OVER (ORDER BY file_row_number) - 1 AS place"
                " FROM read_parquet(?, file_row_number = true) WHERE split = ?",
                [str(path), split],
            )
        columns = _columns(database, "new")
        of_numbers = columns["predicted"] != "VARCHAR"
        slices = [name for name in columns if name.startswith(_SLICE)]
        _join(database, slices, of_numbers=of_numbers)
        worse, better = (
            (_ERROR_GREW, _ERROR_SHRANK)
            if of_numbers
            else (f"{_WAS_RIGHT} AND NOT {_IS_RIGHT}", f"NOT {_WAS_RIGHT} AND {_IS_RIGHT}")
        )
        tally = f"count(*), count_if({worse}), count_if({better}), count_if(before IS DISTINCT FROM after)"
        (whole,) = _tallies(database, f"SELECT '', {tally} FROM pairs")
        found = Flips(
            split=split,
            of_numbers=of_numbers,
            whole=whole[1],
            only_before=_count(database, "old") - whole[1].rows,
            only_after=_count(database, "new") - whole[1].rows,
            slices=tuple(
                Group(column=name.removeprefix(_SLICE), level=level, tally=of_level)
                for name in slices
                for level, of_level in _tallies(
                    database, f"SELECT {_quoted(name)}, {tally} FROM pairs GROUP BY 1 ORDER BY 1"
                )
            ),
            worst=tuple(_worst(database, worse, slices, most)),
        )
        if of_numbers:
            return found
        by_class = _tallies(database, f"SELECT actual, {tally} FROM pairs GROUP BY 1 ORDER BY 1")
        return replace(
            found, classes=tuple(Group(column="", level=label, tally=each) for label, each in by_class)
        )


def features(table: Path, places: Sequence[int], columns: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Values of rows of a Parquet file, by their number from 0; a column that it lacks is left out."""
    with _opened(table) as database:
        database.execute(
            # A view takes no parameters.
            f"CREATE TEMP VIEW rows AS"
            f" SELECT * FROM read_parquet({_literal(str(table))}, file_row_number = true)"
        )
        there = [name for name in columns if name in _columns(database, "rows")]
        chosen = ", ".join(["file_row_number", *map(_quoted, there)])
        rows = database.execute(
            f"SELECT {chosen} FROM rows WHERE file_row_number IN (SELECT unnest(?))", [list(places)]
        ).fetchall()
    return {int(place): dict(zip(there, values, strict=True)) for place, *values in rows}


def shuffled(table: Path, into: Path, seed: int) -> None:
    """Copy a Parquet file with its rows in another order, the same for the same seed."""
    with _opened(table) as database:
        database.execute(
            f"COPY (SELECT * EXCLUDE (file_row_number) FROM"
            f" read_parquet({_literal(str(table))}, file_row_number = true)"
            f" ORDER BY hash(file_row_number, {int(seed)})) TO {_literal(str(into))} (FORMAT parquet)"
        )


def _join(database: duckdb.DuckDBPyConnection, slices: Sequence[str], *, of_numbers: bool) -> None:
    kind = "DOUBLE" if of_numbers else "VARCHAR"
    sure = ("abs(o.predicted - n.actual)", "abs(n.predicted - n.actual)")
    if not of_numbers:
        sure = (_of_truth(database, "old", "o"), _of_truth(database, "new", "n"))
    told = ", ".join(f"n.{_quoted(name)}" for name in slices)
    database.execute(
        f"CREATE TEMP TABLE pairs AS SELECT n.key, n.place, CAST(n.actual AS {kind}) AS actual,"
        f" CAST(o.predicted AS {kind}) AS before, CAST(n.predicted AS {kind}) AS after,"
        f" {sure[0]} AS was, {sure[1]} AS is_now{', ' + told if told else ''}"
        " FROM new AS n JOIN old AS o USING (key, nth)"
    )


def _of_truth(database: duckdb.DuckDBPyConnection, table: str, alias: str) -> str:
    """The probability that a model gave to the true class; 0 for a class it does not know."""
    cases = [
        f"WHEN {_literal(name.removeprefix(_PROBABILITY))} THEN {alias}.{_quoted(name)}"
        for name in _columns(database, table)
        if name.startswith(_PROBABILITY)
    ]
    return f"coalesce(CASE n.actual {' '.join(cases)} ELSE 0 END, 0)" if cases else "0"


def _worst(
    database: duckdb.DuckDBPyConnection, worse: str, slices: Sequence[str], most: int
) -> Iterator[Flip]:
    told = "".join(f", {_quoted(name)}" for name in slices)
    rows = database.execute(
        f"SELECT key, place, actual, before, after, abs(is_now - was){told} FROM pairs"
        f" WHERE {worse} ORDER BY 6 DESC, place LIMIT {int(most)}"
    ).fetchall()
    for key, place, actual, before, after, lost, *levels in rows:
        names = [name.removeprefix(_SLICE) for name in slices]
        yield Flip(
            key=key,
            place=place,
            actual=actual,
            before=before,
            after=after,
            lost=lost,
            slices=dict(zip(names, map(str, levels), strict=True)),
        )


def _tallies(database: duckdb.DuckDBPyConnection, asked: str) -> list[tuple[str, Tally]]:
    return [
        (str(level), Tally(rows=rows, worse=worse, better=better, changed=changed))
        for level, rows, worse, better, changed in database.execute(asked).fetchall()
    ]


def _count(database: duckdb.DuckDBPyConnection, table: str) -> int:
    rows = database.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(rows[0][0])


def _columns(database: duckdb.DuckDBPyConnection, table: str) -> Mapping[str, str]:
    return {row[0]: row[1] for row in database.execute(f"DESCRIBE {table}").fetchall()}


@contextmanager
def _opened(*paths: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    try:
        with duckdb.connect() as database:
            yield database
    except duckdb.Error as error:
        named = " and ".join(f"`{path}`" for path in paths)
        said = str(error).splitlines()[0]
        raise MlprojError(
            f"{named} cannot be read as answers to rows: {said}",
            hint="run `dvc repro evaluate`, which writes them",
        ) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
