"""What is deployed, as values: versions, where they lie, rollouts with their history, and routes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


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
    """A packaged model version; `digest` stands for every file of its package."""

    number: int
    run: str
    digest: str
    engine: str
    added_us: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a version lies on this machine: a copy that nothing else writes to, and the Python for it."""

    version: int
    digest: str
    folder: Path
    python: Path


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


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has to run, read at one moment: the routes, the rollout under way, and all that these name.

    `withdrawn` are the deployments that were rolled back or retired: nothing of them may go on answering.
    """

    routes: Mapping[str, Route]
    active: Deployment | None
    deployments: Mapping[int, Deployment]
    versions: Mapping[int, Version]
    withdrawn: frozenset[int]


def state_of(deployment: Deployment, routes: Iterable[Route]) -> str:
    """The state as it is told: a live one whose version only waits for a rollback is `kept`."""
    waits = any(route.role == KEPT and route.deployment == deployment.id for route in routes)
    return KEPT if waits and deployment.state is State.LIVE else str(deployment.state)


def when(at_us: int) -> str:
    """A moment as people write it, in their own time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_us / 1e6))
