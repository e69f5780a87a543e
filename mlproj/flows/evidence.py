"""Gathering what is known about a repository, from files that DVC and git track."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files, git
from mlproj.base.errors import ConfigError, MissingToolError, MlprojError, ToolError, nearest
from mlproj.catalog import datasheet
from mlproj.flows import complete, model_card
from mlproj.lifecycle.evidence import Evidence, Live
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline import dvc, stages, status, tracked, yaml12
from mlproj.pipeline.hashes import Hashes
from mlproj.pipeline.stages import Pipeline, StageStatus
from mlproj.project import Project
from mlproj.provenance import manifest, snapshot
from mlproj.scoping import document
from mlproj.scoping.document import Document
from mlproj.scoping.scope import NEGATIVE_FLIPS

# What the repository's own pre-commit hook allows.
LARGE_BYTES = 1_000_000
PACKAGE = "models/package"
LOAD = "reports/load.json"
_REPORTS = ("ingest", "validation", "split", "baseline", "sanity", "evaluation")


def gather(project: Project) -> Evidence:
    """Everything the gates ask for. Raises ConfigError if `dvc.yaml` or `params.yaml` cannot be read."""
    hashes = Hashes(project.root, project.cache / "hashes.json")
    pipeline = stages.load(project.root)
    must_know_phases(pipeline)
    run = manifest.load(project.root / "models" / "run.json")
    scoping, live = _document(project), _live(project)
    gathered = Evidence(
        document=scoping,
        document_path=project.relative(project.scoping),
        has_pipeline=pipeline is not None,
        stages=_stages(project, pipeline, hashes),
        raw_data=tracked.raw_data(project.root, hashes, folder=project.relative(project.raw)),
        raw_folder=project.relative(project.raw),
        datasheet=datasheet.load(project.data_doc),
        datasheet_path=project.relative(project.data_doc),
        reports={name: _report(project.root, name) for name in _REPORTS},
        large_files=_large_files(project),
        manifest=run,
        evaluation_run=files.read_json(project.root / "models" / "evaluation.json"),
        regressions=_regressions(project, scoping, live),
        lock_sha256=_lock_sha256(project),
        snapshot_held=run is not None and _held(project.root, run),
        completeness=complete.look(project, pipeline, hashes) if run is not None else None,
        package=_table_at(project.root / PACKAGE / "package.json"),
        load=load_of(project),
        card_run=model_card.run_of(project.root / model_card.PATH),
        card_path=model_card.PATH,
        live=live,
    )
    hashes.save()
    return gathered


def _regressions(project: Project, scoping: Document, live: Live | None) -> tuple[Mapping[str, Any], ...]:
    """What promises on negative flips are judged by, remembered, since the status page asks each time.

    It changes only with the runs that are kept, the work tree's own, what is live and the promises.
    """
    targets = scoping.scope.ml if scoping.scope else ()
    promised = [target for target in targets if target.metric == NEGATIVE_FLIPS]
    if not promised:
        return ()
    refs = (snapshot.REFS, f"refs/tags/{snapshot.TAGS}")
    told = [
        git.git(project.root, "for-each-ref", "--format=%(objectname) %(refname)", *refs, check=False).stdout,
        *(_sha256(project.root / name) for name in ("models/run.json", "dvc.lock")),
        f"{live.primary} {live.since}" if live else "",
        *map(repr, promised),
    ]
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()
    cache = project.cache / "flips.json"
    remembered = files.read_json(cache)
    if isinstance(remembered, dict) and remembered.get("key") == key:
        return tuple(remembered["entries"])
    from mlproj.flows import regressions

    entries = regressions.measure(project, promised)
    if not any("reason" in entry for entry in entries):
        files.write_json(cache, {"key": key, "entries": entries})
    return entries


def _sha256(path: Path) -> str:
    return files.digest(path) if path.is_file() else ""


def _table_at(path: Path) -> Mapping[str, Any] | None:
    said = files.read_json(path)
    return said if isinstance(said, dict) else None


def load_of(project: Project) -> Mapping[str, Any] | None:
    """The measurements of a load, if they are those of the package that is there."""
    said = _table_at(project.root / LOAD)
    described = project.root / PACKAGE / "package.json"
    if said is None or not described.is_file() or said.get("package") != files.digest(described):
        return None
    return said


def _live(project: Project) -> Live | None:
    if project.postgres is None and not (project.home / "serving.db").exists():
        return None
    # Only a project that has been deployed pays for opening the store.
    from mlproj.serving import admin, feedback, store
    from mlproj.serving.deployment import PRIMARY, when

    try:
        with store.open(project.home, project.postgres) as opened:
            routes, active = opened.routes(), opened.active()
            primary = routes.get(PRIMARY)
            since = when(opened.deployment(primary.deployment).step_us) if primary else ""
    except (ToolError, MissingToolError) as error:
        # A server that is away, or a driver that is not here, keeps nobody from working on the model.
        return Live(unknown=error.message, hint=error.hint)
    try:
        running = admin.ask(project.home, "ping") or {}
    except MlprojError:
        running = {}  # It hangs, which is no reason not to say what is deployed.
    stats = (running.get("gateway") or {}).get("stats") or {}
    return Live(
        answered=int(stats.get("requests") or 0),
        failed=int(stats.get("errors") or 0),
        told=feedback.means(project.home),
        primary=primary.version if primary else None,
        since=since,
        newcomer=active.version if active else None,
        newcomer_mode=str(active.mode) if active else "",
    )


def must_know_phases(pipeline: Pipeline | None) -> None:
    """A stage of a phase that there is not would be run by nobody and judged by nobody."""
    for stage in pipeline.stages if pipeline else ():
        if stage.phase is not None and stage.phase not in tuple(Phase):
            near = nearest(stage.phase, [phase.value for phase in Phase])
            raise ConfigError(
                f"`dvc.yaml`: the phase of stage `{stage.name}` is `{stage.phase}`, which is not a phase",
                hint=f"did you mean `{near}`?" if near else f"the phases are {', '.join(Phase)}",
            )


def _stages(project: Project, pipeline: Pipeline | None, hashes: Hashes) -> tuple[StageStatus, ...]:
    if pipeline is None:
        return ()
    if status.can_answer(project.root, pipeline):
        return status.of(project.root, pipeline, hashes)
    return dvc.status(project, pipeline)


@dataclass(frozen=True, kw_only=True)
class AboutData:
    """What the repository knows of its data, for the scoping document to be held against."""

    task: str | None
    columns: tuple[str, ...]
    classes: tuple[str, ...]


def about_data(root: Path) -> AboutData:
    """From the recipe, which is what the next run reads, and from what was found in the table.

    Not from the reports: after `mlproj data add` they are still those of the table before.
    """
    path = root / "params.yaml"
    params = yaml12.read(path) if path.exists() else None
    data, features = ((_table(params, key)) for key in ("data", "features"))
    recipe = [name for group in features.values() if isinstance(group, dict | list) for name in group]
    found = _table(files.read_json(root / ".mlproj" / "findings.json"), "target")
    is_theirs = found.get("name") == data.get("target")
    return AboutData(
        task=data.get("task"),
        columns=(*map(str, recipe), str(data["target"])) if recipe and "target" in data else (),
        # Of a repository that was adopted without a table, what was found is the example's.
        classes=tuple(str(entry.get("label")) for entry in found.get("classes") or () if is_theirs),
    )


def _table(said: Any, key: str) -> Mapping[str, Any]:
    value = said.get(key) if isinstance(said, dict) else None
    return value if isinstance(value, dict) else {}


def _document(project: Project) -> Document:
    known = about_data(project.root)
    return document.load(project.scoping, task=known.task, columns=known.columns, classes=known.classes)


def _report(root: Path, name: str) -> dict[str, Any] | None:
    said = files.read_json(root / "reports" / f"{name}.json")
    return said if isinstance(said, dict) else None


def _lock_sha256(project: Project) -> str | None:
    path = project.root / project.lock_file if project.lock_file else None
    return files.digest(path) if path is not None and path.is_file() else None


def _held(root: Path, run: manifest.Manifest) -> bool:
    commit = run.snapshot or run.commit
    return commit is not None and snapshot.holds(root, commit)


def _large_files(project: Project) -> tuple[tuple[str, int], ...]:
    """Files in git above the limit, the largest first; a lock file is as large as its environment is."""
    found = []
    for name in git.git(project.root, "ls-files", "-z", check=False).stdout.split("\0"):
        path = project.root / name
        if name and path.name != project.lock_file and path.is_file():
            size = path.lstat().st_size
            if size > LARGE_BYTES:
                found.append((name, size))
    return tuple(sorted(found, key=lambda entry: -entry[1]))
