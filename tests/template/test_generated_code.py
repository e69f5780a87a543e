"""The files of a generated repository, read without running its pipeline."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.template.example import FINDINGS, findings
from tests.template.rendered import render

EXAMPLE: dict[str, Any] = json.loads(FINDINGS.read_text(encoding="utf-8"))

NASTY = [
    "class",
    "yes",
    "1e3",
    "null",
    "a: b # c",
    'double "quotes"',
    "single 'quotes'",
    "both \" and '",
    "back\\slash",
    "{{ braces }} {% too %}",
    "pipe | and `tick`",
    "été 名前 😀",
    "- dash",
    "x" * 120,
    "[flow, {style}]",
    "tab\there",
]


def nasty_findings(kind: str) -> dict[str, Any]:
    """The example's findings with every feature given a name that must be escaped, all of one kind."""
    found: dict[str, Any] = json.loads(json.dumps(EXAMPLE))
    target = next(column for column in found["columns"] if column["role"] == "target")
    template = next(column for column in found["columns"] if column["kind"] == "categorical")
    levels = {"categories": NASTY, "distinct": len(NASTY), "examples": NASTY[:3], "missing": 3}
    values = {"minimum": -1.5, "maximum": 3, "categories": [], "storage": "float"}
    found["columns"] = [
        {
            **template,
            "name": name,
            "kind": kind,
            "format": "%Y-%m-%d" if kind == "datetime" else None,
            **(values if kind == "numeric" else levels),
        }
        for name in NASTY
    ] + [target]
    found["target"]["classes"] = [{"label": "both \" and '", "rows": 10}, {"label": "no", "rows": 20}]
    found["target"]["positive"] = "both \" and '"
    found["split"] = {"kind": "stratified", "by": None, "reason": "two\nlines"}
    found["simulated"] = False
    return found


@pytest.mark.parametrize("kind", ["numeric", "categorical", "ordinal", "datetime", "text"])
def test_any_column_name_gives_clean_python_and_the_same_name_back(tmp_path: Path, kind: str) -> None:
    folder = render(tmp_path / "nasty", nasty_findings(kind))
    for words in (["check", "--no-cache"], ["format", "--check", "--diff", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert list(params["features"][kind]) == NASTY
    assert params["data"]["positive"] == "both \" and '"
    tree = ast.parse((folder / "nasty" / "schema.py").read_text(encoding="utf-8"))
    (names,) = [node.keys for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    assert [ast.literal_eval(name) for name in names if name] == [*NASTY, "churned"]


def test_a_long_module_name_is_formatted_too(tmp_path: Path) -> None:
    folder = render(tmp_path / "a_rather_long_name_for_a_module", None)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--check", "--no-cache", folder], check=True)


def test_nothing_generated_imports_mlproj(tmp_path: Path) -> None:
    folder = render(tmp_path / "churn", None)
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "mlproj"], path


def local_imports(package: Path, module: Path) -> set[Path]:
    """The modules of the package that a module imports, and those that they import."""
    found: set[Path] = set()
    todo = [module, package / "__init__.py"]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(package.name):
                continue
            inside = package.joinpath(*(node.module or "").split(".")[1:])
            candidates = [inside.with_suffix(".py"), *(inside / f"{each.name}.py" for each in node.names)]
            todo += [candidate for candidate in candidates if candidate.is_file()]
    return found


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_stage_declares_the_modules_it_imports_and_the_keys_it_has(tmp_path: Path, task: str) -> None:
    folder = render(tmp_path / "churn", {**EXAMPLE, "target": {**EXAMPLE["target"], "task": task}})
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        module = folder / (stage["cmd"].removeprefix("python -m ").replace(".", "/") + ".py")
        imported = {path.relative_to(folder).as_posix() for path in local_imports(folder / "churn", module)}
        declared = {dep for dep in stage["deps"] if dep.endswith(".py")}
        assert declared == imported, name
        assert stage["desc"]
        assert stage["meta"]["phase"] in {"scoping", "data", "modeling", "deployment"}
        for key in stage.get("params", []):
            value: Any = params
            for part in key.split("."):
                assert part in value, f"{name}: {key}"
                value = value[part]


def test_the_dictionary_has_a_row_for_each_column_in_order(tmp_path: Path) -> None:
    from mlproj.catalog import datasheet

    folder = render(tmp_path / "churn", None)
    sheet = datasheet.load(folder / "docs" / "data.md")
    assert list(sheet.columns) == [column["name"] for column in EXAMPLE["columns"]]
    assert not sheet.unanswered


def test_what_only_people_know_is_left_open_in_the_datasheet(tmp_path: Path) -> None:
    from mlproj.catalog import datasheet

    folder = render(tmp_path / "churn", {**EXAMPLE, "simulated": False})
    sheet = datasheet.load(folder / "docs" / "data.md")
    assert sheet.unanswered
    assert list(sheet.undescribed) == [column["name"] for column in EXAMPLE["columns"]]


def test_the_notebook_is_valid_and_has_no_outputs(tmp_path: Path) -> None:
    for task in ("binary", "regression"):
        target = {**EXAMPLE["target"], "task": task}
        folder = render(tmp_path / task, {**EXAMPLE, "target": target})
        text = (folder / "notebooks" / "1.0-initial-exploration.ipynb").read_text(encoding="utf-8")
        notebook = json.loads(text)
        assert notebook["nbformat"] == 4
        for cell in notebook["cells"]:
            assert not cell.get("outputs")
            if cell["cell_type"] == "code":
                ast.parse("".join(cell["source"]))


def test_the_example_s_findings_are_what_inference_says_of_the_simulator_s_table(
    project_python: Path,
) -> None:
    found = findings(project_python)
    assert found == EXAMPLE
    assert found["leaks"][0]["column"] == "exit_survey_sent"


def test_the_bare_scaffold_has_an_empty_package_and_no_pipeline(tmp_path: Path) -> None:
    folder = render(tmp_path / "bare", None, scaffold="bare")
    assert [path.name for path in (folder / "bare").iterdir()] == ["__init__.py"]
    assert "import" not in (folder / "bare" / "__init__.py").read_text(encoding="utf-8")
    assert not (folder / "dvc.yaml").exists()
    assert not (folder / "params.yaml").exists()
    for name in ("data", "labeling", "model_card"):
        text = (folder / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert "churned" not in text
        assert "simulat" not in text
