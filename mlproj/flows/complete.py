"""Whether all that a run is made of can be had again: looked at with every judgement, made so by a push."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from mlproj.base import files, git
from mlproj.base.errors import MissingToolError, MlprojError
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline import dvc, opened, stages
from mlproj.pipeline.hashes import Hashes
from mlproj.pipeline.stages import Pipeline
from mlproj.project import Project
from mlproj.provenance import completeness, installed, lineage, objects, rebuild
from mlproj.provenance.completeness import Completeness
from mlproj.provenance.imports import Imports, Undeclared
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, plural

# What was said in answer by a remote on the network, by which the next commands need not ask again.
_ANSWER = "remote.json"
_IMPORTS = "imports.json"
_RESULTS = (rebuild.MODEL, rebuild.EVALUATED[0])
_NOT_WATCHED = "unchecked: whether `{}` opens files that its `deps` do not name, for it ran without mlproj"
_INSTALL = {
    "uv": "run `uv sync`",
    "venv": "run `make requirements`",
    "conda": "run `make requirements`",
    "pixi": "run `pixi install`",
    "poetry": "run `poetry install`",
    "none": "run `make lock`",
}


def look(project: Project, pipeline: Pipeline | None, hashes: Hashes) -> Completeness:
    """What is known of the present run without asking anybody: files, folders, earlier answers."""
    wanted = _wanted(project, pipeline)
    there = _objects(project, wanted)
    stored = completeness.stored(there, wanted)
    packages, unchecked = _packages(project)
    watched = opened.look(project.root, _made_by(pipeline))
    return Completeness(
        kept=stored.kept,
        remote=there.remote.name if there.remote else None,
        missing=stored.missing,
        why=stored.why,
        mend=stored.mend,
        not_asked=stored.not_asked,
        lock=project.lock_file,
        packages=packages,
        install=_INSTALL.get(project.env_manager, _INSTALL["none"]),
        undeclared=undeclared(project, pipeline, hashes),
        opened=watched.undeclared,
        unchecked=(*unchecked, *(_NOT_WATCHED.format(name) for name in watched.unwatched)),
    )


def _made_by(pipeline: Pipeline | None) -> list[str]:
    """The stages that a model is made and judged by, as far as `dvc.lock` may know them by name."""
    if pipeline is None or not pipeline.is_plain:
        return []
    wanted = (Phase.DATA, Phase.MODELING)
    return [stage.name for stage in pipeline.stages if stage.phase in wanted and not stage.frozen]


def push(project: Project, say: Callable[[str], None]) -> None:
    """Push what the present run is made of to the default remote, unless it is all there.

    A remote that cannot be reached is no reason to stop here: the gate will say what is missing.
    """
    wanted = _wanted(project, stages.load(project.root))
    there = Objects(project.root)
    if there.remote is None or not wanted:
        return
    stored = completeness.stored(_objects(project, wanted), wanted)
    if stored.missing or stored.not_asked:
        say(f"pushing {plural(len(wanted), 'file')} of the run to the remote `{there.remote.name}`")
        problem = dvc.push(project, [file.path for file in wanted])
        if problem:
            say(f"not all could be pushed: {problem}")
        ask(project)


def ask(project: Project) -> None:
    """Ask a remote on the network what it has of the run; the answer is kept for later commands."""
    wanted = _wanted(project, stages.load(project.root))
    there = _objects(project, wanted)
    if there.remote is None or there.remote.folder is not None or not wanted:
        return
    digests = {file.md5 for file in wanted if file.md5}
    try:
        has = objects.ask(project.root, project.python, there.remote.name, digests)
    except MlprojError:
        return  # not reached: the gate says that it was not asked
    said = {"url": there.remote.url, "asked": sorted(digests), "there": sorted(has)}
    files.write_json(project.cache / _ANSWER, said)


def undeclared(project: Project, pipeline: Pipeline | None, hashes: Hashes) -> tuple[Undeclared, ...]:
    """What the stages that lead to a model import from the repository and do not declare."""
    if pipeline is None or not pipeline.is_plain:
        return ()
    path = project.cache / _IMPORTS
    said = files.read_json(path)
    known: dict[str, list[str]] = said if isinstance(said, dict) else {}
    before = len(known)
    reader = Imports(project.root, hashes.md5, known)
    found = tuple(
        each
        for stage in pipeline.stages
        if stage.phase != Phase.DEPLOYMENT
        for each in reader.undeclared(stage.name, stage.cmd, stage.deps)
    )
    if len(known) != before:
        with contextlib.suppress(MlprojError):  # where nothing can be written, it is only slower next time
            files.write_json(path, known)
    return found


def _wanted(project: Project, pipeline: Pipeline | None) -> tuple[File, ...]:
    """The files under DVC that the present run read, and its results."""
    locked: Mapping[str, Any] = {"stages": stages.locked(project.root)}
    frozen = [stage.name for stage in pipeline.stages if stage.frozen] if pipeline else []
    planned = rebuild.plan(locked, frozen, frozenset())
    if planned is None:
        return ()
    known = lineage.locked_files(locked, [stage.name for stage in planned.rerun])
    names = [file.path for file in planned.inputs if not rebuild.is_outside(file.path)]
    asked = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *names)
    in_git = set(git.git(project.root, *asked, check=False).stdout.split("\0"))
    inputs = [file for file in planned.inputs if file.path not in in_git]
    results = [known[path] for path in _RESULTS if path in known]
    return tuple(file for file in [*inputs, *results] if file.md5 is not None)


def _objects(project: Project, wanted: tuple[File, ...]) -> Objects:
    """The stores, with what a remote on the network said when it was asked for these files."""
    plain = Objects(project.root)
    if plain.remote is None or plain.remote.folder is not None:
        return plain
    said = files.read_json(project.cache / _ANSWER)
    if not isinstance(said, dict) or said.get("url") != plain.remote.url:
        return plain
    if not {file.md5 for file in wanted} <= set(said.get("asked") or ()):
        return plain
    return Objects(project.root, asked=frozenset(said.get("there") or ()))


def _packages(project: Project) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the environment has in other versions than the lock says, and why that could not be told."""
    path = project.root / project.lock_file if project.lock_file else None
    if path is None or not path.is_file():
        return (), ()  # another gate asks for the lock
    try:
        has = installed.installed(project.python)
    except MissingToolError as error:
        return (), (f"unchecked: {error.message}",)
    text = path.read_text(encoding="utf-8", errors="replace")
    differs = installed.differences(text, has) if has is not None else None
    if differs is None:
        return (), (f"unchecked: whether the environment is what `{project.lock_file}` says",)
    return differs, ()
