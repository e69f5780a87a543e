"""The pipeline of a generated repository, run as its owner runs it."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.template.rendered import Rendered

pytestmark = pytest.mark.slow

REPORTS = ("baseline", "evaluation", "ingest", "metrics", "sanity", "split", "targets", "validation")


def read(project: Rendered, path: str) -> Any:
    return json.loads((project.root / path).read_text(encoding="utf-8"))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_the_whole_pipeline_runs_and_a_second_time_runs_nothing(penguins: Rendered) -> None:
    assert "up to date" in penguins.run("dvc", "repro")
    assert not penguins.git("status", "--porcelain")
    for name in REPORTS:
        assert (penguins.root / "reports" / f"{name}.json").is_file()
    assert read(penguins, "reports/ingest.json")["rows"] == 344
    assert read(penguins, "reports/validation.json")["passed"]
    assert read(penguins, "reports/split.json")["overlap"] == 0
    assert read(penguins, "reports/sanity.json")["passed"]


def test_the_metrics_and_plots_are_shown_by_dvc(penguins: Rendered) -> None:
    assert "balanced_accuracy" in penguins.run("dvc", "metrics", "show")
    penguins.run("dvc", "plots", "show", "--out", str(penguins.home / "plots"))
    assert "evaluate" in penguins.run("dvc", "dag")


def test_every_target_is_answered_with_an_interval_or_a_reason(penguins: Rendered) -> None:
    f1, recall, rmse = read(penguins, "reports/evaluation.json")["targets"]
    assert f1["low"] <= f1["value"] <= f1["high"]
    assert {slice["level"] for slice in f1["slices"]} == {"FEMALE", "MALE", "(missing)"}
    assert recall["class"] == "Gentoo penguin (Pygoscelis papua)"
    assert recall["rows"] == read(penguins, "reports/split.json")["rows"]["test"]
    assert rmse["value"] is None
    assert "not a metric here" in rmse["reason"]


def test_every_class_has_its_precision_recall_and_f1(penguins: Rendered) -> None:
    for split in read(penguins, "reports/evaluation.json")["splits"].values():
        assert len(split["classes"]) == 3
        for scores in split["classes"].values():
            assert set(scores) == {"precision", "recall", "f1", "rows"}


def test_each_evaluated_row_has_its_answer_under_a_key_that_is_its_own(penguins: Rendered) -> None:
    file = (penguins.root / "models" / "predictions.parquet").as_posix()
    asked = f"select split, key, actual, predicted, \"slice Sex\" from '{file}'"
    rows = duckdb.connect().execute(asked).fetchall()
    for split, report in read(penguins, "reports/evaluation.json")["splits"].items():
        of_split = [row for row in rows if row[0] == split]
        assert len({row[1] for row in of_split}) == len(of_split) == report["rows"]
        right = sum(row[2] == row[3] for row in of_split) / len(of_split)
        assert right == pytest.approx(report["metrics"]["accuracy"]["value"], abs=1e-5)
        males = report["slices"]["Sex"]["MALE"]["rows"]
        assert sum(row[4] == "MALE" for row in of_split) == males


def test_a_row_keeps_its_key_in_another_order_and_another_split(penguins: Rendered) -> None:
    script = (
        "import numpy as np\n"
        "import pandas as pd\n"
        "from penguins import config, metrics\n"
        "from penguins.modeling import evaluate\n"
        "table = pd.read_parquet(config.split_path('test'))\n"
        "again = table[table.columns[::-1]].sample(frac=0.5, random_state=1)\n"
        "truth = pd.factorize(again['Species'])[0]\n"
        "answers = metrics.Answers(truth, np.eye(3)[truth], ('a', 'b', 'c'))\n"
        "split = evaluate.Split(answers, None, {}, {})\n"
        "rows = evaluate.row_by_row('dev', again.reset_index(drop=True), split)\n"
        "kept = pd.read_parquet(evaluate.PREDICTIONS).query('split == \"test\"').reset_index(drop=True)\n"
        "print(list(rows['key']) == list(kept['key'][again.index]))\n"
    )
    assert penguins.run("python", "-c", script).strip().endswith("True")


def test_the_manifest_names_code_data_environment_and_the_model_s_digest(penguins: Rendered) -> None:
    run = read(penguins, "models/run.json")
    assert run["code"]["commit"] == penguins.git("rev-parse", "HEAD~1").strip()
    assert run["code"]["dirty"] is False
    assert run["data"]["raw"]["md5"] == md5(penguins.root / run["data"]["raw"]["path"])
    assert run["data"]["train"]["md5"] == md5(penguins.root / "data/processed/train.parquet")
    assert run["environment"]["packages"]["scikit-learn"]
    files = sorted(path for path in (penguins.root / "models/model").rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
        f"  {path.relative_to(penguins.root / 'models/model').as_posix()}\n"
        for path in files
    ]
    assert run["model"]["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert read(penguins, "models/evaluation.json") | {"run_id": ""} == {
        "run_id": "",
        "parent": run["run_id"],
        "test_looks": 1,
        "scored": {run["data"]["test"]["md5"]: [run["run_id"]]},
    }


def test_two_runs_give_the_same_metrics_and_a_second_look_at_test_is_counted(
    penguins_copy: Rendered,
) -> None:
    before = {name: read(penguins_copy, f"reports/{name}.json") for name in REPORTS}
    penguins_copy.run("dvc", "repro", "--force", "evaluate")
    assert {name: read(penguins_copy, f"reports/{name}.json") for name in REPORTS} == before
    assert read(penguins_copy, "models/evaluation.json")["test_looks"] == 2


def test_looks_at_test_go_on_being_counted_where_the_store_is_lost(penguins_copy: Rendered) -> None:
    (penguins_copy.root / "mlflow.db").unlink()
    shutil.rmtree(penguins_copy.root / "mlartifacts")
    before = read(penguins_copy, "models/evaluation.json")
    params = penguins_copy.root / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("max_leaf_nodes: 15", "max_leaf_nodes: 7"), encoding="utf-8")
    penguins_copy.run("dvc", "repro", "evaluate")
    now = read(penguins_copy, "models/evaluation.json")
    assert now["test_looks"] == 2
    (models,) = now["scored"].values()
    assert sorted(models) == sorted([before["parent"], now["parent"]])
    assert "up to date" in penguins_copy.run("dvc", "repro", "evaluate")


def test_the_order_of_the_raw_file_changes_no_split(penguins_copy: Rendered) -> None:
    splits = sorted((penguins_copy.root / "data" / "processed").glob("*.parquet"))
    before = {path.name: md5(path) for path in splits}
    raw = penguins_copy.root / "data" / "raw" / "penguins_raw.csv"
    with raw.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    random.Random(1).shuffle(rows)
    with raw.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    penguins_copy.run("dvc", "repro", "split")
    assert {path.name: md5(path) for path in splits} == before


def test_a_copied_repository_finds_its_models_when_the_original_is_gone(
    penguins_copy: Rendered, tmp_path: Path
) -> None:
    register = (
        "import json, mlflow\n"
        "from penguins import config, tracking\n"
        "tracking.connect()\n"
        "run = json.loads((config.MODELS_DIR / 'run.json').read_text())['run_id']\n"
    )
    penguins_copy.run("dvc", "repro", "--force", "--single-item", "train")
    penguins_copy.run("python", "-c", register + "mlflow.register_model(f'runs:/{run}/model', 'penguins')")
    moved = Rendered(tmp_path / "elsewhere" / "penguins", penguins_copy.python, penguins_copy.home)
    shutil.copytree(penguins_copy.root, moved.root)
    shutil.rmtree(penguins_copy.root)
    load = (
        "import pandas as pd\n"
        "rows = pd.read_parquet(config.split_path('dev'))\n"
        "for uri in (f'runs:/{run}/model', 'models:/penguins/1'):\n"
        "    print(mlflow.sklearn.load_model(uri).predict(rows).shape)\n"
        "print(mlflow.artifacts.load_text(f'runs:/{run}/params.yaml'))\n"
    )
    said = moved.run("python", "-c", register + load)
    assert said.count("(75,)") == 2
    assert "hist_gradient_boosting" in said


def test_a_model_loads_where_its_package_is_not_installed(penguins: Rendered, tmp_path: Path) -> None:
    shutil.copytree(penguins.root / "models" / "model", tmp_path / "model")
    script = (
        "import json, mlflow, pandas as pd\n"
        "example = json.load(open('model/serving_input_example.json'))\n"
        "model = mlflow.pyfunc.load_model('model')\n"
        "print(model.metadata.signature.inputs.input_names()[0], model.predict(model.input_example))\n"
    )
    alone = Rendered(tmp_path, penguins.python, penguins.home)
    assert "penguin" in alone.run("python", "-c", script)


def test_loading_the_model_in_place_changes_nothing_that_dvc_sees(penguins_copy: Rendered) -> None:
    script = "import mlflow; mlflow.sklearn.load_model('models/model')"
    # From another folder, so that the code that travels with the model is what is imported and cached.
    penguins_copy.run(
        "python", "-c", f"import os; os.chdir('reports'); {script.replace('models', '../models')}"
    )
    assert list((penguins_copy.root / "models" / "model").rglob("*.pyc"))
    assert "up to date" in penguins_copy.run("dvc", "status")


def test_predictions_for_a_file_need_no_target_no_store_and_keep_its_order(
    penguins_copy: Rendered, tmp_path: Path
) -> None:
    penguins = penguins_copy
    (penguins.root / "mlflow.db").unlink()
    raw = penguins.root / "data" / "raw" / "penguins_raw.csv"
    with raw.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    place = header.index("Species")
    with (tmp_path / "new.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*row[:place], *row[place + 1 :]] for row in [header, *rows[:5]]])
    penguins.run("python", "-m", "penguins.modeling.predict", tmp_path / "new.csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        answers = list(csv.DictReader(file))
    assert not list(tmp_path.rglob("mlflow.db"))
    assert [answer["prediction"] for answer in answers] == [row[place] for row in rows[:5]]
    assert sum(float(share) for name, share in answers[0].items() if name != "prediction") == pytest.approx(1)


def test_editing_the_prose_of_the_scoping_document_makes_nothing_after_it_stale(
    penguins_copy: Rendered,
) -> None:
    scoping = penguins_copy.root / "docs" / "scoping.md"
    scoping.write_text(scoping.read_text(encoding="utf-8") + "\nMore prose.\n", encoding="utf-8")
    said = penguins_copy.run("dvc", "repro")
    assert "Running stage 'targets'" in said
    assert said.count("Running stage") == 1


def test_without_test_its_targets_have_no_value_but_a_reason(penguins_copy: Rendered) -> None:
    params = penguins_copy.root / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("splits: [dev, test]", "splits: [dev]"), encoding="utf-8")
    penguins_copy.run("dvc", "repro", "evaluate")
    recall = read(penguins_copy, "reports/evaluation.json")["targets"][1]
    assert recall["value"] is None
    assert "evaluate.splits" in recall["reason"]
    assert set(read(penguins_copy, "reports/metrics.json")) == {"dev"}
    assert read(penguins_copy, "models/evaluation.json")["test_looks"] == 1


def test_broken_front_matter_stops_the_targets_with_a_sentence(penguins_copy: Rendered) -> None:
    scoping = penguins_copy.root / "docs" / "scoping.md"
    scoping.write_text("---\ntargets: {ml: [\n---\n", encoding="utf-8")
    said = penguins_copy.run("python", "-m", "penguins.targets", code=1)
    assert "the front matter is not YAML" in said
    assert "Traceback" not in said


def test_data_that_break_the_schema_stop_the_pipeline_and_are_listed(penguins_copy: Rendered) -> None:
    raw = penguins_copy.root / "data" / "raw" / "penguins_raw.csv"
    raw.write_text(raw.read_text(encoding="utf-8").replace("Dream", "Atlantis"), encoding="utf-8")
    said = penguins_copy.run("dvc", "repro", code=255)
    assert "Island: isin" in said
    report = read(penguins_copy, "reports/validation.json")
    assert not report["passed"]
    assert report["failures"][0]["column"] == "Island"
    assert report["failures"][0]["examples"] == ["Atlantis"]


def test_a_value_that_does_not_parse_is_named_with_its_column_and_row(penguins_copy: Rendered) -> None:
    raw = penguins_copy.root / "data" / "raw" / "penguins_raw.csv"
    raw.write_text(raw.read_text(encoding="utf-8").replace(",39.5,", ",heavy,", 1), encoding="utf-8")
    said = penguins_copy.run("python", "-m", "penguins.dataset", code=1)
    assert "column `Culmen Length (mm)`: 'heavy' is not a number (row 2" in said


def test_a_model_that_cannot_learn_a_few_rows_fails_the_phase_with_what_to_look_at(
    penguins_copy: Rendered,
) -> None:
    params = penguins_copy.root / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("at_least: 0.95", "at_least: 1.01"), encoding="utf-8")
    said = penguins_copy.run("python", "-m", "penguins.modeling.sanity", code=1)
    assert "Look at:" in said
    report = read(penguins_copy, "reports/sanity.json")
    assert not report["passed"]
    assert report["look_at"]


def test_the_generated_tests_and_its_style_checks_pass(penguins: Rendered) -> None:
    assert "passed" in penguins.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    penguins.run("ruff", "check", "--no-cache")
    penguins.run("ruff", "format", "--check", "--no-cache")
