"""What `mlproj new` cannot do: it says so in a sentence, with a way out, and leaves nothing behind."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scaffold.existing import answered
from tests.support import Run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(done: subprocess.CompletedProcess[str], folder: Path, *, code: int = 2) -> str:
    """What was said; checks that it was said well and that `folder` is as empty as before."""
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert names(folder) == []
    return done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["../x"], "`../x` is a path, not a name"),
        (["my project"], "`my-project`"),
        (["modèle"], "`modele`"),
        ([""], "is empty"),
        (["class"], "`class-project`"),
        (["x", "--module", "json"], "standard library"),
        (["mlflow"], "a package the project needs"),
        (["x", "--license", "GPL"], "`--license GPL` is not one of"),
        (["x", "--storage", "s3"], "`--storage s3` needs an address"),
        (["x", "--python", "2.7"], "`--python 2.7`"),
        (["x", "--target", "y"], "need `--data`"),
        (["x", "--interpreter", "/usr/bin/python3"], "`--env-manager none`"),
        (["x", "--env-manager", "none", "--interpreter", "nowhere"], "no Python interpreter"),
        (["x", "--env-manager", "none", "--python", "3.99"], "which is not `--python 3.99`"),
        (["x", "--data", "absent.csv", "--target", "y"], "absent.csv"),
    ],
)
def test_words_that_cannot_be_used(mlproj: Run, tmp_path: Path, words: list[str], says: str) -> None:
    assert says in refused(mlproj("new", *words, cwd=tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "lef"], "`left`"),
        (["--target", "left", "--task", "binry"], "`--task binary`"),
        ([], "It has `visit id`, `age`, `plan`, `since`, `left`"),
    ],
)
def test_a_table_that_does_not_say_what_to_predict(
    mlproj: Run, table: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    assert says in refused(mlproj("new", "x", "--data", table, *words, cwd=tmp_path), tmp_path)


def test_a_folder_that_is_not_empty_is_left_alone(mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    done = mlproj("new", "x", "--defaults", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert names(tmp_path / "x") == ["mine.txt"]


def test_a_folder_that_is_not_empty_is_refused_before_a_question_is_asked(
    table: Path, tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    nothing = "\x04"  # the end of what is typed: a question would be given up
    assert answered(tmp_path, ["new", "x"], [nothing]) == 2
    assert answered(tmp_path, ["new", "x", "--data", str(table)], [nothing]) == 2
    assert names(tmp_path / "x") == ["mine.txt"]


def test_a_file_of_that_name_is_left_alone(mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    done = mlproj("new", "x", "--defaults", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not a folder" in done.stderr
    assert (tmp_path / "x").read_text() == "mine"


def test_a_folder_that_cannot_be_written_in(mlproj: Run, table: Path) -> None:
    # Not by permissions, which an administrator does not feel.
    done = mlproj(
        *("new", "x", "--data", table, "--target", "left", "--env-manager", "none"), cwd=Path("/proc")
    )
    assert done.returncode == 1
    assert "nothing can be written in `/proc`" in done.stderr
    assert "Traceback" not in done.stderr


def test_git_missing_from_path(mlproj: Run, table: Path, tmp_path: Path) -> None:
    done = mlproj(
        *("new", "x", "--data", table, "--target", "left", "--env-manager", "none"),
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
    )
    assert "`git` is not installed" in refused(done, tmp_path, code=5)


def test_dvc_need_not_be_on_path(mlproj: Run, table: Path, tmp_path: Path) -> None:
    only_git = tmp_path / "bin"
    only_git.mkdir()
    git = shutil.which("git")
    assert git is not None
    (only_git / "git").symlink_to(git)
    done = mlproj(
        *("new", "x", "--data", table, "--target", "left", "--env-manager", "none"),
        cwd=tmp_path,
        env={"PATH": str(only_git)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x" / "data/raw/visits.csv.dvc").is_file()


@pytest.mark.parametrize(("most_bytes", "says"), [(500, "could not be written"), (15_000, "")])
def test_a_disk_that_fills_up_leaves_nothing(table: Path, tmp_path: Path, most_bytes: int, says: str) -> None:
    # The kernel refuses a file that grows beyond the limit as it refuses one on a full disk: in the middle.
    large = tmp_path / "large.csv"
    large.write_text(table.read_text() + "".join(table.read_text().splitlines(keepends=True)[1:]) * 4)
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mlproj", "new", "x", "--data", str(large), "--target", "left"),
            *("--env-manager", "none"),
        ],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )
    assert done.returncode in (1, 4), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    assert names(place) == []


@pytest.mark.parametrize(
    ("manager", "step", "was_there"),
    [
        ("none", "reading visits.csv", False),
        ("none", "writing the files", False),
        ("none", "putting data/raw/visits.csv under DVC", True),
        ("uv", "making the environment", False),
        ("none", "installing the pre-commit hooks", True),
    ],
)
def test_ctrl_c_in_any_step_leaves_nothing(
    table: Path, tmp_path: Path, manager: str, step: str, was_there: bool
) -> None:
    if was_there:
        (tmp_path / "x").mkdir()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "mlproj", "new", "x", "--data", str(table), "--target", "left"),
            *("--env-manager", manager),
        ],
        cwd=tmp_path,
        env={**os.environ, "UV_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith(step):
                break
        # As a terminal does it: to every process of the group at once.
        os.killpg(child.pid, signal.SIGINT)
        said = child.stderr.read()
        child.wait(timeout=60)
    # A shell shows 130 for both: Python dies of the signal itself where it met it inside an import.
    assert child.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    assert names(tmp_path) == (["x"] if was_there else [])
    assert not was_there or names(tmp_path / "x") == []
