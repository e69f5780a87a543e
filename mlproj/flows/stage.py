"""Working in a phase: is the way open, run its stages, judge its gates."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import clock, files, git, lock
from mlproj.base.errors import ConfigError, ToolError
from mlproj.decisions import store as notebook
from mlproj.decisions.record import Decision
from mlproj.flows import complete, load, model_card, status
from mlproj.flows import evidence as gathering
from mlproj.flows.serve import wanted
from mlproj.lifecycle import deployment_gates, gates
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.gates import Verdict
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline import dvc, opened, stages
from mlproj.pipeline.hashes import Hashes
from mlproj.project import Project
from mlproj.provenance import manifest, snapshot, travel
from mlproj.serving import environments
from mlproj.tracking import mlflow
from mlproj.tracking.mlflow import Registrar
from mlproj.tracking.models import ModelVersion

CANDIDATE = "candidate"
# Which version of the registry the run in `models/run.json` is: the store that knows it stays on one machine.
REGISTERED = "models/registered.json"


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What came of it. `refused` is the phase before, where its closed gates stopped the work; `decision` the
    record of going on all the same; `verdict` judges the phase itself, None where nothing was run."""

    phase: Phase
    verdict: Verdict | None
    next: str
    refused: Verdict | None = None
    decision: str | None = None
    version: ModelVersion | None = None
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def answers_yes(self) -> bool:
        return self.verdict is not None and self.verdict.open


def work(project: Project, phase: Phase, *, force: str | None, say: Callable[[str], None]) -> Worked:
    """Run the phase's stages, if the phase before is done, and judge it.

    `force` is the reason to go on though the phase before is not done; it is kept as a decision. Raises
    MlprojError if another command works here, ToolError if a stage fails for a reason no gate knows.
    """
    with lock.held(project.cache / "lock", doing=f"mlproj stage {phase}"):
        started = time.monotonic()
        _let_travel(project, say)
        before = gathering.gather(project)
        closed = _closed_before(phase, before)
        if closed is not None and force is None:
            step = status.next_step(closed.phase, closed.closed_by, before)
            return Worked(phase=phase, verdict=None, refused=closed, next=step)
        record = _forced(project, phase, closed, force, before) if closed and force else None
        version = None
        with _registrar(project, phase) as registrar:
            left_out = _run(project, phase, before, say)
            after = gathering.gather(project)
            if phase is Phase.DEPLOYMENT:
                after = _prove(project, after, say)
            verdict = _judge(phase, after)
            if registrar is not None and verdict.open:
                version = _register(project, after, registrar, say)
        return Worked(
            phase=phase,
            verdict=verdict,
            next=_next(phase, verdict, after),
            decision=project.relative(record) if record else None,
            version=version,
            left_out=left_out,
            seconds=time.monotonic() - started,
        )


def _judge(phase: Phase, evidence: Evidence) -> Verdict:
    """Of the deployment phase, only what can be known before there is traffic is this command's to answer."""
    if phase is not Phase.DEPLOYMENT:
        return gates.judge(phase, evidence)
    return Verdict(phase=phase, checks=tuple(deployment_gates.before_traffic(evidence)))


def _prove(project: Project, evidence: Evidence, say: Callable[[str], None]) -> Evidence:
    """Load the package with requests, unless this very package has been, and fill the model card."""
    package = project.root / gathering.PACKAGE
    if evidence.package is None:
        return evidence
    if evidence.load is None:
        python = environments.python_for(project, wanted(project, package), say=say)
        files.write_json(project.root / gathering.LOAD, load.measure(project, package, python, say=say))
        evidence = gathering.gather(project)
    raw = files.read_json(project.root / "models" / "run.json")
    if isinstance(raw, dict):
        model_card.fill(project.root / model_card.PATH, evidence, raw)
    run = evidence.manifest
    if run is not None and run.run_id in snapshot.anchors(project.root):
        # The package belongs to the run's outcome: a clone that has the tag can fetch it.
        _keep_outcome(project)
        _anchor(project, run.run_id)
    return gathering.gather(project)


def _closed_before(phase: Phase, evidence: Evidence) -> Verdict | None:
    if phase.before is None:
        return None
    verdict = gates.judge(phase.before, evidence)
    return None if verdict.open else verdict


def _next(phase: Phase, verdict: Verdict, evidence: Evidence) -> str:
    if not verdict.open:
        return status.next_step(phase, verdict.closed_by, evidence)
    if phase is Phase.MODELING:
        return "run `mlproj stage deployment`"
    if phase is Phase.DEPLOYMENT:
        is_live = evidence.live is not None and evidence.live.primary is not None
        return f"run `mlproj deploy --mode {'shadow' if is_live else 'full'}`"
    following = next(later for later in Phase if later.before is phase)
    return f"run `mlproj stage {following}`"


def _forced(project: Project, phase: Phase, closed: Verdict, reason: str, evidence: Evidence) -> Path:
    shown = "\n".join(f"- {check.name}: {check.reason}" for check in closed.closed_by)
    return notebook.add(
        project.decisions,
        Decision(
            title=f"Go on to {phase} before {closed.phase} is done",
            on=clock.today(),
            why=reason,
            kind="forced",
            commit=git.head(project.root),
            run=evidence.manifest.run_id if evidence.manifest else None,
        ),
        evidence=f"These gates were closed:\n\n{shown}",
    )


def _run(project: Project, phase: Phase, evidence: Evidence, say: Callable[[str], None]) -> tuple[str, ...]:
    """Run the phase's stages; returns untracked files that were too large for the snapshot."""
    names = [found.stage.name for found in evidence.of_phases(phase)]
    if not names or (phase is Phase.SCOPING and evidence.document.errors):
        return ()
    if evidence.must_be_pulled and phase is not Phase.SCOPING:
        raise ConfigError(
            f"`{evidence.must_be_pulled[0]}` is recorded but not here",
            hint="run `make sync_data_down`, which is `dvc pull --allow-missing`",
        )
    if phase is not Phase.MODELING:
        # What is served afterwards is measured for speed, and no part of the run.
        pipeline = stages.load(project.root) if phase is not Phase.DEPLOYMENT else None
        with opened.watching(project.root, pipeline) as env:
            _repro(project, names, env, phase)
        return ()
    _must_declare_imports(project)
    taken = snapshot.take(project.root, "Code and parameters of a run")
    if not taken.is_head:
        # Nothing else points at it until the outcome of the run that it is for has been kept.
        snapshot.keep(project.root, f"{snapshot.STARTED}{taken.commit[:12]}", taken.commit)
        say(f"snapshot {taken.commit[:12]} of the uncommitted work (your index and branch are as they were)")
    lacking = _lacking(evidence)
    with opened.watching(project.root, stages.load(project.root)) as watched:
        env = {"SNAPSHOT_COMMIT": taken.commit, **watched}
        if lacking:
            # DVC would see nothing to do, and the run would lack for ever what only training can record.
            train = [name for name in names if _makes_manifest(evidence, name)]
            say(f"training again: {lacking}")
            _repro(project, ["--force", "--single-item", *train], env, phase)
        _repro(project, names, env, phase)
    _keep_outcome(project)
    complete.push(project, say)
    return taken.left_out


def _must_declare_imports(project: Project) -> None:
    """Before hours of training, not after: a model of such a run could not be registered."""
    hashes = Hashes(project.root, project.cache / "hashes.json")
    found = complete.undeclared(project, stages.load(project.root), hashes)
    if found:
        first = found[0]
        raise ConfigError(
            f"`dvc.yaml`: stage `{first.stage}` imports `{first.path}` (by {first.by}) and does not declare "
            "it, so DVC would not notice a change",
            hint=f"add `- {first.path}` to the `deps` of stage `{first.stage}`",
        )


def _lacking(evidence: Evidence) -> str:
    """Why the run that is there cannot stand though DVC would let it; empty if there is no reason."""
    run = evidence.manifest
    if run is None:
        return ""
    if run.missing():
        return f"run {run.run_id[:8]} does not say where it comes from"
    if run.lock_sha256 != evidence.lock_sha256:
        return f"the environment has changed since run {run.run_id[:8]}"
    return ""


def _repro(project: Project, words: list[str], env: dict[str, str], phase: Phase) -> None:
    # The reports of stages that answer "no" by failing; one left by an earlier run is no answer of this one.
    reports = [project.root / "reports" / f"{name}.json" for name in ("validation", "sanity")]
    before = [_written(report) for report in reports]
    code = dvc.repro(project, words, env=env)
    if code in (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise KeyboardInterrupt
    if code == 0:
        return
    for report, earlier in zip(reports, before, strict=True):
        said = files.read_json(report)
        if _written(report) != earlier and isinstance(said, dict) and said.get("passed") is False:
            return  # An answer, not an accident: the gate of that name says no.
    raise ToolError(
        f"`dvc repro` failed in the {phase} phase; what it said stands above",
        hint=f"mend what it names, then run `mlproj stage {phase}` again: finished stages are not run twice",
        returncode=code,
    )


def _written(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _makes_manifest(evidence: Evidence, name: str) -> bool:
    stage = next(found.stage for found in evidence.stages if found.stage.name == name)
    return "models/run.json" in stage.outs


def _keep_outcome(project: Project) -> None:
    """A second snapshot, child of the code's, with the final `dvc.lock`, metrics and manifest.

    Taken anew whenever the outcome is another than the one kept: an evaluation may be run again without
    training, and a run that was interrupted is finished by a later command.
    """
    run = manifest.load(project.root / "models" / "run.json")
    if run is None:
        return
    kept = snapshot.outcome(project.root, run.run_id)
    known = (commit for commit in (kept, run.snapshot, run.commit) if commit)
    parent = next((commit for commit in known if snapshot.holds(project.root, commit)), None)
    outcome = snapshot.take(project.root, f"Outcome of run {run.run_id}", parent=parent)
    if kept is None or outcome.tree != snapshot.tree(project.root, kept):
        snapshot.keep(project.root, run.run_id, outcome.commit)
    snapshot.forget(project.root, snapshot.STARTED)


def _let_travel(project: Project, say: Callable[[str], None]) -> None:
    """Snapshots are worth little on one machine: from now on a plain `git push` brings them along."""
    for name in travel.set_up(project.root) if git.toplevel(project.root) else ():
        say(
            f"a plain `git push` to `{name}` brings the snapshots of runs along from now on;"
            " one that names a branch does not"
        )


def _registrar(project: Project, phase: Phase) -> AbstractContextManager[Registrar | None]:
    return mlflow.registrar(project) if phase is Phase.MODELING else contextlib.nullcontext()


def _register(
    project: Project, evidence: Evidence, registrar: Registrar, say: Callable[[str], None]
) -> ModelVersion | None:
    """Register the run's model as the candidate, and anchor its outcome.

    Asked each time: a registry that was lost, or whose alias has moved on to another run, is put right.
    """
    run = evidence.manifest
    assert run is not None  # the gate `origin` is open
    kept = snapshot.outcome(project.root, run.run_id)
    assert kept is not None  # _keep_outcome
    say("registering the model")
    tags = {"origin.snapshot": kept, "origin.digest": run.model_digest or ""}
    version = registrar.register(run.run_id, alias=CANDIDATE, tags=tags)
    if version is None:
        if run.run_id not in snapshot.anchors(project.root):
            raise ToolError(
                f"the MLflow store does not know run `{run.run_id}`, so its model cannot be registered",
                hint="run `dvc repro --force --single-item train`, then `mlproj stage modeling`",
            )
        say(f"the MLflow store here does not know run {run.run_id[:8]}: it was registered in another")
        return None
    said = {"name": version.name, "version": version.version, "run_id": run.run_id}
    if files.read_json(project.root / REGISTERED) != said:
        files.write_json(project.root / REGISTERED, said)
    _keep_outcome(project)
    _anchor(project, run.run_id)
    return version


def _anchor(project: Project, run_id: str) -> None:
    kept = snapshot.outcome(project.root, run_id)
    assert kept is not None  # _keep_outcome
    snapshot.anchor(project.root, run_id, kept)
