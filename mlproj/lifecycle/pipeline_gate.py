"""The gate that phases with stages share: what was judged is what the code and data would make now."""

from __future__ import annotations

from mlproj.lifecycle.check import Check, count, failed, passed, unknown
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline.stages import Freshness

PIPELINE = "pipeline"


def not_made(
    name: str, evidence: Evidence, path: str, reason: str, again: str, *, metric: str | None = None
) -> Check:
    """Unknown for want of a file: its stage has to run, or to be written where the pipeline has none."""
    if evidence.never_made(path):
        hint = f"let a stage of yours write `{path}`; the guide to adopting says what is in it"
        return unknown(name, f"no stage of `dvc.yaml` writes `{path}`", hint, metric=metric)
    return unknown(name, reason, again, metric=metric)


def fresh(evidence: Evidence, phase: Phase) -> Check:
    """Fresh means this phase's stages and the data they are made from; judging targets is another gate."""
    # A stage that names no phase may stand anywhere before the end: the last phase answers for it.
    phases = {
        Phase.DATA: (Phase.DATA,),
        Phase.MODELING: (Phase.DATA, Phase.MODELING, None),
        Phase.DEPLOYMENT: (Phase.DEPLOYMENT,),
    }[phase]
    statuses = evidence.of_phases(*phases)
    name, again = PIPELINE, f"run `mlproj stage {phase}`"
    if not any(status.stage.phase == phase for status in statuses):
        return unknown(name, f"no stage of `dvc.yaml` says `meta: {{phase: {phase}}}`", "edit `dvc.yaml`")
    own = [status for status in statuses if status.stage.phase == phase]
    if all(status.freshness is Freshness.NEVER_RUN for status in own):
        return unknown(name, "no stage has run yet", again)
    stale = [status for status in statuses if not status.is_fresh]
    if stale:
        shown = [f"{status.stage.name}: {'; '.join(status.reasons[:4])}" for status in stale]
        return failed(name, f"{count(len(stale), 'stage')} not up to date", again, *shown)
    return passed(name, f"{count(len(statuses), 'stage')} up to date")
