"""A project whose interpreter has no DVC: which one it is, and who says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlproj.base.errors import MissingToolError
from mlproj.pipeline import dvc
from mlproj.project import Project


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes an interpreter of an environment with nothing in it; no DVC is on PATH either."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def made(place: Path) -> Path:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        return place / "bin" / "python"

    return made


def project(root: Path, *lines: str) -> Project:
    root.mkdir(exist_ok=True)
    said = ['id = "a1"', 'name = "a"', 'module = "a"', 'model = "a"', *lines]
    (root / "mlproj.toml").write_text("\n".join(["[project]", *said, ""]), encoding="utf-8")
    return Project.load(root)


def refusal(of: Project) -> str:
    for ask in (lambda: dvc.repro(of, ["train"], env={}), lambda: dvc.push(of, ["data"])):
        with pytest.raises(MissingToolError) as caught:
            ask()
    assert "mlproj doctor" in caught.value.hint
    return caught.value.message


def test_the_interpreter_that_mlproj_toml_names_is_said_with_the_line_that_names_it(
    tmp_path: Path, bare: Callable[..., Path]
) -> None:
    python = bare(tmp_path / "other")
    root = tmp_path / "a"
    said = refusal(project(root, f'python = "{python}"'))
    assert f"`{python}` has no DVC" in said
    assert f'`{root / "mlproj.toml"}` says `python = "{python}"`' in said


def test_the_one_in_the_repository_the_active_one_and_mlprojs_own_are_said_to_be_so(
    tmp_path: Path, bare: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "a"
    one = project(root)
    monkeypatch.setattr(sys, "executable", str(bare(tmp_path / "own")))
    assert "because mlproj runs in it, no environment is active" in refusal(one)
    python = bare(tmp_path / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert f"`{python}` has no DVC" in refusal(one)
    assert "because its environment is active" in refusal(one)
    bare(root / ".venv")
    assert "because it is in the repository" in refusal(one)
