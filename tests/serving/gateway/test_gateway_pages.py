"""The documentation names the model's own fields, and records of past days are found in Parquet."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

from mlproj.serving import ids, sealing, segments
from mlproj.serving.record import COLUMNS, Record
from tests.serving.gateway.stage import Stage

PACKAGE = {
    "format": 1,
    "model": "churn",
    "run_id": "r",
    "task": "binary",
    "module": "churn",
    "engine": "numpy",
    "engines": {"numpy": {"passes": True}},
    "files": {},
    "environment": {"lock": "uv.lock", "lock_sha256": "00", "python": "3.11.7"},
    "entity": "customerID",
    "inputs": [
        {
            "name": "tenure",
            "kind": "number",
            "integer": True,
            "minimum": 0,
            "maximum": 72,
            "nullable": True,
            "example": 12,
        },
        {
            "name": "Contract",
            "kind": "text",
            "categories": ["One <year>", "Two year"],
            "nullable": False,
            "example": "Two year",
        },
    ],
    "outputs": {"kind": "classes", "classes": ["No", "Yes"], "positive": "Yes"},
    "example": {"tenure": 12, "Contract": "Two year"},
    "recorded": {"rows": [], "labels": [], "probabilities": None, "tolerance": 1e-6},
}
DAY_NS = 86_400 * 1_000_000_000


def test_the_documentation_has_the_fields_examples_and_labels_of_the_model(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE), encoding="utf-8")
    stage.apply(package=str(tmp_path))
    told = stage.ask("GET", "/openapi.json").json
    row = told["components"]["schemas"]["Row"]
    assert row["required"] == ["tenure", "Contract"]
    assert row["properties"].keys() == {"tenure", "Contract", "customerID", "request_id"}
    assert row["properties"]["tenure"]["type"] == ["number", "null"]
    assert "From 0 to 72" in row["properties"]["tenure"]["description"]
    assert row["properties"]["Contract"]["type"] == "string"
    assert row["example"] == PACKAGE["example"]
    assert told["components"]["schemas"]["Prediction"]["properties"]["prediction"]["enum"] == ["No", "Yes"]
    assert "401" in told["paths"]["/predict"]["post"]["responses"]
    page = stage.ask("GET", "/docs").body.decode()
    assert "One &lt;year&gt;" in page
    assert "<year>" not in page
    model = stage.ask("GET", "/v2/models/churn").json
    assert [one["datatype"] for one in model["inputs"]] == ["FP64", "BYTES"]
    assert model["versions"] == ["1"]


def test_a_record_of_a_sealed_day_is_shown(empty_stage: Stage) -> None:
    past = ids.Generator(1, clock_ns=lambda: time.time_ns() - 3 * DAY_NS)
    number = past.new()
    record = Record(
        *(number, 1_700_000_000_000_000, "r-1", 0, 1, "primary", 0.0, 1, "run", "numpy", "e-1", True),
        *(b'{"tenure": 3}', '"prediction":"Yes"', 0.9, 0.9, "Yes", 200, None, 1500, None),
    )
    file = segments.path(empty_stage.home, ids.day(number))
    with closing(segments.create(file, wait_s=1.0)) as connection:
        marks = ", ".join("?" * len(COLUMNS))
        connection.execute(f"INSERT INTO prediction ({', '.join(COLUMNS)}) VALUES ({marks})", record)
    sealing.seal(empty_stage.home)
    assert segments.sealed_path(empty_stage.home, ids.day(number)).exists()
    empty_stage.start()
    told = empty_stage.ask("GET", f"/predictions/{ids.text(number)}")
    assert told.status == 200
    assert told.json["features"] == {"tenure": 3}
    assert told.json["output"] == {"prediction": "Yes"}
    assert told.json["latency_ms"] == 1.5
    assert empty_stage.ask("GET", f"/predictions/{ids.text(past.new())}").status == 404
