"""Features that give the target away: each alone predicts rows it has not seen, almost perfectly.

Every feature is given the simplest predictor there is: for categories, what its value meant in the other half
of the rows; for numbers, what the nearest few values meant there. Halves are made by the caller, so that rows
which belong together stay together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import correlation

from mlproj.catalog.findings import Task

THRESHOLD = 0.98
FEWEST_ROWS = 40
_GLANCE = 200
_WORTH_A_LOOK = 0.75
_FEW_NUMBERS = 50
_MOST_NEIGHBOURS = 200

Value = float | str | None


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    measure: str
    score: float
    by_absence: bool
    """Whether a value is there or missing is enough; the value itself is not needed."""


def suspect(
    cells: Sequence[str | None],
    labels: Sequence[str],
    halves: Sequence[int],
    task: Task,
    *,
    positive: str | None = None,
    read: Callable[[str | None], Value] = lambda cell: cell,
) -> Suspicion | None:
    """The suspicion against one feature, or None.

    `read` makes a number of a cell, text for a category, None for a missing value. `halves` are 0 or 1;
    `labels` are numbers as text for a regression.
    """
    if len(cells) < FEWEST_ROWS:
        return None
    outcome = _outcomes(labels, task, positive)
    if len(cells) >= 2 * _GLANCE:
        glance = [read(cell) for cell in cells[:_GLANCE]]
        if score(glance, outcome[:_GLANCE], halves[:_GLANCE], task) < _WORTH_A_LOOK:
            return None
    values = [read(cell) for cell in cells]
    found = score(values, outcome, halves, task)
    if not _is_suspect(found, outcome, task):
        return None
    absent: list[Value] = ["absent" if value is None else "present" for value in values]
    return Suspicion(
        measure={Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "r2"}[task],
        score=round(found, 4),
        by_absence=len(set(absent)) == 2 and _is_suspect(score(absent, outcome, halves, task), outcome, task),
    )


def score(values: Sequence[Value], outcome: Sequence[float], halves: Sequence[int], task: Task) -> float:
    """How well the feature alone predicts each half from the other: mean ROC AUC, accuracy or R²."""
    scores = []
    for held_out in (0, 1):
        train = [index for index, half in enumerate(halves) if half != held_out]
        test = [index for index, half in enumerate(halves) if half == held_out]
        truth = [outcome[index] for index in test]
        if len(train) < 5 or len(set(truth)) < 2:
            return 0.0
        predict = _predictor(
            [values[index] for index in train], [outcome[index] for index in train], task is Task.MULTICLASS
        )
        predicted = [predict(values[index]) for index in test]
        scores.append(_measure(predicted, truth, task))
    found = _mean(scores)
    if task is Task.REGRESSION:
        found = max(found, _linear(values, outcome))
    return found


def roc_auc(scores: Sequence[float], truth: Sequence[float]) -> float:
    """Chance that a positive row has the higher score, ties counted half (Mann-Whitney)."""
    counts: dict[float, list[int]] = {}
    for value, actual in zip(scores, truth, strict=True):
        counts.setdefault(value, [0, 0])[actual > 0] += 1
    below, concordant, positives, negatives = 0, 0.0, 0, 0
    for value in sorted(counts):
        negative, positive = counts[value]
        concordant += positive * (below + negative / 2)
        below += negative
        positives += positive
        negatives += negative
    return concordant / (positives * negatives) if positives and negatives else 0.0


def _is_suspect(found: float, outcome: Sequence[float], task: Task) -> bool:
    if task is Task.MULTICLASS:
        # With 99 % of one class, an accuracy of 99 % is no feat.
        majority = Counter(outcome).most_common(1)[0][1] / len(outcome)
        return found >= THRESHOLD and (1 - found) <= 0.2 * (1 - majority)
    return found >= THRESHOLD


def _outcomes(labels: Sequence[str], task: Task, positive: str | None) -> list[float]:
    if task is Task.REGRESSION:
        return [float(label) for label in labels]
    if task is Task.BINARY:
        return [float(label == positive) for label in labels]
    codes = {label: float(code) for code, label in enumerate(sorted(set(labels)))}
    return [codes[label] for label in labels]


def _predictor(values: Sequence[Value], outcome: Sequence[float], classes: bool) -> Callable[[Value], float]:
    """What a value meant in these rows: commonest class or mean outcome, of its equals or its neighbours."""
    summary = _commonest if classes else _mean
    levels: dict[Value, list[float]] = {}
    for value, result in zip(values, outcome, strict=True):
        levels.setdefault(value, []).append(result)
    overall = summary(outcome)
    if any(isinstance(value, str) for value in levels) or len(levels) <= _FEW_NUMBERS:
        known = {value: summary(results) for value, results in levels.items()}
        return lambda value: known.get(value, overall)
    absent = summary(levels[None]) if None in levels else overall
    pairs = sorted((value, index) for index, value in enumerate(values) if isinstance(value, float))
    keys = [value for value, _ in pairs]
    results = [outcome[index] for _, index in pairs]
    near = max(3, min(25, len(keys) // 50))

    def of_neighbours(value: Value) -> float:
        if not isinstance(value, float):
            return absent
        first, last = bisect_left(keys, value), bisect_right(keys, value)
        missing = near - (last - first)
        if missing > 0:
            first = max(0, min(first - missing // 2, len(keys) - near))
            last = first + near
        return summary(results[first : min(last, first + _MOST_NEIGHBOURS)])

    return of_neighbours


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _commonest(results: Sequence[float]) -> float:
    return Counter(results).most_common(1)[0][0]


def _measure(predicted: Sequence[float], truth: Sequence[float], task: Task) -> float:
    if task is Task.BINARY:
        return roc_auc(predicted, truth)
    if task is Task.MULTICLASS:
        return _mean([guess == actual for guess, actual in zip(predicted, truth, strict=True)])
    mean = _mean(truth)
    total = sum((actual - mean) ** 2 for actual in truth)
    left = sum((actual - guess) ** 2 for guess, actual in zip(predicted, truth, strict=True))
    return 1 - left / total if total else 0.0


def _linear(values: Sequence[Value], outcome: Sequence[float]) -> float:
    """R² of a straight line through the rows that have a number; two parameters cannot memorise."""
    pairs = [
        (value, result) for value, result in zip(values, outcome, strict=True) if isinstance(value, float)
    ]
    if len(pairs) < 0.95 * len(values):
        return 0.0
    xs, ys = zip(*pairs, strict=True)
    if len(set(xs)) < 3 or len(set(ys)) < 2:
        return 0.0
    return correlation(xs, ys) ** 2
