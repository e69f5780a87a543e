"""The Open Inference Protocol, as `tritonclient` speaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.worker import toy
from tests.serving.worker.conftest import Start
from tests.serving.worker.conversation import V2, Answer, Worker

httpclient = pytest.importorskip("tritonclient.http")
utilities = pytest.importorskip("tritonclient.utils")

ROWS = [toy.ROW, {"age": 20, "charge": 2.5, "plan": "basic", "since": "2023-01-02"}]


def tensors(rows: list[dict[str, Any]] = ROWS, *, binary: bool = True, wide: bool = False) -> list[Any]:
    shape = [len(rows), 1] if wide else [len(rows)]
    found = []
    for name, datatype, kind in (
        *(("age", "INT64", np.int64), ("charge", "FP64", np.float64)),
        *(("plan", "BYTES", np.object_), ("since", "BYTES", np.object_)),
    ):
        values = np.array([row[name] for row in rows], dtype=kind).reshape(shape)
        entry = httpclient.InferInput(name, shape, datatype)
        found.append(entry.set_data_from_numpy(values, binary_data=binary))
    return found


def ask(worker: Worker, inputs: list[Any], **options: Any) -> Answer:
    body, header = httpclient.InferenceServerClient.generate_request_body(inputs, **options)
    return worker.ask(V2, body, header or 0)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("wide", [True, False])
def test_tritonclient_is_answered(worker: Worker, binary: bool, wide: bool) -> None:
    answer = ask(worker, tensors(binary=binary, wide=wide), request_id="r-1")
    assert answer.status == 200
    result = httpclient.InferenceServerClient.parse_response_body(answer.body)
    assert result.get_response()["id"] == "r-1"
    assert result.get_response()["model_name"] == "toy-model"
    assert result.as_numpy("prediction").tolist() == ["Yes", "No"]
    chances = result.as_numpy("probabilities")
    assert chances.shape == (2, 2)
    assert chances[:, 1] == pytest.approx([toy.probability(row) for row in ROWS])
    assert [row.features for row in answer.rows] == ROWS
    assert [row.output["prediction"] for row in answer.rows] == ["Yes", "No"]


def test_only_the_outputs_asked_for_are_given(worker: Worker) -> None:
    asked = [httpclient.InferRequestedOutput("probabilities", binary_data=True)]
    answer = ask(worker, tensors(), outputs=asked)
    assert [output["name"] for output in answer.json["outputs"]] == ["probabilities"]
    answer = ask(worker, tensors(), outputs=[httpclient.InferRequestedOutput("logits")])
    assert (answer.status, answer.code) == (400, "bad_request")


def test_a_refusal_can_be_read_by_tritonclient(worker: Worker) -> None:
    answer = ask(worker, tensors()[1:])
    assert (answer.status, answer.code) == (422, "missing_field")
    # The client puts `error` into a text, so it must be one.
    assert str(httpclient.InferenceServerException(answer.json["error"], "422")).startswith("[422] `age`")


@pytest.mark.parametrize(
    "datatype", ["FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT8", "BOOL"]
)
@pytest.mark.parametrize("binary", [True, False])
def test_numbers_come_in_any_datatype(worker: Worker, datatype: str, binary: bool) -> None:
    if datatype == "FP16" and not binary:
        pytest.skip("tritonclient has no JSON form of it")
    kind = utilities.triton_to_np_dtype(datatype)
    inputs = tensors()
    inputs[1] = httpclient.InferInput("charge", [2], datatype)
    inputs[1].set_data_from_numpy(np.array([1, 0]).astype(kind), binary_data=binary)
    answer = ask(worker, inputs)
    assert [row.features["charge"] for row in answer.rows] == [1, 0]


def test_nan_and_null_are_missing_values(worker: Worker) -> None:
    inputs = tensors()
    inputs[1].set_data_from_numpy(np.array([np.nan, 1.0]))
    assert [row.features["charge"] for row in ask(worker, inputs).rows] == [None, 1.0]
    entries = [
        {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
        for name, datatype, value in (
            *(("age", "INT32", 3), ("charge", "FP32", None)),
            *(("plan", "BYTES", None), ("since", "BYTES", None)),
        )
    ]
    assert worker.ask(V2, {"inputs": entries}).rows[0].features["plan"] is None


def test_an_infinite_number_is_refused(worker: Worker) -> None:
    inputs = tensors()
    inputs[1].set_data_from_numpy(np.array([1.0, np.inf]))
    answer = ask(worker, inputs)
    assert (answer.status, answer.code) == (422, "not_finite")
    assert answer.json["fields"][0]["row"] == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "colour"}, 422, "unexpected_field"),
        ({"shape": [2, 2]}, 422, "wrong_type"),
        ({"shape": "2"}, 422, "wrong_type"),
        ({"shape": [-1]}, 422, "wrong_type"),
        ({"shape": [3]}, 422, "wrong_type"),
        ({"datatype": "BF16"}, 422, "wrong_type"),
        ({"datatype": []}, 422, "wrong_type"),
        ({"datatype": "BYTES"}, 422, "wrong_type"),
        ({"datatype": "BYTES", "data": ["1", "2"]}, 422, "wrong_type"),
        ({"data": None}, 422, "wrong_type"),
        ({"data": [1, 2, 3], "shape": [3]}, 400, "bad_request"),
        ({"name": 3}, 400, "bad_request"),
        ({"name": "plan"}, 400, "bad_request"),
        ({"parameters": {"binary_data_size": 3}}, 400, "bad_request"),
        ({"parameters": {"binary_data_size": -1}}, 400, "bad_request"),
        ({"parameters": {"shared_memory_region": "x"}}, 400, "bad_request"),
    ],
)
def test_a_tensor_that_is_wrong_is_refused(worker: Worker, change: Any, status: int, code: str) -> None:
    inputs = [entry._get_tensor() for entry in tensors(binary=False)]
    inputs[0] = {**inputs[0], **change}
    answer = worker.ask(V2, {"inputs": inputs})
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "body",
    [[], {}, {"inputs": {}}, {"inputs": [1]}, {"inputs": [], "id": 3}, {"inputs": [], "outputs": [1]}],
)
def test_what_is_no_inference_request_is_refused(worker: Worker, body: Any) -> None:
    answer = worker.ask(V2, body)
    assert answer.status in {400, 422}
    assert answer.rows == []


def test_a_header_longer_than_the_body_and_bytes_left_over_are_refused(worker: Worker) -> None:
    body, header = httpclient.InferenceServerClient.generate_request_body(tensors())
    assert worker.ask(V2, body, 10**9).code == "bad_request"
    assert worker.ask(V2, body + b"more", header).code == "bad_request"
    assert worker.ask(V2, body[:-3], header).code == "bad_request"
    broken = body[:header] + b"\xff" * (len(body) - header)
    assert worker.ask(V2, broken, header).status == 422


@pytest.mark.parametrize(
    ("classes", "datatype", "value"),
    [
        ([0, 1], "INT64", 1),
        ([False, True], "BOOL", True),
        (["a", "b", "c"], "BYTES", "b"),
        (None, "FP64", None),
    ],
)
def test_the_prediction_has_the_type_of_the_labels(
    tmp_path: Path, start: Start, classes: list[Any] | None, datatype: str, value: Any
) -> None:
    worker = start(toy.make(tmp_path / "package", classes=classes))
    answer = ask(worker, tensors(ROWS[:1]))
    output = answer.json["outputs"][0]
    assert (output["name"], output["datatype"], output["shape"]) == ("prediction", datatype, [1])
    assert output["data"] == [pytest.approx(toy.score(ROWS[0])) if classes is None else value]
    names = [entry["name"] for entry in answer.json["outputs"]]
    assert names == (["prediction"] if classes is None else ["prediction", "probabilities"])
