from __future__ import annotations

from dataclasses import replace

import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog.columns import Facts, judge
from mlproj.catalog.findings import Task
from mlproj.catalog.target import decide, positive_class

CODES = Facts(
    name="y", rows=500, present=500, distinct=4, numbers=500, integers=500, whole=500, minimum=1, maximum=4
)
WORDS = Facts(name="y", rows=500, present=500, distinct=3)


def task_of(facts: Facts, told: Task | None = None) -> Task:
    return decide(facts, judge(facts), told).task


def test_two_values_are_binary_and_more_words_are_classes() -> None:
    assert task_of(replace(WORDS, distinct=2)) is Task.BINARY
    assert task_of(WORDS) is Task.MULTICLASS


def test_few_whole_numbers_are_classes_and_many_are_a_regression() -> None:
    assert task_of(CODES) is Task.MULTICLASS
    assert task_of(replace(CODES, distinct=40, maximum=90)) is Task.REGRESSION


def test_few_fractions_are_a_regression() -> None:
    assert task_of(replace(CODES, integers=0, whole=20)) is Task.REGRESSION


def test_a_task_that_is_told_is_taken_where_it_can_be() -> None:
    assert task_of(CODES, Task.REGRESSION) is Task.REGRESSION
    with pytest.raises(ConfigError, match="not all of its values are numbers"):
        task_of(WORDS, Task.REGRESSION)
    with pytest.raises(ConfigError, match="a binary task has 2"):
        task_of(WORDS, Task.BINARY)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(WORDS, present=0, distinct=0), "has no value in any of the 500 rows"),
        (replace(WORDS, distinct=1), "is the same in all 500 labelled rows"),
        (replace(WORDS, present=4), "only 4 rows have a label"),
        (replace(WORDS, distinct=300), "300 different values"),
        (replace(WORDS, distinct=500), "it looks like an identifier"),
        (replace(WORDS, distinct=400, date_format="%Y-%m-%d"), "is a date"),
        (replace(CODES, distinct=500, maximum=500, running=1.0), "counts the rows"),
    ],
)
def test_what_cannot_be_a_target_is_refused_with_a_way_out(facts: Facts, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        decide(facts, judge(facts))

    assert refused.value.hint


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"No": 10, "Yes": 90}, "Yes"),
        ({"0.0": 10, "1.0": 90}, "1.0"),
        ({"ham": 90, "spam": 10}, "spam"),
        ({"a": 50, "b": 50}, "b"),
        ({"1": 5, "yes": 3}, "yes"),
    ],
)
def test_the_positive_class_is_the_yes_else_the_rarer(classes: dict[str, int], expected: str) -> None:
    assert positive_class(classes) == expected
