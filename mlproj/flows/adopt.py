"""`mlproj adopt`: the lifecycle for a repository that somebody else made."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlproj import __version__
from mlproj.base import clock, files, git
from mlproj.base import lock as locking
from mlproj.base.errors import ConfigError, nearest
from mlproj.flows.evidence import must_know_phases
from mlproj.flows.new import Table, add_raw, infer
from mlproj.lifecycle import phases
from mlproj.pipeline import guess, meta
from mlproj.pipeline import stages as pipelines
from mlproj.pipeline.guess import Guess
from mlproj.pipeline.stages import Stage
from mlproj.project import has_environment
from mlproj.scaffold import adoption, copier, layers, lock, marker, names, survey
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scaffold.layers import Layer
from mlproj.scaffold.lock import Adopted, File
from mlproj.scaffold.survey import Survey

Say = Callable[[str], None]

PIPELINE = "dvc.yaml"
HOOKS = ".pre-commit-config.yaml"
# The program that a repository's own environment may well lack; the other hooks are plain Python.
_RUFF = "ruff"
_HOOKS_RUFF = "hooks/ruff.toml"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there. `top` is the root of the git work tree, None outside one."""

    root: Path
    top: Path | None
    survey: Survey
    stages: tuple[Stage, ...]
    guesses: Mapping[str, Guess]
    has_pipeline: bool

    @property
    def without_phase(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.phase is None)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person says of it. `words` are answers by the template's names; `phases` by stage."""

    words: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, str] = field(default_factory=dict)
    table: Table | None = None
    lock: str | None = None
    store: str | None = None
    interpreter: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be done: files to add, and files that are there and become others."""

    found: Found
    answers: Answers
    inputs: Inputs
    findings: Mapping[str, Any]
    new: Mapping[str, File]
    edited: Mapping[str, tuple[bytes, bytes]]  # before, after
    phases: Mapping[str, str]
    table: Path | None  # to be put under DVC at `raw`
    raw: str | None
    own: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def added(self) -> tuple[str, ...]:
        raw = (self.raw, f"{self.raw}.dvc") if self.raw else ()
        there = [path for path in raw if not (self.found.root / path).exists()]
        return tuple(sorted({*self.new, *there}))


def look(root: Path) -> Found:
    """What is at `root`. Raises ConfigError if that cannot be adopted, or not now."""
    top = git.toplevel(root) if root.is_dir() else None
    if top is not None and adoption.take_back(root):
        top = git.toplevel(root)
    adoption.refuse(root, top=top)
    pipeline = pipelines.load(root)
    must_know_phases(pipeline)
    stages = pipeline.stages if pipeline else ()
    return Found(
        root=root,
        top=top,
        survey=survey.look(root, top=top),
        stages=stages,
        guesses=guess.phases(stages),
        has_pipeline=pipeline is not None,
    )


def plan(found: Found, wishes: Wishes, *, say: Say) -> Plan:
    """What is to be added, worked out without touching anything.

    Raises ConfigError where the wishes do not fit what is there, or where a file would be in the way.
    """
    seen, root = found.survey, found.root
    chosen = _phases(found, wishes.phases)
    makes_pipeline = wishes.table is not None and not found.has_pipeline
    parts = _parts(found, makes_pipeline=makes_pipeline)
    answers, notes = _answers(found, wishes, makes_pipeline=makes_pipeline)
    if wishes.table is not None:
        say(f"reading {wishes.table.path.name}")
    findings = infer(wishes.table) if wishes.table is not None else copier.example_findings()
    inputs = Inputs(
        project_id=secrets.token_hex(6), year=str(clock.today().year), interpreter=wishes.interpreter
    )
    say("rendering the template")
    with tempfile.TemporaryDirectory(prefix="mlproj-") as place:
        copier.render(Path(place) / "rendering", answers, inputs, findings)
        whole = layers.taken(
            lock.rendered(Path(place) / "rendering"),
            Adopted(parts=parts, own=()),
            module=answers.module_name,
        )
    own = tuple(path for path in whole if (root / path).exists() or (root / path).is_symlink())
    if makes_pipeline:
        _refuse_half_a_pipeline(own, answers.module_name)
    pristine = {path: file for path, file in whole.items() if path not in own}
    adopted = Adopted(parts=parts, own=own)
    record = lock.record(pristine, version=__version__, answers=answers, inputs=inputs, adopted=adopted)
    new = {**_fitted(pristine, found, wishes, has_ruff=seen.has_ruff or Layer.ENVIRONMENT in parts), **record}
    new[f"{lock.FOLDER}/.gitignore"] = File(content=b"/cache/\n", executable=False)
    if seen.has_ruff and not (root / _HOOKS_RUFF).exists():
        text = marker.ruff(path for path in pristine if path.startswith("hooks/"))
        new[_HOOKS_RUFF] = File(content=text.encode(), executable=False)
    edited = {}
    if chosen:
        before = (root / PIPELINE).read_bytes()
        edited[PIPELINE] = (before, meta.with_phases(before.decode("utf-8"), chosen).encode())
    raw = f"data/raw/{findings['source']['name']}" if makes_pipeline else None
    table = wishes.table.path if raw and wishes.table else None
    if raw and table:
        _refuse_other_table(root, raw, table, has_git=found.top is not None)
    to_be_kept = [*new, *([f"{raw}.dvc"] if raw else [])]
    adoption.refuse_in_the_way(root, to_be_kept, has_git=found.top is not None)
    result = Plan(
        found=found,
        answers=answers,
        inputs=inputs,
        findings=findings,
        new=new,
        edited=edited,
        phases=chosen,
        table=table,
        raw=raw,
        own=own,
        notes=(),
    )
    return replace(result, notes=(*notes, *_notes(result, whole)))


def apply(made: Plan, *, say: Say) -> None:
    """Do what the plan says, and stage it. A failure or an interruption leaves nothing of it."""
    root = made.found.root
    with _repository(root, made.found.top), _alone(root):
        later = [made.raw, f"{made.raw}.dvc", "data/raw/.gitignore"] if made.raw else []
        after = {path: content for path, (_, content) in made.edited.items()}
        say("adding the files")
        with adoption.put(root, made.new, after, made_later=later):
            if made.raw and made.table:
                say(f"putting {made.raw} under DVC")
                add_raw(root, made.table, made.raw)
            kept = [path for path in later[1:] if (root / path).exists()]
            adoption.stage(root, [*made.new, *after, *kept])


@contextlib.contextmanager
def _repository(root: Path, top: Path | None) -> Iterator[None]:
    """A git repository to work in: the one that is there, else a new one, gone again if the block fails."""
    if top is None:
        git.git(root, "init", "--quiet", "--initial-branch=main")
    try:
        yield
    except BaseException:
        if top is None:
            shutil.rmtree(root / ".git", ignore_errors=True)
        raise


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    folder = Path(git.output(root, "rev-parse", "--absolute-git-dir"))
    place = folder / "mlproj-adopt.lock"
    with locking.held(place, doing="mlproj adopt"):
        yield
    files.remove(place)


def with_phases(wishes: Wishes, phases: Mapping[str, str]) -> Wishes:
    """The wishes, with phases for the stages that they do not speak of."""
    return replace(wishes, phases={**phases, **wishes.phases})


def _phases(found: Found, asked: Mapping[str, str]) -> dict[str, str]:
    """The phases to be written, by stage. Raises ConfigError for a stage or a phase that there is not."""
    known = {stage.name: stage for stage in found.stages}
    chosen: dict[str, str] = {}
    for name, word in asked.items():
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"`--phase {name}={word}`: `{PIPELINE}` has no stage `{name}`",
                hint=f"did you mean `{near}`?" if near else f"its stages: {', '.join(known) or 'none'}",
            )
        phase = str(phases.parse(word))
        if known[name].phase not in (None, phase):
            raise ConfigError(
                f"`--phase {name}={word}`: `{PIPELINE}` says that the phase of `{name}` is "
                f"`{known[name].phase}`",
                hint=f"leave it out, or edit `{PIPELINE}`; nothing that is there is written over",
            )
        if known[name].phase is None:
            chosen[name] = phase
    return chosen


def _parts(found: Found, *, makes_pipeline: bool) -> tuple[str, ...]:
    parts = [Layer.LIFECYCLE]
    if not found.survey.has_dvc:
        parts.append(Layer.DVC)
    if makes_pipeline:
        parts.append(Layer.PIPELINE)
        if not found.survey.has_environment:
            parts.append(Layer.ENVIRONMENT)
    return tuple(str(part) for part in parts)


def _answers(found: Found, wishes: Wishes, *, makes_pipeline: bool) -> tuple[Answers, list[str]]:
    seen, said, notes = found.survey, wishes.words, []
    module = said.get("module_name") or seen.module or ""
    if module and not said.get("module_name"):
        try:
            names.check_module(module)
        except ConfigError as error:
            notes.append(f"{error.message}, so another stands in `mlproj.toml`")
            module = ""
    words = {
        "project_name": said.get("project_name") or names.project_from(seen.name),
        "description": said.get("description") or " ".join(seen.description.split()),
        "author": said.get("author", ""),
        "license": str(seen.license),
        "python_version": said.get("python_version") or seen.python_version or "",
        "env_manager": said.get("env_manager") or str(seen.env_manager),
        "docs": "none",
        "scaffold": "full" if makes_pipeline else "bare",
    }
    words["module_name"] = module
    return Answers.from_words(words), notes


def _fitted(pristine: Mapping[str, File], found: Found, wishes: Wishes, *, has_ruff: bool) -> dict[str, File]:
    """The files as this repository wants them."""
    fitted = dict(pristine)
    seen = found.survey

    def put(path: str, change: Callable[[str], str]) -> None:
        if path in fitted:
            file = fitted[path]
            fitted[path] = replace(file, content=change(file.content.decode("utf-8")).encode())

    put(
        "mlproj.toml",
        lambda text: marker.marker(
            text,
            lock=wishes.lock or seen.lock,
            store=wishes.store or seen.store,
            raw=seen.raw,
        ),
    )
    put(HOOKS, lambda text: marker.hooks(text, lacks=() if has_ruff else (_RUFF,)))
    return fitted


def _refuse_half_a_pipeline(own: tuple[str, ...], module: str) -> None:
    """A pipeline of ours whose modules are partly somebody else's would not run."""
    there = [path for path in own if path.startswith(f"{module}/") and path != f"{module}/__init__.py"]
    if there:
        raise ConfigError(
            f"the pipeline for the table would be the package `{module}`, "
            f"and {adoption.listed(there)} is there already",
            hint=f"give it a package of its own: `--module {module[: names.LONGEST - 9]}_pipeline`",
        )
    if "params.yaml" in own:
        raise ConfigError(
            "`params.yaml` is here already, and the pipeline for the table would need its own",
            hint="give yours another name and commit, or leave `--data` out and write `dvc.yaml` yourself",
        )


def _refuse_other_table(root: Path, raw: str, table: Path, *, has_git: bool) -> None:
    place = root / raw
    if place.exists() and not place.samefile(table):
        raise ConfigError(
            f"`{raw}` is here already, and is not `{table}`",
            hint=f"name the one that is here, `--data {place}`, or give the other another name",
        )
    if has_git and git.output(root, "ls-files", "--", raw):
        raise ConfigError(
            f"`{raw}` is in git, and data are DVC's",
            hint=f"take it out of git, the file stays: `git rm --cached {raw}`; commit, and run this again",
        )


def _notes(made: Plan, whole: Mapping[str, File]) -> Iterator[str]:
    """What is left to the user, who has files of their own where the template has something to say."""
    found, seen = made.found, made.found.survey
    if HOOKS in made.own:
        text = whole[HOOKS].content.decode("utf-8")
        text = marker.hooks(text, lacks=() if seen.has_ruff else (_RUFF,))
        hooks = text.partition("repos:\n")[2].rstrip()
        yield f"`{HOOKS}` is yours; to have these checks on every commit, add below its `repos:`\n{hooks}"
    if found.top is not None and not made.raw:
        pointer = f"{seen.raw}/table.csv.dvc"
        if git.git(found.root, "check-ignore", "--quiet", pointer, check=False).returncode == 0:
            yield (
                f"git ignores `{seen.raw}`, and with it what DVC would keep there; in `.gitignore`, write "
                f"`/data/**` and below it `!/data/**/`, `!/data/**/*.dvc` and `!/data/**/.gitignore`"
            )
    unphased = [stage.name for stage in found.without_phase if stage.name not in made.phases]
    if unphased:
        yield (
            f"no phase for {adoption.listed(unphased)}: `mlproj stage` runs them only where another needs "
            f"them; say one with `meta: {{phase: ...}}` in `{PIPELINE}`"
        )
    if found.has_pipeline and not made.inputs.interpreter and not has_environment(found.root, os.environ):
        yield (
            "there is no `.venv` here and no environment is active, so stages would run in mlproj's own; "
            "make one, or name its interpreter with `python` below `[project]` in `mlproj.toml`"
        )
    if seen.lock is None and not made.raw:
        yield (
            "no lock file was found, so no run can say which packages it had; name one with `lock` in "
            "`mlproj.toml`"
        )
