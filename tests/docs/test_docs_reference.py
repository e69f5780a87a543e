"""The reference has everything that the code has, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.routing import Route

from docs import generate
from mlproj import __version__
from mlproj.base.errors import Exit
from mlproj.cli import render as rendering
from mlproj.cli import render_live
from mlproj.flows.deploy import Overview, Past
from mlproj.lifecycle import gates
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline import yaml12
from mlproj.scaffold import copier, lock
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scoping import document
from mlproj.serving import application
from mlproj.serving.channel import Failure
from mlproj.serving.deployment import Mode
from mlproj.serving.desk import Desk
from mlproj.serving.settings import Settings
from mlproj.serving.store import Store
from tests.docs.markdown import blocks, table
from tests.support import REPOSITORY

REFERENCE = REPOSITORY / "docs" / "reference"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's repository with default answers, as the template writes it."""
    folder = tmp_path_factory.mktemp("docs") / "project"
    answers = Answers.from_words({"project_name": "churn-model", "python_version": "3.12"})
    inputs = Inputs(project_id="0123456789ab", year="2026")
    copier.render(folder, answers, inputs, copier.example_findings())
    lock.write(folder, lock.rendered(folder), version=__version__, answers=answers, inputs=inputs)
    return folder


def promised() -> Evidence:
    """A project that has promised everything there is a gate for, and measured some of it."""
    scoping = REPOSITORY / "docs" / "demo" / "scoping.md"
    found = document.load(scoping)
    assert found.scope is not None
    measured = [
        {
            "metric": target.metric,
            "split": "test",
            "class": None,
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "rows": 9,
        }
        for target in found.scope.ml
    ]
    return Evidence(
        document=found, document_path="docs/scoping.md", reports={"evaluation": {"targets": measured}}
    )


def test_the_generated_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("phase", list(Phase))
def test_every_gate_is_described_under_its_phase(phase: Phase) -> None:
    text = " ".join(table(REFERENCE / "gates.md", phase))
    for check in gates.judge(phase, promised()).checks:
        name = check.name.replace(check.metric, "METRIC") if check.metric else check.name
        assert name in text


def test_every_exit_code_is_described_by_its_name() -> None:
    rows = table(REFERENCE / "exit-codes.md", "Exit codes")
    assert {int(code): row[0].strip("`") for code, row in rows.items()} == {
        int(code): code.name for code in Exit
    }


def test_the_json_example_has_the_keys_that_the_program_prints() -> None:
    example = json.loads(next(block.text for block in blocks(REFERENCE / "json.md") if block.kind == "json"))
    printed = rendering.checks_json([gates.judge(Phase.MODELING, promised())])
    assert shape(example) == shape(printed)
    assert example["version"] == rendering.JSON_VERSION


def shape(value: Any) -> Any:
    """The keys of JSON objects, however deep; lists by their first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [shape(value[0])]
    return None


def test_every_key_of_params_is_described(rendered: Path) -> None:
    text = (REFERENCE / "params.md").read_text(encoding="utf-8")
    params = yaml12.read(rendered / "params.yaml")
    assert [f"{top}.{key}" for top in params for key in params[top] if f"`{top}.{key}`" not in text] == []


def test_every_rendered_file_is_listed_with_its_class(rendered: Path) -> None:
    listed = {name: row[0] for name, row in table(REFERENCE / "files.md", "The default").items()}
    found = {
        path.replace("churn_model/", "module/"): str(lock.classify(path, module="churn_model"))
        for path in lock.rendered(rendered)
    }
    assert listed == found


def test_files_of_other_answers_have_the_class_listed() -> None:
    for name, row in table(REFERENCE / "files.md", "With other answers").items():
        assert row[0] == lock.classify(name, module="churn_model")


def test_every_dependency_is_explained() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    names = {re.split(r"[><=~]", each)[0] for each in declared["project"]["dependencies"]}
    explained = table(REPOSITORY / "docs" / "concepts" / "dependencies.md", "What mlproj depends on")
    assert set(explained) == names


def test_every_serving_setting_is_listed_with_its_default() -> None:
    listed = {
        key: row[0] for key, row in table(REFERENCE / "serving-settings.md", "Serving settings").items()
    }
    wanted = {each.name: each.default for each in dataclasses.fields(Settings) if each.name != "token"}
    assert set(listed) == set(wanted)
    for key, default in wanted.items():
        shown = "none" if default is None else f"`{json.dumps(default)}`"
        assert listed[key] == shown


def test_every_metric_is_described() -> None:
    guide = REPOSITORY / "docs" / "guides" / "serve-in-production.md"
    sources = (REPOSITORY / "mlproj" / "serving" / name for name in ("metrics.py", "application.py"))
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    assert set(table(guide, "Metrics")) == set(re.findall(r'"((?:mlproj|process)_[a-z_]+)"', text))


def test_every_route_is_described(tmp_path: Path) -> None:
    described = " ".join(table(REFERENCE / "serving-api.md", "Routes"))
    # Nothing is asked of the desk while the routes are made.
    app = application.build(tmp_path, cast(Desk, None))
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    paths += [
        "/predict",
        "/invocations",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/versions/{version}/infer",
    ]
    shown = [
        path.replace("{model}", "MODEL").replace("{version}", "N").replace("{id}", "ID") for path in paths
    ]
    assert [path for path in shown if not re.search(rf" {re.escape(path)}(?=[`\s]|$)", described)] == []


def test_every_error_code_is_described_with_its_status() -> None:
    page = (REFERENCE / "serving-api.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", page, re.M))
    found = {(str(failure.status), failure.code) for failure in Failure}
    for name in ("worker.py", "front.py", "desk.py"):
        text = (REPOSITORY / "mlproj" / "serving" / name).read_text(encoding="utf-8")
        found |= set(re.findall(r'\b([45]\d\d),\s*"([a-z_]+)"', text))
        found |= {(status, code) for status, code in re.findall(r'([45]\d\d): \("([a-z_]+)"', text)}
        found |= {("422", code) for code in re.findall(r'WrongValueError\("([a-z_]+)"', text)}
    assert found <= described


def test_the_keys_of_deployments_as_json_are_described(tmp_path: Path) -> None:
    page = (REFERENCE / "json.md").read_text(encoding="utf-8")
    with Store(tmp_path / "serving.db") as store:
        made = store.begin(
            mode=Mode.FULL, version=1, automation="full", defer_below=None, plan={}, by="somebody"
        )
        past = Past(deployment=made, events=store.events(made.id))
    printed = render_live.overview_json(Overview(routes={}, past=(past,), processes=None))
    assert [key for key in printed if f"`{key}" not in page] == []
    entry = printed["deployments"][0]
    assert [key for key in entry if f".{key}`" not in page and f".{key}[]`" not in page] == []
    assert [key for key in entry["events"][0] if f"`{key}`" not in page] == []


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
