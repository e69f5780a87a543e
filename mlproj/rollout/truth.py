"""Checks on labelled rows: the ML targets, business targets where feedback carries them, and their slices."""

from __future__ import annotations

import math

from mlproj.monitoring.questions import Loss
from mlproj.monitoring.windows import Labelled, Windows
from mlproj.rollout.compare import LEAST_FOR_MEANS, TUNED, Difference, difference
from mlproj.rollout.sequential import log_e_mean, log_e_ratio, radius, tuned
from mlproj.rollout.traffic import LOG_WRONG_SPLIT, splits
from mlproj.rollout.verdict import Check, Result, Rules
from mlproj.rollout.words import percent, to_one, units, value


def labels(windows: Windows, rules: Rules, needed: bool) -> Check | None:
    """Whether there are labels enough, and as many in both arms as there should be."""
    canary = sum(count.canary for count in windows.labels)
    primary = sum(count.primary for count in windows.labels)
    if not (canary or primary or windows.waiting_labels or rules.labels):
        return None
    who = units(windows.sticky)
    told = f"{canary:,} canary {who} and {primary:,} primary {who} with a label old enough to count"
    if windows.waiting_labels:
        told += f", {windows.waiting_labels:,} labels too young yet"
    log_e = log_e_ratio(splits(windows.labels))
    numbers = {"canary": canary, "primary": primary, "waiting": windows.waiting_labels, "log_e": log_e}
    if log_e > LOG_WRONG_SPLIT:
        why = "labels do not come alike from both and say nothing; does the answer decide who gets one?"
        return Check("labels", Result.INVALID, f"{told} ({to_one(log_e)}): {why}", numbers)
    if needed and min(canary, primary) < rules.least_labels:
        return Check("labels", Result.WAIT, f"{told}; {rules.least_labels:,} of each are needed", numbers)
    return Check("labels", Result.PASS, told, numbers)


def targets(windows: Windows, rules: Rules, log_fail: float, needed: bool) -> list[Check]:
    """One line a target that labelled rows can answer, one a target that they cannot."""
    found = {row.loss: row for row in windows.labelled if row.slice is None}
    checks = []
    for loss in windows.questions.losses:
        row = found.get(loss)
        if row is None:
            result = Result.WAIT if needed and not loss.business else Result.NOTE
            checks.append(Check(_name(loss), result, f"{loss.sentence}: nothing to judge it by yet"))
        else:
            checks.append(_target(row, windows, rules, log_fail, needed and not loss.business))
    for sentence, why in windows.questions.unjudged:
        checks.append(Check("unjudged", Result.NOTE, f"{sentence}: not judged on traffic, {why}"))
    return checks


def slices(windows: Windows, rules: Rules, log_fail: float) -> list[Check]:
    """Slices on which the canary is worse, and one line for the others.

    The guard's part of alpha is spent on the levels in the order in which they were met: the j-th gets
    1 / (j (j + 1)) of it, which adds up to 1 however many may come.
    """
    rows = [row for row in windows.labelled if row.slice is not None]
    checks, compared = [], 0
    for place, row in enumerate(rows, 1):
        found = _difference(row)
        if found is None:
            continue
        compared += 1
        needed = log_fail + math.log(place * (place + 1))
        log_e = log_e_mean(found.estimate, found.standard_error, found.units, tuned(rules.alpha, TUNED))
        margin = _margin(row, rules)
        if log_e >= needed and _log_e_not_worse(row, rules) < -math.log(rules.alpha):
            told = f"{row.slice} `{row.level}`: {_told(row, windows)}; evidence that the canary is worse:"
            told += f" {to_one(log_e)}, {to_one(needed)} needed"
            numbers = {"log_e_worse": log_e, "estimate": found.estimate, "margin": margin}
            checks.append(Check("slice", Result.FAIL, told, numbers))
    if rows and not checks:
        told = f"no evidence of worse on {compared} levels of {', '.join(windows.questions.slices)}"
        if compared < len(rows):
            told += f"; {len(rows) - compared} have fewer than {LEAST_FOR_MEANS} labelled units in an arm"
        checks.append(Check("slice", Result.PASS, told))
    return checks


def _target(row: Labelled, windows: Windows, rules: Rules, log_fail: float, needed: bool) -> Check:
    name, told = _name(row.loss), _told(row, windows)
    found = _difference(row)
    if found is None:
        least = f"{LEAST_FOR_MEANS} labelled units in each arm are needed to compare"
        return Check(name, Result.WAIT if needed else Result.NOTE, f"{told}; {least}")
    log_pass = -math.log(rules.alpha)
    worse = log_e_mean(found.estimate, found.standard_error, found.units, tuned(rules.alpha, TUNED))
    not_worse = _log_e_not_worse(row, rules)
    low, high = _interval(found, rules.alpha)
    numbers = {"estimate": found.estimate, "low": low, "high": high}
    numbers |= {"log_e_worse": worse, "log_e_not_worse": not_worse}
    if worse >= log_fail and not_worse < log_pass:
        why = f"evidence that the canary is worse: {to_one(worse)}, {to_one(log_fail)} needed"
        return Check(name, Result.FAIL, f"{told}; {why}", numbers)
    if _short(row, rules):
        why = "short of the target with evidence, though not shown to be worse than the primary"
        return Check(name, Result.WAIT if needed else Result.NOTE, f"{told}; {why}", numbers)
    if not_worse >= log_pass:
        return Check(
            name, Result.PASS, f"{told}; no worse by more than the margin, {to_one(not_worse)}", numbers
        )
    why = f"not enough evidence that the canary is no worse: {to_one(not_worse)}, {to_one(log_pass)} needed"
    return Check(name, Result.WAIT if needed else Result.NOTE, f"{told}; {why}", numbers)


def _difference(row: Labelled, *, times: float = 1.0) -> Difference | None:
    return difference(row.outcome, times=times, bounded=row.loss.is_bounded)


def _margin(row: Labelled, rules: Rules) -> float:
    return rules.share_margin if row.loss.is_share else rules.loss_margin


def _log_e_not_worse(row: Labelled, rules: Rules) -> float:
    """Shares by points; losses as a part of the primary's, business values as a part of its size."""
    loss, rho = row.loss, tuned(rules.alpha, TUNED)
    times = 1.0 if loss.is_share else 1.0 + rules.loss_margin * (-1.0 if loss.higher_is_better else 1.0)
    found = _difference(row, times=times)
    if found is None:
        return -math.inf
    allowed = rules.share_margin if loss.is_share else 0.0
    return log_e_mean(allowed - found.estimate, found.standard_error, found.units, rho)


def _short(row: Labelled, rules: Rules) -> bool:
    """Whether the canary's own mean is beyond the target's bound, at all looks together."""
    if row.loss.bound is None:
        return False
    moments = row.outcome.canary
    variance = moments.variance if row.loss.is_bounded else moments.plain_variance
    error = math.sqrt(variance / moments.n)
    reach = radius(error, moments.n, alpha=rules.alpha, rho=tuned(rules.alpha, TUNED))
    return moments.mean - reach > row.loss.bound


def _interval(found: Difference, alpha: float) -> tuple[float, float]:
    half = found.half_width(alpha)
    return found.estimate - half, found.estimate + half


def _name(loss: Loss) -> str:
    of_class = f" of `{loss.class_label}`" if loss.class_label is not None else ""
    return loss.metric + of_class


def _told(row: Labelled, windows: Windows) -> str:
    """For example `recall of `Yes`: 0.68 for 240 canary customers, 0.79 for 810 primary customers`."""
    loss, outcome, who = row.loss, row.outcome, units(windows.sticky)
    canary, primary = (_shown(loss, mean) for mean in (outcome.canary.mean, outcome.primary.mean))
    return (
        f"{_name(loss)}: {canary} for {outcome.canary.n:,} canary {who},"
        f" {primary} for {outcome.primary.n:,} primary {who}"
    )


def _shown(loss: Loss, mean: float) -> str:
    if loss.is_share:
        return percent(1.0 - mean)
    if loss.metric == "rmse" and not loss.business:
        return value(math.sqrt(mean))
    return value(-mean if loss.higher_is_better else mean)
