"""`mlproj data at RUN`, after the data, the cache and the work tree have moved on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Tool
from tests.e2e.test_project import manifest
from tests.support import Run

pytestmark = pytest.mark.slow

RAW = "data/raw/penguins_raw.csv"


def test_what_a_run_read_comes_back_after_the_data_were_changed(
    project: Path, mlproj: Run, tool: Tool
) -> None:
    run = str(manifest(project)["run_id"])
    raw = project / RAW
    before = raw.read_bytes()
    assert tool(project, "dvc", "push").returncode == 0
    changed = before + before.splitlines(keepends=True)[-1]
    raw.unlink()
    raw.write_bytes(changed)
    assert tool(project, "dvc", "add", RAW).returncode == 0
    subprocess.run(["git", "commit", "--no-verify", "-qam", "More penguins"], cwd=project, check=True)
    shutil.rmtree(project / ".dvc" / "cache")

    done = mlproj("data", "at", run[:10], "--all", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = project / "data" / "at" / f"run-{run[:12]}"
    assert (folder / RAW).read_bytes() == before
    assert raw.read_bytes() == changed
    assert {path.name for path in (folder / "data" / "processed").iterdir()} == {
        "train.parquet",
        "dev.parquet",
        "test.parquet",
    }
    assert "344 rows" in done.stdout
    assert f"run {run}, kept in commit" in done.stdout
    assert "made by stage `split`" in done.stdout

    # The last commit has the new file, which no run has read.
    done = mlproj("data", "at", "HEAD", "--list", cwd=project)
    assert "`data/raw/penguins_raw.csv` was new: the pipeline had last run on MD5" in done.stderr
