"""Checks on what needs no label: the split itself, errors, refusals, latency, scores."""

from __future__ import annotations

import math

from mlproj.monitoring.questions import LatencyBound
from mlproj.monitoring.windows import Outcome, UnitCount, Windows
from mlproj.rollout.compare import log_e_not_worse, log_e_worse
from mlproj.rollout.sequential import Split, log_e_bins, log_e_ratio, log_e_share_above, log_e_share_below
from mlproj.rollout.verdict import Check, Result, Rules
from mlproj.rollout.words import percent, to_one, units

# A wrong split is a fault of ours, not a matter of chance: proof is wanted.
LOG_WRONG_SPLIT = math.log(1000.0)


def splits(counts: tuple[UnitCount, ...]) -> tuple[Split, ...]:
    return tuple(Split(count.chance, count.canary, count.primary) for count in counts)


def split(windows: Windows) -> Check:
    """Whether units went to the canary as often as they should; else nothing can be compared."""
    name = "split"
    canary = sum(count.canary for count in windows.units)
    total = canary + sum(count.primary for count in windows.units)
    expected = sum(count.chance * (count.canary + count.primary) for count in windows.units)
    log_e = log_e_ratio(splits(windows.units))
    numbers = {"canary": canary, "total": total, "expected": expected, "log_e": log_e}
    told = (
        f"{canary:,} of {total:,} {units(windows.sticky)} met the canary, {expected:,.0f} were to be expected"
    )
    if log_e > LOG_WRONG_SPLIT:
        why = (
            "the split is wrong, so comparing the two says nothing; is the canary's worker down or refusing?"
        )
        return Check(name, Result.INVALID, f"{told} ({to_one(log_e)}): {why}", numbers)
    return Check(name, Result.PASS, told, numbers)


def errors(windows: Windows, rules: Rules, log_fail: float) -> Check:
    """5xx and timeouts: against the primary, and against the bound."""
    outcome, bound = windows.errors, windows.questions.error_bound
    hard = rules.hard_error_share if bound is None else bound
    allowed = bound if bound else rules.small_error_share
    compared = _against_primary("errors", "5xx and timeouts", windows, outcome, allowed, rules, log_fail)
    if 0.0 < hard < 1.0:
        over = log_e_share_above(outcome.first_bad, outcome.first_units, hard)
        numbers = _numbers(outcome) | {"bound": hard, "log_e_over_bound": over}
        if over >= log_fail:
            told = (
                f"5xx and timeouts: the first request of {outcome.first_bad:,} of {outcome.first_units:,}"
                f" canary {units(windows.sticky)}, more than the bound of {percent(hard)};"
                f" evidence {to_one(over)}, {to_one(log_fail)} needed"
            )
            if _over(outcome.primary_first_bad, outcome.primary_first_units, hard):
                # Both break the promise, which the canary may still do far worse.
                if compared.result is Result.FAIL:
                    return compared
                return Check("errors", Result.WAIT, told + "; but so are the primary's", numbers)
            return Check("errors", Result.FAIL, told, numbers)
    return compared


def refusals(windows: Windows, rules: Rules, log_fail: float) -> Check:
    """4xx are the client's errors, unless the canary refuses what the primary takes."""
    outcome = windows.refusals
    log_e = log_e_worse(outcome, alpha=rules.alpha)
    told = _counts("4xx", windows, outcome)
    numbers = _numbers(outcome) | {"log_e_worse": log_e}
    not_worse = log_e_not_worse(outcome, rules.bad_margin, alpha=rules.alpha)
    if log_e >= log_fail and not_worse < -math.log(rules.alpha):
        why = f"evidence that the canary refuses more: {to_one(log_e)}, {to_one(log_fail)} needed"
        return Check("refusals", Result.FAIL, f"{told}; {why}", numbers)
    return Check("refusals", Result.PASS, f"{told}; no evidence that the canary refuses more", numbers)


def latency(windows: Windows, rules: Rules, log_fail: float) -> list[Check]:
    """Each latency target: how often an answer is slower than its bound."""
    checks = []
    for bound, outcome in zip(windows.questions.latency, windows.slow, strict=True):
        what = _slower(bound)
        checks.append(_against_primary("latency", what, windows, outcome, bound.allowed, rules, log_fail))
    return checks


def scores(windows: Windows) -> Check | None:
    """Whether the canary's scores are distributed otherwise: news, but not by itself a fault."""
    if not windows.score_bins:
        return None
    log_e = log_e_bins([splits(counts) for counts in windows.score_bins])
    shares = [
        (sum(count.canary for count in counts), sum(count.primary for count in counts))
        for counts in windows.score_bins
    ]
    canary, primary = (sum(pair[arm] for pair in shares) for arm in (0, 1))
    numbers = {"log_e": log_e, "canary": canary, "primary": primary}
    if log_e < LOG_WRONG_SPLIT or not canary or not primary:
        told = f"no evidence of another distribution than the primary's ({canary:,} and {primary:,} scores)"
        return Check("scores", Result.PASS, told, numbers)
    moved = [a / canary - b / primary for a, b in shares]
    place = max(range(len(moved)), key=lambda index: abs(moved[index]))
    edges = ["", *(f"{edge:.3g}" for edge in windows.questions.score_edges), ""]
    where = f"between {edges[place]} and {edges[place + 1]}".replace("between  and", "below")
    where = where.removesuffix(" and ").replace("between", "between" if edges[place + 1] else "above")
    told = (
        f"distributed otherwise than the primary's ({to_one(log_e)}): {percent(shares[place][0] / canary)} of"
        f" the canary's lie {where}, {percent(shares[place][1] / primary)} of the primary's,"
        " which a new model may well do"
    )
    return Check("scores", Result.NOTE, told, numbers)


def _against_primary(
    name: str,
    what: str,
    windows: Windows,
    outcome: Outcome,
    allowed: float | None,
    rules: Rules,
    log_fail: float,
) -> Check:
    """FAIL with evidence of worse, PASS with evidence of no worse by the margin or of below `allowed`."""
    log_pass = -math.log(rules.alpha)
    worse = log_e_worse(outcome, alpha=rules.alpha)
    not_worse = log_e_not_worse(outcome, rules.bad_margin, alpha=rules.alpha)
    numbers = _numbers(outcome) | {"log_e_worse": worse, "log_e_not_worse": not_worse}
    told = _counts(what, windows, outcome)
    if worse >= log_fail and not_worse < log_pass:
        why = f"evidence that the canary is worse: {to_one(worse)}, {to_one(log_fail)} needed"
        return Check(name, Result.FAIL, f"{told}; {why}", numbers)
    few = math.nan
    if allowed is not None and 0.0 < allowed < 1.0 and outcome.first_units:
        few = log_e_share_below(outcome.first_bad, outcome.first_units, allowed)
        numbers["log_e_below"] = few
    if not_worse >= log_pass:
        why = f"less than {1 + rules.bad_margin:g} times as often as the primary, {to_one(not_worse)}"
        return Check(name, Result.PASS, f"{told}; {why}", numbers)
    if few >= log_pass:
        return Check(name, Result.PASS, f"{told}; below {percent(allowed or 0)}, {to_one(few)}", numbers)
    best = not_worse if math.isnan(few) else max(not_worse, few)
    why = f"not enough evidence that the canary is no worse: {to_one(best)}, {to_one(log_pass)} needed"
    return Check(name, Result.WAIT, f"{told}; {why}", numbers)


def _counts(what: str, windows: Windows, outcome: Outcome) -> str:
    """For example `5xx: 12 of 480 canary customers, 3 of 9,120 primary customers`."""
    who = units(windows.sticky)
    return (
        f"{what}: {outcome.canary_bad:,} of {outcome.canary.n:,} canary {who},"
        f" {outcome.primary_bad:,} of {outcome.primary.n:,} primary {who}"
    )


def _slower(bound: LatencyBound) -> str:
    return f"over {bound.bound_us / 1000:g} ms at least once ({bound.sentence})"


def _over(bad: int, total: int, bound: float) -> bool:
    return total > 0 and bad / total > bound


def _numbers(outcome: Outcome) -> dict[str, float]:
    return {
        "canary_bad": outcome.canary_bad,
        "canary_units": outcome.canary.n,
        "primary_bad": outcome.primary_bad,
        "primary_units": outcome.primary.n,
    }
