"""Differences of metrics on the rows that two models share, by a project's own metrics."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlproj.provenance import answered
from tests.provenance.test_flips import Row, says, write
from tests.support import REPOSITORY

METRICS = REPOSITORY / "template" / "project" / "{{ module_name }}" / "metrics.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a package that has the generated metrics."""
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "__init__.py").touch()
    shutil.copy(METRICS, tmp_path / "birds" / "metrics.py")
    return tmp_path


def paired(place: Path, python: Path, before: Sequence[Row], after: Sequence[Row], **said: Any) -> Any:
    asked = {
        "module": "birds",
        "before": str(write(place / "before", before)),
        "after": str(write(place / "after", after)),
        "split": "test",
        "task": "binary",
        "positive": "yes",
        "groups": None,
        "confidence": 0.95,
        "bootstrap": 500,
        "seed": 1,
        **said,
    }
    script = Path(answered.__file__).with_name("paired.py")
    done = subprocess.run(
        [python, "-P", script],
        cwd=place,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rows_are_paired_by_key_and_only_those_of_both_count(place: Path, project_python: Path) -> None:
    keys = [chr(97 + n) for n in range(20)]
    before = [says(key, "yes" if n % 2 else "no", 0.9 if n % 2 else 0.1) for n, key in enumerate(keys)]
    # The same answers in another order, but for two rows, and one more that the old model never saw.
    after = [
        {**row, "probability yes": 0.5, "probability no": 0.5} if row["key"] in "bd" else row
        for row in before
    ]
    after = [*reversed(after), says("z", "no", 0.9)]
    found = paired(place, project_python, before, after)
    assert (found["accuracy"]["before"], found["accuracy"]["after"]) == (1.0, 0.9)
    assert found["accuracy"]["difference"] == pytest.approx(-0.1)
    assert found["accuracy"]["low"] <= -0.1 <= found["accuracy"]["high"] <= 0
    assert found["recall"]["difference"] == pytest.approx(-0.2)


def test_two_models_that_say_the_same_differ_by_nothing(place: Path, project_python: Path) -> None:
    rows = [says(chr(97 + n), "yes" if n % 3 else "no", n / 20) for n in range(20)]
    found = paired(place, project_python, rows, rows)
    assert all((each["difference"], each["low"], each["high"]) == (0, 0, 0) for each in found.values())


def test_rows_of_a_group_are_drawn_together(place: Path, project_python: Path) -> None:
    before = [says(f"{n:02}", "yes", 0.9) for n in range(40)]
    after = [says(f"{n:02}", "yes", 0.9 if n >= 8 else 0.1) for n in range(40)]
    groups = [{"bird": f"bird {n // 8}"} for n in range(40)]
    table = {"path": str(write(place / "table", groups)), "column": "bird"}
    alone = paired(place, project_python, before, after)["accuracy"]
    together = paired(place, project_python, before, after, groups=table)["accuracy"]
    assert alone["difference"] == together["difference"] == pytest.approx(-0.2)
    # All eight are one bird's: five birds tell less than forty rows would.
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_of_a_regression_errors_are_compared(place: Path, project_python: Path) -> None:
    def rows(size: float) -> list[Row]:
        return [
            {"split": "test", "key": f"{n:02}", "actual": float(n), "predicted": n + size * math.sin(n)}
            for n in range(40)
        ]

    found = paired(place, project_python, rows(1.0), rows(2.0), task="regression", positive=None)
    mae = found["mae"]
    assert mae["after"] == pytest.approx(2 * mae["before"], rel=1e-4)
    assert mae["low"] < mae["difference"] < mae["high"]
    assert mae["low"] > 0
