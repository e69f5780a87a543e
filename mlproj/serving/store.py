"""What is deployed: versions, deployments, their history, and the routes in force.

One SQLite file in the project's data folder. Every change is one transaction, so a supervisor that is killed
finds on its next start a state in which it was, never one between two.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError, MlprojError

_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL, digest TEXT NOT NULL, folder TEXT NOT NULL,
    python TEXT NOT NULL, engine TEXT NOT NULL, added_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS deployments (
    id INTEGER PRIMARY KEY, mode TEXT NOT NULL, version INTEGER NOT NULL, baseline INTEGER,
    automation TEXT NOT NULL, defer_below REAL, salt TEXT NOT NULL, plan TEXT NOT NULL, by TEXT NOT NULL,
    started_us INTEGER NOT NULL, state TEXT NOT NULL, step INTEGER NOT NULL, step_us INTEGER NOT NULL,
    ended_us INTEGER, reason TEXT NOT NULL DEFAULT '', latest TEXT
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, deployment INTEGER NOT NULL, at_us INTEGER NOT NULL, by TEXT NOT NULL,
    kind TEXT NOT NULL, said TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS routes (
    role TEXT PRIMARY KEY, version INTEGER NOT NULL, deployment INTEGER NOT NULL, share REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
"""


class Mode(StrEnum):
    FULL = "full"
    SHADOW = "shadow"
    CANARY = "canary"
    BLUE_GREEN = "blue-green"


class State(StrEnum):
    """Starting: its worker is loaded and warmed. Running: a newcomer beside the primary. Live: its version is
    the primary, or the one kept for a rollback. The others are ends."""

    STARTING = "starting"
    RUNNING = "running"
    LIVE = "live"
    REPLACED = "replaced"
    ROLLED_BACK = "rolled back"
    RETIRED = "retired"
    FAILED = "failed"


ACTIVE = (State.STARTING, State.RUNNING)
PRIMARY, CANARY, SHADOW, KEPT = "primary", "canary", "shadow", "kept"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A packaged model version: its folder is a copy that nothing else writes to."""

    number: int
    run: str
    digest: str
    folder: Path
    python: Path
    engine: str
    added_us: int


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One rollout of a version. `plan` is what it was started with; `latest` the last look at it."""

    id: int
    mode: Mode
    version: int
    baseline: int | None
    automation: str
    defer_below: float | None
    salt: str
    plan: Mapping[str, Any]
    by: str
    started_us: int
    state: State
    step: int
    step_us: int
    ended_us: int | None
    reason: str
    latest: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a deployment, and who did it."""

    deployment: int
    at_us: int
    by: str
    kind: str
    said: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """Which version plays a role. `share` is the canary's share in force; 1 for the others."""

    role: str
    version: int
    deployment: int
    share: float


class Store:
    """The file, opened. Not to be shared between threads; each opens its own."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise MlprojError(
                f"`{path}` could not be opened: {error}", hint="look at the file's owner and at the disk"
            ) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    # Reading

    def stamp(self) -> int:
        """Another number whenever another connection has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def versions(self) -> tuple[Version, ...]:
        rows = self._db.execute("SELECT * FROM versions ORDER BY number")
        return tuple(_version(row) for row in rows)

    def version(self, number: int) -> Version | None:
        row = self._db.execute("SELECT * FROM versions WHERE number = ?", (number,)).fetchone()
        return _version(row) if row else None

    def routes(self) -> dict[str, Route]:
        rows = self._db.execute("SELECT * FROM routes").fetchall()
        return {row["role"]: Route(**dict(row)) for row in rows}

    def deployment(self, number: int) -> Deployment:
        row = self._db.execute("SELECT * FROM deployments WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise ConfigError(
                f"there is no deployment {number}", hint="run `mlproj deployments` to see which there are"
            )
        return _deployment(row)

    def deployments(self) -> tuple[Deployment, ...]:
        """All of them, the newest first."""
        return tuple(
            _deployment(row) for row in self._db.execute("SELECT * FROM deployments ORDER BY id DESC")
        )

    def active(self) -> Deployment | None:
        """The rollout under way: at most one, of a newcomer beside the primary."""
        row = self._db.execute(
            f"SELECT * FROM deployments WHERE state IN ({_marks(ACTIVE)}) ORDER BY id DESC LIMIT 1", ACTIVE
        ).fetchone()
        return _deployment(row) if row else None

    def events(self, deployment: int) -> tuple[Event, ...]:
        rows = self._db.execute(
            "SELECT deployment, at_us, by, kind, said FROM events WHERE deployment = ? ORDER BY id",
            (deployment,),
        )
        return tuple(Event(**dict(row)) for row in rows)

    # Changing

    def node(self, name: str) -> int:
        """The number of this machine, 0 to 1023, which its prediction ids carry."""
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO nodes (id, name) VALUES "
                "((SELECT coalesce(max(id), 0) + 1 FROM nodes), ?)",
                (name,),
            )
            row = self._db.execute("SELECT id FROM nodes WHERE name = ?", (name,)).fetchone()
        if row["id"] > 1023:
            raise MlprojError("more than 1,023 machines have served this project: its ids are used up")
        return int(row["id"])

    def add_version(self, version: Version) -> None:
        """Add a version. Raises ConfigError where its number is taken by another package."""
        with self._transaction():
            known = self.version(version.number)
            if known is not None and known.digest != version.digest and self._in_use(version.number):
                raise ConfigError(
                    f"version {version.number} is on live traffic with another package "
                    f"({known.digest[:12]}, not {version.digest[:12]})",
                    hint=f"run `mlproj retire {version.number}` first, or train and register a new version",
                )
            self._db.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    version.number,
                    version.run,
                    version.digest,
                    str(version.folder),
                    str(version.python),
                    version.engine,
                    version.added_us,
                ),
            )

    def begin(
        self,
        *,
        mode: Mode,
        version: int,
        automation: str,
        defer_below: float | None,
        plan: Mapping[str, Any],
        by: str,
    ) -> Deployment:
        """Record what is wanted. Raises ConfigError, saying who and what, while another rollout is under way.

        A shadow of the same version is no obstacle: it ends, and the version moves on.
        """
        now = _now_us()
        with self._transaction():
            routes = self.routes()
            other = self.active()
            primary = routes.get(PRIMARY)
            if other is not None and not (other.mode is Mode.SHADOW and other.version == version):
                raise ConfigError(
                    f"a {other.mode} of version {other.version} is under way, started by {other.by} "
                    f"at {when(other.started_us)}",
                    hint="see `mlproj deployments`; end it with `mlproj promote`, or with `mlproj rollback`",
                )
            if other is not None:
                self._end(other, State.REPLACED, f"version {version} moved on to {mode}", by)
                self._db.execute("DELETE FROM routes WHERE role = ?", (SHADOW,))
            if primary is not None and primary.version == version and mode is not Mode.FULL:
                raise ConfigError(
                    f"version {version} is the primary already, so there is nothing to compare it with",
                    hint="train another and register it, or name one with `--version NUMBER`",
                )
            if primary is None and mode in (Mode.CANARY, Mode.BLUE_GREEN):
                raise ConfigError(
                    f"nothing is live, so there is nothing to put a {mode} beside",
                    hint="run `mlproj deploy --mode full` for the first version",
                )
            made = self._db.execute(
                "INSERT INTO deployments (mode, version, baseline, automation, defer_below, salt, plan, by,"
                " started_us, state, step, step_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                (
                    mode,
                    version,
                    primary.version if primary else None,
                    automation,
                    defer_below,
                    secrets.token_hex(16),
                    json.dumps(plan),
                    by,
                    now,
                    State.STARTING,
                    now,
                ),
            ).lastrowid
            assert made is not None
            self._event(made, by, "started", f"{mode} of version {version}")
            return self.deployment(made)

    def loaded(self, number: int, *, share: float) -> None:
        """The worker is warm: give the deployment its route. `share` is that of a canary's first step."""
        with self._transaction():
            deployment = self.deployment(number)
            if deployment.state is not State.STARTING:
                return  # Rolled back while it was loading.
            if deployment.mode in (Mode.FULL, Mode.BLUE_GREEN):
                self._make_primary(deployment, keep=deployment.mode is Mode.BLUE_GREEN)
                self._set(deployment.id, State.LIVE)
                self._event(number, "mlproj", "live", f"version {deployment.version} answers all requests")
                return
            canary = deployment.mode is Mode.CANARY
            role = CANARY if canary else SHADOW
            self._route(role, deployment, share if canary else 1.0)
            self._set(deployment.id, State.RUNNING)
            said = f"{share:.0%} of entities" if canary else "a copy of every request"
            self._event(number, "mlproj", "step" if canary else "running", said)

    def step(self, number: int, index: int, share: float, why: str) -> None:
        """Give a canary its next share."""
        with self._transaction():
            if self.deployment(number).state is not State.RUNNING:
                return
            self._db.execute(
                "UPDATE deployments SET step = ?, step_us = ? WHERE id = ?", (index, _now_us(), number)
            )
            self._db.execute(
                "UPDATE routes SET share = ? WHERE role = ? AND deployment = ?", (share, CANARY, number)
            )
            self._event(number, "mlproj", "step", f"{share:.0%} of entities: {why}")

    def look(self, number: int, latest: Mapping[str, Any], *, said: str) -> None:
        """Keep the last look at a rollout; one that says something new is kept in its history too."""
        with self._transaction():
            before = self.deployment(number).latest or {}
            self._db.execute("UPDATE deployments SET latest = ? WHERE id = ?", (json.dumps(latest), number))
            if before.get("verdict") != latest.get("verdict"):
                self._event(number, "mlproj", "verdict", said)

    def promote(self, number: int, by: str, why: str) -> None:
        """Make a running newcomer the primary; the one before is kept loaded for a rollback."""
        with self._transaction():
            deployment = self.deployment(number)
            if deployment.state is not State.RUNNING:
                raise ConfigError(
                    f"deployment {number} is {deployment.state}, so it cannot be promoted",
                    hint="run `mlproj deployments` to see what is under way",
                )
            self._db.execute("DELETE FROM routes WHERE deployment = ?", (number,))
            self._make_primary(deployment, keep=True)
            self._set(number, State.LIVE)
            self._event(number, by, "promoted", why)

    def roll_back(self, by: str, why: str, *, number: int | None = None) -> Deployment:
        """Take the newcomer off, or, where none is under way, go back to the version kept.

        `number` is the deployment meant, by default whichever is under way. Returns what was rolled back.
        Raises ConfigError where there is nothing to go back to.
        """
        with self._transaction():
            active = self.deployment(number) if number is not None else self.active()
            if active is not None:
                if active.state not in ACTIVE:
                    return active
                self._db.execute("DELETE FROM routes WHERE deployment = ?", (active.id,))
                self._end(active, State.ROLLED_BACK, why, by)
                return self.deployment(active.id)
            routes = self.routes()
            primary, kept = routes.get(PRIMARY), routes.get(KEPT)
            if primary is None or kept is None:
                raise ConfigError(
                    "there is nothing to roll back: no rollout is under way, and no earlier version is kept",
                    hint="run `mlproj deploy --mode full --version NUMBER` to go to a version of your choice",
                )
            self._db.execute("DELETE FROM routes")
            self._db.execute(
                "INSERT INTO routes VALUES (?, ?, ?, 1)", (PRIMARY, kept.version, kept.deployment)
            )
            left = self.deployment(primary.deployment)
            self._end(left, State.ROLLED_BACK, why, by)
            self._event(kept.deployment, by, "live", f"version {kept.version} answers all requests again")
            return self.deployment(left.id)

    def retire(self, version: int, by: str) -> tuple[str, ...]:
        """Take a version out of every role it has; returns the roles. Raises ConfigError if it has none."""
        with self._transaction():
            held = [route for route in self.routes().values() if route.version == version]
            ends = [
                found for found in self.deployments() if found.version == version and found.state in ACTIVE
            ]
            if not held and not ends:
                on = ", ".join(sorted({str(route.version) for route in self.routes().values()})) or "none"
                raise ConfigError(
                    f"version {version} is not on live traffic; these are: {on}",
                    hint="run `mlproj deployments` to see which version does what",
                )
            self._db.execute("DELETE FROM routes WHERE version = ?", (version,))
            numbers = {route.deployment for route in held} | {found.id for found in ends}
            for number in sorted(numbers):
                self._end(self.deployment(number), State.RETIRED, f"version {version} was retired", by)
            return tuple(route.role for route in held)

    def fail(self, number: int, why: str) -> None:
        """A version that could not be loaded never got a request."""
        with self._transaction():
            deployment = self.deployment(number)
            if deployment.state in ACTIVE:
                self._db.execute("DELETE FROM routes WHERE deployment = ?", (number,))
                self._end(deployment, State.FAILED, why, "mlproj")

    def note(self, number: int, kind: str, said: str) -> None:
        """Keep an event that changes no route: a worker that crashed and came back."""
        with self._transaction():
            self._event(number, "mlproj", kind, said)

    # Inside a transaction

    def _make_primary(self, deployment: Deployment, *, keep: bool) -> None:
        routes = self.routes()
        before, kept = routes.get(PRIMARY), routes.get(KEPT)
        self._db.execute("DELETE FROM routes WHERE role IN (?, ?)", (PRIMARY, KEPT))
        leaving = [kept] if kept else []
        if before is not None and before.version != deployment.version and keep:
            self._db.execute(
                "INSERT INTO routes VALUES (?, ?, ?, 1)", (KEPT, before.version, before.deployment)
            )
        elif before is not None:
            leaving.append(before)
        for route in leaving:
            self._end(
                self.deployment(route.deployment),
                State.REPLACED,
                f"version {deployment.version} took over",
                deployment.by,
            )
        self._route(PRIMARY, deployment, 1.0)

    def _route(self, role: str, deployment: Deployment, share: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO routes VALUES (?, ?, ?, ?)",
            (role, deployment.version, deployment.id, share),
        )

    def _set(self, number: int, state: State) -> None:
        now = _now_us()
        self._db.execute("UPDATE deployments SET state = ?, step_us = ? WHERE id = ?", (state, now, number))

    def _end(self, deployment: Deployment, state: State, why: str, by: str) -> None:
        self._db.execute(
            "UPDATE deployments SET state = ?, ended_us = ?, reason = ? WHERE id = ?",
            (state, _now_us(), why, deployment.id),
        )
        self._event(deployment.id, by, str(state), why)

    def _event(self, deployment: int, by: str, kind: str, said: str) -> None:
        self._db.execute(
            "INSERT INTO events (deployment, at_us, by, kind, said) VALUES (?, ?, ?, ?, ?)",
            (deployment, _now_us(), by, kind, said),
        )

    def _in_use(self, version: int) -> bool:
        active = self.active()
        return any(route.version == version for route in self.routes().values()) or (
            active is not None and active.version == version
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise MlprojError(
                f"the deployment store could not be written: {error}",
                hint="see what holds it (`fuser`, `lsof`) or whether the disk is full, and try again",
            ) from error
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._db.rollback()
            if isinstance(error, sqlite3.Error):
                raise MlprojError(f"the deployment store could not be written: {error}") from error
            raise


def when(at_us: int) -> str:
    """A moment as people write it, in their own time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_us / 1e6))


def _version(row: sqlite3.Row) -> Version:
    said = dict(row)
    return Version(**{**said, "folder": Path(said["folder"]), "python": Path(said["python"])})


def _deployment(row: sqlite3.Row) -> Deployment:
    said = dict(row)
    said["mode"], said["state"] = Mode(said["mode"]), State(said["state"])
    said["plan"] = json.loads(said["plan"])
    said["latest"] = json.loads(said["latest"]) if said["latest"] else None
    return Deployment(**said)


def _marks(values: tuple[object, ...]) -> str:
    return ", ".join("?" * len(values))


def _now_us() -> int:
    return time.time_ns() // 1000
