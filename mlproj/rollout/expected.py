"""How many requests and labels a decision is expected to need, told before it starts.

The evidence at the expected counts, followed until it suffices: near the median of simulated canaries, and so
half of them take longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mlproj.monitoring.questions import Baseline, Questions
from mlproj.monitoring.windows import Moments, Outcome, Stratum, Windows
from mlproj.rollout.analysis import guards
from mlproj.rollout.compare import LEAST_FOR_MEANS, TUNED, difference, log_e_not_worse, log_e_worse
from mlproj.rollout.plan import Plan
from mlproj.rollout.sequential import log_e_discordant, log_e_mean, log_e_share_below, tuned
from mlproj.rollout.verdict import Rules
from mlproj.rollout.words import duration, percent

# More than this nobody waits for.
MOST = 10_000_000


@dataclass(frozen=True)
class Need:
    """What one question is expected to take: units (entities, or requests) or labels; None: never."""

    name: str
    units: int | None
    requests: int | None
    seconds: float | None

    @property
    def sentence(self) -> str:
        """For example `errors, if as rare as now: about 6,200 requests, 3 h`."""
        if self.requests is None:
            return f"{self.name}: more than {MOST:,} units; a larger share or margin would help"
        after = f", {duration(self.seconds)} at the traffic seen" if self.seconds is not None else ""
        return f"{self.name}: about {self.requests:,} requests{after}"


@dataclass(frozen=True)
class Expectation:
    """Before the start: needs to go on from the first step, needs to find a fault, and labels."""

    advance: tuple[Need, ...]
    roll_back: tuple[Need, ...]
    labels: tuple[Need, ...]

    @property
    def requests(self) -> int | None:
        """For the first step's Advance, if the canary is as good as the primary; None: never."""
        needed = [need.requests for need in self.advance]
        known = [requests for requests in needed if requests is not None]
        return max(known, default=0) if len(known) == len(needed) else None


def expected(
    plan: Plan,
    questions: Questions,
    baseline: Baseline,
    *,
    label_share: float = 0.0,
    loss: float = 0.2,
) -> Expectation:
    """What the first step is expected to need at the traffic seen, if each unit comes as often as before.

    `label_share` is the share of units that will have a label, `loss` the primary's share of wrong answers.
    """
    share, rules = plan.shares[0], plan.rules
    log_pass = -math.log(rules.alpha)
    log_fail = math.log(guards(Windows(questions=questions)) / rules.alpha)

    def need(name: str, log_e: Callable[[int], float], log_needed: float, units_each: float = 1.0) -> Need:
        units = _least(lambda n: log_e(n) >= log_needed)
        return _need(name, units, baseline, units_each)

    def bad(rate: float, times: float) -> Callable[[int], Outcome]:
        return lambda n: _outcome(n, share, min(rate * times, 1.0), rate)

    def worse(rate: float) -> Callable[[int], float]:
        return lambda n: log_e_worse(bad(rate, 2.0)(n), alpha=rules.alpha)

    small = questions.error_bound or rules.small_error_share
    rate = baseline.error_share
    advance = [
        _need("units at the first share", math.ceil(rules.least_units / share), baseline, 1.0),
        need("errors, if as rare as the primary's", _no_worse(bad(rate, 1.0), small, rules), log_pass),
    ]
    roll_back = [
        need(
            f"errors, if twice the primary's {percent(max(rate, 0.001))}",
            worse(max(rate, 0.001)),
            log_fail,
        )
    ]
    for bound in questions.latency:
        slow = baseline.slow_share
        advance.append(
            need(
                f"slow answers ({bound.sentence}), if as rare",
                _no_worse(bad(slow, 1.0), bound.allowed, rules),
                log_pass,
            )
        )
        roll_back.append(
            need(
                f"slow answers ({bound.sentence}), if twice as many",
                worse(slow),
                log_fail,
            )
        )
    labels: tuple[Need, ...] = ()
    if label_share > 0.0 and any(row.is_share for row in questions.losses):
        margin, rho = rules.share_margin, tuned(rules.alpha, TUNED)

        def as_good(n: int) -> float:
            found = difference(_outcome(n, share, loss, loss))
            return -math.inf if found is None else log_e_mean(margin, found.standard_error, found.units, rho)

        labels = (need("those with a label, if the canary is as good", as_good, log_pass, label_share),)
    return Expectation(tuple(advance), tuple(roll_back), labels)


def shadow_labels(disagreement: float, drop: float, *, alpha: float = 0.05) -> int | None:
    """Labelled pairs until a shadow that is `drop` worse is expected to be known, when a share disagree.

    Of the pairs that differ, ½ + drop / (2·disagreement) are the champion's. None: too many.
    """
    worse = (disagreement + drop) / 2
    return _least(lambda n: log_e_discordant(n * worse, n * (disagreement - worse)) >= -math.log(alpha))


def _no_worse(
    outcome: Callable[[int], Outcome], allowed: float | None, rules: Rules
) -> Callable[[int], float]:
    def log_e(n: int) -> float:
        made = outcome(n)
        best = log_e_not_worse(made, rules.bad_margin, alpha=rules.alpha)
        if allowed is not None and 0.0 < allowed < 1.0:
            canary = made.canary
            best = max(best, log_e_share_below(canary.total, canary.n, allowed))
        return best

    return log_e


def _outcome(n: int, share: float, canary_rate: float, primary_rate: float) -> Outcome:
    """The expected counts of `n` units, each with one trial."""
    canary, primary = round(n * share), n - round(n * share)
    bad, primary_bad = canary * canary_rate, primary * primary_rate
    stratum = Stratum(
        share, Moments(canary, bad, bad), Moments(primary, primary_bad, primary_bad), bad, primary_bad
    )
    return Outcome((stratum,))


def _least(enough: Callable[[int], bool]) -> int | None:
    """The least number of units that is enough, to within a percent."""
    high = LEAST_FOR_MEANS
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > max(high // 100, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _need(name: str, units: int | None, baseline: Baseline, units_each: float) -> Need:
    if units is None:
        return Need(name, None, None, None)
    requests = math.ceil(units / units_each / max(baseline.units_per_request, 1e-9))
    seconds = requests / baseline.requests_per_hour * 3600 if baseline.requests_per_hour else None
    return Need(name, units, requests, seconds)
