"""What was served and what came of it, as values: counts per arm, by unit, that an analysis can judge.

The unit is the entity where requests are sticky (all of one customer's requests meet the same version, so
they are one draw of the lot), else the request. Outcomes are kept by the chance that a unit had of being
the canary's when it came under the share in force: see `watch.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mlproj.monitoring.questions import Loss, Questions


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of one value per unit."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """With a unit at each end of [0, 1] added, as none seen is not none (Agresti and Coull, 1998)."""
        n, total, squares = self.n + 2, self.total + 1.0, self.squares + 1.0
        return max(squares / n - (total / n) ** 2, 0.0)

    @property
    def plain_variance(self) -> float:
        """As it is, for values that are not shares."""
        return max(self.squares / self.n - self.mean**2, 0.0) if self.n else 0.0


@dataclass(frozen=True)
class Stratum:
    """The units that had one `chance` of being the canary's: their means, and how many had a bad event."""

    chance: float
    canary: Moments
    primary: Moments
    canary_bad: float
    primary_bad: float


@dataclass(frozen=True)
class Outcome:
    """Something that may go wrong (an error, a slow answer, a wrong label), counted by unit.

    `first_units` and `first_bad` look at each canary unit's first trial only: independent draws.
    """

    strata: tuple[Stratum, ...] = ()
    first_units: int = 0
    first_bad: int = 0
    primary_first_units: int = 0
    primary_first_bad: int = 0

    @property
    def canary(self) -> Moments:
        return _sum([stratum.canary for stratum in self.strata])

    @property
    def primary(self) -> Moments:
        return _sum([stratum.primary for stratum in self.strata])

    @property
    def canary_bad(self) -> float:
        return sum(stratum.canary_bad for stratum in self.strata)

    @property
    def primary_bad(self) -> float:
        return sum(stratum.primary_bad for stratum in self.strata)


@dataclass(frozen=True)
class UnitCount:
    """How many units with one `chance` of being the canary's came, and where they went."""

    chance: float
    canary: int
    primary: int


@dataclass(frozen=True)
class Arm:
    """One version's requests, for display. Latencies in milliseconds, None before the first."""

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None


@dataclass(frozen=True)
class Labelled:
    """A loss on rows whose truth is known and old enough: over all, or on one level of a slice."""

    loss: Loss
    outcome: Outcome
    slice: str | None = None
    level: str | None = None


@dataclass(frozen=True, kw_only=True)
class Windows:
    """All that an analysis looks at, at one moment.

    `units` counts units by chance; `step_units` the canary's units and `step_requests` its requests since
    the share last changed. `crossed` are requests answered by the other arm than the unit's own. `labels`
    counts units with a mature label as `units` counts units. `score_bins` holds, per bin, units by chance.
    Where entities are too many, one in `followed` is counted.
    """

    questions: Questions
    canary: Arm = Arm()
    primary: Arm = Arm()
    units: tuple[UnitCount, ...] = ()
    crossed: int = 0
    step_requests: int = 0
    step_units: int = 0
    errors: Outcome = Outcome()
    refusals: Outcome = Outcome()
    slow: tuple[Outcome, ...] = ()
    score_bins: tuple[tuple[UnitCount, ...], ...] = ()
    labelled: tuple[Labelled, ...] = ()
    labels: tuple[UnitCount, ...] = ()
    waiting_labels: int = 0
    late_labels: int = 0
    unreadable_labels: int = 0
    sticky: bool = field(default=True)
    followed: int = 1


def _sum(parts: list[Moments]) -> Moments:
    return Moments(
        sum(part.n for part in parts), sum(part.total for part in parts), sum(part.squares for part in parts)
    )
