"""The state of serving: versions, deployments, their history, and the routes in force.

Every change is one transaction, so a supervisor that is killed finds on its next start a state in which it
was, never one between two. On one machine all of it is a SQLite file in the project's data folder; machines
that share a PostgreSQL keep there only where versions lie on them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError
from mlproj.serving.database import Row
from mlproj.serving.deployment import (
    ACTIVE,
    CANARY,
    KEPT,
    PRIMARY,
    SHADOW,
    Deployment,
    Event,
    Mode,
    Place,
    Route,
    Standing,
    State,
    Version,
    when,
)
from mlproj.serving.machines import Machines

# The event of a deployment that goes back to an earlier version, which says why.
_BACK = "goes back"
_WITHDRAWN = (State.ROLLED_BACK, State.RETIRED)


def open(home: Path, postgres: str | None = None) -> Store:
    """The store of a project: the file under `home`, or the PostgreSQL at that URL.

    Raises MissingToolError without the driver, ToolError if the server cannot be reached.
    """
    return Store(home / "serving.db", postgres=postgres)


class Store(Machines):
    """The state, opened. Not to be shared between threads; each opens its own."""

    # Reading

    def standing(self) -> Standing:
        """What has to run, all of it read at the same moment."""
        with self._db.reading():
            routes, active = self.routes(), self.active()
            numbers = {route.deployment for route in routes.values()}
            versions = {route.version for route in routes.values()}
            if active is not None:
                versions.add(active.version)
            return Standing(
                routes=routes,
                active=active,
                deployments={number: self.deployment(number) for number in numbers},
                versions={each.number: each for each in self.versions() if each.number in versions},
                withdrawn=frozenset(
                    row["id"]
                    for row in self._db.execute(
                        f"SELECT id FROM deployments WHERE state IN ({_marks(_WITHDRAWN)})", _WITHDRAWN
                    )
                ),
            )

    def routes(self) -> dict[str, Route]:
        return {row["role"]: Route(**row) for row in self._db.execute("SELECT * FROM routes")}

    def deployment(self, number: int) -> Deployment:
        rows = self._db.execute("SELECT * FROM deployments WHERE id = ?", (number,))
        if not rows:
            raise ConfigError(
                f"there is no deployment {number}", hint="run `mlproj deployments` to see which there are"
            )
        return _deployment(rows[0])

    def deployments(self) -> tuple[Deployment, ...]:
        """All of them, the newest first."""
        return tuple(map(_deployment, self._db.execute("SELECT * FROM deployments ORDER BY id DESC")))

    def active(self) -> Deployment | None:
        """The rollout under way: at most one, of a newcomer beside the primary."""
        rows = self._db.execute(
            f"SELECT * FROM deployments WHERE state IN ({_marks(ACTIVE)}) ORDER BY id DESC LIMIT 1", ACTIVE
        )
        return _deployment(rows[0]) if rows else None

    def were_live(self) -> tuple[Deployment, ...]:
        """Those that have answered everybody and do not any more, the one that ended last first."""
        rows = self._db.execute(
            "SELECT * FROM deployments WHERE ended_us IS NOT NULL AND id IN"
            " (SELECT deployment FROM events WHERE kind IN ('live', 'promoted'))"
            " ORDER BY ended_us DESC, id DESC"
        )
        return tuple(map(_deployment, rows))

    def events(self, deployment: int) -> tuple[Event, ...]:
        rows = self._db.execute(
            "SELECT deployment, at_us, by, kind, said FROM events WHERE deployment = ? ORDER BY id",
            (deployment,),
        )
        return tuple(Event(**row) for row in rows)

    # Changing

    def add_version(self, version: Version, place: Place, *, content: bytes | None = None) -> None:
        """Add a version, with its package packed where machines share the store.

        Raises ConfigError where its number is taken by another package.
        """
        with self._db.transaction():
            known = self.version(version.number)
            if known is not None and known.digest != version.digest and self._in_use(version.number):
                raise ConfigError(
                    f"version {version.number} is on live traffic with another package "
                    f"({known.digest[:12]}, not {version.digest[:12]})",
                    hint=f"run `mlproj retire {version.number}` first, or train and register a new version",
                )
            self._db.execute(
                "INSERT INTO versions (number, run, digest, engine, added_us) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (number) DO UPDATE SET run = excluded.run, digest = excluded.digest,"
                " engine = excluded.engine, added_us = excluded.added_us",
                (version.number, version.run, version.digest, version.engine, version.added_us),
            )
            if content is not None:
                self._db.execute(
                    "INSERT INTO packages (version, digest, content) VALUES (?, ?, ?) ON CONFLICT (version)"
                    " DO UPDATE SET digest = excluded.digest, content = excluded.content",
                    (version.number, version.digest, content),
                )
            if not self.is_shared:
                self._settle(place)
        if self.is_shared:
            self.settle(place)

    def begin(
        self,
        *,
        mode: Mode,
        version: int,
        automation: str,
        defer_below: float | None,
        plan: Mapping[str, Any],
        by: str,
        back: str | None = None,
    ) -> Deployment:
        """Record what is wanted. Raises ConfigError, saying who and what, while another rollout is under way.

        A shadow of the same version is no obstacle: it ends, and the version moves on. `back` is why it goes
        back to this version: the one that it takes over from then ends as rolled back.
        """
        now = _now_us()
        with self._db.transaction():
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
            rows = self._db.execute(
                "INSERT INTO deployments (mode, version, baseline, automation, defer_below, salt, plan, by,"
                " started_us, state, step, step_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) RETURNING id",
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
            )
            made = int(rows[0]["id"])
            self._event(made, by, "started", f"{mode} of version {version}")
            if back is not None:
                self._event(made, by, _BACK, back)
            if self.is_shared:
                # What machines that are gone said of an earlier rollout; the others say it again.
                self._db.execute("DELETE FROM workers WHERE version = ?", (version,))
            return self.deployment(made)

    def loaded(self, number: int, *, share: float) -> None:
        """The worker is warm: give the deployment its route. `share` is that of a canary's first step."""
        with self._db.transaction():
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
        """Give a canary its next share, once: one who was elected since may have done it already."""
        with self._db.transaction():
            deployment = self.deployment(number)
            if deployment.state is not State.RUNNING or deployment.step >= index:
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
        with self._db.transaction():
            before = self.deployment(number).latest or {}
            self._db.execute("UPDATE deployments SET latest = ? WHERE id = ?", (json.dumps(latest), number))
            if before.get("verdict") != latest.get("verdict"):
                self._event(number, "mlproj", "verdict", said)

    def promote(self, number: int, by: str, why: str) -> None:
        """Make a running newcomer the primary; the one before is kept loaded for a rollback."""
        with self._db.transaction():
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
        with self._db.transaction():
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
                "INSERT INTO routes (role, version, deployment, share) VALUES (?, ?, ?, 1)",
                (PRIMARY, kept.version, kept.deployment),
            )
            left = self.deployment(primary.deployment)
            self._end(left, State.ROLLED_BACK, why, by)
            self._event(kept.deployment, by, "live", f"version {kept.version} answers all requests again")
            return self.deployment(left.id)

    def retire(self, version: int, by: str) -> tuple[str, ...]:
        """Take a version out of every role it has; returns the roles. Raises ConfigError if it has none."""
        with self._db.transaction():
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
        with self._db.transaction():
            deployment = self.deployment(number)
            if deployment.state in ACTIVE:
                self._db.execute("DELETE FROM routes WHERE deployment = ?", (number,))
                self._end(deployment, State.FAILED, why, "mlproj")

    def note(self, number: int, kind: str, said: str) -> None:
        """Keep an event that changes no route: a worker that crashed and came back."""
        with self._db.transaction():
            self._event(number, "mlproj", kind, said)

    # Inside a transaction

    def _make_primary(self, deployment: Deployment, *, keep: bool) -> None:
        routes = self.routes()
        before, kept = routes.get(PRIMARY), routes.get(KEPT)
        self._db.execute("DELETE FROM routes WHERE role IN (?, ?)", (PRIMARY, KEPT))
        leaving = [kept] if kept else []
        if before is not None and before.version != deployment.version and keep:
            self._db.execute(
                "INSERT INTO routes (role, version, deployment, share) VALUES (?, ?, ?, 1)",
                (KEPT, before.version, before.deployment),
            )
        elif before is not None:
            leaving.append(before)
        why = [event.said for event in self.events(deployment.id) if event.kind == _BACK]
        state, said = (
            (State.ROLLED_BACK, why[0])
            if why
            else (State.REPLACED, f"version {deployment.version} took over")
        )
        for route in leaving:
            self._end(self.deployment(route.deployment), state, said, deployment.by)
        self._route(PRIMARY, deployment, 1.0)

    def _route(self, role: str, deployment: Deployment, share: float) -> None:
        self._db.execute(
            "INSERT INTO routes (role, version, deployment, share) VALUES (?, ?, ?, ?) ON CONFLICT (role)"
            " DO UPDATE SET version = excluded.version, deployment = excluded.deployment,"
            " share = excluded.share",
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


def _deployment(row: Row) -> Deployment:
    said = dict(row)
    said["mode"], said["state"] = Mode(said["mode"]), State(said["state"])
    said["plan"] = json.loads(said["plan"])
    said["latest"] = json.loads(said["latest"]) if said["latest"] else None
    return Deployment(**said)


def _marks(values: tuple[object, ...]) -> str:
    return ", ".join("?" * len(values))


def _now_us() -> int:
    return time.time_ns() // 1000
