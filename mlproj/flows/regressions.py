"""The promise on negative flips: the model in the work tree held against the one it would replace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlproj.base import git
from mlproj.base.errors import MlprojError
from mlproj.flows.past import Past, PastRun
from mlproj.project import Project
from mlproj.provenance import answered
from mlproj.provenance.flips import Tally, wilson
from mlproj.scoping.scope import DEFAULT_SPLIT, Target

_CONFIDENCE = 0.95


def measure(project: Project, promised: Iterable[Target]) -> tuple[Mapping[str, Any], ...]:
    """What the gates of these targets are judged by, in the form of `evaluate`'s own entries.

    An entry with `nothing` says that there is nothing to compare with, one with `reason` why it is not known.
    No entries where there is no run yet.
    """
    if git.toplevel(project.root) is None:
        return ()
    past = Past(project)
    if past.current is None:
        return ()
    run = past.named("HEAD")
    other = past.before(run)
    if other is None:
        said = "nothing to compare with yet, no other version was live or registered"
        return tuple({**_asked(target), "nothing": said} for target in promised)
    return tuple(
        {**_asked(target), "against": other.title, **_entry(past, other, run, target)} for target in promised
    )


def _asked(target: Target) -> dict[str, Any]:
    return {
        "metric": target.metric,
        "split": target.split or DEFAULT_SPLIT,
        "class": target.class_label,
        "with_confidence": target.with_confidence,
        "slice_columns": list(target.slices),
    }


def _entry(past: Past, other: PastRun, run: PastRun, target: Target) -> dict[str, Any]:
    paths = []
    for each in (other, run):
        file = past.predictions(each)
        if file is None:
            return _unknown(f"{each.title} kept no answers to rows (`{answered.PREDICTIONS}`)")
        path = past.content(file, None)
        if isinstance(path, str):
            return _unknown(f"{path}; `mlproj compare` fetches it where it can")
        paths.append(path)
    split = str(target.split or DEFAULT_SPLIT)
    try:
        found = answered.flips(paths[0], paths[1], split, most=0)
    except MlprojError as error:
        return _unknown(error.message)
    if not found.whole.rows:
        return _unknown(f"no row of {split} is in both runs")
    there = {group.column for group in found.slices}
    lacking = [column for column in target.slices if column not in there]
    if lacking:
        return _unknown(f"`{answered.PREDICTIONS}` has no slices by `{lacking[0]}`")
    confidence = target.with_confidence or _CONFIDENCE
    slices = [
        {"column": group.column, "level": group.level, **_share(group.tally, confidence)}
        for group in found.slices
        if group.column in target.slices
    ]
    return {**_share(found.whole, confidence), "slices": slices}


def _share(tally: Tally, confidence: float) -> dict[str, Any]:
    low, high = wilson(tally.worse, tally.rows, confidence) or (None, None)
    return {"value": tally.rate, "low": low, "high": high, "rows": tally.rows}


def _unknown(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "rows": 0, "slices": [], "reason": reason}
