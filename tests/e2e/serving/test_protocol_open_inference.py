"""The Open Inference Protocol, by the client that its users have: `tritonclient[http]` as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.e2e.serving.conftest import Live

pytestmark = pytest.mark.slow

Row = dict[str, Any]


@pytest.fixture
def client(served: Live) -> Iterator[Any]:
    made = triton.InferenceServerClient(served.url.removeprefix("http://"))
    yield made
    made.close()


def tensors(served: Live, rows: list[Row], *, binary: bool) -> list[Any]:
    """The rows as the metadata describes them: a tensor for each input."""
    made = []
    for field in served.package()["inputs"]:
        values = [row[field["name"]] for row in rows]
        if field["kind"] == "number":
            array = np.array([float("nan") if value is None else value for value in values], dtype=np.float64)
            one = triton.InferInput(field["name"], [len(rows)], "FP64")
        else:
            array = np.array(["" if value is None else value for value in values], dtype=np.object_)
            one = triton.InferInput(field["name"], [len(rows)], "BYTES")
        one.set_data_from_numpy(array, binary_data=binary)
        made.append(one)
    return made


def in_full(served: Live, rows: list[Row]) -> list[Row]:
    """The rows with what is missing filled in."""
    known = {field["name"]: field["example"] for field in served.package()["inputs"]}
    return [{name: known[name] if value is None else value for name, value in row.items()} for row in rows]


def test_a_client_finds_a_server_that_is_ready_and_the_models_own_tensors(served: Live, client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("penguins")
    assert client.is_model_ready("penguins", "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    told = client.get_model_metadata("penguins")
    assert told["name"] == "penguins"
    assert told["versions"] == ["1"]
    names = {tensor["name"]: tensor["datatype"] for tensor in told["inputs"]}
    assert names == {
        field["name"]: "FP64" if field["kind"] == "number" else "BYTES"
        for field in served.package()["inputs"]
    }
    assert [tensor["name"] for tensor in told["outputs"]] == ["prediction", "probabilities"]
    assert not client.is_model_ready("whales")
    assert not client.is_model_ready("penguins", "2")


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("version", ["", "1"])
def test_several_rows_get_the_answers_that_predict_gives(
    served: Live, client: Any, rows: list[Row], binary: bool, version: str
) -> None:
    asked = in_full(served, rows)
    expected = served.ask("/predict", asked).json()["predictions"]
    answer = client.infer(
        "penguins",
        tensors(served, asked, binary=binary),
        model_version=version,
        request_id="asked by triton",
        headers={"X-Entity-Id": "penguin 7"},
    )
    assert [str(label) for label in answer.as_numpy("prediction")] == [one["prediction"] for one in expected]
    classes = served.package()["outputs"]["classes"]
    found = answer.as_numpy("probabilities")
    assert found.shape == (len(asked), len(classes))
    assert found.tolist() == [[one["probabilities"][label] for label in classes] for one in expected]
    assert answer.get_response()["id"] == "asked by triton"
    assert answer.get_response()["model_name"] == "penguins"


def test_numbers_of_every_width_are_the_same_number(served: Live, client: Any, rows: list[Row]) -> None:
    (asked, *_) = in_full(served, rows)
    expected = served.ask("/predict", asked).json()["prediction"]
    for dtype, name in ((np.int16, "INT16"), (np.int32, "INT32"), (np.int64, "INT64"), (np.uint32, "UINT32")):
        given = tensors(served, [asked], binary=True)
        for at, field in enumerate(served.package()["inputs"]):
            if field["integer"]:
                given[at] = triton.InferInput(field["name"], [1], name)
                given[at].set_data_from_numpy(np.array([asked[field["name"]]], dtype=dtype))
        assert str(client.infer("penguins", given).as_numpy("prediction")[0]) == expected


def test_the_output_asked_for_is_the_only_one(served: Live, client: Any, rows: list[Row]) -> None:
    asked = [triton.InferRequestedOutput("probabilities", binary_data=False)]
    answer = client.infer("penguins", tensors(served, in_full(served, rows), binary=True), outputs=asked)
    assert answer.as_numpy("prediction") is None
    assert answer.as_numpy("probabilities") is not None


def test_a_missing_number_is_nan_in_a_tensor_and_null_in_the_record(
    served: Live, client: Any, rows: list[Row]
) -> None:
    (asked, *_) = in_full(served, rows)
    number = next(field["name"] for field in served.package()["inputs"] if field["kind"] == "number")
    asked = {**asked, number: None}
    expected = served.ask("/predict", asked).json()
    answer = client.infer("penguins", tensors(served, [asked], binary=True))
    assert str(answer.as_numpy("prediction")[0]) == expected["prediction"]


def test_refusals_reach_the_client_as_its_own_exception_naming_the_tensor(
    served: Live, client: Any, rows: list[Row]
) -> None:
    given = tensors(served, in_full(served, rows), binary=True)
    with pytest.raises(InferenceServerException, match=given[-1].name()):
        client.infer("penguins", given[:-1])
    with pytest.raises(InferenceServerException, match="whales"):
        client.infer("whales", given)
    with pytest.raises(InferenceServerException):
        client.infer("penguins", given, model_version="9")


def test_answers_carry_the_id_of_a_record_that_has_the_entity_and_the_version(
    served: Live, rows: list[Row]
) -> None:
    (asked, *_) = in_full(served, rows)
    inputs = [
        {
            "name": field["name"],
            "shape": [1],
            "datatype": "FP64" if field["kind"] == "number" else "BYTES",
            "data": [asked[field["name"]]],
        }
        for field in served.package()["inputs"]
    ]
    named = {"X-Entity-Id": "penguin 7", "X-Request-Id": "r-1"}
    answer = served.ask("/v2/models/penguins/infer", {"id": "mine", "inputs": inputs}, headers=named)
    assert answer.status == 200, answer.body
    assert answer.json()["id"] == "mine"
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-request-id"] == "r-1"
    record = served.ask(f"/predictions/{answer.headers['x-prediction-id']}").json()
    assert (record["entity"], record["request_id"], record["model_version"]) == ("penguin 7", "r-1", 1)
    assert record["features"] == json.loads(json.dumps(asked))
