"""The gates of the modeling phase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlproj.lifecycle import pipeline_gate
from mlproj.lifecycle.check import Check, count, failed, listed, number, passed, unknown
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase
from mlproj.provenance.manifest import Manifest
from mlproj.scoping.scope import DEFAULT_SPLIT, ML_METRICS, NEGATIVE_FLIPS, Split, Target

# Below this many rows a slice's metric says more about chance than about the model.
_SLICE_ROWS = 30
_AGAIN = "run `mlproj stage modeling`"
_MODEL_HINT = "try other features, another model or its options in `params.yaml`"
_FLIPS_HINT = "run `mlproj compare`, which shows the rows that got worse"
_SLICE_HINT = "look at these rows: are there too few, or does a feature mean something else there?"


def gates(evidence: Evidence) -> Iterator[Check]:
    if not evidence.has_pipeline:
        yield unknown("pipeline", "there is no `dvc.yaml`", "run `mlproj data add FILE --target COLUMN`")
        return
    yield _baseline(evidence)
    yield _sanity(evidence)
    yield from _targets_met(evidence)
    yield _origin(evidence)
    yield pipeline_gate.fresh(evidence, Phase.MODELING)


def _sanity(evidence: Evidence) -> Check:
    report = evidence.report("sanity")
    if report is None:
        reason = "the model has not been tried on a few rows yet"
        return pipeline_gate.not_made("sanity", evidence, "reports/sanity.json", reason, _AGAIN)
    said = (
        f"{report.get('metric')} {number(report.get('value'))} on {report.get('rows')} training rows, "
        f"at least {number(report.get('at_least'))} wanted"
    )
    if report.get("passed"):
        return passed("sanity", said)
    look_at = [str(line) for line in report.get("look_at") or ()]
    return failed("sanity", f"it cannot overfit a handful: {said}", "look at what is listed above", *look_at)


def _baseline(evidence: Evidence) -> Check:
    """A dummy has to be beaten. The simplest sensible model must not be better by more than the interval of
    the metric: it may be the very model that was chosen, and on few rows the two differ by chance."""
    name, again = "baseline", _AGAIN
    report, baselines = evidence.report("evaluation"), evidence.report("baseline")
    if report is None or baselines is None:
        lacks = "reports/evaluation.json" if report is None else "reports/baseline.json"
        reason = "the model has not been compared with it yet"
        return pipeline_gate.not_made(name, evidence, lacks, reason, again)
    best = (report.get("baseline") or {}).get("dev") or {}
    metric = str(best.get("metric"))
    model = ((report.get("splits") or {}).get("dev") or {}).get("metrics") or {}
    dummy, simple = (
        ((baselines.get(kind) or {}).get("dev") or {}).get(metric) for kind in ("dummy", "simple")
    )
    if metric not in model or dummy is None or simple is None:
        return unknown(name, "the reports do not say how it compares on dev", again)
    ours, sign = float(model[metric]["value"]), -1 if _is_error(metric) else 1
    simple_name = str(baselines.get("simple_model") or "the simple model")
    said = f"{metric} on dev: {number(ours)}, {simple_name} {number(simple)}, a dummy {number(dummy)}"
    if sign * ours <= sign * float(dummy):
        hint = "ask whether these features can tell the answer at all: look at the data before the model"
        return failed(name, f"the dummy is not beaten: {said}", hint)
    # Its interval's better end: a simpler model above even that is better by more than chance.
    best_case = model[metric].get("low" if sign < 0 else "high")
    if sign * float(simple) > sign * float(ours if best_case is None else best_case):
        hint = f"set `train.model: {simple_name}` in `params.yaml`, or find features that tell more"
        return failed(name, f"the simplest sensible model is better: {said}", hint)
    if sign * ours <= sign * float(simple):
        said += f"; no better than {simple_name}, which is easier to own"
    return passed(name, said)


def _is_error(metric: str) -> bool:
    return metric in ML_METRICS and not ML_METRICS[metric].higher_is_better


def _targets_met(evidence: Evidence) -> Iterator[Check]:
    scope = evidence.document.scope
    if scope is None or not scope.ml:
        yield unknown("targets", "the scoping document promises no ML target", "run `mlproj stage scoping`")
        return
    report = evidence.report("evaluation") or {}
    looks_told = False
    for target in scope.ml:
        # Of what `evaluate` cannot know it says so; the comparison with another run does.
        found = _measurement(target, (*evidence.regressions, *(report.get("targets") or ())))
        if found is not None and "nothing" in found:
            yield passed(
                f"target {target.metric}", f"{target.sentence}: {found['nothing']}", metric=target.metric
            )
            continue
        looks = () if looks_told else _looks(evidence, target)
        looks_told = looks_told or bool(looks)
        if found is None:
            name, reason = f"target {target.metric}", f"{target.sentence}: not measured yet"
            if report:  # of targets as they were before
                yield unknown(name, reason, _AGAIN, metric=target.metric)
            else:
                path = "reports/evaluation.json"
                yield pipeline_gate.not_made(name, evidence, path, reason, _AGAIN, metric=target.metric)
            continue
        against = (f"against {found['against']}",) if "against" in found else ()
        yield _target(target, found, report.get("confidence"), (*against, *looks))
        if target.slices and found.get("value") is not None:
            yield _slices(target, found)


def _measurement(target: Target, measured: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    asked = (target.metric, target.split or DEFAULT_SPLIT, target.class_label)
    for entry in measured:
        label = entry.get("class")
        if (entry.get("metric"), entry.get("split"), None if label is None else str(label)) != asked:
            continue
        # An interval of another width, or slices nobody looked at, would be judged under a false name.
        if "with_confidence" in entry and entry["with_confidence"] != target.with_confidence:
            continue
        if "slice_columns" in entry and not set(target.slices) <= set(entry["slice_columns"]):
            continue
        return entry
    return None


def _looks(evidence: Evidence, target: Target) -> tuple[str, ...]:
    looks = (evidence.evaluation_run or {}).get("test_looks")
    if (target.split or DEFAULT_SPLIT) != Split.TEST or not isinstance(looks, int):
        return ()
    models = "1 model has" if looks == 1 else f"{looks} models have"
    return (f"{models} been scored on this test split",)


def _target(
    target: Target, found: Mapping[str, Any], confidence: float | None, details: tuple[str, ...]
) -> Check:
    """Judge one promise; an estimate that meets the bound while its interval straddles it says so."""
    name, metric = f"target {target.metric}", target.metric
    if found.get("value") is None:
        reason = f"{target.sentence}: {found.get('reason') or 'it could not be measured'}"
        again = "edit `evaluate` in `params.yaml`, then run `mlproj stage modeling`"
        if metric == NEGATIVE_FLIPS:
            again = "run `mlproj compare` to see what there is to compare"
        return unknown(name, reason, again, metric=metric)
    value, low, high = float(found["value"]), found.get("low"), found.get("high")
    said = f"{target.sentence}: {number(value)}"
    if low is not None and high is not None:
        share = (target.with_confidence or confidence or 0.95) * 100
        said += f" ({share:g} % interval {number(low)} to {number(high)})"
    decides = target.judged_by(value, low, high)
    if decides is None:
        return unknown(name, f"{said}; no interval was computed", _AGAIN, *details, metric=metric)
    if target.met_by(decides):
        if low is not None and high is not None and target.straddled_by(low, high):
            said += "; the interval straddles the bound, so another sample might not meet it"
        return passed(name, said, *details, metric=metric)
    if target.met_by(value):
        said += "; the estimate meets the bound, its interval does not"
    hint = _FLIPS_HINT if metric == NEGATIVE_FLIPS else _MODEL_HINT
    return failed(name, said, hint, *details, metric=metric)


def _slices(target: Target, found: Mapping[str, Any]) -> Check:
    name = f"slices {target.metric}"
    judged, short, set_aside = 0, [], []
    for entry in found.get("slices") or ():
        label, value = f"{entry.get('column')} = {entry.get('level')}", entry.get("value")
        rows = int(entry.get("rows") or 0)
        of_class = int(entry.get("rows_of_class", rows))
        if value is None:
            set_aside.append(f"{label}: {entry.get('reason') or 'it could not be measured'}")
        elif rows < _SLICE_ROWS:
            set_aside.append(f"{label}: {number(value)} on {count(rows, 'row')}, too few to judge")
        elif of_class < _SLICE_ROWS:
            said = f"{label}: {number(value)} on {count(rows, 'row')}, {of_class} of them of the class"
            set_aside.append(f"{said}, too few to judge")
        else:
            judged += 1
            if not target.met_on_slice_by(float(value)):
                short.append(f"{label}: {number(value)} on {count(rows, 'row')}")
    asked = f"{target.direction.replace('_', ' ')} {number(target.slice_bound)}"
    if short:
        reason = f"{count(len(short), 'slice')} of {judged} not {asked}"
        return failed(name, reason, _SLICE_HINT, *short, *set_aside, metric=target.metric)
    if not judged:
        reason, hint = "no slice has enough rows to judge", f"name other slices for {target.metric}"
        return unknown(name, reason, hint, *set_aside, metric=target.metric)
    return passed(name, f"{count(judged, 'slice')} {asked}", *set_aside, metric=target.metric)


def _origin(evidence: Evidence) -> Check:
    name, manifest = "origin", evidence.manifest
    again = "run `mlproj stage modeling`, which snapshots the code first"
    if manifest is None:
        reason = "there is no run manifest (`models/run.json`)"
        return pipeline_gate.not_made(name, evidence, "models/run.json", reason, _AGAIN)
    lacks = manifest.missing()
    if lacks:
        return failed(name, f"run {manifest.run_id[:8]} lacks {listed(list(lacks))}", again)
    if manifest.lock_sha256 != evidence.lock_sha256:
        return failed(name, f"the environment's lock file has changed since run {manifest.run_id[:8]}", again)
    if not evidence.snapshot_held:
        commit = manifest.snapshot or manifest.commit or ""
        return failed(
            name, f"commit `{commit[:12]}`, which the run was made from, is not in this repository", again
        )
    return _complete(evidence, manifest)


def _complete(evidence: Evidence, manifest: Manifest) -> Check:
    """Whether what the run was made from can be had again: looked at, not assumed."""
    name, found = "origin", evidence.completeness
    again = "run `mlproj stage modeling`"
    if found is None:
        return unknown(name, "what the run was made from has not been looked at", again)
    if found.undeclared:
        first = found.undeclared[0]
        said = f"{count(len(found.undeclared), 'import')} of stages that `dvc.yaml` does not declare"
        hint = f"add `- {first.path}` to the `deps` of stage `{first.stage}`, then {again}"
        details = [f"{each.stage}: `{each.path}`, imported by {each.by}" for each in found.undeclared]
        return failed(name, f"{said}: DVC would not notice a change", hint, *details)
    if found.opened:
        stage, path = found.opened[0]
        said = f"{count(len(found.opened), 'file')} read by stages that `dvc.yaml` does not declare"
        hint = f"add `- {path}` to the `deps` of stage `{stage}`, then {again}"
        details = [f"{stage}: `{path}`" for stage, path in found.opened]
        return failed(name, f"{said}: DVC would not notice a change", hint, *details)
    if found.packages:
        said = f"the environment is not what `{found.lock}` says: {listed(list(found.packages))}"
        return failed(name, said, f"{found.install}, or lock what is installed; then {again}")
    if found.missing:
        return failed(name, f"data of the run cannot be had again: {found.why}", found.mend, *found.missing)
    if found.not_asked:
        said = (
            f"the remote `{found.remote}` was not asked for {count(len(found.not_asked), 'file')} of the run"
        )
        return unknown(name, said, "run `mlproj check modeling`, which asks it once", *found.not_asked)
    if manifest.threads is None:
        return failed(name, f"run {manifest.run_id[:8]} lacks the number of its threads", again)
    commit = manifest.snapshot or manifest.commit or ""
    said = (
        f"run {manifest.run_id[:8]} from commit {commit[:12]}; {count(found.kept, 'file')} of data and model "
    )
    said += f"in the cache and on the remote `{found.remote}`, by digest"
    return passed(name, said, *found.unchecked)
