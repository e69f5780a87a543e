"""Rebuild a run's model from nothing but the repository and its remotes, and say how near it comes."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import clock, files, git
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows import origins, rebuilding, words
from mlproj.flows.reading import World, read_bytes, table
from mlproj.flows.rebuilding import Built, Recipe
from mlproj.pipeline import stages
from mlproj.project import Project
from mlproj.provenance import (
    history,
    installed,
    ladder,
    lineage,
    pairing,
    rebuild,
    report,
    snapshot,
    worktree,
)
from mlproj.provenance.installed import Grade, Graded
from mlproj.provenance.ladder import Paired
from mlproj.provenance.objects import Objects
from mlproj.provenance.reproduction import Compared, Reproduction, as_json, metrics, model_files, sources
from mlproj.provenance.things import listed
from mlproj.provenance.trace import Link, Origin
from mlproj.serving import ids
from mlproj.tracking import mlflow

_FETCH = (
    "run `git fetch origin '+refs/mlproj/runs/*:refs/mlproj/fetched/*'`, and `git push` where it was made"
)
_PREDICTION = re.compile(r"[0-9a-z]{13}")
_HEX = re.compile(r"[0-9a-f]{4,32}")
_WHOLE = 32  # characters of a run id
_METRICS, _EVALUATION = "reports/metrics.json", "reports/evaluation.json"
_MADE_ANEW = (lineage.MANIFEST, rebuild.MODEL)


@dataclass(frozen=True, kw_only=True)
class Options:
    """`url` is where to clone from instead of the repository at hand; `keep` leaves the folder."""

    url: str | None = None
    keep: bool = False


def reproduce(
    project: Project | None, subject: str, options: Options, say: Callable[[str], None]
) -> Reproduction:
    """Build a run again in a folder of its own and hold the two models against each other.

    `subject` is a run or the beginning of its id, a version, or a prediction. Nothing of the user's is
    changed: what came of it is a report in the project's data folder, and a run in their MLflow store. Raises
    ConfigError if the subject can be none of these, ToolError if git fails.
    """
    started = time.monotonic()
    with _repository(project, options) as (root, aside):
        there = Project.load(root)
        if git.toplevel(root) is None:
            raise ConfigError(
                f"`{root}` is not in a git repository, so nothing of the past is kept",
                hint="run `git init`, then `git add -A` and `git commit -m start`",
            )
        world = World(project=there, objects=Objects(root))
        found = _rebuilt(world, subject.strip(), aside, options, say)
        found = dataclasses.replace(
            found,
            subject=subject,
            notes=(*found.notes, *world.notes),
            breaks=(*found.breaks, *world.breaks),
            seconds=round(time.monotonic() - started, 1),
        )
        return _kept(project or there, found, is_clone=options.url is not None)


@contextlib.contextmanager
def _repository(project: Project | None, options: Options) -> Iterator[tuple[Path, Path]]:
    """The root of the project to read the past from, and a folder for all that is made."""
    with worktree.place("run", keep=options.keep) as aside:
        if options.url is None:
            assert project is not None  # the command found it
            yield project.root, aside
            return
        worktree.clone(options.url, aside / "clone")
        roots = sorted((aside / "clone").glob("**/mlproj.toml"))
        if not roots:
            raise ConfigError(
                f"`{options.url}` holds no mlproj repository: no `mlproj.toml` is in it",
                hint="is its default branch the one with the project?",
            )
        yield roots[0].parent, aside


def _rebuilt(
    world: World, subject: str, aside: Path, options: Options, say: Callable[[str], None]
) -> Reproduction:
    run = resolve(world, subject)
    if run is None:
        return Reproduction(subject=subject)
    origin = origins.origin(world, run, ())
    bare = Reproduction(subject=subject, run=run, read_from=origin.read_from)
    recipe = _recipe(world, origin)
    if recipe is None:
        return bare
    say(f"rebuilding run {run[:8]} from commit {recipe.commit[:12]}")
    with worktree.added(world.project.root, aside / "tree", recipe.commit, keep=options.keep) as tree:
        built = rebuilding.prepare(world, recipe, tree, aside / "recorded", say)
        if built is None or not rebuilding.run(world, built, recipe, aside / "recorded"):
            return dataclasses.replace(bare, folder=str(tree) if options.keep else None)
        found = dataclasses.replace(
            bare, code=recipe.commit, inputs=built.inputs, folder=str(tree) if options.keep else None
        )
        return _compared(world, found, recipe, built, say)


def _recipe(world: World, origin: Origin) -> Recipe | None:
    """What the run was made from; None, with what is in the way in `world.breaks`.

    A trace names every link that does not hold. Of these, only what the model is made from is needed here.
    """
    said, world.breaks, world.notes = world.breaks, [], []
    if origin.tracked == "deleted":
        world.note("the run was deleted in MLflow; nothing that it is rebuilt from hangs on that store")
    lost = [each for each in said if each.link in (Link.RUN, Link.SNAPSHOT) and origin.tracked != "deleted"]
    if lost or origin.outcome is None:
        lost = lost or [each for each in said if each.link in (Link.RUN, Link.SNAPSHOT)]
        # A trace goes on with the work tree that holds the run's manifest; a rebuilt run has to be sure.
        world.breaks = [dataclasses.replace(each, hint=_FETCH) for each in lost]
        return None
    recipe = rebuilding.recipe(world, origin)
    if recipe is None:
        environment = [each for each in said if each.link is Link.ENVIRONMENT]
        world.breaks += environment if not world.breaks else []
    return recipe


# What a word means


def resolve(world: World, word: str) -> str | None:
    """The run that a word names; None, with the broken link in `world`, for one that is nowhere kept.

    Raises ConfigError if the word can be no run, version or prediction, or if several runs begin so.
    """
    folded = word.lower().removeprefix(f"{snapshot.TAGS}/")
    known = sorted({*world.manifests, *world.kept})
    if folded in known:
        return folded
    for reading in (_of_prediction, _of_version):
        run = reading(world, folded)
        if run is not None:
            return run or None
    if not _HEX.fullmatch(folded):
        hint = f"the runs are {listed([run[:8] for run in known])}" if known else "no run is kept yet"
        raise ConfigError(
            f"`{word[:80]}` is no run, version or prediction of {world.project.name}", hint=hint
        )
    found = words.run(folded, known)
    # One that is not kept may be known elsewhere; `origins.origin` says what is known of a whole id.
    if found is not None or len(folded) == _WHOLE:
        return found or folded
    world.broken(
        Link.RUN,
        f"no run that is kept here begins with `{word}`",
        known=f"kept are {listed([run[:8] for run in known])}" if known else "",
        hint=_FETCH,
    )
    return None


def _of_prediction(world: World, word: str) -> str | None:
    """The run behind a prediction's id; None if it is no such id, empty if its record is not here."""
    if not _PREDICTION.fullmatch(word) or _HEX.fullmatch(word):
        return None
    try:
        number = ids.parse(word)
    except ConfigError:
        return None
    from mlproj.monitoring import records

    project = world.project
    try:
        found = records.get(project.home, number, postgres=project.postgres)
    except MlprojError as error:
        world.broken(Link.LOG, f"the prediction log cannot be read: {error.message}", hint=error.hint)
        return ""
    if found is None:
        world.broken(
            Link.RECORD,
            f"prediction `{word}` is not in the log of `{project.home}`",
            hint=f"run `mlproj trace {word}`, which says what the id itself tells",
        )
        return ""
    return found.record.run


def _of_version(world: World, word: str) -> str | None:
    """The run of a version's number; None if it is no number, empty if nobody knows that version."""
    number = words.version(word)
    if number is None:
        return None
    known = words.versions(world)
    if number not in known:
        world.broken(
            Link.VERSION,
            f"version {number} is not known here",
            known=f"the versions are {listed([str(each) for each in sorted(known)])}" if known else "",
            hint="name its run, which `models/run.json` and the MLflow store have",
        )
        return ""
    return known[number]


# The comparison


def _compared(
    world: World, found: Reproduction, recipe: Recipe, built: Built, say: Callable[[str], None]
) -> Reproduction:
    say("comparing")
    tree = built.project.root
    rebuilt = table(read_bytes(tree / lineage.MANIFEST))
    texts = history.read(world.project.root, [(recipe.outcome, path) for path in (_METRICS, _EVALUATION)])
    recorded_metrics, evaluation = map(table, texts)
    graded = _graded(recipe, built, rebuilt)
    data, model_files = _files(world, recipe, built)
    paired, note = _paired(recipe, built)
    is_same = _same_recipe(recipe, rebuilt, graded, data)
    learned = tuple((said.get("model") or {}).get("learned") for said in (recipe.manifest, rebuilt))
    rungs = ladder.climb(same_recipe=is_same, learned=(learned[0], learned[1]), paired=paired)
    found = dataclasses.replace(
        found,
        rebuilt_run=rebuilt.get("run_id"),
        environment=graded,
        data=data,
        model_files=model_files,
        metrics=metrics(recorded_metrics, table(read_bytes(tree / _METRICS)), evaluation),
        predictions=paired,
        rungs=rungs,
        level=ladder.level(rungs, paired),
        notes=(note,) if note else (),
    )
    if found.level not in (ladder.Level.LEARNED, ladder.Level.PREDICTIONS):
        found = dataclasses.replace(found, sources=sources(recipe.manifest, rebuilt, found))
    return found


def _graded(recipe: Recipe, built: Built, rebuilt: Mapping[str, Any]) -> Graded:
    """How near the environment came: packages by the lock, Python and platform by the two manifests."""
    python = built.project.python
    before, now = (said.get("environment") or {} for said in (recipe.manifest, rebuilt))
    has = installed.installed(python)
    differs = installed.differences(recipe.lock, has) if has is not None else None
    if differs is None:
        packages = (before.get("packages") or {}, now.get("packages") or {})
        differs = tuple(
            f"{name} {packages[1].get(name)} instead of {version}"
            for name, version in packages[0].items()
            if packages[1].get(name) != version
        )
        if not packages[0]:
            return Graded(grade=Grade.UNKNOWN, python=str(python))
    more = [
        f"{name} {seen(str(now.get(key)))} instead of {seen(str(before.get(key)))}"
        for key, name, seen in (("python", "Python", str), ("platform", "platform", installed.platform_of))
        if before.get(key) is not None and seen(str(now.get(key))) != seen(str(before.get(key)))
    ]
    differs = (*more, *differs)
    grade = Grade.COMPATIBLE if differs else Grade.EXACT
    return Graded(grade=grade, python=str(python), differs=differs)


def _files(world: World, recipe: Recipe, built: Built) -> tuple[tuple[Compared, ...], tuple[Compared, ...]]:
    """What the stages before training made, and the files of the model, each by its two digests."""
    before = recipe.known
    locked = stages.locked(built.project.root)
    names = [stage.name for stage in built.planned.rerun]
    now = lineage.locked_files({"stages": locked}, names)
    trained = lineage.trained_by(built.planned.rerun)
    reads = set(trained.reads) if trained else set()
    made = [
        path
        for stage in built.planned.rerun
        for path in stage.writes
        if path in reads or path.startswith("data/")
    ]
    data = tuple(
        Compared(path=path, recorded=before[path].md5, rebuilt=now[path].md5 if path in now else None)
        for path in made
        if path in before and path not in _MADE_ANEW
    )
    here = built.recorded / rebuild.MODEL
    old = here if here.is_dir() else None
    return data, model_files(world.objects, before.get(rebuild.MODEL), old, built.project.root)


def _same_recipe(
    recipe: Recipe, rebuilt: Mapping[str, Any], graded: Graded, data: tuple[Compared, ...]
) -> bool | None:
    if graded.grade is Grade.UNKNOWN:
        return None
    kept = ("params", "seed", "threads")
    same = all(recipe.manifest.get(key) == rebuilt.get(key) for key in kept)
    return same and not graded.differs and all(each.is_same for each in data)


def _paired(recipe: Recipe, built: Built) -> tuple[Paired | None, str]:
    """The predictions of the two, paired; else None and the reason."""
    name = rebuilding.PREDICTIONS
    here, there = built.recorded / name, built.project.root / name
    if name not in recipe.known:
        return None, f"the run kept no `{name}`, so its predictions cannot be compared row by row"
    if not there.is_file():
        return None, f"the rebuilt run made no `{name}`"
    md5 = files.digest(there, "md5")
    if not here.is_file():
        if md5 != recipe.known[name].md5:
            return (
                None,
                f"`{name}` of the run is neither in the cache nor on the remote, and the digest differs",
            )
        here = there  # the same digest is the same content, wherever the recorded one is now
    try:
        return pairing.pair(here, there), ""
    except ConfigError as error:
        return None, error.message


# What stays of it


def _kept(project: Project, found: Reproduction, *, is_clone: bool) -> Reproduction:
    """Write the report to the project's data folder, and a row to its MLflow store."""
    if found.run is None:
        return found
    moment = clock.now().strftime("%Y%m%dT%H%M%SZ")
    path = project.home / "reproductions" / f"{found.run[:12]}-{moment}.md"
    found = dataclasses.replace(found, report=str(path))
    if found.level is not None:
        if is_clone:
            note = "a clone has no MLflow store, so no row was written to one"
            found = dataclasses.replace(found, notes=(*found.notes, note))
        else:
            found = _tracked(project, found)
    files.write_json(path.with_suffix(".json"), {"version": 1, **as_json(found)})
    files.write_text(path, report.markdown(found, project.name))
    return found


def _tracked(project: Project, found: Reproduction) -> Reproduction:
    try:
        row = _logged(project, found)
    except MlprojError as error:
        note = f"no row was written to the MLflow store: {error.message}"
        return dataclasses.replace(found, notes=(*found.notes, note))
    if row is None:
        note = f"the MLflow store `{project.relative(project.store)}` is gone, so no row was written to it"
        return dataclasses.replace(found, notes=(*found.notes, note))
    return dataclasses.replace(found, tracked=row)


def _logged(project: Project, found: Reproduction) -> str | None:
    """By the project's own MLflow; where its environment is gone, by that of the run."""
    try:
        return mlflow.log_reproduction(project, as_json(found))
    except MlprojError:
        if found.environment is None:
            raise
        built = dataclasses.replace(project, python_named=found.environment.python)
        if built.python == project.python:
            raise
        return mlflow.log_reproduction(built, as_json(found))
