"""What one model got right and another gets wrong, on the same rows, as values and as figures of chance.

Of a regression there is no right and wrong: there a row is worse where its absolute error grew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Of some rows: how many the new model made worse, how many better, and how many it answers otherwise."""

    rows: int
    worse: int
    better: int
    changed: int

    @property
    def rate(self) -> float | None:
        """The negative flip rate: the share of all rows that were right and are wrong.

        Source: Yan et al., "Positive-congruent training: towards regression-free model updates", CVPR 2021.
        """
        return self.worse / self.rows if self.rows else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows that have one value of a slice's column; of a class where `column` is empty."""

    column: str
    level: str
    tally: Tally


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A row that got worse. `place` is its number in the split, from 0.

    `lost` is how much less sure of the true class the new model is; of a number, how much its error grew.
    """

    key: str
    place: int
    actual: Any
    before: Any
    after: Any
    lost: float
    slices: Mapping[str, str]
    features: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Two models on the rows of a split that both have answered.

    `p` is that of the exact test; `low` and `high` bound the rate of worse rows with 95 % confidence.
    `only_before` and `only_after` count the rows that only one of them was asked about.
    """

    split: str
    of_numbers: bool
    whole: Tally
    only_before: int
    only_after: int
    slices: tuple[Group, ...] = ()
    classes: tuple[Group, ...] = ()
    worst: tuple[Flip, ...] = ()

    @property
    def p(self) -> float:
        return exact_p(self.whole.worse, self.whole.better)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        return wilson(self.whole.worse, self.whole.rows, confidence)


def exact_p(worse: int, better: int) -> float:
    """How likely chance is to part the rows that differ at least so unevenly, were both models as good.

    McNemar's test in its exact form: twice the smaller tail of a binomial with chance 1/2; for errors of
    numbers it is the sign test. 1 where no row differs. Source: McNemar, Psychometrika 12, 1947; the exact
    form is Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13:91, 2013, equation 3.
    """
    count, fewer = worse + better, min(worse, better)
    logs = (
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) - count * math.log(2)
        for k in range(fewer + 1)
    )
    return min(1.0, 2.0 * math.fsum(math.exp(log) for log in logs))


def wilson(hits: int, rows: int, confidence: float) -> tuple[float, float] | None:
    """The score interval of a share; None without rows. Source: Wilson, JASA 22, 1927."""
    if not rows:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, weight = hits / rows, z * z / rows
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / rows + weight / (4 * rows))
    # At the ends the formula gives them up to rounding only.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    return low, 1.0 if hits == rows else min(1.0, centre + half)
