"""The versions that were deployed, as a trace tells them: their packages, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows.reading import World
from mlproj.provenance.things import Kept
from mlproj.provenance.trace import Happened, Link, Rollout, Version
from mlproj.serving.deployment import Deployment, Event, Route, state_of
from mlproj.serving.deployment import Version as Deployed


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the store of deployments says; empty where nothing was ever deployed."""

    versions: tuple[Deployed, ...] = ()
    packages: Mapping[int, Kept] = field(default_factory=dict)
    past: tuple[tuple[Deployment, tuple[Event, ...]], ...] = ()
    routes: tuple[Route, ...] = ()


def read(world: World, *, verify: bool) -> Serving:
    """What the store says, and where each package is; with `verify`, every file of those here is hashed."""
    project = world.project
    if project.postgres is None and not (project.home / "serving.db").exists():
        return Serving()
    from mlproj.serving import store, versions

    try:
        with store.open(project.home, project.postgres) as opened:
            known = opened.versions()
            packages = {}
            for each in known:
                place = opened.place(each)
                folder = place.folder if place else versions.path(project.home, each.number, each.digest)
                kept = Kept.LOST
                if folder.is_dir():
                    kept = Kept.HERE
                    _hold_package(world, folder, each, verify=verify)
                elif opened.has_package(each):
                    kept = Kept.REMOTE
                packages[each.number] = kept
            past = tuple((each, opened.events(each.id)) for each in opened.deployments())
            routes = tuple(opened.routes().values())
    except MlprojError as error:
        world.broken(
            Link.DEPLOYMENT, f"the store of deployments cannot be read: {error.message}", hint=error.hint
        )
        return Serving()
    return Serving(versions=known, packages=packages, past=past, routes=routes)


def _hold_package(world: World, folder: Path, version: Deployed, *, verify: bool) -> None:
    """Whether the package on this machine is the one that was deployed; with `verify`, every file of it."""
    from mlproj.serving import package

    try:
        if package.digest(folder) != version.digest:
            raise ConfigError(f"`{folder / package.NAME}` is not the one that was deployed")
        if verify:
            package.verify(folder)
    except MlprojError as error:
        world.broken(
            Link.PACKAGE,
            f"the package of version {version.number} was changed: {error.message}",
            known=f"its digest was {version.digest}",
        )


def versions_of(world: World, found: Serving, run: str, only: int | None) -> tuple[Version, ...]:
    """The versions that were made of a run, or the `only` one of them that is asked for."""
    return tuple(
        whole_version(world, found, each)
        for each in found.versions
        if each.run == run and only in (None, each.number)
    )


def whole_version(world: World, found: Serving, known: Deployed) -> Version:
    """A version with all its deployments, the oldest first."""
    rollouts = [
        rollout(deployment, events, found.routes)
        for deployment, events in reversed(found.past)
        if deployment.version == known.number
    ]
    return replace(with_package(world, found, known), rollouts=tuple(rollouts))


def with_package(world: World, found: Serving, known: Deployed) -> Version:
    """A version without its deployments; that its package is lost is a broken link of `world`."""
    kept = found.packages.get(known.number)
    if kept is Kept.LOST:
        world.broken(
            Link.PACKAGE,
            f"the package of version {known.number} is not on this machine",
            known=f"its digest is {known.digest}",
            hint=f"run `git checkout mlproj/run/{known.run}` and `dvc pull models/package`",
        )
    return Version(
        number=known.number,
        run=known.run,
        model=world.project.model,
        digest=known.digest,
        engine=known.engine,
        added=time_of(known.added_us),
        package=kept,
    )


def known_of(*versions: Version) -> str:
    """What is known of a run by the versions that were made of it."""
    return "; ".join(
        f"version {version.number} was made of it, package {version.digest[:12]}"
        for version in versions
        if version.digest
    )


def rollout(deployment: Deployment, events: Sequence[Event], routes: Sequence[Route]) -> Rollout:
    """A deployment and what happened in it, in words."""
    latest = deployment.latest or {}
    verdict = latest.get("verdict")
    return Rollout(
        id=deployment.id,
        mode=str(deployment.mode),
        version=deployment.version,
        baseline=deployment.baseline,
        by=deployment.by,
        started=time_of(deployment.started_us),
        ended=time_of(deployment.ended_us) if deployment.ended_us is not None else None,
        state=state_of(deployment, routes),
        reason=deployment.reason,
        automation=str(deployment.automation),
        shares=tuple(deployment.plan.get("shares") or ()),
        verdict=f"{verdict}: {latest.get('reason', '')}".rstrip(": ") if verdict else None,
        events=tuple(
            Happened(at=time_of(event.at_us), by=event.by, kind=event.kind, said=event.said)
            for event in events
        ),
    )


def time_of(moment_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
