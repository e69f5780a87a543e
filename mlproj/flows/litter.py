"""`mlproj litter`: what nobody seems to need any more, and the command that retires it. Nothing is deleted.

What a version on live traffic or a kept prediction was made from is never offered for deletion.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from mlproj.base import clock, git
from mlproj.base.errors import MlprojError
from mlproj.flows import search
from mlproj.flows.past import Past, PastRun, Source
from mlproj.pipeline import stages, tracked
from mlproj.pipeline.hashes import Hashes
from mlproj.project import Project
from mlproj.provenance import travel
from mlproj.provenance.snapshot import FETCHED, REFS, TAGS

REVIEW_DAYS = 90

_PATIENCE_S = 0.4
_BROUGHT_BACK = "data/at/"
_IN_USE = ("live", "canary", "shadow", "kept", "candidate")


class Kind(StrEnum):
    """The words are those of `--json`."""

    VERSION = "version"
    DEPLOYMENT = "deployment"
    RUN = "run"
    DATA = "data"


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something that may be litter. `command` retires it, or says why it stays."""

    kind: Kind
    name: str
    why: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Litter:
    """`notes` are what could not be looked into, and was left alone for that."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]


@dataclass
class _Yard:
    """What the items are told by, read once."""

    past: Past
    review_days: int
    notes: list[str] = field(default_factory=list)

    @cached_property
    def speaking(self) -> dict[str, list[tuple[date, date | None]]]:
        """By run, the days of the decisions that speak of it and the days of review that they set."""
        found: dict[str, list[tuple[date, date | None]]] = {}
        pages = {page.path: page.decision for page in self.past.world.pages}
        for path, runs in search.spoken_of(self.past).items():
            for run in runs:
                found.setdefault(run, []).append((pages[path].on, pages[path].review))
        return found

    @cached_property
    def answered(self) -> frozenset[str] | None:
        """The runs whose models made predictions that the log keeps; None where that cannot be told."""
        from mlproj.monitoring import chains

        project = self.past.project
        if project.postgres is None and not (project.home / "serving.db").exists():
            return frozenset()
        try:
            with chains.told(project.home):
                counted = chains.count(project.home, patience_s=_PATIENCE_S, postgres=project.postgres)
        except MlprojError as error:
            self.notes.append(f"the prediction log cannot be read, so whatever was deployed stays: {error}")
            return None
        if any(not each.complete for each in counted):
            return frozenset(self.past.traffic.runs.values())
        return frozenset(each.run for each in counted if each.count)

    @cached_property
    def at_hand(self) -> frozenset[str]:
        """The run of the work tree, and the one that it is held against."""
        current = next((run for run in self.past.runs if run.run == self.past.current), None)
        before = self.past.before(current) if current else None
        return frozenset(run.run for run in (current, before) if run)

    def is_needed(self, run: PastRun) -> bool:
        """Whether live traffic, the next deployment or a kept prediction hangs on a run."""
        if run.state in _IN_USE or run.run in self.at_hand or self.past.traffic.unknown:
            return True
        answered = self.answered
        return run.run in (self.past.traffic.runs.values() if answered is None else answered)


def look(project: Project, *, review_days: int = REVIEW_DAYS) -> Litter:
    """All that may be litter: versions, deployments, runs, data.

    A deployment is to be reviewed on the day that a decision about it names, else `review_days` after its
    start. Raises ConfigError outside git.
    """
    yard = _Yard(past=Past(project), review_days=review_days)
    if yard.past.traffic.unknown:
        yard.notes.append(f"{yard.past.traffic.unknown}, so no version and no run is offered for deletion")
    items = (*_versions(yard), *_deployments(yard), *_runs(yard), *_data(yard))
    return Litter(items=items, notes=tuple(yard.notes))


def _versions(yard: _Yard) -> Iterator[Item]:
    """Registered, not on traffic, answered nobody, and no decision speaks of it."""
    for run in yard.past.runs:
        if run.version is None or yard.is_needed(run) or run.run in yard.speaking:
            continue
        yield Item(
            kind=Kind.VERSION,
            name=f"version {run.version} (run {run.short})",
            why="nobody serves it, it made no prediction that is kept, and no decision speaks of it",
            command=_forget(yard, run),
        )


def _deployments(yard: _Yard) -> Iterator[Item]:
    today, traffic = clock.today(), yard.past.traffic
    for run in yard.past.runs:
        if (
            run.version is None
            or traffic.runs.get(run.version) != run.run
            or run.version not in traffic.since
        ):
            continue
        since, role = traffic.since[run.version], traffic.roles[run.version]
        began = datetime.fromtimestamp(since / 1e6, UTC).astimezone().date()
        named = [review for _, review in yard.speaking.get(run.run, ()) if review is not None]
        due = max(named, default=began + timedelta(days=yard.review_days))
        if due >= today:
            continue
        again = (today + timedelta(days=yard.review_days)).isoformat()
        stays = f'mlproj decide "Version {run.version} stays" --about {run.version} --review {again}'
        yield Item(
            kind=Kind.DEPLOYMENT,
            name=f"version {run.version}, {run.state} since {began}",
            why=f"it was to be reviewed by {due}",
            # What answers everybody is replaced, not taken away.
            command=stays if role == "primary" else f"mlproj retire {run.version}",
        )


def _runs(yard: _Yard) -> Iterator[Item]:
    for run in yard.past.runs:
        if run.run in yard.speaking or run.source is Source.MLFLOW or run.run == yard.past.current:
            continue
        if run.version is None and not yard.is_needed(run):
            yield Item(
                kind=Kind.RUN,
                name=f"run {run.short}",
                why="it became no version, and no decision speaks of it",
                command=_forget(yard, run),
            )
        elif run.version is not None and yard.is_needed(run):
            yield Item(
                kind=Kind.RUN,
                name=f"run {run.short} (version {run.version}{', ' + run.state if run.state else ''})",
                why="no decision says why it was chosen",
                command=f'mlproj decide "Why version {run.version}" --about {run.version}',
            )


def _forget(yard: _Yard, run: PastRun) -> str:
    """What lets git and `dvc gc` have a run: its data stay in the cache until the latter is asked.

    On the remotes too, since what one keeps comes back with a fetch; one that never had the run only warns.
    """
    reference = f"{REFS}/{run.run}"
    commands, there = [f"git update-ref -d {reference}"], f":{reference}"
    if run.version is not None:
        commands.insert(0, f"git tag -d {TAGS}/{run.run}")
        there = f":refs/tags/{TAGS}/{run.run} {there}"
    remotes = travel.look(yard.past.project.root).remotes
    commands += [f"git push {shlex.quote(remote)} {there}" for remote in remotes]
    if remotes:
        commands.append(f"git update-ref -d {FETCHED}/{run.run}")
    return " && ".join(commands)


def _data(yard: _Yard) -> Iterator[Item]:
    """Below `data/`: what DVC tracks and no stage reads, and what neither git nor DVC knows."""
    project = yard.past.project
    pipeline = stages.load(project.root)
    read = {path for stage in (pipeline.stages if pipeline else ()) for path in stage.deps}
    for body in stages.locked(project.root).values():
        read |= {str(dep.get("path")) for dep in body.get("deps") or () if isinstance(dep, dict)}
    needed = {md5 for run in yard.past.runs if yard.is_needed(run) for md5 in run.digests.values()}
    hashes = Hashes(project.root, project.cache / "hashes.json")
    in_git = set(_in_git(yard))
    for file in tracked.raw_data(project.root, hashes, folder="data"):
        if file.is_made or file.path in in_git or file.path.startswith(_BROUGHT_BACK):
            continue
        if any(_meet(file.path, path) for path in read):
            continue
        md5 = file.md5 if file.kept else hashes.md5(file.path)
        if md5 in needed:
            continue
        name = shlex.quote(file.path)
        yield Item(
            kind=Kind.DATA,
            name=file.path,
            why="no stage reads it" if file.kept else "no stage reads it, and neither git nor DVC keeps it",
            command=f"dvc remove {shlex.quote(file.path + '.dvc')}" if file.kept else f"rm {name}",
        )
    hashes.save()


def _in_git(yard: _Yard) -> list[str]:
    return git.output(yard.past.project.root, "ls-files", "-z", "--", "data").split("\0")


def _meet(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
