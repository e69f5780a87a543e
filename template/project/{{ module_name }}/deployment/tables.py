"""A fitted pipeline as plain tables, evaluated with NumPy alone: `compile.py` makes them.

A server that needs neither pandas nor scikit-learn starts at once, is small, and answers a row in
microseconds: most of what a pipeline spends on one row goes into data frames and checks.
"""

import json
import math
import pickle
import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

Columns = dict[str, list[Any]]  # the values of each input
Answers = tuple[list[Any], list[list[float]] | None]  # labels, and probabilities if there are any

EXPONENT_OF_1 = 1023  # as IEEE 754 writes it, above the 52 bits of the fraction


def read_date(text: str | None, form: str) -> datetime | None:
    """The moment that a text names, in UTC; None for what is missing or no such date."""
    if text is None:
        return None
    try:
        moment = (
            datetime.fromisoformat(text) if form == "ISO8601" else datetime.strptime(text, form)
        )
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment


# How a part of a date is read; pandas calls them the same.
DATE_PARTS = {
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
    "day_of_week": lambda moment: moment.weekday(),
    "hour": lambda moment: moment.hour,
    "minute": lambda moment: moment.minute,
}


class Numbers:
    """Number columns, then fills, scales and bins in the order of the pipeline."""

    def __init__(self, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.columns = plan["columns"]
        self.start, self.stop = plan["at"]
        self.steps = [(name, *(arrays[key] for key in keys)) for name, *keys in plan["steps"]]

    def write(self, columns: Columns, out: np.ndarray) -> None:
        values = self.read(columns)
        for name, *table in self.steps:
            if name == "fill":
                values = np.where(np.isnan(values), table[0], values)
            elif name == "scale":
                # Subtracted and divided as scikit-learn does: a product with 1/scale rounds otherwise.
                values = (values - table[0]) / table[1]
            else:
                binned = [
                    np.searchsorted(edges, column, side="right")
                    for edges, column in zip(table, values.T, strict=True)
                ]
                values = np.array(binned, dtype=np.float64).T
        out[:, self.start : self.stop] = values

    def read(self, columns: Columns) -> np.ndarray:
        # None becomes NaN.
        return np.array([columns[name] for name in self.columns], dtype=np.float64).T


class Dates(Numbers):
    """Date columns as numbers: their parts, in the order of the recipe."""

    def __init__(self, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super().__init__(plan, arrays)
        self.formats = plan["formats"]
        self.parts = [DATE_PARTS[part] for part in plan["parts"]]
        # The same days are asked for again and again.
        self.numbers_of = lru_cache(maxsize=4096)(self.read_parts)

    def read(self, columns: Columns) -> np.ndarray:
        parts = [
            [self.numbers_of(text, form) for text in columns[name]]
            for name, form in zip(self.columns, self.formats, strict=True)
        ]
        return np.concatenate(np.array(parts, dtype=np.float64), axis=1)

    def read_parts(self, text: str | None, form: str) -> tuple[float, ...]:
        moment = read_date(text, form)
        return tuple(part(moment) if moment else math.nan for part in self.parts)


class RowOf(dict[str | None, int]):
    """The row of a table by level; that of `unseen` for any other."""

    unseen: int

    def __missing__(self, level: str) -> int:
        return self.unseen


class Levels:
    """Columns of levels: what the fitted encoder made of each level is looked up.

    Columns whose levels become equally many numbers lie in one table, and are looked up at once.
    """

    def __init__(self, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.table, self.at = arrays[plan["table"]], arrays[plan["at"]].ravel()
        self.columns = []
        first = 0
        for column in plan["columns"]:
            # The two rows after the levels: one never seen, and one missing.
            rows = RowOf({level: first + row for row, level in enumerate(column["levels"])})
            rows.unseen = first + len(rows)
            rows[None] = rows.unseen + 1
            self.columns.append((column["name"], rows.__getitem__))
            first = rows.unseen + 2

    def write(self, columns: Columns, out: np.ndarray) -> None:
        rows = chain.from_iterable(map(row_of, columns[name]) for name, row_of in self.columns)
        found = np.fromiter(rows, np.intp, len(out) * len(self.columns))
        found = found.reshape(len(self.columns), len(out)).T
        out[:, self.at] = self.table.take(found, axis=0).reshape(len(out), -1)


class Words:
    """A text column as the tf-idf of its words, of length 1."""

    def __init__(self, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.column, self.start, self.missing = plan["column"], plan["at"][0], plan["missing"]
        self.lowercase, self.words = plan["lowercase"], re.compile(plan["pattern"]).findall
        self.vocabulary, self.idf = plan["vocabulary"], arrays[plan["idf"]].tolist()

    def write(self, columns: Columns, out: np.ndarray) -> None:
        out[:, self.start : self.start + len(self.idf)] = 0.0
        for row, received in enumerate(columns[self.column]):
            text = self.missing if received is None else received
            counts: dict[int, int] = {}
            for word in self.words(text.lower() if self.lowercase else text):
                if (place := self.vocabulary.get(word)) is not None:
                    counts[place] = counts.get(place, 0) + 1
            # Summed in the order of the vocabulary, as scikit-learn does: the last bit depends on it.
            weights = [(place, counts[place] * self.idf[place]) for place in sorted(counts)]
            length = 0.0
            for _, weight in weights:
                length += weight * weight
            for place, weight in weights:
                out[row, self.start + place] = weight / math.sqrt(length)


class Leaves:
    """Boosted trees of at most 64 leaves, without walking through them.

    After QuickScorer (Lucchese et al., SIGIR 2015). A set of leaves is a number, one bit a leaf, from left
    to right. The thresholds on a feature, of all trees, cut its values into intervals; `allowed` has, for
    an interval and a tree, the leaves that its comparisons of this feature leave possible. What all
    features leave possible begins with the leaf that the row ends in.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        ends = np.cumsum(arrays["cuts_of_feature"])
        self.cuts = np.split(arrays["cuts"], ends[:-1])
        self.features = arrays["features"].tolist()
        self.first = (ends - arrays["cuts_of_feature"])[:, None]
        self.allowed, self.values = arrays["allowed"], arrays["values"].ravel()
        trees, most = arrays["values"].shape
        self.place = np.arange(trees) * most - EXPONENT_OF_1

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Rows x trees: the value of each row's leaf."""
        # NaN is the last cut, so what is missing has an interval of its own.
        intervals = np.array(
            [
                cuts.searchsorted(numbers[:, feature])
                for feature, cuts in zip(self.features, self.cuts, strict=True)
            ]
        )
        intervals += self.first
        possible = np.bitwise_and.reduce(self.allowed.take(intervals, axis=0), axis=0)
        # The number of the lowest bit is the exponent of the power of two that it is.
        lowest = (possible & -possible).astype(np.float64)
        return self.values.take((lowest.view(np.int64) >> 52) + self.place)


class Nodes:
    """Trees of any size, walked down level by level, all rows and trees at once."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.feature, self.threshold = arrays["feature"], arrays["threshold"]
        self.children, self.values = arrays["children"].ravel(), arrays["values"]
        self.roots, self.depth = arrays["roots"], int(arrays["depth"])

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Rows x trees (x classes): the value of each row's leaf."""
        # No comparison holds for NaN, which so goes right. For nodes where it goes left, there is a second
        # copy of the features in which it is smaller than everything.
        both = np.hstack([numbers, np.where(np.isnan(numbers), -np.inf, numbers)])
        row = np.arange(len(both))[:, None] * both.shape[1]
        node = np.tile(self.roots, (len(both), 1))
        for _ in range(self.depth):
            value = both.take(row + self.feature[node])
            node = self.children[2 * node + ~(value <= self.threshold[node])]
        return self.values[node]


def in_turn(values: np.ndarray) -> np.ndarray:
    """The sum over axis 1, one after the other as scikit-learn adds trees.

    `sum` would add in another order, which changes the last bits.
    """
    return np.add.accumulate(values, axis=1)[:, -1]


def sigmoid(value: float) -> float:
    # The C library's exponential, as in SciPy's `expit`; NumPy's own differs in the last bit.
    try:
        return 1.0 / (1.0 + math.exp(-value))
    except OverflowError:
        return 0.0


def probabilities(raw: np.ndarray) -> np.ndarray:
    """Rows x classes, from one number per row (two classes) or one per class."""
    if raw.shape[1] == 1:
        positive = np.array([sigmoid(value) for value in raw[:, 0].tolist()])
        return np.column_stack([1.0 - positive, positive])
    raw = np.asfortranarray(raw)
    shares = np.exp(raw - raw.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


class Model:
    """The model's numbers from those of the features: rows x 1, or rows x classes."""

    def __init__(self, plan: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.kind, self.arrays = plan["kind"], arrays
        if "trees" in plan:
            self.trees = Leaves(arrays) if plan["trees"] == "leaves" else Nodes(arrays)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        if self.kind == "linear":
            return numbers @ self.arrays["coefficients"] + self.arrays["intercept"]
        if self.kind == "boosting":
            # The trees of the classes take turns, and are added to what holds for every row.
            baseline = self.arrays["baseline"]
            values, classes = self.trees(numbers), len(baseline)
            values[:, :classes] += baseline
            if classes == 1:
                return in_turn(values)[:, None]
            return np.stack([in_turn(values[:, each::classes]) for each in range(classes)], axis=1)
        # A forest compares numbers of 32 bits, and is the mean of its trees.
        with np.errstate(over="ignore"):
            values = self.trees(numbers.astype(np.float32).astype(np.float64))
        return in_turn(values) / values.shape[1]


BLOCKS = {"numbers": Numbers, "dates": Dates, "levels": Levels, "words": Words}


class Tables:
    """The pipeline that `compile.py` wrote into a folder."""

    def __init__(self, folder: Path) -> None:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz") as file:
            arrays = dict(file)
        self.width, self.classes = plan["width"], plan["classes"]
        self.blocks = [BLOCKS[block["kind"]](block, arrays) for block in plan["blocks"]]
        self.link = plan["model"].get("link")
        self.model: Any
        if plan["model"]["kind"] == "estimator":
            with (folder / "estimator.pkl").open("rb") as file:
                self.model = pickle.load(file)
        else:
            self.model = Model(plan["model"], arrays)

    def predict(self, columns: Columns) -> Answers:
        rows = len(next(iter(columns.values())))
        numbers = np.empty((rows, self.width))
        for block in self.blocks:
            block.write(columns, numbers)
        if self.link is None:
            return answers(self.model, numbers)
        raw = self.model(numbers)
        if self.classes is None:
            return (np.exp(raw) if self.link == "log" else raw)[:, 0].tolist(), None
        shares = raw if self.link == "shares" else probabilities(raw)
        # What decides is what scikit-learn looks at; with equal shares the first class wins.
        chosen = (raw[:, 0] > 0).astype(int) if raw.shape[1] == 1 else raw.argmax(axis=1)
        return [self.classes[number] for number in chosen.tolist()], shares.tolist()


def answers(estimator: Any, rows: Any) -> Answers:
    """Labels and probabilities of a scikit-learn estimator, as plain values."""
    labels = np.asarray(estimator.predict(rows)).tolist()
    if not hasattr(estimator, "predict_proba"):
        return labels, None
    return labels, np.asarray(estimator.predict_proba(rows)).tolist()
