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
    milestones: Iterable[Milestone], checks: Iterable[Check], today: date, *, are_current: bool = True
) -> tuple[MilestoneStatus, ...]:
    """Judge every milestone by the gates that judge the metrics it needs.

    With `are_current` false, what was measured was measured before the last change, and proves nothing now.
    """
    by_metric: dict[str, list[Check]] = {}
    for check in checks:
        if check.metric is not None:
            by_metric.setdefault(check.metric, []).append(check)
    return tuple(_status(milestone, by_metric, today, are_current) for milestone in milestones)


def _status(
    milestone: Milestone, by_metric: dict[str, list[Check]], today: date, are_current: bool
) -> MilestoneStatus:
    waits_for = tuple(
        f"{metric} ({_known(by_metric.get(metric, []))})"
        for metric in milestone.needs
        if not (are_current and by_metric.get(metric) and _all_passed(by_metric[metric]))
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
    if any(check.outcome is Outcome.FAIL for check in checks):
        return "not met"
    return "measured before the last change" if checks and _all_passed(checks) else "not measured yet"


def _all_passed(checks: list[Check]) -> bool:
    return all(check.passed for check in checks)
