"""What machines that serve one project know of each other, and where versions lie on each.

Where they share no PostgreSQL, the one machine there is has all of it in its own file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from mlproj.base.errors import MlprojError
from mlproj.serving.database import Database, File
from mlproj.serving.deployment import Place, Version

# `{key}` numbers rows by itself; the others are the backends' words for types of the same range.
SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    number {int} PRIMARY KEY, run TEXT NOT NULL, digest TEXT NOT NULL, engine TEXT NOT NULL,
    added_us {int} NOT NULL
);
CREATE TABLE IF NOT EXISTS deployments (
    id {key}, mode TEXT NOT NULL, version {int} NOT NULL, baseline {int},
    automation TEXT NOT NULL, defer_below {real}, salt TEXT NOT NULL, plan TEXT NOT NULL, by TEXT NOT NULL,
    started_us {int} NOT NULL, state TEXT NOT NULL, step {int} NOT NULL, step_us {int} NOT NULL,
    ended_us {int}, reason TEXT NOT NULL DEFAULT '', latest TEXT
);
CREATE TABLE IF NOT EXISTS events (
    id {key}, deployment {int} NOT NULL, at_us {int} NOT NULL, by TEXT NOT NULL,
    kind TEXT NOT NULL, said TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS routes (
    role TEXT PRIMARY KEY, version {int} NOT NULL, deployment {int} NOT NULL, share {real} NOT NULL
);
CREATE TABLE IF NOT EXISTS nodes (id {int} PRIMARY KEY, name TEXT NOT NULL UNIQUE);
"""
# What machines have to tell each other, where there are several.
SHARED = """
CREATE TABLE IF NOT EXISTS project (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS packages (
    version {int} PRIMARY KEY, digest TEXT NOT NULL, content {bytes} NOT NULL
);
CREATE TABLE IF NOT EXISTS workers (
    node {int} NOT NULL, version {int} NOT NULL, ready_us {int} NOT NULL, restarts {int} NOT NULL,
    PRIMARY KEY (node, version)
);
"""
_PLACES = """
CREATE TABLE IF NOT EXISTS places (
    version {int} PRIMARY KEY, digest TEXT NOT NULL, folder TEXT NOT NULL, python TEXT NOT NULL
);
"""
_EVERY_VERSION = "SELECT number, run, digest, engine, added_us FROM versions"
_MOST_NODES = 1023


class Machines:
    """The part of the state that does not change with a rollout."""

    def __init__(self, path: Path, *, postgres: str | None = None) -> None:
        self._local: Database = File(path, _PLACES if postgres else SCHEMA + _PLACES)
        self._db: Database = self._local
        self.is_shared = postgres is not None
        if postgres is not None:
            # The driver of PostgreSQL is loaded only where it is used.
            from mlproj.serving.postgres import Server

            try:
                self._db = Server(postgres, SCHEMA + SHARED, project=path.parent.name)
            except BaseException:
                self._local.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()
        self._local.close()

    def versions(self) -> tuple[Version, ...]:
        return tuple(Version(**row) for row in self._db.execute(f"{_EVERY_VERSION} ORDER BY number"))

    def version(self, number: int) -> Version | None:
        rows = self._db.execute(f"{_EVERY_VERSION} WHERE number = ?", (number,))
        return Version(**rows[0]) if rows else None

    def place(self, version: Version) -> Place | None:
        """Where a version lies on this machine; None if it does not, or another package of that number."""
        rows = self._local.execute(
            "SELECT * FROM places WHERE version = ? AND digest = ?", (version.number, version.digest)
        )
        for row in rows:
            place = Place(**{**row, "folder": Path(row["folder"]), "python": Path(row["python"])})
            if place.folder.is_dir() and place.python.exists():
                return place
        return None

    def content(self, version: Version) -> bytes | None:
        """The package of a version, packed, where machines share a store; None where nobody put it there."""
        if not self.is_shared:
            return None
        rows = self._db.execute(
            "SELECT content FROM packages WHERE version = ? AND digest = ?", (version.number, version.digest)
        )
        return bytes(rows[0]["content"]) if rows else None

    def has_package(self, version: Version) -> bool:
        """Whether a version can be loaded: it lies on this machine, or can be fetched."""
        if self.place(version) is not None:
            return True
        found = "SELECT 1 AS found FROM packages WHERE version = ? AND digest = ?"
        return self.is_shared and bool(self._db.execute(found, (version.number, version.digest)))

    def workers(self, version: int) -> tuple[float, int]:
        """On all machines: when the last worker of a version became ready (Unix s), and their restarts."""
        query = "SELECT max(ready_us) AS ready_us, sum(restarts) AS restarts FROM workers WHERE version = ?"
        row = self._db.execute(query, (version,))[0]
        return (row["ready_us"] or 0) / 1e6, int(row["restarts"] or 0)

    def node(self, name: str) -> int:
        """The number of this machine, 1 to 1023, which its prediction ids carry."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO nodes (id, name) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM nodes), ?)"
                " ON CONFLICT DO NOTHING",
                (name,),
            )
            number = int(self._db.execute("SELECT id FROM nodes WHERE name = ?", (name,))[0]["id"])
        if number > _MOST_NODES:
            raise MlprojError(
                f"{_MOST_NODES:,} machines have served this project, so its ids are used up",
                hint="give machines that come and go lasting names, in `MLPROJ_NODE`",
            )
        return number

    def tell_workers(self, node: int, workers: Iterable[tuple[int, float, int]]) -> None:
        """How the workers of a machine do: version, when it became ready (Unix seconds), restarts."""
        with self._db.transaction():
            self._db.execute("DELETE FROM workers WHERE node = ?", (node,))
            for version, ready, restarts in workers:
                self._db.execute(
                    "INSERT INTO workers (node, version, ready_us, restarts) VALUES (?, ?, ?, ?)",
                    (node, version, round(ready * 1e6), restarts),
                )

    def settle(self, place: Place) -> None:
        """Remember where a version lies on this machine."""
        with self._local.transaction():
            self._settle(place)

    def _settle(self, place: Place) -> None:
        self._local.execute(
            "INSERT INTO places (version, digest, folder, python) VALUES (?, ?, ?, ?) ON CONFLICT (version)"
            " DO UPDATE SET digest = excluded.digest, folder = excluded.folder, python = excluded.python",
            (place.version, place.digest, str(place.folder), str(place.python)),
        )
