"""The example's findings: what inference says about the table that the example's simulator writes.

`template/example/findings.json` is kept in the repository, because a template rendered by Copier alone has
nothing to infer with. Run this module after changing the simulator or the inference:

    MLPROJ_TEST_PYTHON=PYTHON python -m tests.template.example

`PYTHON` has what a generated project has (pandas at least).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlproj.catalog.infer import infer

TEMPLATE = Path(__file__).resolve().parents[2] / "template"
FINDINGS = TEMPLATE / "example" / "findings.json"
TARGET = "churned"


def simulated_table(python: Path, folder: Path) -> Path:
    """Run the template's simulator as a package of its own in `folder`; the table's path comes back."""
    package = folder / "example"
    package.mkdir()
    for name in ("__init__.py", "config.py", "simulate.py"):
        text = (TEMPLATE / "project" / "{{ module_name }}" / f"{name}.jinja").read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("{%")]
        text = "\n".join(lines).replace("{{ module_name }}", "example")
        (package / name).write_text(text, encoding="utf-8")
    subprocess.run([python, "-m", "example.simulate"], cwd=folder, check=True, capture_output=True)
    return folder / "data" / "raw" / "subscriptions.csv"


def findings(python: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        table = simulated_table(python, Path(folder))
        return replace(infer(table, TARGET), simulated=True).to_json()


def as_text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FINDINGS.write_text(as_text(findings(Path(os.environ["MLPROJ_TEST_PYTHON"]))), encoding="utf-8")
