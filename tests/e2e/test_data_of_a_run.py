"""`mlproj data at RUN`, after the data, the cache and the work tree have moved on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

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


def test_a_registered_run_outlives_dvc_gc_by_its_tag_alone(project: Path, tool: Tool) -> None:
    run = manifest(project)["run_id"]
    locked = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    files = [*locked["ingest"]["deps"], *locked["train"]["outs"]]
    anchored = {each["md5"] for each in files if each["path"] in (RAW, "models/model")}
    assert len(anchored) == 2

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=project, check=True, capture_output=True)

    def left() -> set[str]:
        done = tool(project, "dvc", "gc", "--all-commits", "--force")
        assert done.returncode == 0, done.stdout + done.stderr
        store = project / ".dvc" / "cache" / "files" / "md5"
        return {md5 for md5 in anchored if (store / md5[:2] / md5[2:]).exists()}

    # Other data, and a history in which no branch has the run.
    with (project / RAW).open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert tool(project, "dvc", "add", RAW).returncode == 0
    (project / "dvc.lock").unlink()
    git("checkout", "-q", "--orphan", "anew")
    git("add", "-A")
    git("commit", "-q", "--no-verify", "-m", "Begin anew")
    git("branch", "-D", "main")
    assert left() == anchored
    # The ref beside the tag is not one that DVC looks at.
    git("tag", "-d", f"mlproj/run/{run}")
    git("rev-parse", "--verify", f"refs/mlproj/runs/{run}")
    assert left() == set()
