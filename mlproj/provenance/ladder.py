"""How near a rebuilt model came to the one that was recorded: the rungs of a ladder, the nearest first.

The digest of a model's file is on no rung. Files hold times, ids and thread counts, so two that differ may be
one model; what was learnt and what is predicted say whether they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

# Two orders of a sum differ by less, and no decision that a person would notice hangs on it.
TOLERANCE = 1e-6
_Z = 1.96  # of a 95 % interval


class Level(IntEnum):
    """What can be said of the rebuilt model; the lower the number, the more."""

    LEARNED = 1
    PREDICTIONS = 2
    TOLERANCE = 3
    DECISIONS = 4
    INTERVAL = 5
    DIFFERENT = 6

    @property
    def said(self) -> str:
        return _SAID[self]

    @property
    def is_reproduced(self) -> bool:
        return self <= Level.DECISIONS


_SAID = {
    Level.LEARNED: "same learned parameters",
    Level.PREDICTIONS: "same predictions",
    Level.TOLERANCE: f"predictions within {TOLERANCE:g}",
    Level.DECISIONS: "no decision changed",
    Level.INTERVAL: "within the paired interval",
    Level.DIFFERENT: "different",
}


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The predictions of two models, paired row by row.

    `rows` were paired; `alone` are rows of one model only. `differ` counts rows in which any number differs,
    `largest` is the largest such difference: of a probability, or of the prediction itself in a regression,
    there divided by the size of the recorded one where that is above 1. `flips` are changed decisions, None
    in a regression. `lost` and `won` are rows that only the recorded, or only the rebuilt model got right (in
    a regression: was nearer to).
    """

    rows: int
    alone: int
    differ: int
    largest: float
    flips: int | None
    lost: int
    won: int

    @property
    def gain(self) -> tuple[float, float, float]:
        """By how much the rebuilt model is right more often, in shares of the rows, with its 95 % interval.

        The two are right or wrong on the same rows, so the variance is that of paired differences: Agresti,
        Categorical Data Analysis, 3rd edition, section 11.1.1.
        """
        if self.rows == 0:
            return 0.0, 0.0, 0.0
        mean = (self.won - self.lost) / self.rows
        spread = ((self.won + self.lost) / self.rows - mean**2) / self.rows
        half = _Z * math.sqrt(max(spread, 0.0))
        return mean, mean - half, mean + half


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One rung: whether it holds, None where it cannot be told, and the reason in a sentence."""

    name: str
    holds: bool | None
    said: str


def climb(
    *, same_recipe: bool | None, learned: tuple[str | None, str | None], paired: Paired | None
) -> tuple[Rung, ...]:
    """Every rung, the highest first. `learned` are the digests of what the two models learnt."""
    recorded, rebuilt = learned
    known = recorded is not None and rebuilt is not None
    return (
        Rung(
            name="same recipe",
            holds=same_recipe,
            said={
                True: "code, parameters, data and packages are those recorded",
                False: "something that goes into the model is not as recorded",
                None: "not all that goes into a model was recorded",
            }[same_recipe],
        ),
        Rung(
            name=Level.LEARNED.said,
            holds=recorded == rebuilt if known else None,
            said=_learned(recorded, rebuilt),
        ),
        *_by_predictions(paired),
    )


def level(rungs: tuple[Rung, ...], paired: Paired | None) -> Level | None:
    """The highest rung that holds, with none that speaks against it; None where nothing could be compared."""
    held = {rung.name: rung.holds for rung in rungs}
    if held[Level.LEARNED.said] and (paired is None or held[Level.PREDICTIONS.said]):
        return Level.LEARNED
    if paired is None:
        return None
    found = (each for each in Level if each is not Level.LEARNED and held.get(each.said))
    return next(found, Level.DIFFERENT)


def _learned(recorded: str | None, rebuilt: str | None) -> str:
    if recorded is None:
        return "the run did not record a digest of what it learnt"
    if rebuilt is None:
        return "the rebuilt run did not record one"
    if recorded == rebuilt:
        return f"digest {recorded[:12]}, both times"
    return f"digest {recorded[:12]} was recorded, {rebuilt[:12]} was rebuilt"


def _by_predictions(paired: Paired | None) -> tuple[Rung, ...]:
    names = [each.said for each in (Level.PREDICTIONS, Level.TOLERANCE, Level.DECISIONS, Level.INTERVAL)]
    if paired is None or paired.rows == 0:
        lacking = "there are no recorded predictions to hold the rebuilt ones against"
        return tuple(Rung(name=name, holds=None, said=lacking) for name in names)
    same_rows = paired.alone == 0
    alone = "" if same_rows else f"; {paired.alone:,} rows have no partner"
    mean, low, high = paired.gain
    right = "nearer" if paired.flips is None else "right"
    return (
        Rung(
            name=names[0],
            holds=same_rows and paired.differ == 0,
            said=f"{paired.differ:,} of {paired.rows:,} rows differ{alone}",
        ),
        Rung(
            name=names[1],
            holds=same_rows and paired.largest <= TOLERANCE,
            said=f"the largest difference is {paired.largest:.3g}{alone}",
        ),
        Rung(
            name=names[2],
            holds=None if paired.flips is None else same_rows and paired.flips == 0,
            said="a regression makes no decisions"
            if paired.flips is None
            else f"{paired.flips:,} of {paired.rows:,} decisions changed{alone}",
        ),
        Rung(
            name=names[3],
            holds=same_rows and low <= 0 <= high,
            said=f"{paired.lost:,} rows got worse, {paired.won:,} better: {right} more often by "
            f"{mean:+.2%} (95 % interval {low:+.2%} to {high:+.2%}){alone}",
        ),
    )
