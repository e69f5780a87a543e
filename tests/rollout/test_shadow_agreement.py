from __future__ import annotations

import pytest

from mlproj.monitoring.numbers import Differences, Losses
from mlproj.monitoring.pairs import Discordant, Paired, Table
from mlproj.monitoring.questions import Loss
from mlproj.rollout.agreement import Agreement, agreement, closeness, design_effect, kappa, report
from mlproj.rollout.verdict import Result, Rules

ACCURACY = Loss("accuracy", None, 0.2, "accuracy at least 0.8 on test")


def single(counts: dict[tuple[str, str], int]) -> Table:
    """A table in which every pair is a unit of its own."""
    pairs = sum(counts.values())
    agree = sum(count for (first, second), count in counts.items() if first == second)
    return Table(counts, pairs, agree, agree, pairs)


# Values and standard errors by statsmodels 0.15.0, `inter_rater.cohens_kappa`. The first is the example of
# Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 2003, 18.1.
TABLES = [
    (((75, 1, 4), (5, 4, 1), (0, 0, 10)), 0.676470588235294, 0.08770295347521254),
    (((40, 5), (9, 46)), 0.719438877755511, 0.06930684559167177),
]


@pytest.mark.parametrize(("rows", "value", "error"), TABLES)
def test_kappa_and_its_interval_are_those_of_the_literature(
    rows: tuple[tuple[int, ...], ...], value: float, error: float
) -> None:
    counts = {(str(i), str(j)): count for i, row in enumerate(rows) for j, count in enumerate(row) if count}
    found = kappa(single(counts))
    assert found.value == pytest.approx(value)
    assert found.low == pytest.approx(value - 1.959964 * error)


def test_kappa_is_unknown_where_both_always_say_one_thing_and_before_anything_was_said() -> None:
    assert kappa(single({("No", "No"): 50})).value is None
    assert agreement(Table()).share.value is None


def test_pairs_of_one_customer_widen_the_interval() -> None:
    counts = {("Yes", "Yes"): 800, ("Yes", "No"): 200}
    # 10 customers with 100 pairs each, of whom 8 always agree and 2 never do.
    clustered = Table(counts, 10, 8 * 100**2, 8 * 100**2, 10 * 100**2)
    assert design_effect(single(counts)) == pytest.approx(1, abs=0.01)
    assert design_effect(clustered) == pytest.approx(100 * 10 / 9)
    wide, narrow = agreement(clustered).share, agreement(single(counts)).share
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < 0.8


def test_a_report_counts_flipped_decisions_by_slice_and_says_what_labels_say() -> None:
    table = single({("No", "No"): 80, ("No", "Yes"): 15, ("Yes", "No"): 5})
    paired = Paired(
        table, (("Contract", "Two year", table),), (Discordant(ACCURACY, 900, 60, 20),), missing=3
    )
    found = report(paired, Rules())
    assert isinstance(found.overall, Agreement)
    assert found.overall.flipped == (("No", "Yes", 15), ("Yes", "No", 5))
    assert found.slices[0].sentence.startswith("Contract `Two year`: 80 of 100 agree, kappa")
    assert found.checks[0].result is Result.FAIL
    assert "the shadow alone is right in 20, the primary alone in 60; evidence that the shadow is worse" in (
        found.checks[0].reason
    )
    better = report(Paired(table, (), (Discordant(ACCURACY, 900, 20, 60),)), Rules())
    unknown = report(Paired(table, (), (Discordant(ACCURACY, 90, 5, 6),)), Rules())
    assert (better.checks[0].result, unknown.checks[0].result) == (Result.PASS, Result.WAIT)


def test_numbers_are_told_by_how_far_they_are_apart_and_labels_by_whose_are_nearer() -> None:
    table = Differences(400, 0, 800.0, 1200.0, 9.5, 400, 5200.0, 800.0, 400.0)
    found = closeness(table)
    # The interval of a mean of 400 independent differences with variance 9.
    assert found.more.value == pytest.approx(2.0)
    assert found.more.high == pytest.approx(2.0 + 1.959964 * 3.0 / 20, rel=0.01)
    assert found.sentence.startswith("400 answers are 3 apart on average, 9.5 at most; higher by 2 (+1.7")
    assert closeness(Differences()).more.value is None

    mae = Loss("mae", None, 5.0, "mae at most 5 on test")

    def judged(first: float, second: float, labelled: int = 400) -> Result:
        row = Losses(mae, labelled, first * labelled, second * labelled, 4.0 * labelled)
        return report(Paired(table, losses=(row,)), Rules()).checks[0].result

    assert judged(3.0, 4.0) is Result.FAIL
    assert judged(4.0, 3.0) is Result.PASS
    assert judged(3.0, 3.01) is Result.WAIT
    assert judged(3.0, 4.5, labelled=20) is Result.WAIT, "too few for a rule that is asymptotic"


def test_where_many_copies_were_dropped_nothing_is_judged() -> None:
    table = single({("No", "No"): 800, ("No", "Yes"): 200})
    row = Discordant(ACCURACY, 900, 60, 20)
    kept, dropped = (report(Paired(table, (), (row,), missing=n), Rules()) for n in (50, 500))
    assert kept.checks[0].result is Result.FAIL
    assert dropped.checks[0].result is Result.WAIT
    assert "33.3 % of the copies got no answer" in dropped.checks[0].reason
