"""Modules of a generated repository, each asked one thing, without running the pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlproj.catalog import source
from mlproj.catalog.duckdb import opened
from mlproj.catalog.infer import infer
from tests.template.rendered import Rendered, render


@pytest.fixture
def example(tmp_path: Path, project_python: Path) -> Rendered:
    """The example's repository, of which nothing has run."""
    return Rendered(render(tmp_path / "example", None), project_python, tmp_path / "home")


def change(project: Rendered, path: str, old: str, new: str) -> None:
    file = project.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def ask(project: Rendered, script: str, *words: str) -> Any:
    """What a script that prints JSON says."""
    return json.loads(project.run("python", "-c", script, *words))


def patients(rows: int) -> list[str]:
    """JSON lines such as people have them: every oddity that a line may have."""
    lines = []
    for row in range(rows):
        # A fraction only far down, a key that comes late, a value that is null or left out.
        patient: dict[str, Any] = {"age": 30 + row % 40, "bmi": 20 + row % 9 if row < rows // 2 else 24.5}
        if row:
            patient["sex"] = ("männlich", "weiblich", None)[row % 3]
        if row % 4:
            patient["smokes"] = row % 8 > 3
        patient["progression"] = 100 + 3 * (row % 40) + (row * 7919) % 50
        if row % 11 == 0:
            lines.append("  ")
        lines.append(json.dumps(patient, ensure_ascii=False))
    return lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_json_lines_are_read_as_they_were_inferred(
    tmp_path: Path, project_python: Path, encoding: str
) -> None:
    table = tmp_path / "patients.jsonl"
    table.write_text("\n".join(patients(300)) + "\n", encoding=encoding)
    found = infer(table, "progression")
    project = Rendered(render(tmp_path / "made", found.to_json()), project_python, tmp_path / "home")
    shutil.copy(table, project.root / "data" / "raw" / table.name)

    project.run("python", "-m", "made.dataset")
    report = json.loads((project.root / "reports" / "ingest.json").read_text(encoding="utf-8"))
    assert report["rows_read"] == 300
    read = (
        "import json\n"
        "from made import config, dataset\n"
        "data = config.load_params()['data']\n"
        "table = dataset.read_text(config.PROJ_ROOT / data['raw'], data).astype(object)\n"
        "table = table.where(table.notna(), None)\n"
        "print(json.dumps([list(table.columns), table.values.tolist()]))\n"
    )
    names, rows = ask(project, read)
    with opened(source.examine(table, delimiter=None, encoding=None)) as inferred:
        assert names == list(inferred.names)
        assert rows == [list(row) for row in inferred.head(1000)]
    assert rows[0] == ["30", "20", "100", None, None]
    assert rows[-1][1] == "24.5"


@pytest.mark.parametrize(
    ("line", "said"), [('{"age": 4', "line 2: not JSON: "), ("[1]", "line 2: not a JSON object")]
)
def test_a_broken_json_line_is_named(example: Rendered, line: str, said: str) -> None:
    change(example, "params.yaml", "format: csv", "format: jsonl")
    raw = example.root / "data" / "raw" / "subscriptions.csv"
    raw.write_text(f'{{"age": 3}}\n{line}\n', encoding="utf-8")
    answer = example.run("python", "-m", "example.dataset", code=1)
    assert f"subscriptions.csv, {said}" in answer
    assert "Traceback" not in answer


def test_params_are_read_as_dvc_reads_them(example: Rendered) -> None:
    change(example, "params.yaml", "learning_rate: 0.05", "learning_rate: 5e-2")
    change(example, "params.yaml", "quantile_bins: {}", "quantile_bins: {No: [No, Yes]}")
    script = "import json; from example import config; print(json.dumps(config.load_params()))"
    params = ask(example, script)
    assert params["train"]["hist_gradient_boosting"]["learning_rate"] == 0.05
    assert params["features"]["quantile_bins"] == {"No": ["No", "Yes"]}


def test_params_that_are_not_yaml_stop_a_stage_with_a_sentence(example: Rendered) -> None:
    change(example, "params.yaml", "split:", "split: [")
    said = example.run("python", "-m", "example.dataset", code=1)
    assert "params.yaml is not YAML" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("  raw:", "  row:", "`data` in params.yaml has no `raw`; it has: row, "),
        ("\ndata:", "\ndate:", "params.yaml has no `data`; it has: date, "),
    ],
)
def test_a_misspelt_key_of_params_is_said_to_be_missing(
    example: Rendered, was: str, now: str, said: str
) -> None:
    change(example, "params.yaml", was, now)
    answer = example.run("python", "-m", "example.dataset", code=1)
    assert said in answer
    assert "Traceback" not in answer


ONNX = """\
import json, sys
from pathlib import Path
import numpy as np, pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from example.deployment import convert, engines

names = ["od280/od315", "c d", "1e"]
table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=names)
target = np.where(table["od280/od315"] > table["1e"], "yes", "no")
model = make_pipeline(ColumnTransformer([("all", StandardScaler(), names)]), LogisticRegression())
model.fit(table, target)
inputs = [{"name": name, "kind": "number"} for name in names]
path = Path(sys.argv[1]) / "onnx" / "model.onnx"
convert.to_onnx(model, inputs, path)
engine = engines.Onnx(path, {"inputs": inputs, "outputs": {"classes": list(model.classes_)}})
labels, shares = engine.predict({name: table[name].tolist() for name in reversed(names)})
print(json.dumps([
    labels == model.predict(table).tolist(), float(abs(np.array(shares) - model.predict_proba(table)).max())
]))
"""


@pytest.mark.slow
def test_a_graph_gets_each_column_whatever_its_name(example: Rendered, tmp_path: Path) -> None:
    is_same, difference = ask(example, ONNX, str(tmp_path))
    assert is_same
    assert difference < 1e-5


FRONT_MATTERS = [
    "---\ntargets: # set in May ---\n  ml: [{metric: f1, at_least: 5e-1, class: No}]\n---\nProse\n---\n",
    "--- \r\ntargets:\r\n  ml: [{metric: f1, at_least: 0.5, class: No}]\r\n...  \r\nProse\r\n",
    "\ufeff---\ntargets: {ml: [{metric: f1, at_least: 0.5, class: 'No'}]}\n---",
]
NO_TARGETS = {
    "": "no front matter",
    "# Scoping\n": "no front matter",
    "---\ntargets: {}\n": "no front matter",
    "# Scoping\n---\ntargets: {}\n---\n": "no front matter",
    "---\nproblem: {}\n---\n": "the front matter has no `targets`",
    "---\n---\n": "the front matter has no `targets`",
    "---\ntargets: {ml: [\n---\n": "the front matter is not YAML",
}
TARGETS = """\
import json, sys
from pathlib import Path
from example.targets import read_targets

found = []
for text in json.loads(sys.argv[1]):
    Path("scoping.md").write_bytes(text.encode())
    try:
        found.append(read_targets(Path("scoping.md"))["ml"])
    except SystemExit as error:
        found.append(str(error))
print(json.dumps(found))
"""


def test_the_front_matter_ends_at_a_line_of_its_own(example: Rendered) -> None:
    for text, found in zip(FRONT_MATTERS, ask(example, TARGETS, json.dumps(FRONT_MATTERS)), strict=True):
        assert found == [{"metric": "f1", "at_least": 0.5, "class": "No"}], text


def test_targets_that_cannot_be_found_are_no_empty_list(example: Rendered) -> None:
    answers = ask(example, TARGETS, json.dumps(list(NO_TARGETS)))
    for (text, said), answer in zip(NO_TARGETS.items(), answers, strict=True):
        assert said in answer, text


@pytest.mark.parametrize("stage", ["baseline", "evaluate"])
def test_an_unknown_metric_is_refused_with_the_known_ones(example: Rendered, stage: str) -> None:
    change(example, "params.yaml", "metric: roc_auc", "metric: auc")
    said = example.run("python", "-m", f"example.modeling.{stage}", code=1)
    assert "params.yaml: `auc` (evaluate.metric) is not a binary metric; known: accuracy, " in said
    assert "Traceback" not in said


SCORED = """\
import json
import numpy as np
import pandas as pd
from example import metrics
from example.modeling import evaluate

rows = 200
truth = np.arange(rows) % 2
yes = np.where(np.arange(rows) % 7 < 2, 1 - truth, truth) * 0.6 + 0.2
table = pd.DataFrame({"region": ["north"] * 100 + ["south"] * 100, "customer": np.arange(rows) // 10})
truth[:100] = 0  # nobody in the north is of the positive class
answers = metrics.Answers(truth, np.column_stack([1 - yes, yes]), ("no", "yes"), 1)
rule = {"bootstrap": 200, "seed": 1, "confidence": 0.95}
targets = [
    {"metric": "recall", "at_least": 0.5, "split": "dev", "slices": ["region"], "with_confidence": 0.9},
    {"metric": "f1", "at_least": 0.5, "split": "dev", "slices": ["region"], "class": "yes"},
    {"metric": "accuracy", "at_least": 0.5, "split": "dev", "slices": ["region"]},
    {"metric": "roc_auc", "at_least": 0.5, "split": "dev", "slices": ["region"]},
    {"metric": "accuracy", "at_least": 0.5, "split": "test", "slices": ["region"]},
]
found = {}
for kind in ("grouped", "stratified"):
    params = {"evaluate": rule, "split": {"kind": kind, "by": "customer"}}
    split = evaluate.score_split(answers, table, ["region"], params)
    found[kind] = [evaluate.judge_target(target, {"dev": split}, rule) for target in targets]
    found[kind + " slices"] = evaluate.report_split(split, 0.95)["slices"]
print(json.dumps(found, allow_nan=False))
"""


def test_a_slice_without_a_row_of_the_class_has_no_recall_but_a_reason(example: Rendered) -> None:
    found = ask(example, SCORED)
    recall, f1, accuracy, roc_auc, elsewhere = found["stratified"]
    for target in (recall, f1):
        north, south = target["slices"]
        assert (north["rows"], north["rows_of_class"], north["value"]) == (100, 0, None)
        assert north["reason"] == "no row is of class `yes`"
        assert (south["rows"], south["rows_of_class"]) == (100, 50)
        assert south["low"] <= south["value"] <= south["high"]
        assert "reason" not in target
        assert target["rows_of_class"] == 50
    assert [each["rows_of_class"] for each in accuracy["slices"]] == [100, 100]
    assert "too few different values" in roc_auc["slices"][0]["reason"]
    assert found["stratified slices"]["region"]["north"]["metrics"]["recall"]["value"] is None
    assert (recall["with_confidence"], recall["slice_columns"]) == (0.9, ["region"])
    assert (elsewhere["with_confidence"], elsewhere["slice_columns"]) == (None, ["region"])
    assert elsewhere["value"] is None


def test_rows_of_one_group_are_drawn_together(example: Rendered) -> None:
    script = SCORED.replace("np.arange(rows) % 2\n", "np.arange(rows) // 10 % 2\n").replace(
        "np.arange(rows) % 7 < 2", "np.arange(rows) // 10 % 7 < 2"
    )
    found = ask(example, script)
    grouped, rows = (found[kind][2] for kind in ("grouped", "stratified"))
    assert grouped["value"] == rows["value"]
    assert grouped["high"] - grouped["low"] > 2 * (rows["high"] - rows["low"])


LEARNT = """\
import json
import pandas as pd
from example import config, dataset, simulate
from example.modeling import sanity

simulate.main()
dataset.main()
params, learnt = config.load_params(), {}
for model, options in {
    "hist_gradient_boosting": {"max_features": 0.1, "max_bins": 2, "interaction_cst": "no_interactions"},
    "random_forest": {"n_estimators": 2, "max_samples": 0.2, "ccp_alpha": 0.5, "max_features": 1},
    "logistic_regression": {"fit_intercept": False, "max_iter": 1, "class_weight": "balanced"},
}.items():
    params["train"] |= {"model": model, model: options}
    rows = sanity.a_handful(pd.read_parquet(config.TABLE), params)
    learnt[model] = sanity.overfit(rows, params)[1]
print(json.dumps(learnt))
"""


def test_no_option_of_a_model_keeps_it_from_learning_by_heart(example: Rendered) -> None:
    learnt = json.loads(example.run("python", "-c", LEARNT).splitlines()[-1])
    assert min(learnt.values()) >= 0.95, learnt


REQUIRED = """\
import json
import mlflow
import pandas as pd
from example import config, dataset, simulate, tracking
from example.modeling import train
from example.modeling.models import features_and_target, make_pipeline

simulate.main()
dataset.main()
params, experiment = config.load_params(), tracking.connect()
features, target = features_and_target(pd.read_parquet(config.TABLE), params)
models = ("dummy", "hist_gradient_boosting", "boosted", "wrapped")
made = {name: make_pipeline(params, name, {}) for name in models}
found = {name: tracking.libraries(pipeline) for name, pipeline in made.items()}
with mlflow.start_run(experiment_id=experiment):
    packages = {"scikit-learn": "1"} | found["wrapped"]
    model = train.log_model(made["wrapped"].fit(features, target), features, packages)
    train.keep(model.model_uri, config.MODEL)
found["logged"] = (config.MODEL / "requirements.txt").read_text(encoding="utf-8").split()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_model_is_logged_with_the_library_that_it_is_from(example: Rendered) -> None:
    (example.root / "boosts.py").write_text(
        "from sklearn.dummy import DummyClassifier\n\n\nclass Boosted(DummyClassifier):\n    pass\n",
        encoding="utf-8",
    )
    # The project itself is installed where uv manages the environment, and travels with the model.
    for name, module, number in (("Boosts-Light", "boosts", "4.7"), ("example", "example", "0.1")):
        about = example.root / f"{name.replace('-', '_')}-{number}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Name: {name}\nVersion: {number}\n", encoding="utf-8")
        (about / "top_level.txt").write_text(f"{module}\n", encoding="utf-8")
    own = "\n\n\nclass Wrapped(Boosted):\n    pass\n\n\nCLASSIFIERS |= "
    file = example.root / "example" / "modeling" / "models.py"
    text = "from boosts import Boosted\n" + file.read_text(encoding="utf-8")
    file.write_text(text + own + '{"boosted": Boosted, "wrapped": Wrapped}\n', encoding="utf-8")
    found = json.loads(example.run("python", "-c", REQUIRED).splitlines()[-1])
    assert found["dummy"] == found["hist_gradient_boosting"] == {}
    assert found["boosted"] == found["wrapped"] == {"Boosts-Light": "4.7"}
    assert found["logged"][1:] == ["scikit-learn==1", "Boosts-Light==4.7"]  # MLflow puts itself first


def test_make_ui_corrects_the_store_before_it_is_shown(example: Rendered) -> None:
    makefile = (example.root / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split("\nui:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split("$(BIN)")[1].split(" --")[0] for line in recipe] == [
        "python -m example.tracking",
        "mlflow ui",
    ]
