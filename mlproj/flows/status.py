"""Where a project stands, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlproj.base import clock, git
from mlproj.flows import evidence as gathering
from mlproj.lifecycle import deployment_gates, gates, milestones
from mlproj.lifecycle.check import Check
from mlproj.lifecycle.evidence import Evidence, Live
from mlproj.lifecycle.gates import Verdict
from mlproj.lifecycle.milestones import MilestoneStatus
from mlproj.lifecycle.phases import Phase
from mlproj.lifecycle.pipeline_gate import PIPELINE
from mlproj.project import Project
from mlproj.provenance import snapshot

KEEP = 'keep what came of it: `git add -A`, `git commit -m "..."`, then `make sync_data_up`'


@dataclass(frozen=True, kw_only=True)
class Status:
    """Every phase judged, every milestone placed, and the next thing to do."""

    project: Project
    verdicts: tuple[Verdict, ...]
    milestones: tuple[MilestoneStatus, ...]
    run_id: str | None
    is_registered: bool
    live: Live | None
    next: str

    @property
    def answers_yes(self) -> bool:
        """Whether every phase up to modeling is done; deployment counts once something is on live traffic."""
        return all(verdict.open for verdict in self.verdicts if verdict.phase is not Phase.DEPLOYMENT)


def look(project: Project) -> Status:
    """Judge the repository as it is now; changes nothing but a cache of digests."""
    evidence = gathering.gather(project)
    verdicts = {phase: gates.judge(phase, evidence) for phase in Phase}
    run_id = evidence.manifest.run_id if evidence.manifest else None
    registered = run_id is not None and run_id in snapshot.anchors(project.root)
    scope = evidence.document.scope
    checks = [check for verdict in verdicts.values() for check in verdict.checks]
    return Status(
        project=project,
        verdicts=tuple(verdicts.values()),
        milestones=milestones.judge(
            scope.milestones if scope else (),
            checks,
            clock.today(),
            are_current=any(
                check.name == PIPELINE and check.passed for check in verdicts[Phase.MODELING].checks
            ),
        ),
        run_id=run_id,
        is_registered=registered,
        live=evidence.live,
        next=_next(project, verdicts, evidence, is_registered=registered),
    )


def _next(
    project: Project, verdicts: Mapping[Phase, Verdict], evidence: Evidence, *, is_registered: bool
) -> str:
    for phase in (Phase.SCOPING, Phase.DATA, Phase.MODELING):
        closed = verdicts[phase].closed_by
        if closed:
            return next_step(phase, closed, evidence)
    if not is_registered:
        return "run `mlproj stage modeling`"
    before = tuple(check for check in deployment_gates.before_traffic(evidence) if not check.passed)
    if before:
        return next_step(Phase.DEPLOYMENT, before, evidence)
    if git.is_dirty(project.root):
        return KEEP
    live = evidence.live
    if live is not None and live.newcomer is not None:
        return f"run `mlproj deployments` to see how the {live.newcomer_mode} of version {live.newcomer} does"
    if live is not None and live.unknown:
        return live.hint
    if live is None or live.primary is None:
        return "run `mlproj deploy --mode full`"
    return "everything promised so far is met; `mlproj deployments` shows what is live"


def next_step(phase: Phase, closed: tuple[Check, ...], evidence: Evidence) -> str:
    """The one thing to do first: run what has not run, else mend what the first closed gate names."""
    hint = next((check.hint for check in closed if check.hint), "")
    if evidence.must_be_pulled and phase is not Phase.SCOPING:
        return hint
    if phase is not Phase.SCOPING and _is_behind(phase, evidence):
        return f"run `mlproj stage {phase}`"
    if "mlproj " in hint or not hint:
        return hint
    return f"{hint}, then run `mlproj stage {phase}`"


def _is_behind(phase: Phase, evidence: Evidence) -> bool:
    return any(not status.is_fresh for status in evidence.of_phases(phase))
