"""Evidence that may be looked at after every request without raising the rate of false alarms.

Each `log_e_...` is the logarithm of an e-process: a non-negative quantity whose expectation under the null
hypothesis is at most 1 at any time one may choose to stop. By Ville's inequality it ever exceeds 1/alpha with
probability at most alpha. Source: Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe
anytime-valid inference", Statistical Science 38(4), 2023.

Counts may be fractions: the expected counts give the expected evidence, which is how a canary is planned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mlproj.rollout.special import LOG_2, log_beta, log_beta_tails, log_mean_exp, log_normal_cdf

# Sizes of an effect that are betted on in equal parts: odds 1.08 to 55 times as high, evenly spread by ratio.
EFFECTS = tuple(0.08 * 50.0 ** (step / 15) for step in range(16))
# A sample ratio is betted on as a beta variable around the intended share, worth this many observations.
CONCENTRATION = 20.0


class Split(NamedTuple):
    """Events of a kind that had one chance of being the canary's, and which arm they came from."""

    chance: float
    canary: float
    primary: float


@lru_cache(maxsize=65_536)
def log_e_arm(splits: tuple[Split, ...], ratio: float = 1.0) -> float:
    """Evidence that the odds of a bad event being the canary's are above `ratio` times the assignment's.

    Given that something bad happened, the assignment alone says how likely it was the canary, whatever the
    traffic does; with a rate r times as high in the canary that chance is πr / (πr + 1 - π). The likelihood
    of r against `ratio` is averaged over fixed larger r. Every term has an expectation of at most 1 for every
    true r up to `ratio`, since it grows with the chance. Splits of several chances (the shares of several
    steps) multiply inside the average, so that later steps profit from what earlier ones have shown.

    Source: the question is that of Lindon and Malek, "Anytime-valid inference for multinomial count data",
    NeurIPS 2022 (arXiv 2011.03567); the mixture over odds is the method of mixtures, Robbins, Annals of
    Mathematical Statistics 41(5), 1970.
    """
    bad = sum(split.canary for split in splits)
    logs = []
    for effect in EFFECTS:
        larger = ratio * math.exp(effect)
        log_likelihood = bad * effect
        for chance, canary, primary in splits:
            null = chance * ratio + 1.0 - chance
            log_likelihood -= (canary + primary) * math.log((chance * larger + 1.0 - chance) / null)
        logs.append(log_likelihood)
    return log_mean_exp(logs)


def log_e_other_arm(splits: tuple[Split, ...], ratio: float) -> float:
    """Evidence that those odds are less than `ratio` times: the mirror image, for not being worse."""
    mirrored = tuple(Split(1.0 - chance, primary, canary) for chance, canary, primary in splits)
    return log_e_arm(mirrored, 1.0 / ratio)


def log_e_discordant(worse: float, better: float, ratio: float = 1.0) -> float:
    """Sequential McNemar test: evidence that of two answers to the same request the challenger's is worse.

    Of the pairs of which exactly one answer is right, `worse` are those where the champion is. Each is a fair
    coin if the two are equally good. Source: McNemar, Psychometrika 12, 1947, by `log_e_arm`.
    """
    return log_e_arm((Split(0.5, worse, better),), ratio)


@lru_cache(maxsize=16_384)
def log_e_ratio(splits: tuple[Split, ...]) -> float:
    """Two-sided evidence that units are not split between the arms as intended.

    Per chance π a beta-binomial against a binomial, with the prior's mean at π.
    Source: Lindon and Malek, NeurIPS 2022 (arXiv 2011.03567), equation 5 for two outcomes.
    """
    total = 0.0
    for chance, canary, primary in splits:
        a, b = CONCENTRATION * chance, CONCENTRATION * (1.0 - chance)
        total += log_beta(a + canary, b + primary) - log_beta(a, b)
        total -= canary * math.log(chance) + primary * math.log1p(-chance)
    return total


def log_e_bins(bins: Sequence[tuple[Split, ...]]) -> float:
    """Evidence that arms differ in how units fall into bins (of the score): product over the bins.

    The bins must have been fixed before. Source: as `log_e_ratio`, applied to each bin on its own.
    """
    return math.fsum(log_e_ratio(splits) for splits in bins)


@lru_cache(maxsize=16_384)
def log_e_share_above(bad: float, total: float, bound: float) -> float:
    """Evidence that independent trials go wrong with a probability above `bound`.

    A beta-binomial likelihood with a Beta(1/2, 1/2) prior cut off at `bound`, against the binomial at it:
    exact at every look. Source: Robbins, 1970; the cut-off makes it one-sided, as the likelihood ratio of
    every larger probability against `bound` only shrinks for smaller true ones.
    """
    good = total - bad
    _, above = log_beta_tails(bound, bad + 0.5, good + 0.5)
    _, prior = log_beta_tails(bound, 0.5, 0.5)
    mixture = log_beta(bad + 0.5, good + 0.5) - log_beta(0.5, 0.5) + above - prior
    return mixture - bad * math.log(bound) - good * math.log1p(-bound)


def log_e_share_below(bad: float, total: float, bound: float) -> float:
    """Evidence that independent trials go wrong with a probability below `bound`; exact."""
    return log_e_share_above(total - bad, total, 1.0 - bound)


def tuned(alpha: float, units: float) -> float:
    """The ρ with which the asymptotic confidence sequence is narrowest at about `units` units.

    ρ² = (-2 log α + log(1 - 2 log α)) / t*. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024
    (arXiv 2103.06476), appendix on tuning: the leading terms of its exact answer by Lambert's W.
    """
    log_alpha = math.log(alpha)
    return math.sqrt((-2.0 * log_alpha + math.log(1.0 - 2.0 * log_alpha)) / units)


def log_e_mean(estimate: float, standard_error: float, units: float, rho: float) -> float:
    """Evidence that a mean is above 0, from its estimate over `units` independent units; asymptotic.

    The Gaussian mixture of `radius`, with only the positive half of the mixing distribution: with
    S = t·estimate/σ, E = 2 (tρ²+1)^(-1/2) exp(ρ²S² / (2(tρ²+1))) Φ(ρS / √(tρ²+1)). It counts on the central
    limit theorem, and so must not be asked about fewer units than the caller states as the least.
    Source: as `tuned`, its one-sided sequence; the two-sided one inverts to `radius`.
    """
    if standard_error <= 0.0:
        return 0.0
    z = estimate / standard_error
    prior = units * rho * rho
    shrunk = prior / (prior + 1.0)
    return LOG_2 - 0.5 * math.log1p(prior) + 0.5 * z * z * shrunk + log_normal_cdf(z * math.sqrt(shrunk))


def radius(standard_error: float, units: float, *, alpha: float, rho: float) -> float:
    """Half the width of the asymptotic confidence sequence: valid at all looks together, from many units on.

    σ̂ √( 2(tρ²+1) / (t²ρ²) · log(√(tρ²+1) / α) ) with σ̂ = √t · standard error. Source: as `tuned`, theorem
    2.2.
    """
    prior = units * rho * rho
    log_term = 0.5 * math.log1p(prior) - math.log(alpha)
    return standard_error * math.sqrt(2.0 * (prior + 1.0) / prior * log_term)
