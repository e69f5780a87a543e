from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlproj.monitoring import records
from mlproj.serving import sealing, segments
from mlproj.serving.feedback import Store
from mlproj.serving.record import Feedback, Kind, Record, Role
from tests.serving.log.world import DAY, of_day, put

NEXT = DAY + timedelta(days=1)
LATER = datetime(2026, 11, 22, 9, tzinfo=UTC)


def tell(home: Path, *said: Feedback) -> None:
    store = Store(home)
    store.add(said)
    store.close()


def label(number: int, value: str, at_us: int = 1, kind: Kind = Kind.LABEL) -> Feedback:
    return Feedback(prediction_id=number, kind=kind, value=value, at_us=at_us, source="crm")


def window(entity: str, first: Record, last: Record, value: str, at_us: int = 1) -> Feedback:
    return Feedback(
        entity=entity,
        since_us=first.arrived_us,
        until_us=last.arrived_us,
        kind=Kind.LABEL,
        value=value,
        at_us=at_us,
        source="crm",
    )


@pytest.fixture(params=["hot", "sealed"])
def two_days(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Record]]:
    """Ten records a day, customers a and b in turn, each answered by a shadow too; one day may be sealed."""
    given: list[Record] = []
    for one in (*of_day(DAY, 10), *of_day(NEXT, 10)):
        entity = "ab"[len(given) // 2 % 2]
        given.append(one._replace(entity=entity, sticky=True))
        given.append(one._replace(id=one.id + 7, entity=entity, sticky=True, role="shadow", version=4))
    put(tmp_path, given)
    if request.param == "sealed":
        sealing.seal(tmp_path, now=LATER - timedelta(days=1))
    return tmp_path, given


def test_records_come_in_the_order_of_their_ids_over_hot_and_sealed_days(
    two_days: tuple[Path, list[Record]],
) -> None:
    home, given = two_days
    assert list(records.since(home, 0)) == given
    assert list(records.since(home, given[5].id, until=given[30].id)) == given[5:30]
    assert list(records.since(home, given[-1].id + 1)) == []


def test_a_prediction_is_found_with_its_feedback_and_the_other_answers_to_the_request(
    two_days: tuple[Path, list[Record]],
) -> None:
    home, given = two_days
    tell(home, label(given[4].id, "Yes", 5), label(given[4].id, "No", 9), label(given[6].id, "Yes"))
    found = records.get(home, given[4].id)
    assert found is not None
    assert found.record == given[4]
    assert found.related == (given[5],)
    assert [one.value for one in found.feedback] == ["Yes", "No"]
    shadow = records.get(home, given[5].id)
    assert shadow is not None
    assert shadow.related == (given[4],)
    assert [one.value for one in shadow.feedback] == ["Yes", "No"], "the truth is the shadow's too"
    assert records.get(home, given[4].id + 1) is None


def test_labels_are_joined_by_id_and_by_entity_within_its_window_and_the_last_one_wins(
    two_days: tuple[Path, list[Record]],
) -> None:
    home, given = two_days
    tell(
        home,
        label(given[0].id, "first", 5),
        label(given[0].id, "last", 9),
        label(given[0].id, "late to arrive", 7),
        label(given[0].id, "approve", 99, kind=Kind.DECISION),
        window("b", given[2], given[10], "by window", 3),
        label(given[6].id, "by id", 1),
    )
    joined = {one.id: said.value for one, said in records.labelled(home, 0) if said is not None}
    assert joined == {
        given[0].id: "last",
        given[1].id: "last",
        given[2].id: "by window",
        given[3].id: "by window",
        given[6].id: "by window",
        given[7].id: "by window",
    }
    decided = [said.value for _, said in records.labelled(home, 0, kind=Kind.DECISION) if said is not None]
    assert decided == ["approve", "approve"]
    assert len(list(records.labelled(home, 0))) == len(given)


def test_feedback_before_its_prediction_is_kept_listed_and_joined_once_it_is_there(tmp_path: Path) -> None:
    given = [one._replace(entity="a") for one in of_day(DAY, 3)]
    early = [label(given[1].id, "Yes"), window("a", given[2], given[2]._replace(arrived_us=2**60), "No")]
    never = [label(given[1].id + 1, "Yes"), window("z", given[0], given[2], "No")]
    tell(tmp_path, *early, *never)
    assert len(records.unmatched(tmp_path)) == 4
    put(tmp_path, given)
    assert [one.entity for one in records.unmatched(tmp_path)] == [None, "z"]
    assert records.unmatched(tmp_path, early) == []
    assert sum(said is not None for _, said in records.labelled(tmp_path, 0)) == 2


def test_many_labels_are_matched_in_one_pass(two_days: tuple[Path, list[Record]]) -> None:
    home, given = two_days
    said = [label(one.id + more, "Yes") for one in given for more in (0, 1, 2, 3, 4, 5, 6)]
    assert len(records.unmatched(home, said)) == len(given) * 6


def test_the_log_is_exported_in_five_columns(two_days: tuple[Path, list[Record]]) -> None:
    home, given = two_days
    refused = given[0]._replace(
        id=given[0].id + 1, features=b"not, \xffJSON", output=None, status=400, error="not_json"
    )
    put(home, [refused])
    stream = io.StringIO()
    assert records.export_csv(home, stream, model="churn-model", until=given[2].id) == 2
    rows = list(csv.reader(io.StringIO(stream.getvalue())))
    assert rows[0] == ["date", "model", "model version", "feature inputs", "output"]
    assert rows[1][:3] == ["2026-11-20T00:00:00.000000Z", "churn-model", "3"]
    assert json.loads(rows[1][3]) == json.loads(given[0].features)
    assert json.loads(rows[1][4])["prediction"] == "Yes"
    assert rows[2][3:] == ["not, \ufffdJSON", '{"status": 400, "error": "not_json"}']


def test_what_only_a_shadow_said_is_exported_on_request(two_days: tuple[Path, list[Record]]) -> None:
    home, given = two_days
    shadows = sum(one.role == Role.SHADOW for one in given)
    assert shadows > 0
    told, all_ = io.StringIO(), io.StringIO()
    assert records.export_csv(home, told, model="churn-model") == len(given) - shadows
    assert records.export_csv(home, all_, model="churn-model", shadows=True) == len(given)
    header, *rows = csv.reader(io.StringIO(all_.getvalue()))
    assert header[-1] == "role"
    assert [row[-1] for row in rows] == [one.role for one in sorted(given)]
    kept = [",".join(row[:5]) for row in rows if row[-1] != "shadow"]
    assert kept == [",".join(row) for row in [*csv.reader(io.StringIO(told.getvalue()))][1:]]


def test_a_day_that_is_being_made_is_read_as_empty(tmp_path: Path) -> None:
    began = date(2026, 1, 1)

    def make() -> None:
        for number in range(150):
            segments.create(segments.path(tmp_path, began + timedelta(number)), wait_s=1.0).close()

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(make)
        while not making.done():
            assert list(segments.rows(tmp_path, 0)) == []
        making.result()
    assert len(segments.hot_days(tmp_path)) == 150
    assert not list(segments.folder(tmp_path).glob(".*")), "nothing is left of the making"
