"""Two numbers said of the same request: how far apart they are, and which is nearer to the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlproj.monitoring.questions import Loss


@dataclass(frozen=True)
class Differences:
    """The second number less the first, over all pairs; `apart` adds up their sizes.

    The rest is for the interval of the mean: over units with n pairs whose differences add up to d, how many
    there are, and the sums of d², d·n and n².
    """

    pairs: int = 0
    equal: int = 0
    total: float = 0.0
    apart: float = 0.0
    largest: float = 0.0
    units: int = 0
    squared: float = 0.0
    times_pairs: float = 0.0
    pairs_squared: float = 0.0


@dataclass(frozen=True)
class Losses:
    """Labelled pairs, one a unit: the sums of both losses, and of the squares of their differences."""

    loss: Loss
    labelled: int
    first: float
    second: float
    squared: float


class Measuring:
    """`Differences` in the making."""

    def __init__(self) -> None:
        self._pairs, self._equal = 0, 0
        self._total, self._apart, self._largest = 0.0, 0.0, 0.0
        self._units: dict[str, list[float]] = {}
        self._single = [0.0, 0.0]

    def add(self, first: str, second: str, unit: str | None) -> None:
        """Two answers as texts; what is no number (what a person wrote, say) is no pair."""
        ours, theirs = number(first), number(second)
        if ours is None or theirs is None:
            return
        difference = theirs - ours
        self._pairs += 1
        self._equal += not difference
        self._total += difference
        self._apart += abs(difference)
        self._largest = max(self._largest, abs(difference))
        if unit is None:
            self._single[0] += difference
            self._single[1] += difference * difference
        else:
            sums = self._units.setdefault(unit, [0.0, 0.0])
            sums[0] += difference
            sums[1] += 1.0

    def table(self) -> Differences:
        of_units = self._units.values()
        single = self._pairs - round(sum(n for _, n in of_units))
        return Differences(
            self._pairs,
            self._equal,
            self._total,
            self._apart,
            self._largest,
            len(of_units) + single,
            self._single[1] + sum(d * d for d, _ in of_units),
            self._single[0] + sum(d * n for d, n in of_units),
            single + sum(n * n for _, n in of_units),
        )


def number(text: str) -> float | None:
    """A finite number; None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
