"""The reference has everything that the code has, and nothing else."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from mlproj import __version__
from mlproj.base.errors import Exit
from mlproj.cli import render as rendering
from mlproj.lifecycle import gates
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline import yaml12
from mlproj.scaffold import copier, lock
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scoping import document
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


def test_every_dependency_explained_is_one() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    names = {re.split(r"[><=~]", each)[0] for each in declared["project"]["dependencies"]}
    explained = table(REPOSITORY / "docs" / "concepts" / "dependencies.md", "What mlproj depends on")
    assert set(explained) <= names


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
