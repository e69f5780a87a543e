"""Where the state of serving lies, behind one door: a SQLite file here, PostgreSQL in `postgres.py`.

Statements are written once, with `?` for values, in what both know.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from mlproj.base.errors import MlprojError

Row = Mapping[str, Any]

_BUSY_S = 10.0
_TYPES = {"key": "INTEGER PRIMARY KEY", "int": "INTEGER", "real": "REAL", "bytes": "BLOB"}


class Database(Protocol):
    """Raises MlprojError, and nothing of the driver's, for what it cannot do."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Mapping[str, Any]]: ...

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block or nothing, beside no other block that writes."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """All that the block reads is of one moment."""
        ...

    def close(self) -> None: ...


class File:
    """A SQLite file, made with its tables if need be."""

    def __init__(self, path: Path, schema: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(schema.format(**_TYPES))
        except (sqlite3.Error, OSError) as error:
            raise MlprojError(
                f"`{path}` could not be opened: {error}", hint="look at the file's owner and at the disk"
            ) from error

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Mapping[str, Any]]:
        try:
            return [dict(row) for row in self._db.execute(statement, values).fetchall()]
        except sqlite3.Error as error:
            raise _mapped(error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self._block("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._block("BEGIN"):
            yield

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _block(self, begin: str) -> Iterator[None]:
        self.execute(begin)
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise


def _mapped(error: sqlite3.Error) -> MlprojError:
    return MlprojError(
        f"the deployment store could not be used: {error}",
        hint="see what holds it (`fuser`, `lsof`) or whether the disk is full, and try again",
    )
