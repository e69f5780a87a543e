"""The gates of the deployment phase: those before there is traffic, and those that only traffic can open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlproj.lifecycle import pipeline_gate
from mlproj.lifecycle.check import Check, count, failed, number, passed, unknown
from mlproj.lifecycle.evidence import Evidence, Live
from mlproj.lifecycle.phases import Phase
from mlproj.scoping.scope import Target

_AGAIN = "run `mlproj stage deployment`"
# What a load of some seconds cannot tell.
_LIVE_ONLY = ("availability",)
# Fewer requests than this say nothing about availability.
_ENOUGH = 100
_SLOWER = (
    "try a smaller model, or one that a fast engine can serve: `mlproj check deployment` says which does"
)


def gates(evidence: Evidence) -> Iterator[Check]:
    yield from before_traffic(evidence)
    yield from on_traffic(evidence)


def before_traffic(evidence: Evidence) -> Iterator[Check]:
    """Is there a package of this very run, does it answer like the model, is it as fast as was promised?"""
    if not evidence.has_pipeline:
        yield unknown("pipeline", "there is no `dvc.yaml`", "run `mlproj data add FILE --target COLUMN`")
        return
    yield _package(evidence)
    scope = evidence.document.scope
    for target in scope.software if scope else ():
        if target.metric not in _LIVE_ONLY:
            yield _software(target, evidence)
    yield _card(evidence)
    yield pipeline_gate.fresh(evidence, Phase.DEPLOYMENT)


def on_traffic(evidence: Evidence) -> Iterator[Check]:
    scope = evidence.document.scope
    live = evidence.live
    for target in scope.software if scope else ():
        if target.metric in _LIVE_ONLY:
            yield _available(target, live)
    for target in scope.business if scope else ():
        yield _business(target, live)
    if live is not None and live.unknown:
        yield unknown("serving", f"what is live cannot be read: {live.unknown}", live.hint)
        return
    if live is None or live.primary is None:
        beside = f"version {live.newcomer} is a {live.newcomer_mode}; " if live and live.newcomer else ""
        yield unknown("serving", f"{beside}no version answers requests", "run `mlproj deploy --mode full`")
        return
    said = f"version {live.primary} answers requests since {live.since}"
    if live.newcomer is not None:
        said += f"; a {live.newcomer_mode} of version {live.newcomer} is under way"
    yield passed("serving", said)


def _available(target: Target, live: Live | None) -> Check:
    """The share of requests that were answered without a fault of ours, since the gateway started."""
    name, metric = f"target {target.metric}", target.metric
    answered = live.answered if live is not None else 0
    if live is None or answered < _ENOUGH:
        said = f"told by live traffic, of which there is too little: {count(answered, 'request')}"
        return unknown(name, f"{target.sentence}: {said}", "", metric=metric)
    share = 1.0 - live.failed / answered
    said = f"{target.sentence}: {number(share)} of {count(answered, 'request')} since the gateway started"
    if target.met_by(share):
        return passed(name, said, metric=metric)
    return failed(name, said, "look at `supervisor.log` and at /metrics for what fails", metric=metric)


def _business(target: Target, live: Live | None) -> Check:
    name, metric = f"business target {target.metric}", target.metric
    told = live.told.get(metric) if live is not None else None
    if told is None:
        said = f"told by feedback with `metric: {metric}`, and there is none yet"
        return unknown(name, f"{target.sentence}: {said}", "", metric=metric)
    mean, of = told
    said = f"{target.sentence}: {number(mean)}, the mean of what was told {count(of, 'time')}"
    if target.met_by(mean):
        return passed(name, said, metric=metric)
    hint = f"ask whether {target.linked_to or 'what the model is judged by'} still stands for it"
    return failed(name, said, hint, metric=metric)


def _package(evidence: Evidence) -> Check:
    name, package, run = "package", evidence.package, evidence.manifest
    if package is None or run is None:
        made_by = "models/run.json" if run is None else "models/package"
        return pipeline_gate.not_made(name, evidence, made_by, "the model is not packaged yet", _AGAIN)
    made_from = str(package.get("run_id"))
    if made_from != run.run_id:
        return failed(name, f"it was made from run {made_from[:8]}, and this is run {run.run_id[:8]}", _AGAIN)
    engines = package.get("engines") or {}
    serves = str(package.get("engine"))
    details = [
        f"{engine}: {report.get('reason')}"
        for engine, report in engines.items()
        if engine != serves and report.get("reason")
    ]
    rows = (engines.get(serves) or {}).get("rows")
    same = f", equal to the model on {rows:,} rows" if serves != "original" and rows else ""
    return passed(name, f"engine `{serves}` serves{same}", *details)


def _software(target: Target, evidence: Evidence) -> Check:
    name, metric, load = f"target {target.metric}", target.metric, evidence.load
    if load is None:
        return unknown(name, f"{target.sentence}: not measured yet", _AGAIN, metric=metric)
    found = (load.get("metrics") or {}).get(metric)
    if not isinstance(found, Mapping) or found.get("value") is None:
        return unknown(name, f"{target.sentence}: the load did not measure it", _AGAIN, metric=metric)
    said = f"{target.sentence}: {number(found['value'])} ({_where(found, load)})"
    if target.met_by(float(found["value"])):
        return passed(name, said, metric=metric)
    return failed(name, said, _SLOWER, metric=metric)


def _where(found: Mapping[str, Any], load: Mapping[str, Any]) -> str:
    with_ = f"{found['connections']} connections, " if found.get("connections") else ""
    return f"{with_}{load.get('machine', 'this machine')}"


def _card(evidence: Evidence) -> Check:
    name, run = "model card", evidence.manifest
    if evidence.card_run is None or run is None:
        return unknown(name, f"`{evidence.card_path}` has no evidence in it yet", _AGAIN)
    if evidence.card_run != run.run_id:
        return failed(name, f"its evidence is that of run {evidence.card_run[:8]}", _AGAIN)
    return passed(name, f"`{evidence.card_path}` holds the evidence of run {run.run_id[:8]}")
