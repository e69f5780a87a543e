"""Special functions the evidence needs, in logarithms, on the standard library alone."""

from __future__ import annotations

import math

SQRT_2 = math.sqrt(2.0)
LOG_2 = math.log(2.0)
# Below this erfc comes near the smallest number there is, and the tail's asymptotic series is exact enough.
FAR_TAIL = -25.0
TINY = 1e-300


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function B(a, b)."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def log_beta_tails(x: float, a: float, b: float) -> tuple[float, float]:
    """Logarithms of I_x(a, b) and 1 - I_x(a, b), the regularised incomplete beta function and its complement.

    The smaller of the two is computed and the other derived, so that both keep their digits far out in the
    tails. Source: Lentz's evaluation of the continued fraction 26.5.8 of Abramowitz and Stegun, 1964, which
    converges fast below the mean, and their symmetry 26.5.2 above it.
    """
    if x <= 0.0:
        return -math.inf, 0.0
    if x >= 1.0:
        return 0.0, -math.inf
    front = a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)
    if x < (a + 1.0) / (a + b + 2.0):
        low = min(front - math.log(a) + math.log(_fraction(x, a, b)), 0.0)
        return low, log_complement(low)
    high = min(front - math.log(b) + math.log(_fraction(1.0 - x, b, a)), 0.0)
    return log_complement(high), high


def log_complement(log_p: float) -> float:
    """The logarithm of 1 - p, given that of p."""
    if log_p >= 0.0:
        return -math.inf
    return math.log(-math.expm1(log_p)) if log_p > -LOG_2 else math.log1p(-math.exp(log_p))


def log_normal_cdf(x: float) -> float:
    """The logarithm of the standard normal distribution function; far out by its series (26.2.12)."""
    if x > FAR_TAIL:
        return math.log(0.5 * math.erfc(-x / SQRT_2))
    square = x * x
    series = 1.0 - 1.0 / square + 3.0 / square**2 - 15.0 / square**3
    return -0.5 * square - math.log(-x) - 0.5 * math.log(2.0 * math.pi) + math.log(series)


def log_mean_exp(logs: list[float]) -> float:
    """The logarithm of the mean of numbers given by their logarithms."""
    top = max(logs)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(value - top) for value in logs) / len(logs))


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    # Converges within about the square root of the larger parameter.
    for m in range(1, 200 + 20 * int(math.sqrt(max(a, b)))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away_from_zero(1.0 + even * d)
        c = _away_from_zero(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away_from_zero(1.0 + odd * d)
        c = _away_from_zero(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
