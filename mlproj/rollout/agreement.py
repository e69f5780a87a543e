"""How far two answers to the same requests agree: primary and shadow, or a person and the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlproj.monitoring.pairs import Discordant, Paired, Table
from mlproj.rollout.sequential import log_e_discordant
from mlproj.rollout.verdict import Check, Result, Rules
from mlproj.rollout.words import decisions, to_one

Z = 1.959964  # 95 %


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
class Report:
    """Agreement over all, by slice, and what labels say of the pairs that differ."""

    overall: Agreement
    slices: tuple[Agreement, ...]
    checks: tuple[Check, ...]
    missing: int


def report(paired: Paired, rules: Rules) -> Report:
    """What a shadow has shown. The checks may be looked at at any time; the intervals are for this look."""
    slices = tuple(agreement(table, name, level) for name, level, table in paired.slices)
    log_needed = math.log(max(len(paired.discordant), 1) / rules.alpha)
    checks = tuple(discordance(row, log_needed) for row in paired.discordant)
    return Report(agreement(paired.table), slices, checks, paired.missing)


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
    rows = {label: sum(p.get((label, other), 0.0) for other in labels) for label in labels}
    columns = {label: sum(p.get((other, label), 0.0) for other in labels) for label in labels}
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


def _wilson(agree: int, pairs: int, effect: float) -> Interval:
    """Source: Wilson, JASA 22, 1927, with as many pairs less as the design effect says."""
    if not pairs:
        return Interval(None, None, None)
    share, n = agree / pairs, pairs / effect
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Interval(share, max(centre - half, 0.0), min(centre + half, 1.0))
