from __future__ import annotations

import pytest

from mlproj.provenance import ladder
from mlproj.provenance.ladder import Level, Paired

SAME = Paired(rows=200, alone=0, differ=0, largest=0.0, flips=0, lost=0, won=0)


def reached(learned: tuple[str | None, str | None], paired: Paired | None) -> Level | None:
    rungs = ladder.climb(same_recipe=True, learned=learned, paired=paired)
    return ladder.level(rungs, paired)


def test_equal_digests_of_what_was_learnt_are_the_highest_level() -> None:
    assert reached(("a1", "a1"), SAME) is Level.LEARNED
    assert reached(("a1", "a1"), None) is Level.LEARNED


def test_equal_parameters_that_predict_otherwise_count_by_what_they_predict() -> None:
    other = Paired(rows=200, alone=0, differ=3, largest=1e-9, flips=0, lost=0, won=0)
    assert reached(("a1", "a1"), other) is Level.TOLERANCE


@pytest.mark.parametrize(
    ("paired", "expected"),
    [
        (SAME, Level.PREDICTIONS),
        (Paired(rows=200, alone=0, differ=9, largest=1e-7, flips=0, lost=0, won=0), Level.TOLERANCE),
        (Paired(rows=200, alone=0, differ=9, largest=0.01, flips=0, lost=0, won=0), Level.DECISIONS),
        (Paired(rows=200, alone=0, differ=9, largest=0.01, flips=5, lost=3, won=2), Level.INTERVAL),
        (Paired(rows=200, alone=0, differ=90, largest=0.9, flips=40, lost=40, won=0), Level.DIFFERENT),
    ],
)
def test_the_level_is_the_first_rung_that_holds(paired: Paired, expected: Level) -> None:
    assert reached((None, None), paired) is expected
    assert expected.is_reproduced == (expected <= Level.DECISIONS)


def test_rows_of_one_model_only_are_another_test_split_and_no_reproduction() -> None:
    fewer = Paired(rows=199, alone=1, differ=0, largest=0.0, flips=0, lost=0, won=0)
    assert reached((None, None), fewer) is Level.DIFFERENT


def test_without_anything_to_compare_there_is_no_level() -> None:
    rungs = ladder.climb(same_recipe=True, learned=(None, "a1"), paired=None)
    assert ladder.level(rungs, None) is None
    assert [rung.holds for rung in rungs] == [True, None, None, None, None, None]


def test_a_regression_makes_no_decisions_so_numbers_have_to_agree() -> None:
    near = Paired(rows=200, alone=0, differ=9, largest=1e-7, flips=None, lost=4, won=5)
    far = Paired(rows=200, alone=0, differ=9, largest=0.1, flips=None, lost=4, won=5)
    assert reached((None, None), near) is Level.TOLERANCE
    assert reached((None, None), far) is Level.INTERVAL


def test_the_interval_of_a_paired_difference_is_that_of_the_textbook() -> None:
    # Agresti, Categorical Data Analysis, table 11.1: of 1,600 voters, 150 turned away and 86 came; the share
    # fell from 0.59 to 0.55, by 0.04 with a standard error of 0.0095.
    voters = Paired(rows=1600, alone=0, differ=0, largest=0.0, flips=236, lost=150, won=86)
    mean, low, high = voters.gain
    assert mean == pytest.approx(-0.04)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.0095, abs=0.0001)
