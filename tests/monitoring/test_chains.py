"""Records found by their request, and counted by their version, in open days and in sealed ones."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from mlproj.base.errors import MlprojError
from mlproj.monitoring import chains
from mlproj.serving import ids, sealing, segments
from tests.serving.log.world import DAY, of_day, put, record


def test_records_of_a_request_are_found_within_two_minutes(tmp_path: Path) -> None:
    first = ids.bounds(DAY)[0] + (3_600_000 << 22)
    near = [record(first + (after * 1000 << 22), request_id="a") for after in (0, 5, 119)]
    far = [record(first + (after * 1000 << 22), request_id="a") for after in (-121, 121)]
    others = [record(first + (7000 << 22), request_id="b")]
    put(tmp_path, [*near, *far, *others])
    assert chains.of_request(tmp_path, "a", first) == near
    sealing.seal(tmp_path)
    assert segments.sealed_path(tmp_path, DAY).exists()
    assert chains.of_request(tmp_path, "a", first) == near


def test_a_request_at_midnight_is_found_in_both_days(tmp_path: Path) -> None:
    midnight = ids.bounds(DAY + timedelta(days=1))[0]
    both = [record(midnight - (1000 << 22), request_id="a"), record(midnight + (1000 << 22), request_id="a")]
    put(tmp_path, both)
    assert chains.of_request(tmp_path, "a", both[0].id) == both


def test_versions_are_counted_over_sealed_and_open_days(tmp_path: Path) -> None:
    sealed = of_day(DAY, 3, version=1) + [
        each._replace(id=each.id + 1, version=2) for each in of_day(DAY, 2, version=2)
    ]
    put(tmp_path, sorted(sealed))
    sealing.seal(tmp_path)
    later = of_day(DAY + timedelta(days=1), 4, version=2)
    put(tmp_path, later)
    counted = chains.count(tmp_path, patience_s=None)
    assert [(each.version, each.count, each.complete) for each in counted] == [(1, 3, True), (2, 6, True)]
    assert (counted[1].first, counted[1].last) == (sealed[3].id, later[-1].id)


def test_a_count_that_takes_too_long_is_stopped_and_says_so(tmp_path: Path) -> None:
    put(tmp_path, of_day(date(2026, 11, 20), 30_000))
    counted = chains.count(tmp_path, patience_s=0.0)
    assert sum(each.count for each in counted) < 30_000
    assert not any(each.complete for each in counted)


def test_an_empty_log_counts_nothing(tmp_path: Path) -> None:
    assert chains.count(tmp_path, patience_s=1.0) == ()
    assert chains.of_request(tmp_path, "a", ids.bounds(DAY)[0]) == []


def test_a_damaged_day_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    file = segments.path(tmp_path, DAY)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(MlprojError, match="log"), chains.told(tmp_path):
        chains.count(tmp_path, patience_s=1.0)
