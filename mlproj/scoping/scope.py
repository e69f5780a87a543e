"""What a scoping document promises, as plain values: targets, a benchmark, milestones, sign-offs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class TargetKind(StrEnum):
    ML = "ml"
    SOFTWARE = "software"
    BUSINESS = "business"


class Direction(StrEnum):
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Split(StrEnum):
    """Where an ML target is measured: not on `train`, whose rows the model has seen."""

    DEV = "dev"
    TEST = "test"


class Approach(StrEnum):
    BUILD = "build"
    BUY = "buy"
    ADAPT = "adapt"


class BenchmarkKind(StrEnum):
    HUMAN = "human"
    LITERATURE = "literature"
    COMPETITOR = "competitor"
    PREVIOUS_SYSTEM = "previous-system"
    SIMPLE_MODEL = "simple-model"


class Feasible(StrEnum):
    GO = "go"
    NO_GO = "no-go"
    PROOF_OF_CONCEPT = "proof-of-concept"


class Automation(StrEnum):
    SHADOW = "shadow"
    ASSIST = "assist"
    PARTIAL = "partial"
    FULL = "full"


CLASSES = (Task.BINARY, Task.MULTICLASS)
# The share of all rows that the version it would replace gets right and the new one wrong. It is no figure of
# one model, so `evaluate` cannot compute it.
NEGATIVE_FLIPS = "negative_flips"
DEFAULT_SPLIT = Split.TEST


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that the program knows how to measure, and which values of it can exist."""

    name: str
    higher_is_better: bool
    low: float | None = None
    high: float | None = None
    low_is_possible: bool = True
    unit: str = ""
    tasks: tuple[Task, ...] = tuple(Task)
    per_class: bool = False

    @property
    def direction(self) -> Direction:
        return Direction.AT_LEAST if self.higher_is_better else Direction.AT_MOST

    @property
    def span(self) -> str:
        """The values that can exist, in words; empty if every number can."""
        if self.low is not None and self.high is not None:
            return f"between {number(self.low)} and {number(self.high)}"
        if self.low is not None:
            return f"{'at least' if self.low_is_possible else 'above'} {number(self.low)}"
        return f"at most {number(self.high)}" if self.high is not None else ""

    def can_be(self, value: float) -> bool:
        if self.low is not None and (value < self.low or (value == self.low and not self.low_is_possible)):
            return False
        return self.high is None or value <= self.high


def _share(name: str, *, tasks: tuple[Task, ...] = CLASSES, per_class: bool = False) -> Metric:
    return Metric(name=name, higher_is_better=True, low=0, high=1, tasks=tasks, per_class=per_class)


def _error(name: str) -> Metric:
    return Metric(name=name, higher_is_better=False, low=0, tasks=(Task.REGRESSION,))


def _cost(name: str, unit: str) -> Metric:
    return Metric(name=name, higher_is_better=False, low=0, low_is_possible=False, unit=unit)


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


ML_METRICS = _by_name(
    _share("accuracy"),
    _share("balanced_accuracy"),
    _share("precision", per_class=True),
    _share("recall", per_class=True),
    _share("f1", per_class=True),
    _share("roc_auc"),
    _share("average_precision"),
    Metric(name="mcc", higher_is_better=True, low=-1, high=1, tasks=CLASSES),
    Metric(name="log_loss", higher_is_better=False, low=0, tasks=CLASSES),
    # With more than two classes the squared errors of all of them are added up, which reaches 2.
    Metric(name="brier", higher_is_better=False, low=0, high=2, tasks=CLASSES),
    _error("rmse"),
    _error("mae"),
    _error("median_absolute_error"),
    _error("mape"),
    Metric(name="r2", higher_is_better=True, high=1, tasks=(Task.REGRESSION,)),
    Metric(name=NEGATIVE_FLIPS, higher_is_better=False, low=0, high=1, tasks=CLASSES),
)

SOFTWARE_METRICS = _by_name(
    _cost("latency_p50_ms", "ms"),
    _cost("latency_p95_ms", "ms"),
    _cost("latency_p99_ms", "ms"),
    Metric(name="throughput_rps", higher_is_better=True, low=0, low_is_possible=False, unit="requests/s"),
    Metric(name="error_rate", higher_is_better=False, low=0, high=1),
    Metric(name="availability", higher_is_better=True, low=0, high=1),
    _cost("memory_mb", "MB"),
    _cost("model_size_mb", "MB"),
)

# Business metrics are the business's own: any name will do.
METRICS: dict[TargetKind, dict[str, Metric]] = {
    TargetKind.ML: ML_METRICS,
    TargetKind.SOFTWARE: SOFTWARE_METRICS,
    TargetKind.BUSINESS: {},
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One promised number. Judged by its point estimate; one `with_confidence` by its interval's bound.

    `slice_margin` is how much worse than the bound each level of each of `slices` may be.
    """

    kind: TargetKind
    metric: str
    direction: Direction
    bound: float
    split: Split | None = None
    slices: tuple[str, ...] = ()
    slice_margin: float = 0.0
    with_confidence: float | None = None
    class_label: str | None = None
    linked_to: str | None = None
    suggested: bool = False
    line: int = 1

    @property
    def unit(self) -> str:
        known = METRICS[self.kind].get(self.metric)
        return known.unit if known else ""

    @property
    def slice_bound(self) -> float:
        """What each level of each slice has to reach."""
        margin = -self.slice_margin if self.direction is Direction.AT_LEAST else self.slice_margin
        return round(self.bound + margin, 12)  # 0.75 - 0.05 is 0.7 to a person

    def met_by(self, value: float) -> bool:
        return _reaches(value, self.direction, self.bound)

    def met_on_slice_by(self, value: float) -> bool:
        return _reaches(value, self.direction, self.slice_bound)

    def judged_by(self, value: float, low: float | None, high: float | None) -> float | None:
        """The number that decides: the estimate, or its interval's worse end for one `with_confidence`.

        None if the interval is asked for and missing.
        """
        if self.with_confidence is None:
            return value
        return low if self.direction is Direction.AT_LEAST else high

    def straddled_by(self, low: float, high: float) -> bool:
        """Whether one end of the interval meets the bound and the other does not."""
        return self.met_by(low) != self.met_by(high)

    @property
    def sentence(self) -> str:
        """For example ``recall of `Yes` at least 0.75 on test with 95 % confidence``."""
        words = [self.metric]
        if self.class_label is not None:
            words.append(f"of `{self.class_label}`")
        words.append(f"{self.direction.replace('_', ' ')} {number(self.bound)}")
        if self.unit:
            words.append(self.unit)
        if self.split is not None:
            words.append(f"on {self.split}")
        if self.with_confidence is not None:
            words.append(f"with {number(round(self.with_confidence * 100, 6))} % confidence")
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """The business problem, as far as it has been answered (None and () where it has not)."""

    statement: str | None
    owner: str | None
    wishes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What is to be made, and what else was considered."""

    statement: str | None
    approach: Approach | None
    alternatives: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What the model has to be compared with: a number, what measured it, and where it comes from."""

    kind: BenchmarkKind
    metric: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Feasibility:
    """Whether it can be done; `benchmark` is None unless all of it has been answered."""

    benchmark: Benchmark | None
    human_could_do_it: bool | None
    predictive_features: str | None
    verdict: Feasible | None


@dataclass(frozen=True, kw_only=True)
class Ethics:
    """Whether it should be done."""

    net_positive: str | None
    fairness: str | None
    concerns_aired: str | None

    @property
    def answered(self) -> bool:
        return None not in (self.net_positive, self.fairness, self.concerns_aired)


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """Reached when every target of the metrics in `needs` is met; that is derived, never written."""

    name: str
    due: date | None
    needs: tuple[str, ...]
    line: int = 1


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What it takes."""

    data: str | None
    people: str | None
    compute: str | None
    budget: str | None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A sign-off of the targets whose digest is `of`."""

    role: str
    name: str
    date: date
    of: str
    line: int = 1


@dataclass(frozen=True, kw_only=True)
class Scope:
    """All that a scoping document says, less what is wrong or unanswered in it."""

    purpose: Purpose
    solution: Solution
    feasibility: Feasibility
    ethics: Ethics
    targets: tuple[Target, ...]
    automation: Automation | None
    milestones: tuple[Milestone, ...]
    resources: Resources
    approvals: tuple[Approval, ...]

    @property
    def ml(self) -> tuple[Target, ...]:
        return self._of(TargetKind.ML)

    @property
    def software(self) -> tuple[Target, ...]:
        return self._of(TargetKind.SOFTWARE)

    @property
    def business(self) -> tuple[Target, ...]:
        return self._of(TargetKind.BUSINESS)

    @property
    def linked(self) -> tuple[Target, ...]:
        """The business targets linked to an ML or software target that is there."""
        measured = {target.metric for target in (*self.ml, *self.software)}
        return tuple(target for target in self.business if target.linked_to in measured)

    @property
    def sign_offs(self) -> tuple[Approval, ...]:
        """The approvals given for the targets as they are now."""
        return tuple(approval for approval in self.approvals if holds(approval, self.targets))

    def _of(self, kind: TargetKind) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if target.kind is kind)


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class ProblemKind(StrEnum):
    FILE = "file"
    SYNTAX = "syntax"
    DUPLICATE = "duplicate"
    UNKNOWN_KEY = "unknown-key"
    TYPE = "type"
    CHOICE = "choice"
    METRIC = "metric"
    BOUND = "bound"
    DATE = "date"
    REFERENCE = "reference"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something the document says that cannot be so; `hint` is what would be right."""

    path: Path
    line: int
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    kind: ProblemKind
    column: int | None = None


class Section(StrEnum):
    """The parts of the document that hold questions, in the order in which it asks them."""

    PROBLEM = "problem"
    SOLUTION = "solution"
    FEASIBILITY = "feasibility"
    ETHICS = "ethics"
    TARGETS = "targets"
    AUTOMATION = "automation"
    MILESTONES = "milestones"
    RESOURCES = "resources"


class Why(StrEnum):
    MISSING = "missing"
    EMPTY = "empty"
    PLACEHOLDER = "placeholder"
    SUGGESTED = "suggested"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of the document that nobody has answered yet; `key` as in `targets.ml[0].split`."""

    section: Section
    key: str
    asks: str
    why: Why
    line: int


def digest(targets: Iterable[Target]) -> str:
    """SHA-256 of what the targets promise: the same for any order, layout or comment around them.

    The mark `suggested` is no part of the promise; suggested targets cannot be signed in the first place.
    """
    promised = sorted(
        json.dumps(
            {
                "kind": target.kind,
                "metric": target.metric,
                target.direction: float(target.bound),
                "split": target.split,
                "slices": sorted(target.slices),
                "slice_margin": float(target.slice_margin),
                "with_confidence": target.with_confidence,
                "class": target.class_label,
                "linked_to": target.linked_to,
            },
            sort_keys=True,
        )
        for target in targets
    )
    return hashlib.sha256("\n".join(promised).encode()).hexdigest()


def holds(approval: Approval, targets: Iterable[Target]) -> bool:
    """Whether the targets are still the ones that were approved."""
    return approval.of == digest(targets)


def number(value: float) -> str:
    """A number as a person writes it: `50`, not `50.0`."""
    whole = abs(value) < 1e15 and value == int(value)
    return str(int(value)) if whole else repr(value)


def _reaches(value: float, direction: Direction, bound: float) -> bool:
    # A value that is not a number fails both comparisons, as it should.
    return value >= bound if direction is Direction.AT_LEAST else value <= bound
