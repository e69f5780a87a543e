"""How far two answers to the same requests agree: primary and shadow, or a person and the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlproj.monitoring.numbers import Differences, Losses
from mlproj.monitoring.pairs import Discordant, Paired, Table
from mlproj.rollout.sequential import log_e_discordant, log_e_mean, tuned
from mlproj.rollout.verdict import Check, Result, Rules
from mlproj.rollout.words import decisions, percent, to_one

Z = 1.959964  # 95 %
# Copies are dropped when there is most to do, so those that were answered are not like the others.
MOST_LOST = 0.05


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, for one look; None where there is nothing to estimate."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Agreement:
    """Of all pairs, or one level of a slice. `flipped`: from what to what, how often, most frequent first."""

    pairs: int
    share: Interval
    kappa: Interval
    flipped: tuple[tuple[str, str, int], ...]
    slice: str | None = None
    level: str | None = None

    @property
    def flips(self) -> int:
        return sum(count for _, _, count in self.flipped)

    @property
    def sentence(self) -> str:
        """For example `812 of 840 agree, kappa 0.812 (0.741 to 0.883); 28 decisions flipped`."""
        where = f"{self.slice} `{self.level}`: " if self.slice is not None else ""
        agree = self.pairs - self.flips
        return (
            f"{where}{agree:,} of {self.pairs:,} agree, kappa {self.kappa}; {decisions(self.flips)} flipped"
        )


@dataclass(frozen=True)
class Closeness:
    """Of numbers, over all pairs or one level of a slice: how far apart they are on average and at most, and
    how much more than the other the shadow (or the model, beside people) says on average."""

    pairs: int
    apart: float
    largest: float
    more: Interval
    slice: str | None = None
    level: str | None = None

    @property
    def sentence(self) -> str:
        """For example `840 answers are 12.1 apart on average, 96 at most; by 3.02 higher (1.1 to 4.9)`."""
        where = f"{self.slice} `{self.level}`: " if self.slice is not None else ""
        said = (
            f"{where}{self.pairs:,} answers are {self.apart:.4g} apart on average, {self.largest:.4g} at most"
        )
        if self.more.value is None or self.more.low is None or self.more.high is None:
            return where + said
        way = "higher" if self.more.value >= 0 else "lower"
        ends = f"{self.more.low:+.4g} to {self.more.high:+.4g}"
        return f"{where}{said}; {way} by {abs(self.more.value):.4g} ({ends})"


@dataclass(frozen=True)
class Report:
    """Agreement over all, by slice, and what labels say of the pairs that differ."""

    overall: Agreement | Closeness
    slices: tuple[Agreement | Closeness, ...]
    checks: tuple[Check, ...]
    missing: int

    @property
    def lost(self) -> float:
        """The share of copies that got no answer."""
        copies = self.overall.pairs + self.missing
        return self.missing / copies if copies else 0.0


def report(paired: Paired, rules: Rules) -> Report:
    """What a shadow has shown. The checks may be looked at at any time; the intervals are for this look.

    Where more than `MOST_LOST` of the copies got no answer, no check says more than that it waits.
    """
    slices = tuple(alike(table, name, level) for name, level, table in paired.slices)
    log_needed = math.log(max(len(paired.discordant) + len(paired.losses), 1) / rules.alpha)
    checks = (
        *(discordance(row, log_needed) for row in paired.discordant),
        *(nearness(row, log_needed, rules) for row in paired.losses),
    )
    found = Report(alike(paired.table), slices, checks, paired.missing)
    if found.lost <= MOST_LOST:
        return found
    why = f"not judged: {percent(found.lost)} of the copies got no answer, and were not like the others"
    waiting = tuple(
        replace(check, result=Result.WAIT, reason=f"{check.reason}; {why}") for check in found.checks
    )
    return replace(found, checks=waiting)


def alike(
    table: Table | Differences, name: str | None = None, level: str | None = None
) -> Agreement | Closeness:
    """Agreement of classes, closeness of numbers."""
    if isinstance(table, Differences):
        return closeness(table, name, level)
    return agreement(table, name, level)


def closeness(table: Differences, name: str | None = None, level: str | None = None) -> Closeness:
    """The mean difference with a 95 % interval that knows that a unit's pairs are alike.

    Variance of a ratio estimate over clusters: Kish, Survey Sampling, 1965, 6.3.
    """
    n = table.pairs
    if not n:
        return Closeness(0, 0.0, 0.0, Interval(None, None, None), name, level)
    mean, half = table.total / n, math.nan
    if table.units > 1:
        squares = table.squared - 2 * mean * table.times_pairs + mean**2 * table.pairs_squared
        half = Z * math.sqrt(max(squares, 0.0) / n**2 * table.units / (table.units - 1))
    more = Interval(mean, mean - half, mean + half) if table.units > 1 else Interval(None, None, None)
    return Closeness(n, table.apart / n, table.largest, more, name, level)


def agreement(table: Table, name: str | None = None, level: str | None = None) -> Agreement:
    """Share of agreement and kappa of a table, with intervals that know that a unit's pairs are alike."""
    effect = design_effect(table)
    flipped = sorted(
        ((first, second, count) for (first, second), count in table.counts.items() if first != second),
        key=lambda flip: (-flip[2], flip[0], flip[1]),
    )
    return Agreement(
        table.pairs,
        _wilson(table.agree, table.pairs, effect),
        kappa(table, effect),
        tuple(flipped),
        name,
        level,
    )


def design_effect(table: Table) -> float:
    """How much wider in variance the share is for pairs coming in units; at least 1.

    Cluster variance of a ratio estimate over the binomial variance. Source: Kish, Survey Sampling, 1965, 5.4.
    """
    n = table.pairs
    share = table.agree / n if n else 0.0
    if not 0.0 < share < 1.0 or table.units < 2:
        return 1.0
    squares = table.agree_squared - 2 * share * table.agree_times_pairs + share**2 * table.pairs_squared
    cluster = squares / n**2 * table.units / (table.units - 1)
    return max(cluster / (share * (1.0 - share) / n), 1.0)


def kappa(table: Table, effect: float = 1.0) -> Interval:
    """Cohen's kappa, agreement beyond chance, with its large-sample interval.

    Source: Cohen, Educational and Psychological Measurement 20(1), 1960; variance by Fleiss, Cohen, Everitt,
    Psychological Bulletin 72(5), 1969, equation 13, times the design effect. Unknown if both always say the
    same one thing.
    """
    n = table.pairs
    labels = sorted({label for pair in table.counts for label in pair})
    p = {pair: count / n for pair, count in table.counts.items()}
    rows, columns = dict.fromkeys(labels, 0.0), dict.fromkeys(labels, 0.0)
    for (first, second), share in p.items():
        rows[first] += share
        columns[second] += share
    chance = sum(rows[label] * columns[label] for label in labels)
    if not n or chance >= 1.0:
        return Interval(None, None, None)
    observed = table.agree / n
    value = (observed - chance) / (1.0 - chance)
    rest = 1.0 - value
    variance = -((value - chance * rest) ** 2)
    for (first, second), share in p.items():
        if first == second:
            variance += share * (1.0 - (rows[first] + columns[first]) * rest) ** 2
        else:
            variance += share * rest**2 * (columns[first] + rows[second]) ** 2
    half = Z * math.sqrt(max(variance, 0.0) * effect / n) / (1.0 - chance)
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0))


def discordance(row: Discordant, log_needed: float) -> Check:
    """What the labelled pairs that differ say: is the shadow worse, better, or is it not known yet?"""
    worse, better = log_e_discordant(row.worse, row.better), log_e_discordant(row.better, row.worse)
    numbers = {"worse": row.worse, "better": row.better, "log_e_worse": worse, "log_e_better": better}
    told = (
        f"{row.loss.sentence}: of {row.labelled:,} labelled pairs the shadow alone is right in"
        f" {row.better:,}, the primary alone in {row.worse:,}"
    )
    if worse >= log_needed:
        result, why = Result.FAIL, f"evidence that the shadow is worse: {to_one(worse)}"
    elif better >= log_needed:
        result, why = Result.PASS, f"evidence that the shadow is better: {to_one(better)}"
    else:
        result, why = Result.WAIT, f"not enough to tell: {to_one(max(worse, better))}"
    return Check(row.loss.metric, result, f"{told}; {why}, {to_one(log_needed)} needed", numbers)


def nearness(row: Losses, log_needed: float, rules: Rules) -> Check:
    """Whose numbers are nearer to the truth, by the mean of the paired difference in loss; asymptotic, so not
    asked of fewer labels than the rules state."""
    n, root = row.labelled, math.sqrt if row.loss.metric == "rmse" else float
    mean = (row.second - row.first) / n
    variance = max(row.squared / n - mean * mean, 0.0)
    told = (
        f"{row.loss.sentence}: on {n:,} labelled pairs the shadow has {root(row.second / n):.4g},"
        f" the primary {root(row.first / n):.4g}"
    )
    if n < rules.least_labels:
        return Check(row.loss.metric, Result.WAIT, f"{told}; {rules.least_labels:,} pairs needed", {})
    error, rho = math.sqrt(variance / n), tuned(rules.alpha, rules.least_labels)
    worse, better = (log_e_mean(sign * mean, error, n, rho) for sign in (1, -1))
    numbers = {"log_e_worse": worse, "log_e_better": better}
    if worse >= log_needed:
        result, why = Result.FAIL, f"evidence that the shadow is worse: {to_one(worse)}"
    elif better >= log_needed:
        result, why = Result.PASS, f"evidence that the shadow is better: {to_one(better)}"
    else:
        result, why = Result.WAIT, f"not enough to tell: {to_one(max(worse, better))}"
    return Check(row.loss.metric, result, f"{told}; {why}, {to_one(log_needed)} needed", numbers)


def _wilson(agree: int, pairs: int, effect: float) -> Interval:
    """Source: Wilson, JASA 22, 1927, with as many pairs less as the design effect says."""
    if not pairs:
        return Interval(None, None, None)
    share, n = agree / pairs, pairs / effect
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Interval(share, max(centre - half, 0.0), min(centre + half, 1.0))
