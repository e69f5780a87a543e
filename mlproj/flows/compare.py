"""Two runs side by side: what was done otherwise, what came of it, and which rows got worse."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproj.base import git, process
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows import floor as measuring
from mlproj.flows.floor import Floor
from mlproj.flows.past import Past, PastRun, Source
from mlproj.project import Project
from mlproj.provenance import answered, snapshot
from mlproj.provenance.flips import Flips
from mlproj.provenance.things import File, plural

_NOT_CODE = ("docs", "data", "models", "reports", "references", "dvc.lock", "params.yaml", "*.md", "*.lock")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_DEFAULT_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that two runs have otherwise; None where one of them has none."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class DataDifference:
    """A data file of a run, by what it is to the run. `is_same` where both read the same bytes."""

    name: str
    path: str
    before: str | None
    after: str | None
    rows_before: int | None
    rows_after: int | None

    @property
    def is_same(self) -> bool:
        return self.before == self.after


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A file of code that changed; lines are None where git takes it for no text."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric of both runs as their evaluations told it, and the difference on the rows they share."""

    name: str
    before: float | None
    before_interval: tuple[float, float] | None
    after: float | None
    after_interval: tuple[float, float] | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`old` is the run that `new` is held against. What could not be compared is told in `notes`."""

    old: PastRun
    new: PastRun
    split: str
    main_metric: str | None
    params: tuple[Difference, ...]
    data: tuple[DataDifference, ...]
    code: tuple[Edited, ...] | None
    environment: tuple[Difference, ...]
    measures: tuple[Measure, ...]
    confidence: float
    drawn: str
    flips: Flips | None
    floor: Floor | None
    notes: tuple[str, ...]


def compare(
    project: Project,
    old: str | None,
    new: str | None,
    *,
    split: str | None = None,
    with_floor: bool = False,
    say: Callable[[str], None],
) -> Comparison:
    """Hold run `new` (default: that of the work tree) against `old` (default: what is live, else what was
    registered before).

    Raises ConfigError for a word that is no run, a split that both were not asked about, or where there is
    nothing to compare with.
    """
    past = Past(project)
    after = past.named(new or "HEAD")
    before = past.named(old) if old else past.before(after)
    if before is None:
        raise ConfigError(
            f"there is nothing to compare {after.title} with: no version is live, none was registered before",
            hint="name two runs, `mlproj compare RUN_A RUN_B`; `mlproj runs` lists them",
        )
    notes: list[str] = []
    files = _answers(past, before, after, notes, say)
    chosen = _split(split, before, after)
    flips = _flips(past, files, after, chosen, notes) if files else None
    floor = None
    if flips is not None and not flips.of_numbers:
        look = measuring.measure if with_floor else measuring.known
        floor = look(past, after, chosen, say=say)
    measures, drawn = _measures(past, before, after, files, chosen, notes)
    return Comparison(
        old=before,
        new=after,
        split=chosen,
        main_metric=after.main_metric or before.main_metric,
        params=_changed(before.params, after.params),
        data=_data(before, after),
        code=_code(past, before, after, notes),
        environment=_environment(past, before, after),
        measures=measures,
        confidence=float(after.evaluation.get("confidence") or 0.95),
        drawn=drawn,
        flips=flips,
        floor=floor,
        notes=tuple(notes),
    )


def _split(asked: str | None, before: PastRun, after: PastRun) -> str:
    """The split to look at: the one asked for, else test, else one that both were evaluated on."""
    known = [
        name
        for name in ("test", "dev", *(after.evaluation.get("splits") or ()))
        if before.measured(name) and after.measured(name)
    ]
    if asked is not None and asked not in known:
        both = f"both were on {', '.join(dict.fromkeys(known))}" if known else "they share no split"
        raise ConfigError(
            f"the runs were not both evaluated on `{asked}`: {both}", hint="leave `--split` out"
        )
    return asked or (known[0] if known else "test")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    return tuple(
        Difference(name=name, before=before.get(name), after=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def _data(before: PastRun, after: PastRun) -> tuple[DataDifference, ...]:
    old, new = (run.manifest.get("data") or {} for run in (before, after))
    found = []
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name) or {}, new.get(name) or {}
        found.append(
            DataDifference(
                name=name,
                path=str(other.get("path") or one.get("path") or ""),
                before=one.get("md5"),
                after=other.get("md5"),
                rows_before=one.get("rows"),
                rows_after=other.get("rows"),
            )
        )
    return tuple(found)


def _code(past: Past, before: PastRun, after: PastRun, notes: list[str]) -> tuple[Edited, ...] | None:
    """The files of code that differ between what the runs were made from; None where that is not kept."""
    root, commits = past.project.root, []
    for run in (before, after):
        code = run.manifest.get("code") or {}
        commit = code.get("snapshot") or code.get("commit")
        if commit is None or not snapshot.holds(root, commit):
            notes.append(f"the code of run {run.short} is not in this repository, so it cannot be compared")
            return None
        if code.get("dirty") and not code.get("snapshot"):
            notes.append(f"run {run.short} was made from uncommitted code of which no snapshot was taken")
        commits.append(commit)
    left_out = [f":(exclude){name}" for name in _NOT_CODE]
    said = git.output(root, "diff", "--numstat", "-z", "--no-renames", *commits, "--", ".", *left_out)
    edited = []
    for line in filter(None, said.split("\0")):
        added, removed, path = line.lstrip("\n").split("\t", 2)
        lines = [int(number) if number.isdigit() else None for number in (added, removed)]
        edited.append(Edited(path=path, added=lines[0], removed=lines[1]))
    return tuple(edited)


def _environment(past: Past, before: PastRun, after: PastRun) -> tuple[Difference, ...]:
    """Python, platform and packages that differ: all that the locks pin, else those that the runs noted."""
    told: list[dict[str, Any]] = []
    pins = [_pins(past, run) for run in (before, after)]
    for run, pinned in zip((before, after), pins, strict=True):
        environment = run.manifest.get("environment") or {}
        packages = pinned if all(pins) else environment.get("packages") or {}
        told.append(
            {"python": environment.get("python"), "platform": environment.get("platform"), **packages}
        )
    return _changed(*told)


def _pins(past: Past, run: PastRun) -> dict[str, str]:
    """What the run's lock file pins; empty for a form that is not known here."""
    name = (run.manifest.get("environment") or {}).get("lock")
    text = (past.text(run, name) or b"").decode("utf-8", "replace") if name else ""
    if str(name).endswith(".txt") or name == "requirements.lock":
        return {name.lower(): version for name, version in _PIN.findall(text)}
    try:
        packages = tomllib.loads(text).get("package", ())
    except tomllib.TOMLDecodeError:
        return {}
    return {
        str(each["name"]): str(each["version"])
        for each in (packages if isinstance(packages, list) else ())
        if isinstance(each, dict) and {"name", "version"} <= each.keys()
    }


def _answers(
    past: Past, before: PastRun, after: PastRun, notes: list[str], say: Callable[[str], None]
) -> tuple[Path, Path] | None:
    """Where the answers of both runs can be read, fetched if they are on the remote only."""
    found: list[File] = []
    for run in (before, after):
        file = past.predictions(run)
        if file is None or file.md5 is None:
            why = "it was never kept" if run.source is Source.MLFLOW else "made before `evaluate` wrote it"
            notes.append(
                f"run {run.short} has no `{answered.PREDICTIONS}` ({why}), so rows cannot be compared"
            )
        else:
            found.append(file)
    if len(found) < 2:
        return None
    paths = [past.content(file, say) for file in found]
    for run, path in zip((before, after), paths, strict=True):
        if isinstance(path, str):
            notes.append(f"the answers of run {run.short} are neither here nor to be had: {path}")
    one, other = paths
    return (one, other) if isinstance(one, Path) and isinstance(other, Path) else None


def _flips(
    past: Past, files: tuple[Path, Path], after: PastRun, split: str, notes: list[str]
) -> Flips | None:
    found = answered.flips(*files, split)
    if not found.whole.rows:
        notes.append(
            f"no row of {split} is in both runs: their splits share nothing, or a column was read otherwise"
        )
        return None
    if found.only_before or found.only_after:
        notes.append(
            f"compared on the {plural(found.whole.rows, 'row')} of {split} that both runs have:"
            f" {found.only_before:,} more were only the old run's, {found.only_after:,} only the new one's"
        )
    table = _split_file(past, after, split)
    if table is None or not found.worst:
        return found
    features = (after.manifest.get("params") or {}).get("features") or {}
    columns = [column for kind, names in features.items() if kind != "drop" for column in names]
    values = answered.features(table, [flip.place for flip in found.worst], dict.fromkeys(columns))
    worst = tuple(replace(flip, features=values.get(flip.place, {})) for flip in found.worst)
    return replace(found, worst=worst)


def _split_file(past: Past, run: PastRun, split: str) -> Path | None:
    """The rows of a split as a run read them, if they are here: for looking, so nothing is fetched."""
    entry = (run.manifest.get("data") or {}).get(split) or {}
    return past.world.objects.find(str(entry["md5"])) if entry.get("md5") else None


def _measures(
    past: Past,
    before: PastRun,
    after: PastRun,
    files: tuple[Path, Path] | None,
    split: str,
    notes: list[str],
) -> tuple[tuple[Measure, ...], str]:
    """Every metric of the split, the main one first, and what was drawn for the intervals of differences."""
    old, new = before.measured(split), after.measured(split)
    names = list(dict.fromkeys([*new, *old]))
    main = after.main_metric or before.main_metric
    names.sort(key=lambda name: name != main)
    paired, drawn = _paired(past, after, files, split, notes) if files else ({}, "")
    measures = []
    for name in names:
        one, other, difference = old.get(name) or {}, new.get(name) or {}, paired.get(name) or {}
        measures.append(
            Measure(
                name=name,
                before=one.get("value"),
                before_interval=_interval(one),
                after=other.get("value"),
                after_interval=_interval(other),
                difference=difference.get("difference"),
                low=difference.get("low"),
                high=difference.get("high"),
            )
        )
    return tuple(measures), drawn


def _interval(entry: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = entry.get("low"), entry.get("high")
    return None if low is None or high is None else (low, high)


def _paired(
    past: Past, after: PastRun, files: tuple[Path, Path], split: str, notes: list[str]
) -> tuple[dict[str, Any], str]:
    """Differences of all metrics on the rows that both have, with the project's own definitions of them."""
    project = past.project
    params = after.manifest.get("params") or {}
    rule, data, by = params.get("evaluate") or {}, params.get("data") or {}, None
    table = _split_file(past, after, split)
    if (params.get("split") or {}).get("kind") == "grouped":
        by = params["split"]["by"]
        if table is None:
            notes.append(f"rows were drawn one by one: the groups of `{by}` are not here")
    asked = {
        "module": project.module,
        "before": str(files[0]),
        "after": str(files[1]),
        "split": split,
        "task": data.get("task"),
        "positive": data.get("positive"),
        "groups": {"path": str(table), "column": by} if by and table else None,
        "confidence": rule.get("confidence") or 0.95,
        "bootstrap": rule.get("bootstrap") or _DEFAULT_RESAMPLES,
        "seed": rule.get("seed") or 0,
    }
    try:
        done = process.run(
            project.python,
            "-P",
            Path(answered.__file__).with_name("paired.py"),
            cwd=project.root,
            path_first=project.bin,
            stdin=json.dumps(asked),
            check=False,
        )
    except MlprojError as error:
        notes.append(f"differences have no intervals: {error.message}")
        return {}, ""
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        notes.append(f"differences have no intervals: `{project.module}.metrics` could not be used: {last}")
        return {}, ""
    drawn = f"groups of `{by}`" if asked["groups"] else "rows"
    return json.loads(done.stdout.strip().splitlines()[-1]), f"{asked['bootstrap']:,} resamples of {drawn}"
