"""What stages open is watched, and held against what `dvc.yaml` declares."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlproj.pipeline import opened, stages

STAGE = """\
stages:
  join:
    cmd: python join.py
    deps: [data/left.csv, join.py]
    params: [join]
    outs: [data/both.csv]
"""
PROGRAM = """\
import json
import os
from pathlib import Path

Path("data/left.csv").read_text()
Path("params.yaml").read_text()
os.close(os.open("data/right.csv", os.O_RDONLY))
if os.fork() == 0:
    open(os.environ["ELSEWHERE"]).close()
    os._exit(0)
os.wait()
Path("data/both.csv").write_text("a")
Path("data/both.csv").read_text()
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one stage, and a table beside it in a folder that is no temporary one."""
    root = tmp_path / "repository"
    (root / "data").mkdir(parents=True)
    for name in ("left", "right"):
        (root / "data" / f"{name}.csv").write_text("a")
    (tmp_path / "elsewhere.csv").write_text("a")
    (root / "params.yaml").write_text("join: 1")
    (root / "dvc.yaml").write_text(STAGE)
    (root / "join.py").write_text(PROGRAM)
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere.csv"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return root


def run(root: Path, *, marked: str = "one") -> None:
    """As DVC does it: the stage's name in the environment, the lock file when it has ended."""
    with opened.watching(root, stages.load(root)) as env:
        subprocess.run(
            [sys.executable, "join.py"], cwd=root, env={**os.environ, **env, "DVC_STAGE": "join"}, check=True
        )
        (root / "dvc.lock").write_text(
            f"schema: '2.0'\nstages: {{join: {{cmd: python join.py, mark: {marked}}}}}"
        )


def interrupt(root: Path) -> None:
    with opened.watching(root, stages.load(root)) as env:
        words = [sys.executable, "join.py"]
        subprocess.run(words, cwd=root, env={**os.environ, **env, "DVC_STAGE": "join"}, check=True)
        raise KeyboardInterrupt


def test_files_that_a_stage_reads_and_does_not_declare_are_named(root: Path) -> None:
    run(root)
    found = opened.look(root, ["join"])
    assert found.undeclared == (("join", os.environ["ELSEWHERE"]), ("join", "data/right.csv"))
    assert found.unwatched == ()


def test_what_is_declared_is_no_finding(root: Path) -> None:
    declared = STAGE.replace("join.py]", f"join.py, data/right.csv, {os.environ['ELSEWHERE']}]")
    (root / "dvc.yaml").write_text(declared)
    run(root)
    assert opened.look(root, ["join"]) == opened.Watched()


def test_a_stage_that_ran_without_being_watched_is_told_apart(root: Path) -> None:
    run(root)
    (root / "dvc.lock").write_text("stages: {join: {cmd: python join.py, mark: by hand}}")
    assert opened.look(root, ["join", "other"]).unwatched == ("join", "other")


def test_an_interrupted_stage_leaves_what_was_known(root: Path) -> None:
    run(root)
    before = (root / opened.REPORT).read_text()
    (root / "join.py").write_text("open('data/left.csv')")
    with pytest.raises(KeyboardInterrupt):
        interrupt(root)
    assert (root / opened.REPORT).read_text() == before


def test_the_sitecustomize_of_the_environment_still_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'")
    (root / "join.py").write_text("import os; assert os.environ['SEEN'] == 'yes'")
    monkeypatch.setenv("PYTHONPATH", str(own))
    run(root)
    assert opened.look(root, ["join"]) == opened.Watched()
