"""`mlproj new`, run as people run it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlproj.scaffold import lock
from tests.scaffold.existing import answered
from tests.support import Run


def git(root: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_repository_is_one_clean_commit_on_main(made: Path, generated: Path) -> None:
    assert git(made, "status", "--porcelain") == ""
    assert git(made, "branch", "--show-current").strip() == "main"
    assert git(made, "log", "--format=%s").startswith("Begin visit-model")
    assert git(made, "rev-list", "--count", "HEAD").strip() == "1"
    assert names(generated.parent) == ["visit-model"]


def test_the_table_is_under_dvc_byte_for_byte(made: Path, table: Path) -> None:
    assert (made / "data/raw/visits.csv").read_bytes() == table.read_bytes()
    md5 = hashlib.md5(table.read_bytes(), usedforsecurity=False).hexdigest()
    assert f"md5: {md5}" in (made / "data/raw/visits.csv.dvc").read_text()
    assert git(made, "ls-files", "data/raw").split() == ["data/raw/.gitkeep", "data/raw/visits.csv.dvc"]
    dvc = [sys.executable, "-m", "dvc"]
    status = subprocess.run(
        [*dvc, "status", "data/raw/visits.csv.dvc"], cwd=made, capture_output=True, text=True, check=True
    )
    assert "up to date" in status.stdout
    stages = subprocess.run([*dvc, "stage", "list"], cwd=made, capture_output=True, text=True, check=True)
    assert "simulate" not in stages.stdout
    assert "evaluate" in stages.stdout


def test_what_was_rendered_is_recorded(made: Path) -> None:
    kept = lock.read(made)
    for path, file in lock.base(made).items():
        assert (made / path).read_bytes() == file.content
        assert kept.files[path].sha256 == hashlib.sha256(file.content).hexdigest()
    assert (made / lock.BASE).stat().st_size < 90_000
    project = tomllib.loads((made / "mlproj.toml").read_text())["project"]
    assert project["id"] == kept.inputs.project_id
    assert project["python"] == sys.executable
    assert json.loads((made / lock.FINDINGS).read_text())["target"]["name"] == "left"


def test_an_empty_folder_is_filled_and_what_was_inferred_is_said(
    mlproj: Run, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "v").mkdir()
    done = mlproj(*("new", "v", "--data", table, "--target", "left", "--env-manager", "none"), cwd=tmp_path)
    assert (tmp_path / "v" / "mlproj.toml").is_file()
    assert "visits.csv, 120 rows, 5 columns" in done.stdout
    assert "guessed: delimiter ','" in done.stdout
    assert "binary target left" in done.stdout
    assert "left out: visit id" in done.stdout
    assert "cd v\n" in done.stdout
    assert "mlproj stage scoping" in done.stdout
    assert done.stderr.splitlines()[:2] == ["reading visits.csv", "writing the files"]


def test_a_person_is_asked_for_what_no_option_says(tmp_path: Path) -> None:
    words = ["new", "v", "--env-manager", "none", "--license", "none"]
    assert answered(tmp_path, words, ["Who comes back", "local", "gitlab"]) == 0
    kept = lock.read(tmp_path / "v").answers
    assert (kept["description"], kept["storage"], kept["ci"]) == ("Who comes back", "local", "gitlab")
    assert (tmp_path / "v" / ".gitlab-ci.yml").is_file()
    assert not (tmp_path / "v" / ".github").exists()


def test_what_the_interpreter_lacks_is_said(mlproj: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    done = mlproj(
        *("new", "v", "--bare", "--defaults", "--env-manager", "none"),
        cwd=tmp_path,
        env={"VIRTUAL_ENV": str(bare)},
    )
    assert done.returncode == 0, done.stderr
    assert f"`{bare}/bin/python` lacks dvc, matplotlib, mlflow" in done.stdout
    assert "make requirements" in done.stdout


def test_without_data_there_is_an_example_that_says_so(mlproj: Run, tmp_path: Path) -> None:
    done = mlproj("new", "learn", "--env-manager", "none", "--defaults", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a simulated example" in done.stdout
    assert "simulated" in (tmp_path / "learn" / "README.md").read_text()
    assert "simulate" in (tmp_path / "learn" / "dvc.yaml").read_text()


def test_bare_leaves_the_pipeline_out(mlproj: Run, tmp_path: Path) -> None:
    done = mlproj("new", "b", "--env-manager", "none", "--defaults", "--bare", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "b" / "dvc.yaml").exists()
    assert [path.name for path in (tmp_path / "b" / "b").iterdir()] == ["__init__.py"]


def test_a_dry_run_shows_the_tree_and_touches_nothing(mlproj: Run, table: Path, tmp_path: Path) -> None:
    done = mlproj("new", "v", "--data", table, "--target", "left", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("v/\n├── .devcontainer/\n")
    assert "visits.csv.dvc" in done.stdout
    assert names(tmp_path) == []


def test_inside_another_repository_it_is_said_what_follows_and_made_all_the_same(
    mlproj: Run, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"
    (outer / "work").mkdir(parents=True)
    git(outer, "init", "--quiet")
    shown = ("new", "v", "--bare", "--defaults", "--env-manager", "none", "--dry-run")
    inside = "warning: `v` will be a git repository of its own inside the"
    done = mlproj(*shown, cwd=outer / "work")
    assert f"{inside} git repository `{outer}`, which cannot keep its files" in done.stderr
    (outer / "mlproj.toml").touch()
    done = mlproj(*shown[:-1], cwd=outer / "work")
    assert done.returncode == 0, done.stderr
    assert f"{inside} mlproj project `{outer}`" in done.stderr.splitlines()[0]
    git(outer, "add", "--all")
    kept = git(outer, "ls-files", "--stage").splitlines()
    assert [line[:6] for line in kept if "work/v" in line] == ["160000"], "a commit's id, no file"

    (outer / ".gitignore").write_text("v/\n")
    assert f"`{outer}`, which ignores it" in mlproj(*shown, cwd=outer).stderr
    assert "warning" not in mlproj(*shown, cwd=tmp_path).stderr


def test_a_manager_that_is_not_installed_still_gets_its_files(mlproj: Run, tmp_path: Path) -> None:
    if shutil.which("pixi"):
        pytest.skip("pixi is installed here")
    done = mlproj(*("new", "v", "--bare", "--defaults", "--env-manager", "pixi"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "`pixi` is not installed" in done.stdout
    assert "`pixi install`" in done.stdout
    assert (tmp_path / "v" / "pixi.toml").is_file()


def test_git_without_a_user_makes_the_first_commit_for_one_and_says_so(
    mlproj: Run, tmp_path: Path, isolate: Path
) -> None:
    (isolate / ".gitconfig").write_text("")
    done = mlproj(
        *("new", "v", "--bare", "--defaults", "--env-manager", "none"),
        cwd=tmp_path,
        env={"GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "git does not know who you are" in done.stdout
    assert 'git config --global user.name "Your Name"' in done.stdout
    assert "[user]" not in (tmp_path / "v" / ".git" / "config").read_text()
    assert git(tmp_path / "v", "log", "--format=%ae").strip().endswith("@localhost")


def test_hooks_kept_elsewhere_are_a_note_not_a_failure(mlproj: Run, tmp_path: Path, isolate: Path) -> None:
    with (isolate / ".gitconfig").open("a") as stream:
        stream.write(f"[core]\n\thooksPath = {tmp_path / 'hooks'}\n")
    done = mlproj(*("new", "v", "--bare", "--defaults", "--env-manager", "none"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the pre-commit hooks are not installed" in done.stdout


def test_a_commit_is_checked_with_nothing_activated_and_without_mlproj(made: Path) -> None:
    plain = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}

    def commit() -> subprocess.CompletedProcess[str]:
        subprocess.run(["git", "add", "--all"], cwd=made, check=True)
        return subprocess.run(
            ["git", "commit", "-m", "More"],
            cwd=made,
            env=plain,
            capture_output=True,
            text=True,
            check=False,
        )

    (made / "visit_model" / "more.py").write_text("import os\n\nVALUE = os.sep\n")
    done = commit()
    assert done.returncode == 0, done.stdout + done.stderr

    (made / "big.bin").write_bytes(b"\0" * 1_100_000)
    done = commit()
    assert done.returncode == 1
    assert "big.bin: 1,074 KB is more than git should hold" in done.stdout + done.stderr
    (made / "big.bin").unlink()

    pointer, scoping = made / "data" / "raw" / "visits.csv.dvc", made / "docs" / "scoping.md"
    said = pointer.read_text()
    pointer.write_text(said.replace("md5: ", "md5: 0", 1))
    scoping.write_text(scoping.read_text().replace("automation: TODO", "automation: ful", 1))
    done = commit()
    assert done.returncode == 1
    assert "data/raw/visits.csv.dvc:2: raw data are never changed" in done.stdout + done.stderr
    assert "`automation` cannot be `ful`: write one of" in done.stdout + done.stderr
    scoping.write_text(scoping.read_text().replace("automation: ful", "automation: full", 1))
    plain["SKIP"] = "raw-data"
    assert commit().returncode == 0


def test_every_file_generated_passes_the_repository_s_own_hooks(made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=made,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert git(made, "status", "--porcelain") == ""


@pytest.mark.slow
@pytest.mark.parametrize(("manager", "locked"), [("uv", "uv.lock"), ("venv", "requirements.lock")])
def test_an_environment_is_made_and_locked(
    mlproj: Run, table: Path, tmp_path: Path, manager: str, locked: str
) -> None:
    done = mlproj(
        *("new", "v", "--data", table, "--target", "left", "--env-manager", manager, "--docs", "none"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    root = tmp_path / "v"
    assert locked in git(root, "ls-files").split()
    assert git(root, "status", "--porcelain") == ""
    python = root / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", "import v, mlflow, dvc, skl2onnx, onnxruntime"], cwd="/", check=True)
    assert "pre-commit" in (root / ".git" / "hooks" / "pre-commit").read_text()


def test_an_environment_that_cannot_be_made_leaves_a_repository_that_can_be_finished(
    mlproj: Run, tmp_path: Path
) -> None:
    done = mlproj(
        *("new", "v", "--bare", "--defaults", "--env-manager", "uv"),
        cwd=tmp_path,
        env={"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 4
    assert "made and committed, its environment is not" in done.stderr
    assert "cd v && make requirements" in done.stderr
    assert git(tmp_path / "v", "status", "--porcelain") == ""
    assert git(tmp_path / "v", "rev-list", "--count", "HEAD").strip() == "1"
