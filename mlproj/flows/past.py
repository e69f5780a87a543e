"""The runs of a project: what is kept of each, what became of it, and which one a word means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from mlproj.base import git
from mlproj.base.errors import ConfigError, MlprojError, nearest
from mlproj.flows import traffic as deployed
from mlproj.flows import words
from mlproj.flows.reading import LOCK, REGISTERED, World, parsed, read_bytes, table
from mlproj.flows.traffic import Traffic
from mlproj.project import Project
from mlproj.provenance import answered, history, lineage, objects
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, listed
from mlproj.tracking import store as mlflow
from mlproj.tracking.store import TrackedRun

EVALUATION = "reports/evaluation.json"

_CURRENT = ("head", "current")


class Source(StrEnum):
    """Where a run was found."""

    SNAPSHOT = "snapshot"
    WORK_TREE = "work tree"
    MLFLOW = "MLflow store"


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """What is kept of a run. `state` is what became of it: `live`, `canary`, `shadow`, `kept`, `candidate`,
    `registered`, `retired`, `deleted` in MLflow, or nothing.

    `commit` holds its outcome; None for one that was never kept. `note` is what MLflow's users wrote of it.
    """

    run: str
    source: Source
    commit: str | None = None
    version: int | None = None
    state: str = ""
    by: str = ""
    at: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def short(self) -> str:
        return self.run[:8]

    @property
    def title(self) -> str:
        """For example `run 9bca7137 (version 3, live)`."""
        facts = [f"version {self.version}"] if self.version is not None else []
        facts += [self.state] if self.state else []
        return f"run {self.short}" + (f" ({', '.join(facts)})" if facts else "")

    @cached_property
    def params(self) -> dict[str, Any]:
        """Parameters by dotted name; of the models' options, those of the model that was chosen."""
        said = self.manifest.get("params")
        found = flat(said) if isinstance(said, dict) else {}
        train = said.get("train") if isinstance(said, dict) else None
        models = [name for name, options in train.items() if isinstance(options, dict)] if train else []
        unused = tuple(f"train.{name}." for name in models if name != found.get("train.model"))
        return {name: value for name, value in found.items() if not name.startswith(unused)}

    @property
    def main_metric(self) -> str | None:
        said = self.evaluation.get("metric")
        return str(said) if said else None

    def measured(self, split: str) -> Mapping[str, Mapping[str, float | None]]:
        """The metrics on a split: value, low and high by name."""
        splits = self.evaluation.get("splits")
        told = splits.get(split) if isinstance(splits, dict) else None
        metrics = told.get("metrics") if isinstance(told, dict) else None
        return metrics if isinstance(metrics, dict) else {}

    def value(self, metric: str, split: str) -> float | None:
        entry = self.measured(split).get(metric)
        value = entry.get("value") if isinstance(entry, dict) else None
        return value if isinstance(value, int | float) else None

    @property
    def digests(self) -> dict[str, str]:
        """The MD5 of each data file that the run names, by what it is to the run: raw, train, dev, test."""
        said = self.manifest.get("data")
        entries = said.items() if isinstance(said, dict) else ()
        return {str(name): str(entry["md5"]) for name, entry in entries if "md5" in entry}


class Past:
    """All runs of a project, read once."""

    def __init__(self, project: Project) -> None:
        if git.toplevel(project.root) is None:
            raise ConfigError(
                f"`{project.root}` is not in a git repository, so nothing of the past is kept",
                hint="run `git init`, then `git add -A` and `git commit -m start`",
            )
        self.project = project
        self.world = World(project=project, objects=Objects(project.root))

    @cached_property
    def traffic(self) -> Traffic:
        return deployed.read(self.project)

    @cached_property
    def current(self) -> str | None:
        """The run whose model is in the work tree."""
        said = table(read_bytes(self.project.root / lineage.MANIFEST)).get("run_id")
        return said if isinstance(said, str) else None

    @cached_property
    def runs(self) -> tuple[PastRun, ...]:
        """Those that git keeps and the one of the work tree, then those only MLflow knows; newest first."""
        kept = list(self.world.kept.values())
        root = self.project.root
        wanted = [(run.commit, path) for run in kept for path in (EVALUATION, REGISTERED)]
        texts = iter(history.read(root, wanted))
        authors = _authors(root, [run.commit for run in kept])
        found = {
            run.run: self._past(
                run.run,
                Source.SNAPSHOT,
                run.commit,
                evaluation=table(next(texts)),
                registered=table(next(texts)),
                by=authors.get(run.commit, ""),
            )
            for run in kept
        }
        here = self.current
        if here is not None and here not in found:
            evaluation, registered = (table(read_bytes(root / path)) for path in (EVALUATION, REGISTERED))
            found[here] = self._past(
                here, Source.WORK_TREE, None, evaluation=evaluation, registered=registered, by=""
            )
        for run, told in self._tracked.items():
            found.setdefault(run, _tracked(told))
        return tuple(sorted(found.values(), key=lambda run: (run.at, run.run), reverse=True))

    def named(self, word: str) -> PastRun:
        """The run that a word means: an id or its beginning, a version, `live`, `candidate` or `HEAD`.

        Raises ConfigError if it means none, or several.
        """
        folded = word.strip().lower()
        if folded in _CURRENT:
            return self._by_role(self.current, "the work tree holds no run", "run `mlproj stage modeling`")
        if folded == "live":
            lacking = self.traffic.unknown or "nothing is on live traffic"
            run = self.traffic.runs.get(self.traffic.live) if self.traffic.live is not None else None
            return self._by_role(run, lacking, "run `mlproj deploy --mode full`")
        if folded == "candidate":
            return self._by_role(
                self._candidate, "no version is the candidate", "run `mlproj stage modeling`"
            )
        number = words.version(folded)
        if number is not None:
            of_version = [run for run in self.runs if run.version == number]
            served = self.traffic.runs.get(number)
            if of_version:
                return next((run for run in of_version if run.run == served), of_version[0])
        by_id = {run.run: run for run in self.runs}
        begun = words.run(folded, by_id)
        if begun is not None:
            return by_id[begun]
        raise self._nothing(word)

    def before(self, run: PastRun) -> PastRun | None:
        """What a run has to be held against: the version that is live, or that was last, unless it is the
        run's own or was rolled back; else the version registered before it. None if there is neither."""
        for number in self.traffic.primaries:
            other = self.traffic.runs.get(number)
            found = next((each for each in self.runs if each.run == other), None)
            if found is not None and found.run != run.run:
                return found
        earlier = [
            each
            for each in self.runs
            if each.version is not None and each.run != run.run and (not run.at or each.at <= run.at)
        ]
        return earlier[0] if earlier else None

    def predictions(self, run: PastRun) -> File | None:
        """The file of the run's answers, by its digest; None if the run has none, or they are of another run:
        in a work tree, training may be newer than the evaluation."""
        if run.run == self.current:
            found = _evaluated(self.text_here(LOCK), self.text_here(lineage.MANIFEST))
            if found is not None:
                return found
        return _evaluated(self.text(run, LOCK), self.text(run, lineage.MANIFEST))

    def text_here(self, path: str) -> bytes | None:
        """A file of the work tree as it is now."""
        return read_bytes(self.project.root / path)

    def text(self, run: PastRun, path: str) -> bytes | None:
        """A file of the run, as it was at its end."""
        if run.commit is not None:
            (text,) = history.read(self.project.root, [(run.commit, path)])
            return text
        return self.text_here(path) if run.source is Source.WORK_TREE else None

    def content(self, file: File, say: Callable[[str], None] | None) -> Path | str:
        """Where a file of a past run can be read; else why it cannot. Fetches it unless `say` is None."""
        if file.md5 is None:
            return f"`{file.path}` has no digest"
        store = self.world.objects
        path = store.find(file.md5)
        if path is not None:
            return path
        if say is None or store.remote is None or store.remote.folder is not None:
            where = (
                f"the remote `{store.remote.name}`" if store.remote else "a remote, for none is configured"
            )
            return f"`{file.path}` (MD5 {file.md5}) is neither in the cache nor on {where}"
        say(f"fetching `{file.path}` of a past run")
        try:
            objects.fetch(self.project.root, self.project.python, store.remote.name, [file.md5])
        except MlprojError as error:
            return error.message
        return store.find(file.md5) or f"`{file.path}` (MD5 {file.md5}) is lost"

    @cached_property
    def _candidate(self) -> str | None:
        """The run whose version has the alias: MLflow moves it, and git has what was registered last."""
        found = mlflow.run_of_alias(self.project.store, self.project.model, "candidate")
        if found is not None:
            return found
        said = table(self.text_here(REGISTERED)).get("run_id")
        return said if isinstance(said, str) else None

    def _past(
        self,
        run: str,
        source: Source,
        commit: str | None,
        *,
        evaluation: Mapping[str, Any],
        registered: Mapping[str, Any],
        by: str,
    ) -> PastRun:
        manifest = self.world.manifests.get(run, {})
        number = registered.get("version") if registered.get("run_id") == run else None
        served = {of: version for version, of in self.traffic.runs.items()}
        version = served.get(run, number if isinstance(number, int) else None)
        return PastRun(
            run=run,
            source=source,
            commit=commit,
            version=version,
            state=self._state(run, version),
            by=by,
            at=str(manifest.get("started") or ""),
            manifest=manifest,
            evaluation=evaluation,
            note=self._tracked[run].note if run in self._tracked else "",
        )

    def _state(self, run: str, version: int | None) -> str:
        if version is None:
            return ""
        # A registry that was lost gives its numbers anew: what is served under a number is one run's.
        if self.traffic.runs.get(version) == run:
            role = self.traffic.roles.get(version)
            if role is not None:
                return "live" if role == "primary" else role
            if run != self._candidate and version in self.traffic.ended:
                return "retired"
        return "candidate" if run == self._candidate else "registered"

    @cached_property
    def _tracked(self) -> dict[str, TrackedRun]:
        return {each.run: each for each in mlflow.runs(self.project.store)}

    def _by_role(self, run: str | None, lacking: str, hint: str) -> PastRun:
        found = next((each for each in self.runs if each.run == run), None) if run else None
        if found is None:
            said = f"run `{run}` is neither kept in git nor in the MLflow store here" if run else lacking
            raise ConfigError(said, hint="run `git fetch --tags`" if run else hint)
        return found

    def _nothing(self, word: str) -> ConfigError:
        versions = [str(run.version) for run in self.runs if run.version is not None]
        near = nearest(word, ["live", "candidate", "HEAD"])
        known = f"the runs are {listed([run.short for run in self.runs])}" if self.runs else ""
        of_versions = f"; the versions are {listed(versions)}" if versions else ""
        return ConfigError(
            f"`{word[:80]}` is no run or version of {self.project.name}",
            hint=f"did you mean `{near}`?"
            if near
            else f"{known}{of_versions}"
            if known
            else "run `mlproj stage modeling` to make a run",
        )


def _evaluated(lock: bytes | None, manifest: bytes | None) -> File | None:
    """The file of answers that a lock names, if the model that gave them is the manifest's."""
    locked = parsed(lock)
    stages = [stage.name for stage in lineage.stages(locked) if answered.PREDICTIONS in stage.writes]
    files = lineage.locked_files(locked, stages)
    read = files.get(lineage.MANIFEST)
    if manifest is None or read is None or read.md5 != objects.digest(manifest):
        return None
    return files.get(answered.PREDICTIONS)


def flat(said: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables by dotted names."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        name = f"{above}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found


def _authors(root: Path, commits: Iterable[str]) -> dict[str, str]:
    asked = "".join(f"{commit}\n" for commit in dict.fromkeys(commits))
    if not asked:
        return {}
    words = ("log", "--no-walk=unsorted", "--stdin", "--format=%H%x1f%an")
    said = git.git(root, *words, stdin=asked, check=False).stdout
    return dict(line.split("\x1f", 1) for line in said.splitlines() if "\x1f" in line)


def _tracked(told: TrackedRun) -> PastRun:
    """A run that was never kept, in the form of those that were."""
    params = {"train.model" if name == "model" else name: value for name, value in told.params.items()}
    splits = {
        split: {"metrics": {name: {"value": value} for name, value in metrics.items()}}
        for split, metrics in told.metrics.items()
    }
    return PastRun(
        run=told.run,
        source=Source.MLFLOW,
        state="deleted" if told.is_deleted else "",
        by=told.by,
        at=told.at,
        manifest={"params": params},
        evaluation={"splits": splits},
        note=told.note,
    )
