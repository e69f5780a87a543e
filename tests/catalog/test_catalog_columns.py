from __future__ import annotations

from dataclasses import replace

import pytest

from mlproj.catalog.columns import (
    Facts,
    is_group,
    is_named_like_identifier,
    judge,
    nearly_numbers,
    ordered,
    tokens,
)
from mlproj.catalog.findings import Kind, Role, Storage


def words(name: str, *, present: int, distinct: int, **more: object) -> Facts:
    facts = Facts(name=name, rows=1_000, present=present, distinct=distinct, words=1.0, length=6.0)
    return replace(facts, **more)  # type: ignore[arg-type]


def numbers(
    name: str, *, distinct: int, low: float, high: float, whole: bool = True, **more: object
) -> Facts:
    facts = Facts(
        name=name,
        rows=1_000,
        present=1_000,
        distinct=distinct,
        numbers=1_000,
        integers=1_000 if whole else 0,
        whole=1_000 if whole else 0,
        minimum=low,
        maximum=high,
    )
    return replace(facts, **more)  # type: ignore[arg-type]


def test_a_column_of_different_strings_is_an_identifier_and_says_how_many() -> None:
    judged = judge(words("key", present=1_000, distinct=1_000))

    assert (judged.kind, judged.role) == (Kind.IDENTIFIER, Role.DROP)
    assert judged.reason == "1,000 different values in 1,000 rows"


def test_measurements_that_all_differ_are_no_identifier() -> None:
    judged = judge(numbers("ratio", distinct=1_000, low=0.1, high=0.9, whole=False))

    assert (judged.kind, judged.storage) == (Kind.NUMERIC, Storage.FLOAT)


def test_whole_numbers_without_a_gap_number_the_rows() -> None:
    assert judge(numbers("n", distinct=1_000, low=1, high=1_000)).kind is Kind.IDENTIFIER


def test_whole_numbers_that_differ_against_all_odds_are_an_identifier() -> None:
    assert judge(numbers("account", distinct=1_000, low=1, high=30_000)).kind is Kind.IDENTIFIER


def test_a_few_large_amounts_that_differ_by_chance_are_numbers() -> None:
    assert judge(numbers("salary", distinct=1_000, low=20_000, high=900_000)).kind is Kind.NUMERIC


def test_an_identifier_stays_one_though_duplicate_rows_repeat_it() -> None:
    facts = words("customerID", present=1_000, distinct=950, repeated_rows=50)

    assert judge(facts).kind is Kind.IDENTIFIER


def test_few_values_in_many_duplicate_rows_are_no_identifier() -> None:
    assert judge(words("colour", present=1_000, distinct=20, repeated_rows=990)).kind is Kind.CATEGORICAL


def test_a_count_of_the_rows_that_starts_again_is_an_identifier() -> None:
    judged = judge(numbers("Sample Number", distinct=152, low=1, high=152, running=0.99))

    assert (judged.kind, judged.role) == (Kind.IDENTIFIER, Role.DROP)


def test_a_year_is_a_number_even_when_each_row_is_a_year_later() -> None:
    judged = judge(numbers("year", distinct=300, low=1_720, high=2_019, running=1.0))

    assert judged.kind is Kind.NUMERIC
    assert "1720 to 2019" in judged.reason


def test_zero_and_one_are_a_boolean() -> None:
    judged = judge(numbers("SeniorCitizen", distinct=2, low=0, high=1, levels=("0", "1")))

    assert (judged.kind, judged.storage, judged.categories) == (Kind.BOOLEAN, Storage.INTEGER, ("0", "1"))


def test_codes_with_leading_zeros_are_no_numbers() -> None:
    judged = judge(numbers("zip", distinct=40, low=2_134, high=9_000, padded=3, levels=("02134", "09000")))

    assert (judged.kind, judged.storage) == (Kind.CATEGORICAL, Storage.STRING)


def test_whole_numbers_named_like_a_code_are_categories() -> None:
    judged = judge(numbers("product_type", distinct=3, low=1, high=3, levels=("1", "2", "3")))

    assert judged.kind is Kind.CATEGORICAL


def test_rooms_are_counted() -> None:
    judged = judge(numbers("rooms", distinct=3, low=1, high=3, levels=("1", "2", "3")))

    assert judged.kind is Kind.NUMERIC


def test_one_value_everywhere_is_constant_and_one_value_or_none_is_not() -> None:
    assert judge(words("region", present=1_000, distinct=1, levels=("EU",))).kind is Kind.CONSTANT
    assert judge(words("churned", present=40, distinct=1, levels=("yes",))).role is Role.FEATURE


def test_a_column_without_values_is_dropped() -> None:
    judged = judge(words("empty", present=0, distinct=0))

    assert (judged.kind, judged.role) == (Kind.CONSTANT, Role.DROP)
    assert judged.reason == "all 1,000 values are missing"


def test_sentences_are_text_and_names_are_not() -> None:
    sentences = words("said", present=900, distinct=850, length=60.0)
    names = words("Name", present=1_000, distinct=1_000, length=27.0)

    assert judge(replace(sentences, words=9.0)).kind is Kind.TEXT
    assert judge(replace(names, words=4.0)).kind is Kind.IDENTIFIER


def test_a_column_named_for_comments_may_repeat_itself() -> None:
    assert judge(words("Comments", present=54, distinct=10, length=35.0, **{"words": 5.0})).kind is Kind.TEXT


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (("High", "Low", "Medium"), ("Low", "Medium", "High")),
        (("Excellent", "Fair", "Good", "Poor", "Typical"), ("Poor", "Fair", "Typical", "Good", "Excellent")),
        (("Ex", "Fa", "Gd", "TA"), ("Fa", "TA", "Gd", "Ex")),
        (("Above_Average", "Average", "Very_Good"), ("Average", "Above_Average", "Very_Good")),
        (("L", "M", "S", "XL"), ("S", "M", "L", "XL")),
        (("Good", "No_Pool", "Poor"), None),
        (("high", "low"), None),
        (("blue", "green", "red"), None),
    ],
)
def test_a_scale_is_ordinal_when_all_its_steps_are_known(
    levels: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    assert ordered(levels) == expected


def test_a_kept_identifier_becomes_what_it_would_otherwise_be() -> None:
    facts = numbers("id", distinct=1_000, low=1, high=1_000, running=1.0)

    assert judge(facts).kind is Kind.IDENTIFIER
    assert judge(facts, is_kept=True).role is Role.FEATURE


@pytest.mark.parametrize(
    "name", ["id", "customerID", "customer_id", "Individual ID", "PassengerId", "userid", "uuid"]
)
def test_names_of_identifiers(name: str) -> None:
    assert is_named_like_identifier(name)


@pytest.mark.parametrize("name", ["paid", "humidity", "idle", "valid", "width", "grid", "no", ""])
def test_names_that_only_hold_the_letters(name: str) -> None:
    assert not is_named_like_identifier(name)


def test_the_words_of_a_name() -> None:
    assert tokens("customerID") == tokens("customer_id") == tokens("Customer ID") == ("customer", "id")


def test_an_identifier_of_people_seen_again_keeps_their_rows_together() -> None:
    assert is_group(words("customer_id", present=1_000, distinct=100))
    assert is_group(words("patient_no", present=1_000, distinct=12))


def test_an_identifier_of_few_shops_is_a_category() -> None:
    assert not is_group(words("store_id", present=1_000, distinct=12))


def test_an_identifier_that_only_duplicate_rows_repeat_keeps_nothing_together() -> None:
    assert not is_group(words("customer_id", present=1_000, distinct=980, repeated_rows=20))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1,5", "12,25"), "numbers with a decimal comma"),
        (("1,500", "12,250.5"), "numbers with thousands separators"),
        (("10%", "2.5 %"), "percentages"),
        (("$1,200", "€5"), "amounts of money"),
        (("1,5", "many"), ""),
        ((), ""),
    ],
)
def test_what_people_would_read_as_numbers(values: tuple[str, ...], expected: str) -> None:
    assert nearly_numbers(values) == expected
