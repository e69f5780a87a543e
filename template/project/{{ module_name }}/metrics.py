"""Scores and their intervals.

A score is computed for many weightings of the rows at once: weights of one give the score itself,
the counts of a resample give one bootstrap replicate. Both go through the same lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray
Scores = dict[str, Array]

LOWER_IS_BETTER = {"log_loss", "brier", "rmse", "mae", "mape", "median_absolute_error"}
OF_ONE_CLASS = ("precision", "recall", "f1")
OF_CLASSES = (
    *("accuracy", "balanced_accuracy", *OF_ONE_CLASS),
    *("roc_auc", "average_precision", "log_loss", "brier", "mcc"),
)
OF_NUMBERS = ("rmse", "mae", "r2", "mape", "median_absolute_error")


def primary(params: dict[str, Any]) -> str:
    """The metric that `evaluate.metric` in `params.yaml` names."""
    metric, task = params["evaluate"]["metric"], params["data"]["task"]
    known = OF_NUMBERS if task == "regression" else OF_CLASSES
    if metric not in known:
        raise SystemExit(
            f"params.yaml: `{metric}` (evaluate.metric) is not a {task} metric;"
            f" known: {', '.join(known)}"
        )
    return metric


@dataclass(frozen=True)
class Answers:
    """What a model answered on a split beside the truth.

    Classes are numbers, places in `labels`, and the answers are probabilities, a column a class.
    """

    truth: Array
    answers: Array
    labels: tuple[str, ...] = ()
    positive: int | None = None

    def score(self, weights: Array, rows: Array | slice = slice(None)) -> tuple[Scores, Scores]:
        """Scores of these rows, and of each class, for every weighting of the split."""
        truth, answers, weights = self.truth[rows], self.answers[rows], weights[:, rows]
        if not self.labels:
            return regression(truth, answers, weights), {}
        return classification(truth, answers, weights, self.positive)

    def rows_of_class(self, rows: Array | slice = slice(None)) -> Array:
        """How many of these rows are of each class."""
        truth = self.truth[rows] if self.labels else np.empty(0, dtype=int)
        return np.bincount(truth, minlength=len(self.labels))

    def point(self) -> dict[str, float | None]:
        """The scores of the whole split."""
        scores, _ = self.score(np.ones((1, len(self.truth))))
        return {name: rounded(values[0]) for name, values in scores.items()}


def ask(model: Any, features: pd.DataFrame, target: pd.Series, data: dict[str, Any]) -> Answers:
    """Let a fitted model answer for a split."""
    if data["task"] == "regression":
        return Answers(target.to_numpy(), model.predict(features))
    known = list(model.classes_)
    new = sorted(set(target) - set(known))  # a class that only came after the training period
    labels = [*known, *new]
    answers = np.pad(model.predict_proba(features), ((0, 0), (0, len(new))))
    truth = target.map({label: number for number, label in enumerate(labels)}).to_numpy()
    positive = labels.index(data["positive"]) if data["task"] == "binary" else None
    return Answers(truth, answers, tuple(labels), positive)


def classification(
    truth: Array, probability: Array, weights: Array, positive: int | None = None
) -> tuple[Scores, Scores]:
    """Scores of all rows together, and of each class.

    `truth` holds the class's number per row, `weights` a row per weighting; comes back: an array per
    score with an element per weighting, and for the classes an array of (weighting, class).
    `positive` is the number of the positive class when there are two, else scores are macro averages.
    A class without a row has no recall and no F1, one that is never predicted has no precision: NaN.
    """
    rows, classes = probability.shape
    predicted = probability.argmax(axis=1)
    is_truth = np.eye(classes)[truth]
    total = weights.sum(axis=1)
    hits = weights @ (is_truth * (predicted == truth)[:, None])
    actual, claimed = weights @ is_truth, weights @ np.eye(classes)[predicted]
    there = actual > 0
    per_class = {
        "precision": _ratio(hits, claimed),
        "recall": _ratio(hits, actual),
        "f1": np.where(there, _ratio(2 * hits, claimed + actual), np.nan),
    }
    # Of the classes that are there. One that is never predicted counts as a precision of 0, as in
    # scikit-learn: to leave it out would reward a model for never naming it.
    macro = {
        name: _ratio(np.where(there, np.nan_to_num(of), 0.0).sum(axis=1), there.sum(axis=1))
        for name, of in per_class.items()
    }
    correct = hits.sum(axis=1)
    # Gorodkin 2004: the correlation of two assignments to any number of classes.
    spread = (total**2 - (claimed**2).sum(axis=1)) * (total**2 - (actual**2).sum(axis=1))
    covariance = correct * total - (claimed * actual).sum(axis=1)
    of_truth = probability[np.arange(rows), truth].clip(np.finfo(float).eps)
    squared = ((probability - is_truth) ** 2).sum(axis=1)
    scores = {
        "accuracy": _ratio(correct, total),
        "balanced_accuracy": macro["recall"],
        "log_loss": _ratio(weights @ -np.log(of_truth), total),
        # Of two classes, the squares are the same twice: Brier's score takes one.
        "brier": _ratio(weights @ squared, total) / (2 if classes == 2 else 1),
        "mcc": _ratio(covariance, np.sqrt(spread), 0.0),
    }
    if positive is None:
        scores |= macro
        ranked = [k for k in range(classes) if 0 < is_truth[:, k].sum() < rows]
    else:
        scores |= {name: per_class[name][:, positive] for name in OF_ONE_CLASS}
        ranked = [positive] if 0 < is_truth[:, positive].sum() < rows else []
    curves = [_ranking(is_truth[:, k], probability[:, k], weights) for k in ranked]
    absent = np.full(len(weights), np.nan)
    scores["roc_auc"] = np.mean([auc for auc, _ in curves], axis=0) if curves else absent
    scores["average_precision"] = np.mean([ap for _, ap in curves], axis=0) if curves else absent
    return scores, per_class


def _ranking(is_positive: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Area under the ROC curve and average precision, rows of equal score taken together."""
    order = np.argsort(-score, kind="stable")
    hits = np.flatnonzero(is_positive[order])
    # Only scores that a positive row has count: where their rows begin and end, how many hits by then.
    ranked = -score[order]
    values = np.unique(ranked[hits])
    begin, end = np.searchsorted(ranked, values), np.searchsorted(ranked, values, side="right")
    last_hit = np.searchsorted(hits, end)

    weights = weights[:, order]
    so_far, hits_so_far = _running_sum(weights), _running_sum(weights[:, hits])
    total, positives = so_far[:, -1], hits_so_far[:, -1]
    found = hits_so_far[:, last_hit]
    new = np.diff(found, prepend=0)
    above = so_far[:, begin] - (found - new)  # negative rows ranked higher
    level = so_far[:, end] - found - above  # and on the same score, of which half count
    negatives = total - positives
    ranked_right = (new * (negatives[:, None] - above - level / 2)).sum(axis=1)
    precision = _ratio(found, so_far[:, end], 0.0)
    auc = _ratio(ranked_right, positives * negatives)
    return auc, _ratio((new * precision).sum(axis=1), positives)


def _running_sum(values: Array) -> Array:
    """The sum of the first 0, 1, 2, ... columns."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def regression(truth: Array, predicted: Array, weights: Array) -> Scores:
    """Scores of a regression: an array per score with an element per weighting."""
    total = weights.sum(axis=1)
    error = truth - predicted
    centred = truth - truth.mean()
    squares = weights @ error**2
    variation = weights @ centred**2 - _ratio((weights @ centred) ** 2, total)
    # A percentage of zero says nothing, so neither would the mean of them.
    relative = np.abs(error / np.where(truth == 0, np.nan, truth))
    return {
        "rmse": np.sqrt(_ratio(squares, total)),
        "mae": _ratio(weights @ np.abs(error), total),
        "r2": 1 - _ratio(squares, variation),
        "mape": _ratio(weights @ relative, total),
        "median_absolute_error": _median(np.abs(error), weights),
    }


def _median(values: Array, weights: Array) -> Array:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(axis=1), (reached > half).argmax(axis=1)
    return (values[order][low] + values[order][high]) / 2


def _ratio(over: Array, under: Array, otherwise: float = np.nan) -> Array:
    return np.divide(over, under, out=np.full(np.shape(over), otherwise), where=under > 0)


def resamples(groups: Array, count: int, seed: int) -> Iterator[Array]:
    """How often each row was drawn, for `count` bootstrap resamples (Efron 1979), some at a time.

    `groups` has a number per row, 0 and up. Rows of one number are drawn together (the cluster bootstrap:
    Davison and Hinkley 1997, 3.8; Field and Welsh 2007), so rows that repeat each other count as one.
    """
    random = np.random.default_rng(seed)
    units = int(groups.max()) + 1
    at_once = max(1, 2_000_000 // len(groups))
    for start in range(0, count, at_once):
        size = min(at_once, count - start)
        drawn = random.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        times = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        yield times[:, groups].astype(float)


def interval(replicates: Array, confidence: float) -> tuple[float | None, float | None]:
    """The percentile interval; resamples in which the score does not exist are left out."""
    values = replicates[np.isfinite(replicates)]
    if not len(values):
        return None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return rounded(low), rounded(high)


def rounded(value: float) -> float | None:
    """Six digits that count: enough for any decision, and free of the noise after them."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def text(value: float | None) -> str:
    """For people: four digits, large numbers with all of those before the point."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
