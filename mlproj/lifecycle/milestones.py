"""Where each milestone stands, from the same evidence as the gates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from mlproj.lifecycle.check import Check, Outcome
from mlproj.scoping.scope import Milestone


class State(StrEnum):
    REACHED = "reached"
    DUE = "due"
    OVERDUE = "overdue"
    UNDATED = "undated"


@dataclass(frozen=True, kw_only=True)
class MilestoneStatus:
    """A milestone and what it still waits for: metrics promised and not met, with what is known of each."""

    milestone: Milestone
    state: State
    days_left: int | None
    waits_for: tuple[str, ...]


def judge(
    milestones: Iterable[Milestone], checks: Iterable[Check], today: date
) -> tuple[MilestoneStatus, ...]:
    """Judge every milestone by the gates that judge the metrics it needs."""
    by_metric: dict[str, list[Check]] = {}
    for check in checks:
        if check.metric is not None:
            by_metric.setdefault(check.metric, []).append(check)
    return tuple(_status(milestone, by_metric, today) for milestone in milestones)


def _status(milestone: Milestone, by_metric: dict[str, list[Check]], today: date) -> MilestoneStatus:
    waits_for = tuple(
        f"{metric} ({_known(by_metric.get(metric, []))})"
        for metric in milestone.needs
        if not by_metric.get(metric) or not all(check.passed for check in by_metric[metric])
    )
    days_left = (milestone.due - today).days if milestone.due else None
    if not waits_for:
        state = State.REACHED
    elif days_left is None:
        state = State.UNDATED
    else:
        state = State.OVERDUE if days_left < 0 else State.DUE
    return MilestoneStatus(milestone=milestone, state=state, days_left=days_left, waits_for=waits_for)


def _known(checks: list[Check]) -> str:
    return "not met" if any(check.outcome is Outcome.FAIL for check in checks) else "not measured yet"
