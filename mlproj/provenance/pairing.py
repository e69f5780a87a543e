"""The predictions of two models on the same rows, paired: two files as `evaluate` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlproj.base.errors import ConfigError
from mlproj.provenance.ladder import Paired

if TYPE_CHECKING:
    import duckdb

_WANTED = frozenset({"split", "key", "actual", "predicted"})
_PROBABILITY = "probability "
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER")


def pair(recorded: Path, rebuilt: Path) -> Paired:
    """Pair the rows of two files by split and key; rows that share a key, in their order.

    Raises ConfigError if one of them does not have the columns that `evaluate` writes.
    """
    import duckdb

    with duckdb.connect() as database:
        of_one, of_other = _columns(database, recorded), _columns(database, rebuilt)
        is_regression = of_one["predicted"] in _NUMBERS and of_other["predicted"] in _NUMBERS
        shared = [name for name in of_one if name.startswith(_PROBABILITY) and name in of_other]
        numbers = ["predicted"] if is_regression else shared
        database.execute(
            f"""CREATE VIEW pairs AS SELECT a, b
                FROM ({_numbered(recorded)}) AS a FULL JOIN ({_numbered(rebuilt)}) AS b
                ON a.split = b.split AND a.key = b.key AND a.nth = b.nth"""
        )
        gaps = [_gap(name, is_relative=is_regression) for name in numbers]
        right, again = _errors("a", is_regression), _errors("b", is_regression)
        row = database.execute(
            f"""SELECT count(*),
                       (SELECT count(*) FROM pairs WHERE a.split IS NULL OR b.split IS NULL),
                       count(*) FILTER (WHERE {" OR ".join(map(_differs, ["predicted", *numbers]))}),
                       coalesce(max(greatest(0.0, {", ".join(gaps) or "0.0"})), 0.0),
                       count(*) FILTER (WHERE {_differs("predicted")}),
                       count(*) FILTER (WHERE {again} > {right}),
                       count(*) FILTER (WHERE {again} < {right})
                FROM pairs WHERE a.split IS NOT NULL AND b.split IS NOT NULL"""
        ).fetchone()
    assert row is not None  # an aggregate always has one
    rows, alone, differ, largest, flips, lost, won = row
    return Paired(
        rows=rows,
        alone=alone,
        differ=differ,
        largest=float(largest),
        flips=None if is_regression else flips,
        lost=lost,
        won=won,
    )


def _columns(database: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """The names of a file's columns with their types."""
    import duckdb

    try:
        said = database.execute(f"DESCRIBE SELECT * FROM {_read(path)}").fetchall()
    except duckdb.Error as error:
        raise ConfigError(f"`{path}` cannot be read: {str(error).splitlines()[0]}") from None
    found = {str(name): str(kind) for name, kind, *_ in said}
    if not found.keys() >= _WANTED:
        lacking = ", ".join(f"`{name}`" for name in sorted(_WANTED - found.keys()))
        raise ConfigError(f"`{path}` lacks {lacking}: it is not what `evaluate` writes")
    return found


def _read(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}', file_row_number = true)"


def _numbered(path: Path) -> str:
    """The rows of a file, with the number of each among those that share its key."""
    nth = "row_number() OVER (PARTITION BY split, key ORDER BY file_row_number)"
    return f"SELECT *, {nth} AS nth FROM {_read(path)}"


def _column(side: str, name: str) -> str:
    quoted = name.replace('"', '""')
    return f'{side}."{quoted}"'


def _differs(name: str) -> str:
    return f"{_column('a', name)} IS DISTINCT FROM {_column('b', name)}"


def _gap(name: str, *, is_relative: bool) -> str:
    """How far two numbers are apart; infinitely, where one of them is none."""
    one, other = _column("a", name), _column("b", name)
    size = f" / greatest(1.0, abs({one}))" if is_relative else ""
    apart = f"coalesce(abs({one} - {other}){size}, 'infinity'::DOUBLE)"
    return f"CASE WHEN {_differs(name)} THEN {apart} ELSE 0.0 END"


def _errors(side: str, is_regression: bool) -> str:
    """What a model got wrong in a row: 0 or 1, or by how much."""
    if is_regression:
        return f"abs({side}.predicted - {side}.actual)"
    return f"({side}.predicted IS DISTINCT FROM {side}.actual)::INTEGER"
