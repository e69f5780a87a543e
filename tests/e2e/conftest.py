"""One repository, generated and trained once, of which every test gets a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.people import fill_datasheet, fill_scoping
from tests.support import fenced, made_once, run_mlproj

Tool = Callable[..., subprocess.CompletedProcess[str]]


def _must(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, project_python: Path, shared_data: Path) -> Path:
    """Penguins, from `mlproj new` to a registered model, all of it committed."""

    def make(folder: Path) -> None:
        (folder / "home").mkdir()
        env = fenced(folder / "home")
        root = folder / "penguins"
        data = ("--data", shared_data / "penguins_raw.csv", "--target", "Species")
        manager = ("--env-manager", "none", "--interpreter", str(project_python), "--defaults")
        _must(run_mlproj("new", "penguins", *data, *manager, cwd=folder, env=env))
        fill_scoping(root)
        fill_datasheet(root)
        _must(run_mlproj("approve", "--role", "owner", cwd=root, env=env))
        for phase in ("scoping", "data", "modeling"):
            _must(run_mlproj("stage", phase, cwd=root, env=env))
        for words in (["add", "-A"], ["commit", "-qm", "Trained"]):
            subprocess.run(["git", *words], cwd=root, env=env, check=True)

    return made_once(tmp_path_factory, "trained", make) / "penguins"


def copied(repository: Path, target: Path, home: Path) -> Path:
    """A copy of a repository made once, with its data folder, which holds DVC's remote.

    File times are kept, so nothing is hashed twice.
    """
    data = repository.parent / "home" / ".local"
    if data.is_dir():
        shutil.copytree(data, home / ".local", symlinks=True, dirs_exist_ok=True)
    return shutil.copytree(repository, target, symlinks=True)


@pytest.fixture
def project(trained: Path, tmp_path: Path, isolate: Path) -> Path:
    """A trained repository of the test's own."""
    return copied(trained, tmp_path / "penguins", isolate)


@pytest.fixture
def tool(project_python: Path) -> Tool:
    """Run a program of the project's environment, with no mlproj within reach."""

    def run(root: Path, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        path = f"{project_python.parent}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        return subprocess.run(
            [*map(str, words)],
            cwd=root,
            env={**os.environ, "PATH": path, **env},
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=600,
            check=False,
        )

    return run
