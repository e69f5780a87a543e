"""The commands of the README on real tables, with no line of generated code edited."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Tool
from tests.people import fill_datasheet, fill_scoping
from tests.support import Run

pytestmark = pytest.mark.slow

TABLES = {
    "churn-model": ("telco_churn.csv", "Churn", "roc_auc", 0.8),
    "house-prices": ("ames.csv", "Sale_Price", "r2", 0.8),
    "penguin-species": ("penguins_raw.csv", "Species", "accuracy", 0.95),
}


@pytest.mark.parametrize("name", TABLES)
def test_from_a_table_to_a_registered_model(
    name: str, tmp_path: Path, mlproj: Run, tool: Tool, shared_data: Path, project_python: Path
) -> None:
    file, target, metric, bound = TABLES[name]
    manager = ("--env-manager", "none", "--interpreter", project_python, "--defaults")
    made = mlproj("new", name, "--data", shared_data / file, "--target", target, *manager, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    root = tmp_path / name
    raw = root / "data" / "raw" / file
    assert raw.read_bytes() == (shared_data / file).read_bytes()

    asked = mlproj("stage", "scoping", cwd=root)
    assert asked.returncode == 3
    assert "questions not answered yet" in asked.stdout
    fill_scoping(root)
    fill_datasheet(root)
    code = subprocess.run(
        ["git", "diff", "--stat"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "2 files changed" in code, "only the two documents are edited"
    assert mlproj("approve", "--role", "business owner", cwd=root).returncode == 0
    for phase in ("scoping", "data", "modeling"):
        done = mlproj("stage", phase, cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{phase}: done" in done.stdout
    assert f"registered: {name} version 1, alias `candidate`" in done.stdout
    assert mlproj("check", cwd=root).returncode == 0
    assert json.loads((root / "reports" / "metrics.json").read_text())["dev"][metric] > bound
    assert "passed" in tool(root, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider").stdout
