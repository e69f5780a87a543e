"""MLflow's request forms get the answers that `mlflow models serve` gives with the same model."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving.conftest import Live, free_port

pytestmark = pytest.mark.slow

_START_S = 120.0
JSON, CSV = "application/json", "text/csv"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def original(packaged: Path, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow's own server, in the project's environment, on the model that was packaged."""
    port = free_port()
    log = tmp_path_factory.mktemp("mlflow") / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(str(project_python), "-m", "mlflow", "models", "serve", "--env-manager", "local"),
                *("--model-uri", str(packaged / "models" / "model"), "--port", str(port), "--workers", "1"),
            ],
            env={**os.environ, "PATH": f"{project_python.parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + _START_S
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=5):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        # It is a shell's child's child that listens; all of them are in the group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def table(packaged: Path) -> list[dict[str, str]]:
    """Every row of the table that the project began with, as texts."""
    (raw,) = (packaged / "data" / "raw").glob("*.csv")
    with raw.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def inputs(served: Live) -> list[Row]:
    found: list[Row] = served.package()["inputs"]
    return found


@pytest.fixture(scope="module")
def real(table: list[dict[str, str]], inputs: list[Row]) -> list[Row]:
    """The table's rows with the model's inputs only, numbers as numbers and what is missing as null."""
    return [{one["name"]: value(one, row[one["name"]]) for one in inputs} for row in table]


def value(field: Row, text: str) -> Any:
    if text in ("", "NA", "."):
        return None
    if field["kind"] != "number":
        return text
    return int(text) if field["integer"] else float(text)


def asked(url: str, media: str, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{url}/invocations", data=body, headers={"Content-Type": media})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read()


def as_csv(rows: list[Row]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def forms(rows: list[Row]) -> dict[str, tuple[str, bytes]]:
    """The same rows in every form that MLflow has."""
    names = list(rows[0])
    said: dict[str, Any] = {
        "dataframe_split": {"columns": names, "data": [list(row.values()) for row in rows]},
        "dataframe_records": rows,
        "instances": rows,
        "inputs": rows,
    }
    made = {name: (JSON, json.dumps({name: rows}).encode()) for name, rows in said.items()}
    columns = {name: [row[name] for row in rows] for name in names}
    if not any(None in column and any(column) for column in columns.values()):
        # MLflow makes arrays of these columns, and an array of texts has no place for a missing one.
        made["inputs by column"] = (JSON, json.dumps({"inputs": columns}).encode())
    return {**made, "csv": (CSV, as_csv(rows))}


@pytest.fixture(scope="module")
def odd(real: list[Row], inputs: list[Row]) -> dict[str, list[Row]]:
    """Rows as nobody trained with, that both answer."""
    row = next(row for row in real if None not in [row[one["name"]] for one in inputs[:-1]])
    numbers = [one["name"] for one in inputs if one["kind"] == "number"]
    texts = [one["name"] for one in inputs if one["kind"] == "text"]
    return {
        "nothing known": [row, dict.fromkeys(row)],
        "categories never seen": [row, {**row, **dict.fromkeys(texts, 'never, "met"')}],
        "ints for doubles": [{**row, **dict.fromkeys(numbers, 3)}],
        "doubles for ints": [{**row, **dict.fromkeys(numbers, 190.0)}],
        "extreme numbers": [
            {**row, **dict.fromkeys(numbers, number)} for number in (1e300, -1e300, 0, 5e-324)
        ],
        "letters of all the world": [
            {**row, **dict.fromkeys(texts, text)} for text in ("Łódź", "ペンギン", "🐧")
        ],
        "another order": [dict(reversed(row.items()))],
        "more columns than inputs": [{**row, "colour": "black", "weight": 3}],
    }


@pytest.fixture(scope="module")
def mlflow_says(original: str) -> Callable[[str, list[Row]], tuple[int, bytes]]:
    """What MLflow's server answers to rows in a form.

    It cannot read any CSV for a model that has a date among its inputs (`the dtype datetime64[ns] is not
    supported for parsing`). The rows are the same ones, so its answer to them as records holds for CSV too.
    """

    def say(form: str, rows: list[Row]) -> tuple[int, bytes]:
        made = forms(rows)
        status, said = asked(original, *made[form])
        if form == "csv" and b"parse_dates" in said:
            assert status == 400
            return asked(original, *made["dataframe_records"])
        return status, said

    return say


def test_every_row_of_the_table_is_answered_alike_to_the_byte(
    mlflow_says: Callable[[str, list[Row]], tuple[int, bytes]], served: Live, real: list[Row]
) -> None:
    assert len(real) > 300
    for form, (media, body) in forms(real).items():
        expected = mlflow_says(form, real)
        assert expected[0] == 200, (form, expected)
        assert asked(served.url, media, body) == expected, form


def test_the_raw_table_with_all_its_columns_is_answered_as_its_inputs_are(
    mlflow_says: Callable[[str, list[Row]], tuple[int, bytes]],
    served: Live,
    table: list[dict[str, str]],
    inputs: list[Row],
) -> None:
    plain = [{one["name"]: row[one["name"]] for one in inputs} for row in table]
    numbers = [one for one in inputs if one["kind"] == "number"]
    for row in plain:
        row.update({one["name"]: value(one, row[one["name"]]) for one in numbers})
    # What stands for a missing value in a CSV is a text like any other in JSON.
    missing = [{name: None if said in ("", "NA") else said for name, said in row.items()} for row in plain]
    expected = mlflow_says("dataframe_records", missing)
    assert expected[0] == 200, expected
    assert asked(served.url, CSV, as_csv(table)) == expected


def test_odd_rows_are_answered_alike(
    mlflow_says: Callable[[str, list[Row]], tuple[int, bytes]], served: Live, odd: dict[str, list[Row]]
) -> None:
    different = []
    for what, rows in odd.items():
        for form, (media, body) in forms(rows).items():
            expected = mlflow_says(form, rows)
            found = asked(served.url, media, body)
            if found != expected and (expected[0] == 200 or not 400 <= found[0] < 500):
                different.append((what, form, body[:300], expected, found))
    assert not different


def test_each_row_alone_is_answered_as_in_company(original: str, served: Live, real: list[Row]) -> None:
    for row in real[::25]:
        body = json.dumps({"dataframe_records": [row]}).encode()
        assert asked(served.url, JSON, body) == asked(original, JSON, body)


def test_what_mlflow_refuses_is_refused_and_never_by_a_5xx(
    original: str, served: Live, real: list[Row], inputs: list[Row]
) -> None:
    number = next(one["name"] for one in inputs if one["kind"] == "number")
    row = real[0]
    less = {name: value for name, value in row.items() if name != number}
    bodies: dict[str, tuple[str, bytes]] = {
        "no JSON": (JSON, b"{"),
        "nothing": (JSON, b""),
        "a list": (JSON, json.dumps([row]).encode()),
        "a bare row": (JSON, json.dumps(row).encode()),
        "two forms": (JSON, json.dumps({"inputs": [row], "instances": [row]}).encode()),
        "a column is missing": (JSON, json.dumps({"dataframe_records": [less]}).encode()),
        "a text for a number": (JSON, json.dumps({"dataframe_records": [{**row, number: "much"}]}).encode()),
        "short rows": (JSON, json.dumps({"dataframe_split": {"columns": list(row), "data": [[1]]}}).encode()),
        "csv without a column": (CSV, as_csv([less])),
        "csv with a text for a number": (CSV, as_csv([{**row, number: "much"}])),
        "an image": ("image/png", b"\x89PNG"),
    }
    for name, (media, body) in bodies.items():
        status, said = asked(original, media, body)
        assert status >= 400, (name, status, said)
        status, said = asked(served.url, media, body)
        assert 400 <= status < 500, (name, status, said)
        assert json.loads(said)["error"]["message"], name


# Run in the project's environment: MLflow's client, which nobody told that this is another server.
CLIENT = """
import sys
import mlflow, pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

port, model, table = sys.argv[1:]
client = ScoringServerClient("127.0.0.1", int(port))
client.wait_server_ready(timeout=10)
assert client.get_version()
rows = pd.read_csv(table, parse_dates=["Date Egg"]).head(100)
said = client.invoke(rows).get_predictions()
expected = mlflow.pyfunc.load_model(model).predict(rows)
assert said.iloc[:, 0].tolist() == pd.DataFrame(expected).iloc[:, 0].tolist(), said
print(len(said))
"""


def test_mlflows_own_client_gets_what_the_loaded_model_predicts(served: Live, project_python: Path) -> None:
    (raw,) = (served.root / "data" / "raw").glob("*.csv")
    done = subprocess.run(
        [
            *(str(project_python), "-W", "ignore", "-c", CLIENT),
            *(served.url.rpartition(":")[2], str(served.root / "models" / "model"), str(raw)),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["100"]
