from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.serving import ids

NUMBERS = st.integers(0, ids.LARGEST)
# Nanoseconds from 1970 to 2088, in any order: steps back, jumps ahead, and moments that stand still.
CLOCKS = st.lists(st.integers(0, 3_700_000_000_000_000_000), min_size=1, max_size=60)


def clock(readings: list[int], *, each: int = 1) -> ids.Generator:
    return ids.Generator(7, clock_ns=iter([reading for reading in readings for _ in range(each)]).__next__)


@given(CLOCKS)
def test_an_id_is_larger_than_the_one_before_whatever_the_clock_does(readings: list[int]) -> None:
    generator = clock(readings)
    given_ids = [generator.new() for _ in readings]
    assert given_ids == sorted(set(given_ids))


@pytest.mark.parametrize("count", [4096, 4097, 20_000])
def test_more_ids_than_a_millisecond_holds_borrow_the_next_one(count: int) -> None:
    generator = ids.Generator(1023, clock_ns=lambda: 1_800_000_000_000_000_000)
    given_ids = [generator.new() for _ in range(count)]
    assert given_ids == sorted(set(given_ids))
    assert (ids.moment(given_ids[-1]) - ids.moment(given_ids[0])).total_seconds() <= 0.001 * (count // 4096)


@given(NUMBERS.filter(lambda number: number >> 22 < (1 << 41) - 2), st.integers(0, 1023), CLOCKS)
def test_ids_go_on_after_a_restart_above_all_that_are_in_the_log(
    last: int, node: int, readings: list[int]
) -> None:
    generator = ids.Generator(node, after=last, clock_ns=iter(readings).__next__)
    assert generator.new() > last


@given(st.integers(0, 1023), st.integers(0, 1023))
def test_two_nodes_never_give_the_same_id(one: int, other: int) -> None:
    now = 1_800_000_000_000_000_000
    given_ids = {ids.Generator(node, clock_ns=lambda: now).new() for node in (one, other)}
    assert len(given_ids) == len({one, other})


@given(NUMBERS, NUMBERS)
def test_the_text_of_an_id_sorts_as_its_number_does(one: int, other: int) -> None:
    assert (ids.text(one) < ids.text(other)) == (one < other)
    assert len(ids.text(one)) == 13


@given(NUMBERS)
def test_an_id_is_read_back_from_its_text_in_either_case_and_from_letters_mistaken_for_digits(
    number: int,
) -> None:
    shown = ids.text(number)
    assert ids.parse(shown) == ids.parse(f" {shown.upper()}\n") == number
    assert ids.parse(shown.replace("0", "O").replace("1", "l")) == number


@pytest.mark.parametrize(
    "text",
    ["", "06awk8s1c040", "06awk8s1c04000", "zzzzzzzzzzzzz", "06awk8s1c04u0", "06awk8s1c04é0", "8" * 13],
)
def test_a_malformed_id_is_refused_with_what_an_id_looks_like(text: str) -> None:
    with pytest.raises(ConfigError, match="is not the id of a prediction") as caught:
        ids.parse(text)
    assert "13 letters and digits, such as" in caught.value.hint


@given(NUMBERS)
def test_an_id_lies_within_the_bounds_of_its_day(number: int) -> None:
    first, past = ids.bounds(ids.day(number))
    assert first <= number < past
    assert ids.moment(number).date() == ids.day(number)


def test_a_moment_gives_the_smallest_id_it_can_have() -> None:
    moment = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    number = ids.at(moment)
    assert ids.moment(number) == moment
    assert ids.moment(number - 1) < moment
    assert ids.at(datetime(1999, 1, 1, tzinfo=UTC)) == 0
    assert ids.at(datetime.max.replace(tzinfo=UTC)) == ids.LARGEST
    assert ids.bounds(date(2020, 1, 1))[0] == 0


@pytest.mark.parametrize("node", [-1, 1024])
def test_a_node_beyond_ten_bits_is_refused(node: int) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        ids.Generator(node)


def test_ids_end_in_2089_with_an_error_and_not_with_a_wrong_id() -> None:
    with pytest.raises(MlprojError, match="2089"):
        ids.Generator(0, clock_ns=lambda: 4_000_000_000_000_000_000).new()
