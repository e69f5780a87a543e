"""MLflow's request forms: answered as MLflow's own scoring server answers them for the same model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.worker import toy
from tests.serving.worker.conversation import MLFLOW_CSV, MLFLOW_JSON, Worker

INPUTS = toy.INPUTS[:3]
ROWS: list[dict[str, Any]] = [
    {"age": 40, "charge": 1.25, "plan": "gold"},
    {"age": 20, "charge": None, "plan": "basic"},
    {"age": 31, "charge": 7.0, "plan": "never met"},
    {"age": 70, "charge": 0.5, "plan": None},
]
FULL = [ROWS[0], ROWS[2]]
SPLIT = {"columns": ["age", "charge", "plan"], "data": [list(row.values()) for row in ROWS]}
COLUMNS = {name: [row[name] for row in FULL] for name in ROWS[0]}
NUMBERS = {name: [row[name] for row in ROWS[:2]] for name in ROWS[0]}
CSV = "age,charge,plan\n40,1.25,gold\n20,,basic\n31,7,never met\n70,0.5,NA\n"

# What both answer, and alike.
ANSWERED: dict[str, tuple[int, Any]] = {
    "records": (1, {"dataframe_records": ROWS}),
    "one record": (1, {"dataframe_records": ROWS[:1]}),
    "split": (1, {"dataframe_split": SPLIT}),
    "split with index": (1, {"dataframe_split": {**SPLIT, "index": [4, 5, 6, 7]}}),
    "split in another order": (
        1,
        {"dataframe_split": {"columns": ["plan", "age", "charge"], "data": [["gold", 3, 0.5]]}},
    ),
    "more columns": (1, {"dataframe_records": [{**row, "colour": "red"} for row in ROWS]}),
    "a key left out": (1, {"dataframe_records": [ROWS[0], {"age": 3, "plan": "gold"}]}),
    "NaN as pandas writes it": (1, b'{"dataframe_records": [{"age": 4, "charge": NaN, "plan": "gold"}]}'),
    "whole numbers for doubles": (1, {"dataframe_records": [{**ROWS[0], "charge": 3}]}),
    "doubles for whole numbers": (1, {"dataframe_records": [{**ROWS[0], "age": 40.0}]}),
    "numbers as texts": (1, {"dataframe_records": [{**ROWS[0], "age": "40", "charge": "1.5"}]}),
    "true for a number": (1, {"dataframe_records": [{**ROWS[0], "charge": True}]}),
    "empty params": (1, {"dataframe_records": ROWS, "params": {}}),
    "other keys": (1, {"dataframe_records": ROWS, "note": 3}),
    "inputs": (1, {"inputs": COLUMNS}),
    "inputs with null": (1, {"inputs": NUMBERS}),
    "inputs as records": (1, {"inputs": FULL}),
    "inputs as one row": (1, {"inputs": FULL[0]}),
    "instances": (1, {"instances": FULL}),
    "instances as columns": (1, {"instances": COLUMNS}),
    "csv": (2, CSV.encode()),
    "csv as to_csv writes it": (2, b",age,charge,plan\n0,40,1.25,gold\n1,20,,basic\n"),
    "csv without the index's name": (2, b"age,charge,plan\n0,40,1.25,gold\n1,20,,basic\n"),
    "csv with quotes": (2, b'"plan","age","charge"\r\n"never, ""met""",3,1e1\r\n\r\n'),
    "csv with a mark": (2, b"\xef\xbb\xbfage,charge,plan\n40,1.25,gold\n"),
    "csv with short lines": (2, b"age,charge,plan\n40,1.25\n41,2.5,gold\n"),
    "csv with words for missing": (2, b"age,charge,plan\n40,n/a,None\n41,NULL,<NA>\n"),
}
# What both refuse; MLflow with 400, the worker by the field where there is one.
REFUSED: dict[str, tuple[int, Any]] = {
    "no JSON": (1, b"{"),
    "not UTF-8": (1, b"\xff"),
    "a list": (1, [ROWS[0]]),
    "a number": (1, 3),
    "no form": (1, {"rows": ROWS}),
    "two forms": (1, {"inputs": COLUMNS, "instances": FULL}),
    "a missing column": (1, {"dataframe_records": [{"age": 3, "charge": 0.5}]}),
    "a missing whole number": (1, {"dataframe_records": [{**ROWS[0], "age": None}]}),
    "a text for a number": (1, {"dataframe_records": [{**ROWS[0], "charge": "much"}]}),
    "records that are none": (1, {"dataframe_records": ROWS[0]}),
    "a record that is none": (1, {"dataframe_records": [ROWS[0], 3]}),
    "a split without data": (1, {"dataframe_split": {"columns": ["age"]}}),
    "a split with more": (1, {"dataframe_split": {**SPLIT, "more": 1}}),
    "a split with short rows": (1, {"dataframe_split": {**SPLIT, "data": [[1, 2, "gold"], [1, 2, "a", 4]]}}),
    "columns of two lengths": (1, {"inputs": {**COLUMNS, "age": [1, 2, 3]}}),
    "no rows": (1, {"dataframe_records": []}),
    "instances without names": (1, {"instances": [[1, 2, 3]]}),
    "no csv": (2, b""),
    "csv that is not UTF-8": (2, b"\xff\xfe"),
    "csv without a column": (2, b"age,charge\n1,2\n"),
    "csv with a text for a number": (2, b"age,charge,plan\n40,much,gold\n"),
    "csv with long lines": (2, b"age,charge,plan\n40,1.0,gold\n40,1.0,gold,3,4\n"),
}

# Run with the interpreter of a generated project; prints what MLflow's scoring server answers to each body.
ORIGINAL = """
import json, sys
import mlflow.sklearn, pandas as pd
from mlflow.pyfunc import scoring_server
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

rows = pd.DataFrame({
    "age": [20, 40, 60, 30, 50, 70] * 10,
    "charge": [1.0, None, 3.5, 2.0, 0.5, 4.0] * 10,
    "plan": ["gold", "basic", None, "gold", "basic", "gold"] * 10,
})
answers = ["Yes", "No", "No", "Yes", "Yes", "No"] * 10
filled = SimpleImputer(strategy="constant", fill_value="missing")
texts = make_pipeline(filled, OneHotEncoder(handle_unknown="ignore"))
numbers = SimpleImputer(strategy="constant", fill_value=1.0)
table = ColumnTransformer([("n", numbers, ["age", "charge"]), ("t", texts, ["plan"])])
pipeline = make_pipeline(table, LogisticRegression(max_iter=5000)).fit(rows, answers)
folder = sys.argv[1]
labels = pd.Series(pipeline.predict(rows), name="prediction")
mlflow.sklearn.save_model(
    pipeline, folder, signature=mlflow.models.infer_signature(rows, labels), pip_requirements=[],
    serialization_format="cloudpickle",
)
model = mlflow.pyfunc.load_model(folder)
found = {}
for name, (kind, body) in json.loads(sys.stdin.read()).items():
    mime = {1: "application/json", 2: "text/csv"}[kind]
    try:
        schema = model.metadata.get_input_schema()
        said = scoring_server.invocations(body.encode("latin-1"), mime, model, schema)
        found[name] = [said.status, said.response]
    except scoring_server.MlflowException as error:
        found[name] = [error.get_http_status_code(), ""]
    except Exception as error:
        found[name] = [500, repr(error)]
age, charge, *plans = pipeline[-1].coef_[0].tolist()
names = table.named_transformers_["t"][-1].categories_[0].tolist()
weights = {"bias": pipeline[-1].intercept_[0], "age": age, "charge": charge, "filled": 1.0}
print(json.dumps([{**weights, "plan": dict(zip(names, plans))}, found]))
"""


def body(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture(scope="module")
def original(
    project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, tuple[int, str]]]:
    """The weights of a scikit-learn model, and MLflow's answers with it to all bodies here."""
    asked = {
        name: (kind, body(value).decode("latin-1")) for name, (kind, value) in (ANSWERED | REFUSED).items()
    }
    done = subprocess.run(
        [
            str(project_python),
            "-W",
            "ignore",
            "-c",
            ORIGINAL,
            str(tmp_path_factory.mktemp("mlflow") / "model"),
        ],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    weights, found = json.loads(done.stdout.splitlines()[-1])
    return weights, found


@pytest.fixture(scope="module")
def twin(
    original: tuple[dict[str, Any], Any],
    project_python: Path,
    short: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    """A worker in the generated project's own Python, with the same model."""
    example = {name: toy.ROW[name] for name in ("age", "charge", "plan")}
    folder = tmp_path_factory.mktemp("twin") / "package"
    package = toy.make(folder, inputs=INPUTS, example=example, weights=original[0])
    running = Worker(package, short / "twin.sock", python=project_python)
    assert running.ready["ready"], running.ready
    yield running
    running.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERED)
def test_the_answer_is_mlflows_to_the_byte(name: str, original: tuple[Any, Any], twin: Worker) -> None:
    kind, value = ANSWERED[name]
    status, said = original[1][name]
    assert status == 200, said
    answer = twin.ask(kind, body(value))
    assert (answer.status, answer.body.decode()) == (200, said)
    assert [row.output["prediction"] for row in answer.rows] == json.loads(said)["predictions"]


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_mlflow_refuses_is_refused(name: str, original: tuple[Any, Any], twin: Worker) -> None:
    kind, value = REFUSED[name]
    assert original[1][name][0] >= 400
    answer = twin.ask(kind, body(value))
    assert answer.status in {400, 422}
    assert answer.rows == []


def test_features_are_the_rows_whatever_the_form(worker: Worker) -> None:
    since = {"since": "2024-03-01"}
    rows = [{**row, **since} for row in ROWS]
    for value in (
        {"dataframe_records": rows},
        {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}},
        {"inputs": {name: [row[name] for row in rows] for name in rows[0]}},
        {"instances": rows},
    ):
        answer = worker.ask(MLFLOW_JSON, value)
        assert [row.features for row in answer.rows] == rows
        assert [row.unseen for row in answer.rows] == [[], [], ["plan"], []]
        assert [row.score for row in answer.rows] == pytest.approx([toy.probability(row) for row in rows])
    text = CSV.replace("\n", ",2024-03-01\n").replace("plan,2024-03-01", "plan,since")
    assert [row.features for row in worker.ask(MLFLOW_CSV, text.encode()).rows] == rows


def test_dates_in_iso_form_are_put_into_the_form_of_the_training_rows(tmp_path: Path, short: Path) -> None:
    since = {"name": "since", "kind": "datetime", "format": "%d.%m.%Y", "example": "01.03.2024"}
    inputs = [*INPUTS, since]
    package = toy.make(tmp_path / "package", inputs=inputs, example={**toy.ROW, "since": "01.03.2024"})
    running = Worker(package, short / "dates.sock")
    try:
        for text in ("2024-03-01T00:00:00", "2024-03-01", "01.03.2024"):
            answer = running.ask(MLFLOW_JSON, {"dataframe_records": [{**toy.ROW, "since": text}]})
            assert answer.rows[0].features["since"] == "01.03.2024"
    finally:
        running.close()


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ({"dataframe_records": [{**toy.ROW, "age": "1_000"}]}, "wrong_type", "age"),
        ({"dataframe_records": [{**toy.ROW, "plan": 4}]}, "wrong_type", "plan"),
        (json.dumps({"inputs": toy.ROW}).replace("1.25", "Infinity").encode(), "not_finite", "charge"),
        ({"dataframe_records": [{"age": 3, "plan": "gold", "since": None}]}, "missing_field", "charge"),
    ],
)
def test_a_wrong_column_is_refused_by_its_name(worker: Worker, value: Any, code: str, field: str) -> None:
    answer = worker.ask(MLFLOW_JSON, value)
    assert (answer.status, answer.code) == (422, code)
    assert answer.json["error"]["fields"][0]["field"] == field


def test_too_many_rows_are_refused_in_every_form(worker: Worker) -> None:
    for kind, value in (
        (MLFLOW_JSON, {"dataframe_records": [toy.ROW] * 51}),
        (MLFLOW_JSON, {"inputs": {"age": [1] * 51}}),
        (MLFLOW_JSON, {"dataframe_split": {"columns": ["age"], "data": [[1]] * 51}}),
        (MLFLOW_CSV, b"age\n" + b"1\n" * 51),
    ):
        answer = worker.ask(kind, value)
        assert (answer.status, answer.code) == (413, "too_many_rows")


def test_params_are_refused_unless_empty(worker: Worker) -> None:
    for params, status in ((None, 200), ({}, 200), ({"temperature": 1}, 400)):
        asked = {"dataframe_records": [toy.ROW], "params": params}
        assert worker.ask(MLFLOW_JSON, asked).status == status
