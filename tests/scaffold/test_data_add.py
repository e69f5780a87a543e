"""`mlproj data add`: another table for a repository that is there, and the user's edits with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import Run


def status(root: Path) -> list[str]:
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def stays(tmp_path: Path) -> Path:
    """Another table: a number to predict."""
    path = tmp_path / "stays.csv"
    rows = [f"{row},{('north', 'south')[row % 2]},{row * 3 % 17},{100 + row * 1.5}" for row in range(80)]
    path.write_text("\n".join(["guest,side,nights,price", *rows]) + "\n")
    return path


def test_the_pipeline_and_the_documents_fit_the_new_table(made: Path, mlproj: Run, stays: Path) -> None:
    done = mlproj("data", "add", stays, "--target", "price", cwd=made)
    assert done.returncode == 0, done.stderr
    params = yaml.safe_load((made / "params.yaml").read_text())
    assert params["data"]["raw"] == "data/raw/stays.csv"
    assert params["data"]["task"] == "regression"
    assert (made / "data/raw/stays.csv").read_bytes() == stays.read_bytes()
    assert "?? data/raw/stays.csv.dvc" in status(made)
    assert "git diff" in done.stdout
    assert "regression target price" in done.stdout

    again = status(made)
    assert mlproj("data", "add", stays, "--target", "price", cwd=made).returncode == 0
    assert status(made) == again


def test_edits_elsewhere_are_kept_and_deleted_files_stay_deleted(
    made: Path, mlproj: Run, stays: Path
) -> None:
    with (made / "params.yaml").open("a") as stream:
        stream.write("\nmine:\n  more: 1\n")
    (made / "Makefile").write_text("mine:\n")
    (made / "references/.gitkeep").unlink()
    done = mlproj("data", "add", stays, "--target", "price", cwd=made)
    assert done.returncode == 0, done.stderr
    params = yaml.safe_load((made / "params.yaml").read_text())
    assert params["mine"] == {"more": 1}
    assert params["data"]["target"] == "price"
    assert (made / "Makefile").read_text() == "mine:\n"
    assert not (made / "references/.gitkeep").exists()
    assert "merged with your edits: params.yaml" in done.stdout


def test_an_edit_in_the_same_place_stops_it_before_anything_is_written(
    made: Path, mlproj: Run, stays: Path
) -> None:
    text = (made / "params.yaml").read_text()
    (made / "params.yaml").write_text(text.replace("target: left", "target: plan"))
    before = status(made)
    done = mlproj("data", "add", stays, "--target", "price", cwd=made)
    assert done.returncode == 2
    assert "`params.yaml` changed here and with the new data; nothing was written" in done.stderr
    assert "`--overwrite`" in done.stderr
    assert status(made) == before
    assert not (made / "data/raw/stays.csv").exists()

    done = mlproj("data", "add", stays, "--target", "price", "--overwrite", cwd=made)
    assert done.returncode == 2
    assert "not committed" in done.stderr
    assert status(made) == before

    subprocess.run(["git", "commit", "--quiet", "--all", "--no-verify", "-m", "mine"], cwd=made, check=True)
    done = mlproj("data", "add", stays, "--target", "price", "--overwrite", cwd=made)
    assert done.returncode == 0, done.stderr
    assert "yours given up: params.yaml" in done.stdout
    assert yaml.safe_load((made / "params.yaml").read_text())["data"]["target"] == "price"


def test_the_example_gives_way_to_the_user_s_own_table(mlproj: Run, stays: Path, tmp_path: Path) -> None:
    assert mlproj("new", "learn", "--env-manager", "none", "--defaults", cwd=tmp_path).returncode == 0
    root = tmp_path / "learn"
    simulated = yaml.safe_load((root / "params.yaml").read_text())["data"]["raw"]
    (root / simulated).write_text("made by the simulator")
    done = mlproj("data", "add", stays, "--target", "price", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "simulate" not in yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    assert not (root / "learn/simulate.py").exists()
    assert not (root / simulated).exists()
    assert "simulated" not in (root / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stays.csv", "--target", "pric"], "`price`"),
        (["absent.csv", "--target", "price"], "absent.csv"),
        (["stays.csv"], "which column of `stays.csv` is to be predicted?"),
    ],
)
def test_a_table_that_cannot_be_used_changes_nothing(
    made: Path, mlproj: Run, stays: Path, words: list[str], says: str
) -> None:
    done = mlproj("data", "add", stays.parent / words[0], *words[1:], cwd=made)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert status(made) == []


def test_outside_a_repository_it_says_how_to_get_one(mlproj: Run, stays: Path, tmp_path: Path) -> None:
    done = mlproj("data", "add", stays, "--target", "price", cwd=tmp_path)
    assert done.returncode == 2
    assert "mlproj new NAME" in done.stderr


@pytest.mark.parametrize("step", ["writing the files", "putting data/raw/stays.csv under DVC"])
def test_ctrl_c_puts_everything_back(made: Path, stays: Path, step: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mlproj", "data", "add", str(stays), "--target", "price"],
        cwd=made,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith(step):
                break
        os.killpg(child.pid, signal.SIGINT)
        child.stderr.read()
        child.wait(timeout=60)
    assert child.returncode in (130, -signal.SIGINT)
    assert status(made) == []
    assert not (made / "data/raw/stays.csv").exists()
