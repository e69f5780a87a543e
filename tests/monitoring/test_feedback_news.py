"""Feedback that came, each once, with the predictions that it speaks of, and at a bounded price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlproj.monitoring import news as news_module
from mlproj.monitoring import records
from mlproj.monitoring.news import News
from mlproj.serving import feedback, ids, sealing
from mlproj.serving.record import Feedback, Kind, Record
from tests.serving.log.world import DAY, of_day, put, record

FIRST = ids.bounds(DAY)[0]
SECOND = 1000 << 22
DAY_US = ids.EPOCH_MS * 1000 + (FIRST >> 22) * 1000


def tell(home: Path, *said: Feedback) -> None:
    with closing(feedback.Store(home)) as store:
        store.add(said)


def about(number: int, value: str = "Yes") -> Feedback:
    return Feedback(kind=Kind.LABEL, value=value, at_us=1, source="test", prediction_id=number)


def of(entity: str, since_s: float, until_s: float) -> Feedback:
    since_us, until_us = (DAY_US + round(second * 1e6) for second in (since_s, until_s))
    return Feedback(
        kind=Kind.LABEL,
        value="Yes",
        at_us=1,
        source="test",
        entity=entity,
        since_us=since_us,
        until_us=until_us,
    )


def ids_of(found: Iterator[tuple[Record, Feedback]]) -> list[int]:
    return [one.id for one, _ in found]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("count", [5, 300])
def test_many_predictions_are_found_at_once(tmp_path: Path, count: int, sealed: bool) -> None:
    made = of_day(DAY, 400, sticky=True)
    put(tmp_path, made)
    if sealed:
        sealing.seal(tmp_path)
    wanted = made[50 : 50 + count]
    numbers = [*(one.id for one in wanted), made[0].id + 1]
    found = records.several(records.reader(tmp_path), numbers)
    assert [found[number] for number in sorted(found)] == wanted


def test_feedback_waits_for_its_prediction_and_what_is_made_up_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = of_day(DAY, 10)
    put(tmp_path, made[:5])
    later = ids.at_us(DAY_US + 2_000_000_000_000)  # weeks after anybody told anything
    tell(tmp_path, about(made[0].id), about(made[7].id), about(FIRST + 5), about(later))
    asked: list[list[int]] = []

    def several(source: records.Reader, numbers: list[int]) -> dict[int, Record]:
        asked.append(numbers)
        return found(source, numbers)

    found = records.several
    monkeypatch.setattr(records, "several", several)
    news = News(tmp_path, FIRST)
    assert ids_of(news.new(until=FIRST + 5 * SECOND)) == [made[0].id]
    put_late = made[5:]
    put(tmp_path, put_late)
    assert ids_of(news.new(until=FIRST + 8 * SECOND)) == [made[7].id]
    for second in range(9, 5000):
        assert ids_of(news.new(until=FIRST + second * SECOND)) == []
    assert sum(numbers.count(FIRST + 5) for numbers in asked) == 4
    assert not news._waiting


def test_a_prediction_that_was_logged_late_is_found_at_a_later_look(tmp_path: Path) -> None:
    made = of_day(DAY, 3)
    put(tmp_path, made[:1])
    tell(tmp_path, about(made[1].id))
    news = News(tmp_path, FIRST)
    assert ids_of(news.new(until=FIRST + 3 * SECOND)) == []
    put(tmp_path, made[1:])
    assert ids_of(news.new(until=FIRST + 9 * SECOND)) == []
    assert ids_of(news.new(until=FIRST + 14 * SECOND)) == [made[1].id]


def test_more_labels_than_one_look_takes_all_find_their_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_module, "_MOST_LOOKED_UP", 40)
    monkeypatch.setattr(news_module, "_MOST_WAITING", 60)
    made = of_day(DAY, 200)
    put(tmp_path, made)
    tell(tmp_path, *(about(one.id) for one in reversed(made)))
    news, found = News(tmp_path, FIRST), list[int]()
    for _ in range(12):
        some = ids_of(news.new(until=made[-1].id + 1))
        assert len(some) <= 40
        found += some
    assert sorted(found) == [one.id for one in made]


def test_windows_of_entities_read_their_own_hours_some_at_a_time_and_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_module, "_MOST_READ", 1000)
    hours = [record(FIRST + second * SECOND, entity="abc"[second % 3]) for second in range(0, 36_000, 10)]
    put(tmp_path, hours)
    news = News(tmp_path, FIRST)
    read: list[int] = []
    rows = records.Local.rows

    def spied(self: records.Local, since_id: int, until_id: int) -> Iterator[Record]:
        for one in rows(self, since_id, until_id):
            read.append(one.id)
            yield one

    monkeypatch.setattr(records.Local, "rows", spied)
    seen = FIRST + 30_000 * SECOND
    tell(tmp_path, of("a", 18_000, 32_000), of("nobody", 20_000, 30_000))
    found = list[int]()
    for _ in range(3):
        some, before = ids_of(news.new(until=seen)), len(read)
        found += some
        assert len(read) - before <= 1000
    assert min(read) >= FIRST + (18_000 - 3600) * SECOND
    assert len(read) == len(set(read))
    for one in hours[3000:]:
        news.served(one)
    found += ids_of(news.new(until=hours[-1].id + 1))
    assert found == [
        one.id for one in hours if one.entity == "a" and 18_000 <= (one.id - FIRST) / SECOND < 32_000
    ]
    assert "a" not in news._open  # the window is over, and nothing more is kept of it
