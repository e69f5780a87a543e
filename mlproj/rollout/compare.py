"""One outcome in both arms: the evidence that the canary is worse, and that it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlproj.monitoring.windows import Moments, Outcome
from mlproj.rollout.sequential import Split, log_e_arm, log_e_mean, log_e_other_arm, radius, tuned
from mlproj.rollout.special import LOG_2

# The asymptotic confidence sequence is asked from so many units in each arm on, and is narrowest at about
# TUNED of both. Simulated false alarms at looks from 100 on stay below alpha, tests/bench/canary.py.
LEAST_FOR_MEANS = 100
TUNED = 5_000


@dataclass(frozen=True)
class Difference:
    """Canary less primary, by unit and within strata: `estimate` ± `half_width` at all looks together."""

    estimate: float
    standard_error: float
    units: int

    def half_width(self, alpha: float) -> float:
        return radius(self.standard_error, self.units, alpha=alpha, rho=tuned(alpha, TUNED))


def difference(outcome: Outcome, *, times: float = 1.0, bounded: bool = True) -> Difference | None:
    """The mean of the canary less `times` that of the primary; None with too few units in either arm.

    Units of one chance π are compared with each other, and the strata weighted by n π (1 - π), the overlap
    weights. Within a stratum this is the doubly robust estimator with the arms' means as regression and known
    π. Source: Waudby-Smith et al. 2024 (see `sequential.tuned`), section 3; Li, Morgan, Zaslavsky, "Balancing
    covariates via propensity score weighting", JASA 113, 2018.
    """
    if min(outcome.canary.n, outcome.primary.n) < LEAST_FOR_MEANS:
        return None
    total = estimate = variance = 0.0
    units = 0
    for stratum in outcome.strata:
        canary, primary = stratum.canary, stratum.primary
        if not canary.n or not primary.n:
            continue
        n = canary.n + primary.n
        weight = n * stratum.chance * (1.0 - stratum.chance)
        total += weight
        units += n
        estimate += weight * (canary.mean - times * primary.mean)
        variance += weight**2 * (
            _variance(canary, bounded) / canary.n + times**2 * _variance(primary, bounded) / primary.n
        )
    if not total:
        return None
    return Difference(estimate / total, math.sqrt(variance) / total, units)


def log_e_worse(outcome: Outcome, *, alpha: float) -> float:
    """Evidence that bad events are more frequent in the canary.

    The larger of two, halved, so that each may be asked at every look with half of alpha: by first bad
    events, exact and quick for rare ones; by means, which do not wear out when most units had one.
    """
    best = log_e_arm(_splits(outcome))
    found = difference(outcome)
    if found is not None:
        rho = tuned(alpha, TUNED)
        best = max(best, log_e_mean(found.estimate, found.standard_error, found.units, rho))
    return best - LOG_2


def log_e_not_worse(outcome: Outcome, margin: float, *, alpha: float) -> float:
    """Evidence that bad events are less than 1 + `margin` times as frequent; as `log_e_worse`."""
    best = log_e_other_arm(_splits(outcome), 1.0 + margin)
    found = difference(outcome, times=1.0 + margin)
    if found is not None:
        rho = tuned(alpha, TUNED)
        best = max(best, log_e_mean(-found.estimate, found.standard_error, found.units, rho))
    return best - LOG_2


def _splits(outcome: Outcome) -> tuple[Split, ...]:
    return tuple(
        Split(stratum.chance, stratum.canary_bad, stratum.primary_bad)
        for stratum in outcome.strata
        if stratum.canary_bad or stratum.primary_bad
    )


def _variance(moments: Moments, bounded: bool) -> float:
    return moments.variance if bounded else moments.plain_variance
