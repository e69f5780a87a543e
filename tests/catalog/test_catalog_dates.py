from __future__ import annotations

import pytest

from mlproj.catalog.dates import ISO, candidates, keeps_to, moment, swapped


@pytest.mark.parametrize(
    ("values", "likeliest"),
    [
        (["2007-11-11", "2008-02-29"], "%Y-%m-%d"),
        (["2018-01-01 00:00:00.000", "2018-01-01 00:08:43.152"], "%Y-%m-%d %H:%M:%S.%f"),
        (["31/12/2020", "01/02/2021"], "%d/%m/%Y"),
        (["12/31/2020", "01/02/2021"], "%m/%d/%Y"),
        (["31.12.2020", "1.2.2021"], "%d.%m.%Y"),
        (["5 Jan 2020", "17 Dec 2021"], "%d %b %Y"),
        (["1949-01", "1949-12"], "%Y-%m"),
        (["20200131", "20211231"], "%Y%m%d"),
        (["2020-01-02T03:04:05Z", "2020-01-02 03:04:05+02:00"], ISO),
        (["2020-01-02 03:04:05", "2020-01-02 03:04:05.5"], ISO),
    ],
)
def test_the_format_of_a_column(values: list[str], likeliest: str) -> None:
    assert candidates(values)[0] == likeliest


@pytest.mark.parametrize(
    "values", [["12", "13"], ["red"], [], ["20201340"], ["99999999"], ["2020-02-31"], ["1.2"], ["2020"]]
)
def test_what_is_no_date(values: list[str]) -> None:
    assert candidates(values) == ()


def test_a_few_values_that_are_no_dates_leave_the_format_to_be_asked_about() -> None:
    assert candidates(["2020-01-01"] * 30 + ["2020-02-31"]) == ("%Y-%m-%d", ISO)


def test_dates_that_do_not_exist_are_no_dates() -> None:
    assert not keeps_to("2021-02-29", "%Y-%m-%d")


def test_day_and_month_that_can_change_places_name_each_other() -> None:
    assert swapped("%m/%d/%Y") == "%d/%m/%Y"
    assert swapped("%Y-%m-%d") is None


def test_moments_are_in_order_whatever_their_offset() -> None:
    assert moment("2020-01-01T00:00:00+02:00", ISO) == moment("2019-12-31T22:00:00Z", ISO)
    assert moment("no date", "%Y-%m-%d") is None
