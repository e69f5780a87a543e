"""The package of a generated repository's model: its engines, compared with the model as it was trained."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.template.rendered import MakeProject, Rendered

pytestmark = pytest.mark.slow

# Fits models to the training split, and compares their tables with them on the test split and on edge rows.
EQUAL = """
import json, pickle, sys
from pathlib import Path
from {module} import config
from {module}.deployment import engines, package
from {module}.deployment.compile import compile_pipeline
from {module}.deployment.tables import Tables
from {module}.modeling.models import load_split, make_pipeline

params = config.load_params()
params["features"] |= json.loads(sys.argv[2])
features, target = load_split("train", params)
test, _ = load_split("test", params)
inputs = [package.describe_input(features[name], params["features"]) for name in features]
folder = Path(sys.argv[1])
found = []
for number, (model, options) in enumerate(json.loads(sys.argv[3])):
    options = {{**params["train"].get(model, {{}}), **options}}
    pipeline = make_pipeline(params, model, options).fit(features, target)
    (folder / "model.pkl").write_bytes(pickle.dumps(pipeline))
    original = engines.Original(folder / "model.pkl", {{"inputs": inputs, "outputs": {{"classes": None}}}})
    rows, wanted = package.asked_rows(original, inputs, test)
    compile_pipeline(pipeline, inputs, folder / str(number))
    plan = json.loads((folder / str(number) / "plan.json").read_text())["model"]
    answers = Tables(folder / str(number)).predict(rows)
    found.append({{
        **package.compared(original.predict(rows), answers, 1e-6),
        "wanted": sorted(wanted), "test": len(test), **plan,
    }})
print(json.dumps(found))
"""

BOOSTED = ("boosting", "leaves")


def compared(
    project: Rendered, folder: Path, models: list[tuple[str, dict[str, Any]]], **features: Any
) -> list[dict[str, Any]]:
    """What the comparison of each model's tables with it found; the project's data are split."""
    folder.mkdir()
    script = EQUAL.format(module=project.root.name)
    said = project.run("python", "-c", script, folder, json.dumps(features), json.dumps(models))
    found: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
    for each in found:
        assert each["passes"], each["reason"]
        assert each["rows"] > each["test"] + 20, "edge rows are compared too"
    return found


def manifest(project: Rendered) -> dict[str, Any]:
    text = (project.root / "models" / "package" / "package.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def report(project: Rendered, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.root / "reports" / f"{name}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("table", "target", "linear"),
    [
        ("penguins_raw.csv", "Species", "logistic_regression"),
        ("telco_churn.csv", "Churn", "logistic_regression"),
        ("ames.csv", "Sale_Price", "ridge"),
    ],
)
def test_the_tables_of_every_model_answer_as_it_does(
    make_project: MakeProject, shared_data: Path, tmp_path: Path, table: str, target: str, linear: str
) -> None:
    project = make_project(shared_data / table, target)
    project.run("dvc", "repro", "split")
    models: list[tuple[str, dict[str, Any]]] = [
        ("hist_gradient_boosting", {}),
        ("hist_gradient_boosting", {"max_leaf_nodes": 80, "min_samples_leaf": 1, "max_iter": 20}),
        ("random_forest", {"n_estimators": 40}),
        (linear, {}),
    ]
    boosted, large, forest, lines = compared(project, tmp_path / "tables", models)
    assert (boosted["kind"], boosted["trees"]) == BOOSTED
    assert large["kind"] == "boosting"
    assert (forest["kind"], lines["kind"]) == ("forest", "linear")
    # To the last bit, where nothing is summed in another order.
    assert [each["largest_difference"] for each in (boosted, large, forest)] == [0, 0, 0]
    assert lines["largest_difference"] < 1e-9


def test_trees_with_more_leaves_than_bits_are_walked_through(
    make_project: MakeProject, shared_data: Path, tmp_path: Path
) -> None:
    project = make_project(shared_data / "telco_churn.csv", "Churn")
    project.run("dvc", "repro", "split")
    options = {"max_leaf_nodes": 200, "min_samples_leaf": 1, "max_iter": 10}
    (large,) = compared(project, tmp_path / "tables", [("hist_gradient_boosting", options)])
    assert large["trees"] == "nodes"
    assert large["largest_difference"] == 0


def test_bins_and_ordered_levels_have_tables_too(penguins: Rendered, tmp_path: Path) -> None:
    models: list[tuple[str, dict[str, Any]]] = [("hist_gradient_boosting", {}), ("logistic_regression", {})]
    boosted, lines = compared(
        penguins,
        tmp_path / "tables",
        models,
        categorical=["studyName", "Clutch Completion"],
        ordinal={"Island": ["Biscoe", "Dream", "Torgersen"], "Sex": ["MALE", "FEMALE"]},
        quantile_bins={"Body Mass (g)": 5, "Culmen Depth (mm)": 3},
    )
    assert boosted["largest_difference"] == 0
    assert lines["largest_difference"] < 1e-9


def test_categorical_splits_leave_the_model_as_it_is_behind_the_tables(
    penguins: Rendered, tmp_path: Path
) -> None:
    options = {"categorical_features": [6, 7], "min_samples_leaf": 1}
    (found,) = compared(penguins, tmp_path / "tables", [("hist_gradient_boosting", options)])
    assert found["kind"] == "estimator"
    assert found["largest_difference"] == 0


def test_the_package_says_what_a_server_has_to_know(penguins: Rendered) -> None:
    found = manifest(penguins)
    assert found["format"] == 1
    assert (found["model"], found["module"], found["task"]) == ("penguins", "penguins", "multiclass")
    assert found["run_id"] == json.loads((penguins.root / "models" / "run.json").read_text("utf-8"))["run_id"]
    assert found["engine"] == "numpy"
    assert found["entity"] == "Individual ID"
    inputs = {column["name"]: column for column in found["inputs"]}
    assert inputs["Island"]["categories"] == ["Biscoe", "Dream", "Torgersen"]
    assert inputs["Date Egg"]["kind"] == "datetime"
    assert inputs["Date Egg"]["format"] == "%Y-%m-%d"
    assert inputs["Comments"]["categories"] is None
    assert inputs["Body Mass (g)"]["integer"]
    assert isinstance(inputs["Body Mass (g)"]["example"], int)
    assert 2000 < inputs["Body Mass (g)"]["minimum"] < inputs["Body Mass (g)"]["maximum"] < 7000
    assert list(found["example"]) == list(inputs)
    assert len(found["outputs"]["classes"]) == 3
    assert set(found["recorded"]["labels"]) <= set(found["outputs"]["classes"])
    assert [len(shares) for shares in found["recorded"]["probabilities"]] == [3] * 5
    assert "ms_per_row" not in json.dumps(found), "times would make every package another one"
    assert not found["engines"]["onnx"]["passes"]
    assert "FunctionTransformer" in found["engines"]["onnx"]["reason"]


def test_every_file_of_the_package_has_its_digest_and_there_is_no_other(penguins: Rendered) -> None:
    package = penguins.root / "models" / "package"
    files = {
        path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in package.rglob("*")
        if path.is_file() and path.name != "package.json"
    }
    assert manifest(penguins)["files"] == files
    assert {"model/model.pkl", "engines/numpy/plan.json", "code/penguins/deployment/engines.py"} < set(files)
    changed = package / "model" / "model.pkl"
    content = bytearray(changed.read_bytes())
    content[100] ^= 1
    assert hashlib.sha256(content).hexdigest() != files["model/model.pkl"]


def test_the_same_model_gives_the_same_package_to_the_byte(penguins_copy: Rendered) -> None:
    before = manifest(penguins_copy)
    said = penguins_copy.run("dvc", "repro", "--force", "--single-item", "package")
    assert "numpy serves" in said
    assert "equal to the last bit" in said
    assert manifest(penguins_copy) == before


ALONE = """
import json, sys
sys.path.insert(0, "package/code")
from pathlib import Path
from penguins.deployment import engines

manifest = json.load(open("package/package.json"))
rows = manifest["recorded"]["rows"]
engine = engines.load(Path("package"), sys.argv[1])
labels, shares = engine.predict({name: [row[name] for row in rows] for name in rows[0]})
print(json.dumps({
    "labels": labels, "shares": shares, "classes": engine.classes,
    "heavy": sorted({"pandas", "sklearn", "scipy", "mlflow", "onnxruntime"} & set(sys.modules)),
    "mb": next(int(line.split()[1]) for line in open("/proc/self/status") if line[:5] == "VmHWM") / 1024,
}))
"""


@pytest.mark.parametrize("engine", ["numpy", "original"])
def test_a_package_answers_where_nothing_else_of_the_project_is(
    penguins: Rendered, tmp_path: Path, engine: str
) -> None:
    shutil.copytree(penguins.root / "models" / "package", tmp_path / "package")
    alone = Rendered(tmp_path, penguins.python, penguins.home)
    said = json.loads(alone.run("python", "-P", "-c", ALONE, engine).splitlines()[-1])
    found = manifest(penguins)
    assert said["labels"] == found["recorded"]["labels"]
    assert said["shares"] == found["recorded"]["probabilities"]
    assert said["classes"] == found["outputs"]["classes"]
    if engine == "numpy":
        assert said["heavy"] == []
        assert said["mb"] < 60


def test_the_bench_says_how_fast_and_how_large(penguins: Rendered) -> None:
    found = report(penguins, "bench")
    assert found["engine"] == "numpy"
    assert found["rows"]["1"]["p50"] <= found["rows"]["1"]["p95"] <= found["rows"]["1"]["p99"]
    assert found["memory_mb"] < 60
    times = report(penguins, "package")["engines"]
    assert times["numpy"]["ms_per_64_rows"] * 3 < times["original"]["ms_per_64_rows"]


def change(project: Rendered, path: str, old: str, new: str) -> None:
    file = project.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_model_of_one_s_own_is_served_as_it_is_behind_the_tables(penguins_copy: Rendered) -> None:
    own = (
        "import numpy as np\n"
        "from sklearn.base import BaseEstimator, ClassifierMixin\n\n\n"
        "class Nearest(ClassifierMixin, BaseEstimator):\n"
        "    def __init__(self, random_state=None):\n"
        "        self.random_state = random_state\n\n"
        "    def fit(self, rows, target):\n"
        "        self.classes_ = np.unique(target)\n"
        "        rows, target = np.nan_to_num(rows), np.asarray(target)\n"
        "        self.means_ = np.array([rows[target == c].mean(axis=0) for c in self.classes_])\n"
        "        return self\n\n"
        "    def predict(self, rows):\n"
        "        away = ((np.nan_to_num(rows)[:, None] - self.means_) ** 2).sum(axis=2)\n"
        "        return self.classes_[away.argmin(axis=1)]\n"
    )
    (penguins_copy.root / "penguins" / "modeling" / "own.py").write_text(own, encoding="utf-8")
    models = "penguins/modeling/models.py"
    change(
        penguins_copy,
        models,
        "import make_transformer\n",
        "import make_transformer\nfrom penguins.modeling import own\n",
    )
    change(
        penguins_copy,
        models,
        '    "dummy": DummyClassifier',
        '    "own": own.Nearest,\n    "dummy": DummyClassifier',
    )
    change(penguins_copy, "params.yaml", "model: hist_gradient_boosting", "model: own")
    for stage in ("train", "package"):
        penguins_copy.run("dvc", "repro", "--force", "--single-item", stage)
    found = manifest(penguins_copy)
    assert found["engines"]["numpy"]["passes"]
    assert found["recorded"]["probabilities"] is None, "it has none"
    assert "engines/numpy/estimator.pkl" in found["files"]
    assert "code/penguins/modeling/own.py" in found["files"]


def test_a_step_without_tables_leaves_the_model_to_the_original_and_says_why(
    penguins_copy: Rendered,
) -> None:
    features = "penguins/features.py"
    change(
        penguins_copy,
        features,
        '("numeric", numbers(), plain)',
        '("numeric", numbers(FunctionTransformer(halved)), plain)',
    )
    change(
        penguins_copy,
        features,
        "def date_parts(",
        "def halved(numbers):\n    return numbers / 2\n\n\ndef date_parts(",
    )
    for stage in ("train", "package", "bench"):
        penguins_copy.run("dvc", "repro", "--force", "--single-item", stage)
    found = manifest(penguins_copy)
    assert found["engine"] == "original"
    assert found["engines"]["numpy"] == {"passes": False, "reason": "there are no tables for `halved`"}
    assert report(penguins_copy, "bench")["engine"] == "original"
