"""POST /predict as the worker reads it: every refusal by its name, and what is kept of each row."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.serving.worker import toy
from tests.serving.worker.conftest import Start
from tests.serving.worker.conversation import PREDICT, Worker

ROW = toy.ROW


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


def test_an_object_is_a_row_and_its_answer_is_complete(worker: Worker) -> None:
    answer = worker.ask(PREDICT, ROW)
    assert (answer.status, answer.body) == (200, b"")
    (row,) = answer.rows
    chance = toy.probability(ROW)
    assert row.output["prediction"] == "Yes"
    assert row.output["confidence"] == row.output["probabilities"]["Yes"] == pytest.approx(chance)
    assert row.output["probabilities"]["No"] == pytest.approx(1 - chance)
    assert list(row.output) == ["prediction", "confidence", "probabilities"]
    assert row.score == row.confidence == row.output["confidence"]
    assert (row.features, row.unseen) == (ROW, [])


def test_the_score_is_the_positive_class_and_the_confidence_the_largest(worker: Worker) -> None:
    row = worker.ask(PREDICT, {**ROW, "plan": "basic", "charge": 20}).rows[0]
    assert row.output["prediction"] == "No"
    assert row.score == row.output["probabilities"]["Yes"] < 0.5
    assert row.confidence == row.output["probabilities"]["No"] > 0.5


def test_an_array_of_objects_are_rows_in_their_order(worker: Worker) -> None:
    rows = [{**ROW, "charge": charge} for charge in (1, 20.5, None, 3)]
    answer = worker.ask(PREDICT, rows)
    assert [row.features for row in answer.rows] == rows
    assert [row.score for row in answer.rows] == pytest.approx([toy.probability(row) for row in rows])


def test_features_are_what_came_and_only_the_inputs(worker: Worker) -> None:
    sent = {"customer": "c-7", "request_id": "r:1", "entity_id": 3, **ROW, "age": 3, "charge": 7}
    row = worker.ask(PREDICT, sent).rows[0]
    assert row.features == {**ROW, "age": 3, "charge": 7}
    assert b'"age":3,' in row.raw
    assert b'"charge":7,' in row.raw
    spaced = json.dumps(dict(reversed(ROW.items())), indent=2).encode()
    assert worker.ask(PREDICT, b"\n " + spaced + b"\n").rows[0].features == ROW


def test_a_name_given_twice_is_kept_once_as_the_model_saw_it(worker: Worker) -> None:
    twice = json.dumps(ROW)[:-1].encode() + b', "age": 61}'
    row = worker.ask(PREDICT, twice).rows[0]
    assert row.raw.count(b'"age"') == 1
    assert row.features["age"] == 61
    assert row.score == pytest.approx(toy.probability({**ROW, "age": 61}))


def test_null_is_a_missing_value_where_the_input_can_be_missing(worker: Worker) -> None:
    row = worker.ask(PREDICT, {**ROW, "charge": None, "plan": None, "since": None}).rows[0]
    assert row.features == {**ROW, "charge": None, "plan": None, "since": None}
    assert row.unseen == []
    assert row.score == pytest.approx(toy.probability({**ROW, "charge": None, "plan": None}))


def test_an_unseen_category_is_served_and_named(worker: Worker) -> None:
    rows = worker.ask(PREDICT, [ROW, {**ROW, "plan": "platinum"}]).rows
    assert [row.unseen for row in rows] == [[], ["plan"]]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (without("age"), "missing_field", "age"),
        ({**ROW, "colour": 1}, "unexpected_field", "colour"),
        ({**ROW, "age": "40"}, "wrong_type", "age"),
        ({**ROW, "age": True}, "wrong_type", "age"),
        ({**ROW, "age": [40]}, "wrong_type", "age"),
        ({**ROW, "age": {}}, "wrong_type", "age"),
        ({**ROW, "age": None}, "wrong_type", "age"),
        ({**ROW, "plan": 3}, "wrong_type", "plan"),
        ({**ROW, "plan": False}, "wrong_type", "plan"),
        ({**ROW, "plan": "\ud800"}, "wrong_type", "plan"),
        ({**ROW, "since": "01.03.2024"}, "wrong_type", "since"),
        ({**ROW, "since": "2024-02-30"}, "wrong_type", "since"),
        ({**ROW, "since": 20240301}, "wrong_type", "since"),
        ({**ROW, "charge": math.nan}, "not_finite", "charge"),
        ({**ROW, "charge": -math.inf}, "not_finite", "charge"),
        (json.dumps(ROW).replace("1.25", "1e999").encode(), "not_finite", "charge"),
        (json.dumps(ROW).replace("1.25", "1" * 400).encode(), "not_finite", "charge"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(worker: Worker, body: Any, code: str, field: str) -> None:
    answer = worker.ask(PREDICT, body)
    assert (answer.status, answer.code, answer.rows) == (422, code, [])
    (entry,) = answer.json["error"]["fields"]
    assert (entry["field"], entry["row"]) == (field, 0)
    assert entry["message"]
    assert field in answer.json["error"]["message"]


def test_a_fraction_is_a_number_where_training_had_whole_ones_only(worker: Worker) -> None:
    row = worker.ask(PREDICT, {**ROW, "age": 40.5}).rows[0]
    assert row.features["age"] == 40.5
    assert row.score == pytest.approx(toy.probability({**ROW, "age": 40.5}))


def test_all_wrong_fields_are_told_at_once_up_to_twenty(worker: Worker) -> None:
    answer = worker.ask(PREDICT, [ROW, {"age": "x", "plan": 1, "colour": 2}])
    fields = answer.json["error"]["fields"]
    assert [(entry["field"], entry["row"]) for entry in fields] == [
        *(("age", 1), ("charge", 1), ("plan", 1), ("since", 1)),
        ("colour", 1),
    ]
    assert fields[0]["message"] == 'a number is wanted, "x" is a text'
    many = worker.ask(PREDICT, {**ROW, **{f"x{i}": i for i in range(100)}})
    assert len(many.json["error"]["fields"]) == 20
    assert "99 more" in many.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"age=40", 400, "not_json"),
        (b"\xff\xfe", 400, "not_json"),
        (b"\xef\xbb\xbf{}", 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b'{"age":' + b"9" * 5000 + b"}", 400, "not_json"),
        (b"3", 400, "bad_request"),
        (b'"text"', 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"[[]]", 400, "bad_request"),
        ([ROW] * 51, 413, "too_many_rows"),
    ],
)
def test_what_is_no_request_is_refused(worker: Worker, body: Any, status: int, code: str) -> None:
    answer = worker.ask(PREDICT, body)
    assert (answer.status, answer.code, answer.rows) == (status, code, [])


def test_an_unknown_protocol_is_refused(worker: Worker) -> None:
    assert worker.ask(9, ROW).code == "bad_request"


def test_a_column_of_the_data_that_the_model_does_not_use_is_no_mistake(tmp_path: Path, start: Start) -> None:
    folder = toy.make(tmp_path / "package")
    described = json.loads((folder / "package.json").read_text())
    (folder / "package.json").write_text(json.dumps({**described, "ignored": ["left_on"]}))
    worker = start(folder)
    row = worker.ask(PREDICT, {**ROW, "left_on": None}).rows[0]
    assert row.features.keys() == ROW.keys()
    assert worker.ask(PREDICT, {**ROW, "left_off": None}).code == "unexpected_field"


def test_an_entity_that_is_an_input_is_an_input(tmp_path: Path, start: Start) -> None:
    inputs = [*toy.INPUTS, {"name": "customer", "kind": "text", "nullable": False}]
    package = toy.make(tmp_path / "package", inputs=inputs, example={**ROW, "customer": "c"})
    worker = start(package)
    assert worker.ask(PREDICT, {**ROW, "customer": "x"}).rows[0].features["customer"] == "x"
    assert worker.ask(PREDICT, ROW).code == "missing_field"


def test_names_that_are_no_identifiers_are_read(tmp_path: Path, start: Start) -> None:
    names = ["class", "über %s", 'with "quotes"\\', "a.b", "f0", "r0"]
    inputs = [*toy.INPUTS, *({"name": name, "kind": "number"} for name in names)]
    row = {**ROW, **{name: float(at) for at, name in enumerate(names)}}
    for given in (inputs, [entry for entry in inputs if '"' not in entry["name"]]):
        example = {entry["name"]: row[entry["name"]] for entry in given}
        worker = start(toy.make(tmp_path / str(len(given)), inputs=given, example=example))
        assert worker.ask(PREDICT, example).rows[0].features == example
        assert worker.ask(PREDICT, [example]).rows[0].features == example


@pytest.mark.parametrize("classes", [[0, 1], [False, True], ["50% off", 'say "no"'], ["a", "b", "c"]])
def test_labels_keep_their_type(tmp_path: Path, start: Start, classes: list[Any]) -> None:
    worker = start(toy.make(tmp_path / "package", classes=classes))
    row = worker.ask(PREDICT, ROW).rows[0]
    assert row.output["prediction"] is classes[1] or row.output["prediction"] == classes[1]
    assert type(row.output["prediction"]) is type(classes[1])
    names = [name if isinstance(name, str) else json.dumps(name) for name in classes]
    assert list(row.output["probabilities"]) == names
    assert row.score == row.confidence == row.output["probabilities"][names[1]]


def test_a_number_is_its_own_score_and_has_no_confidence(tmp_path: Path, start: Start) -> None:
    row = start(toy.make(tmp_path / "package", classes=None)).ask(PREDICT, ROW).rows[0]
    assert row.output == {"prediction": row.score}
    assert row.score == pytest.approx(toy.score(ROW))
    assert math.isnan(row.confidence)


@pytest.mark.parametrize("plan", ["nan", "short"])
def test_an_answer_that_is_none_is_an_error_of_the_model(worker: Worker, plan: str) -> None:
    answer = worker.ask(PREDICT, {**ROW, "plan": plan})
    assert (answer.status, answer.code) == (500, "model_error")
    assert worker.ask(PREDICT, ROW).status == 200


def test_dates_in_iso_form_have_a_time_and_an_offset_or_none(tmp_path: Path, start: Start) -> None:
    since = {"name": "since", "kind": "datetime", "format": "ISO8601", "example": "2024-03-01"}
    worker = start(toy.make(tmp_path / "package", inputs=[*toy.INPUTS[:3], since]))
    for text in ("2024-03-01", "2024-03-01 10:00:00.5", "2024-03-01T10:00:00Z", "2024-03-01T10:00:00+02:00"):
        assert worker.ask(PREDICT, {**ROW, "since": text}).rows[0].features["since"] == text
    for text in ("soon", "", "2024-13-01", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"):
        assert worker.ask(PREDICT, {**ROW, "since": text}).code == "wrong_type"
