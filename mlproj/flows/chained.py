"""Which other models answered the same request, in the logs of this project and of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import git
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows.reading import World, table
from mlproj.flows.served import time_of
from mlproj.project import MARKER, Project
from mlproj.provenance import history, lineage
from mlproj.provenance.trace import Call, Chain, Link, Prediction
from mlproj.serving import ids, shown
from mlproj.serving.record import Record

_MOST_ANSWERS = 3


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another project's log; `project` None where only its data folder was given."""

    name: str
    home: Path
    project: Project | None
    postgres: str | None = None


def other(path: Path) -> Other:
    """What `--with` names. Raises ConfigError if it is neither a project nor a project's data folder."""
    found = path.expanduser()
    if (found / MARKER).is_file():
        project = Project.load(found.resolve())
        return Other(name=project.name, home=project.home, project=project, postgres=project.postgres)
    if (found / "log").is_dir() or (found / "serving.db").is_file():
        return Other(name=found.resolve().name, home=found, project=None)
    raise ConfigError(
        f"`{path}` is neither an mlproj repository nor the data folder of one",
        hint="give the folder that holds `mlproj.toml`, or the one that holds `log/`",
    )


def chain(world: World, prediction: Prediction, number: int, others: Sequence[Other]) -> Chain:
    """The answers to the request of a prediction, the oldest first; `number` is the prediction's id."""
    project = world.project
    own = Other(name=project.name, home=project.home, project=project, postgres=project.postgres)
    calls: list[Call] = []
    for place in (own, *others):
        try:
            calls += _calls(place, prediction.request, number)
        except MlprojError as error:
            world.broken(Link.LOG, f"the prediction log of {place.name} cannot be read: {error.message}")
    return Chain(
        request=prediction.request,
        calls=tuple(sorted(calls, key=lambda call: (call.arrived, call.first))),
        asked=tuple(dict.fromkeys(place.name for place in (own, *others))),
    )


def _calls(place: Other, request: str, near: int) -> list[Call]:
    """The records of a request in one log, those of one version and role together."""
    from mlproj.monitoring import chains

    together: dict[tuple[int, str, str], list[Any]] = {}
    with chains.told(place.home):
        found_there = chains.of_request(place.home, request, near, postgres=place.postgres)
    for record in found_there:
        together.setdefault((record.version, record.run, str(record.role)), []).append(record)
    calls = []
    for (version, run, role), found in together.items():
        answers = dict.fromkeys(_said(record) for record in found)
        calls.append(
            Call(
                project=place.name,
                model=place.project.model if place.project else place.name,
                version=version,
                run=run,
                role=role,
                first=ids.text(found[0].id),
                arrived=time_of(found[0].arrived_us),
                rows=len(found),
                answers=tuple(answers)[:_MOST_ANSWERS],
                data=_trained_on(place.project, run),
            )
        )
    return calls


def _said(record: Record) -> str:
    output = shown.output(record)
    if output is not None and "prediction" in output:
        return str(output["prediction"])
    return f"status {record.status}"


def _trained_on(project: Project | None, run: str) -> str | None:
    """The digest of the rows that a run of a project was trained on, if its snapshot is there."""
    if project is None or git.toplevel(project.root) is None:
        return None
    kept = history.kept_runs(project.root).get(run)
    if kept is None:
        return None
    (text,) = history.read(project.root, [(kept.commit, lineage.MANIFEST)])
    train = table(text).get("data")
    entry = train.get("train") if isinstance(train, dict) else None
    return f"{entry.get('path')}, MD5 {entry.get('md5')}" if isinstance(entry, dict) else None
