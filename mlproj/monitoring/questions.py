"""What a rollout has to watch, by its targets: latency bounds, losses on labelled rows, bins of the score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from mlproj.scoping.scope import Target, TargetKind, Task

# A latency target's quantile, as the share of requests that may be slower.
SLOWER = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.05, "latency_p99_ms": 0.01}
WHOLE_TABLE = "it is no mean over single answers"
NOT_ONLINE = {
    "balanced_accuracy": WHOLE_TABLE,
    "f1": WHOLE_TABLE,
    "roc_auc": "it compares answers with one another",
    "average_precision": "it compares answers with one another",
    "mcc": WHOLE_TABLE,
    "median_absolute_error": WHOLE_TABLE,
    "r2": WHOLE_TABLE,
    "throughput_rps": "it is measured by a load of its own",
    "memory_mb": "it is measured at packaging",
    "model_size_mb": "it is measured at packaging",
}
SHARES = ("accuracy", "recall", "precision")
BOUNDED = (*SHARES, "brier")
OF_NUMBERS = ("mae", "rmse", "mape")
CLIP = 1e-15  # as scikit-learn's log_loss


@dataclass(frozen=True)
class LatencyBound:
    """Slower than `bound_us` is bad; `allowed` is the share a target allows (None: there is no target)."""

    bound_us: int
    allowed: float | None
    sentence: str


@dataclass(frozen=True)
class Loss:
    """How wrong one answer was: 0 is right, smaller is better. `bound` is what a target allows on average."""

    metric: str
    class_label: str | None
    bound: float | None
    sentence: str
    business: bool = False
    higher_is_better: bool = False

    @property
    def is_share(self) -> bool:
        """Whether each answer is right or wrong, so that the mean loss is a share."""
        return self.metric in SHARES and not self.business

    @property
    def is_of_numbers(self) -> bool:
        return self.metric in OF_NUMBERS and not self.business

    @property
    def is_bounded(self) -> bool:
        return self.metric in BOUNDED and not self.business

    def of(self, answer: Answer, truth: str) -> float | None:
        """The loss of an answer; None where the metric does not count the row.

        Raises ValueError if a number is wanted and the truth is none.
        """
        match self.metric:
            case "accuracy":
                return float(answer.label != truth)
            case "recall":
                return float(answer.label != self.class_label) if truth == self.class_label else None
            case "precision":
                return float(truth != self.class_label) if answer.label == self.class_label else None
            case "log_loss":
                return -math.log(max(answer.probabilities.get(truth, 0.0), CLIP))
            case "brier":
                return _brier(answer, truth)
        difference = float(answer.label) - _number(truth)
        match self.metric:
            case "mae":
                return abs(difference)
            case "rmse":
                return difference * difference
            case _:  # mape
                return abs(difference) / max(abs(_number(truth)), CLIP)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said: its label (a number as text) and the probabilities of the classes."""

    label: str
    probabilities: dict[str, float]

    @classmethod
    def from_output(cls, output: str) -> Answer:
        """From a record's output, JSON without its braces."""
        said = json.loads("{" + output + "}")
        probabilities = said.get("probabilities") or {}
        return cls(label=label(said["prediction"]), probabilities=probabilities)


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What to watch. `unjudged` are targets that served traffic cannot answer, with the reason.

    `score_edges` are the inner edges of the score's bins. `maturity_us` is how old an answer must be before
    its label counts, in both arms: labels that come early are not like the others. `are_numbers`: answers
    are numbers, not classes.
    """

    latency: tuple[LatencyBound, ...] = ()
    losses: tuple[Loss, ...] = ()
    slices: tuple[str, ...] = ()
    unjudged: tuple[tuple[str, str], ...] = ()
    error_bound: float | None = None
    score_edges: tuple[float, ...] = ()
    maturity_us: int = 0
    warm_up_us: int = 0
    are_numbers: bool = False


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """How the primary did before the rollout began; what is compared must be fixed by then."""

    latency_p95_ms: float | None = None
    score_edges: tuple[float, ...] = ()
    requests_per_hour: float = 0.0
    units_per_request: float = 1.0
    error_share: float = 0.0
    slow_share: float = 0.05


def questions(
    targets: Iterable[Target],
    *,
    task: Task,
    baseline: Baseline,
    positive: str | None = None,
    maturity_s: float = 0.0,
    warm_up_s: float = 30.0,
    scores_are_probabilities: bool = True,
) -> Questions:
    """What the targets ask of served traffic.

    `positive` is the class of a binary task's bare recall or precision. Without a latency target, slower than
    the primary's own p95 of before is what is counted as slow.
    """
    latency: list[LatencyBound] = []
    losses: list[Loss] = []
    unjudged: list[tuple[str, str]] = []
    slices: dict[str, None] = {}
    error_bound = None
    for target in targets:
        allowed = SLOWER.get(target.metric)
        if target.kind is TargetKind.SOFTWARE and allowed is not None:
            latency.append(LatencyBound(round(target.bound * 1000), allowed, target.sentence))
        elif target.kind is TargetKind.SOFTWARE and target.metric == "error_rate":
            error_bound = min(target.bound, 1.0 if error_bound is None else error_bound)
        elif target.kind is TargetKind.SOFTWARE and target.metric == "availability":
            error_bound = min(round(1.0 - target.bound, 12), 1.0 if error_bound is None else error_bound)
        else:
            made = _loss(target, task, positive)
            if isinstance(made, str):
                unjudged.append((target.sentence, made))
            else:
                losses.append(made)
                slices |= dict.fromkeys(target.slices)
    if not latency and baseline.latency_p95_ms is not None:
        sentence = f"slower than the primary's p95 of before, {baseline.latency_p95_ms:.0f} ms"
        latency.append(LatencyBound(round(baseline.latency_p95_ms * 1000), None, sentence))
    edges = baseline.score_edges
    if not edges and scores_are_probabilities:
        edges = tuple(step / 10 for step in range(1, 10))
    return Questions(
        latency=tuple(latency),
        losses=tuple(losses),
        slices=tuple(slices),
        unjudged=tuple(unjudged),
        error_bound=error_bound,
        score_edges=edges,
        maturity_us=round(maturity_s * 1e6),
        warm_up_us=round(warm_up_s * 1e6),
        are_numbers=task is Task.REGRESSION,
    )


def label(value: object) -> str:
    """A class or number as text, so that 1, 1.0 and "1" from a file of feedback are one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    text = str(value).strip()
    if text.endswith(".0") and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return text


def _loss(target: Target, task: Task, positive: str | None) -> Loss | str:
    if target.kind is TargetKind.BUSINESS:
        higher = target.direction.value == "at_least"
        bound = -target.bound if higher else target.bound
        return Loss(target.metric, None, bound, target.sentence, business=True, higher_is_better=higher)
    if target.metric in NOT_ONLINE:
        return NOT_ONLINE[target.metric]
    wanted = target.class_label
    if target.metric in ("recall", "precision") and wanted is None:
        if task is not Task.BINARY or positive is None:
            return "it names no class"
        wanted = positive
    if target.metric in SHARES:
        # 1 - 0.8 is 0.2 to a person.
        return Loss(
            target.metric,
            None if wanted is None else label(wanted),
            round(1.0 - target.bound, 12),
            target.sentence,
        )
    bound = target.bound**2 if target.metric == "rmse" else target.bound
    return Loss(target.metric, None, bound, target.sentence)


def _brier(answer: Answer, truth: str) -> float:
    squares = sum((p - (name == truth)) ** 2 for name, p in answer.probabilities.items())
    return squares / 2 if len(answer.probabilities) == 2 else squares


def _number(truth: str) -> float:
    value = float(truth)
    if not math.isfinite(value):
        raise ValueError(f"`{truth}` is not finite")
    return value
