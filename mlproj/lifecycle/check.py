"""What a gate answers, and the few words that every gate uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One gate's answer: what is so, and what would change it. `details` are lines that go below it.

    `metric` names the promised metric that the gate judges, for gates that judge one.
    """

    name: str
    outcome: Outcome
    reason: str
    hint: str = ""
    details: tuple[str, ...] = ()
    metric: str | None = None

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS


def passed(name: str, reason: str, *details: str, metric: str | None = None) -> Check:
    return Check(name=name, outcome=Outcome.PASS, reason=reason, details=details, metric=metric)


def failed(name: str, reason: str, hint: str, *details: str, metric: str | None = None) -> Check:
    return Check(name=name, outcome=Outcome.FAIL, reason=reason, hint=hint, details=details, metric=metric)


def unknown(name: str, reason: str, hint: str, *details: str, metric: str | None = None) -> Check:
    return Check(name=name, outcome=Outcome.UNKNOWN, reason=reason, hint=hint, details=details, metric=metric)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    shown = [*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def number(value: Any) -> str:
    if not isinstance(value, int | float):
        return "?"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
