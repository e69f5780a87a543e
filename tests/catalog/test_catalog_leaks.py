from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from mlproj.catalog.findings import Task
from mlproj.catalog.leaks import Suspicion, roc_auc, suspect

ROWS = 600


def number(cell: str | None) -> float | None:
    return None if cell is None else float(cell)


def halves(rows: int = ROWS) -> list[int]:
    chance = random.Random(3)
    return [chance.randrange(2) for _ in range(rows)]


def against(
    cells: Sequence[str | None], labels: Sequence[str], task: Task, *, numeric: bool
) -> Suspicion | None:
    if numeric:
        return suspect(cells, labels, halves(len(cells)), task, positive="yes", read=number)
    return suspect(cells, labels, halves(len(cells)), task, positive="yes")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(11)


@pytest.fixture
def outcomes(chance: random.Random) -> list[str]:
    return [chance.choice(["yes", "no", "no"]) for _ in range(ROWS)]


def test_a_feature_that_has_nothing_to_say_is_not_suspected(
    chance: random.Random, outcomes: list[str]
) -> None:
    cells = [f"{chance.random()}" for _ in outcomes]

    assert against(cells, outcomes, Task.BINARY, numeric=True) is None


def test_a_code_of_the_target_is_suspected(outcomes: list[str]) -> None:
    found = against(
        ["A" if label == "yes" else "B" for label in outcomes], outcomes, Task.BINARY, numeric=False
    )

    assert found == Suspicion(measure="roc_auc", score=1.0, by_absence=False)


def test_a_category_of_each_row_cannot_be_remembered(outcomes: list[str]) -> None:
    assert against([f"row {i}" for i in range(ROWS)], outcomes, Task.BINARY, numeric=False) is None


def test_a_value_that_is_only_there_after_the_outcome_is_suspected_by_its_absence(
    chance: random.Random, outcomes: list[str]
) -> None:
    cells = [f"{chance.random()}" if label == "yes" else None for label in outcomes]
    found = against(cells, outcomes, Task.BINARY, numeric=True)

    assert found is not None
    assert found.by_absence


def test_numbers_that_tell_in_the_middle_are_suspected(chance: random.Random, outcomes: list[str]) -> None:
    cells = [
        f"{chance.random() if label == 'yes' else chance.choice([-1, 1]) * (2 + chance.random())}"
        for label in outcomes
    ]

    assert against(cells, outcomes, Task.BINARY, numeric=True) is not None


def test_a_good_feature_of_a_rare_class_is_no_leak_by_accuracy_alone(chance: random.Random) -> None:
    labels = ["common"] * 980 + ["rare", "rarer"] * 10
    cells = [f"{chance.random()}" for _ in labels]

    assert against(cells, labels, Task.MULTICLASS, numeric=True) is None


def test_a_monotone_copy_of_a_number_is_suspected(chance: random.Random) -> None:
    values = [chance.uniform(0, 10) for _ in range(ROWS)]
    found = against(
        [f"{value**3}" for value in values], [f"{value}" for value in values], Task.REGRESSION, numeric=True
    )

    assert found is not None
    assert found.measure == "r2"
    assert found.score > 0.99


def test_a_strong_but_honest_predictor_of_a_number_is_not(chance: random.Random) -> None:
    values = [chance.uniform(0, 10) for _ in range(ROWS)]
    cells = [f"{value + chance.gauss(0, 1)}" for value in values]

    assert against(cells, [f"{value}" for value in values], Task.REGRESSION, numeric=True) is None


def test_a_handful_of_rows_accuses_nobody() -> None:
    assert against(["1", "2"] * 10, ["yes", "no"] * 10, Task.BINARY, numeric=True) is None


def test_ties_count_half_in_the_roc_auc() -> None:
    assert roc_auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]) == pytest.approx(0.875)
    assert roc_auc([1, 1, 1], [0, 1, 1]) == 0.5
    assert roc_auc([1, 2], [1, 1]) == 0.0
