"""Repositories rendered from the template and put to work with a real environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlproj.catalog.infer import infer
from tests.support import made_once
from tests.template.rendered import MakeProject, Rendered, begin, render


@pytest.fixture
def make_project(tmp_path: Path, project_python: Path) -> MakeProject:
    """Render a repository for a table and its target, the raw file in its place."""

    def make(table: Path, target: str) -> Rendered:
        folder = render(tmp_path / "made", infer(table, target).to_json())
        (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
        shutil.copy(table, folder / "data" / "raw" / table.name)
        return begin(folder, project_python, tmp_path / "home")

    return make


@pytest.fixture(scope="session")
def penguins(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, project_python: Path) -> Rendered:
    """A repository for the penguins whose whole pipeline has run. Look at it, change only copies of it."""
    table = shared_data / "penguins_raw.csv"
    if not table.is_file():
        pytest.skip(f"the penguins are not here: {table}")

    def make(base: Path) -> None:
        folder = render(base / "penguins", infer(table, "Species").to_json())
        shutil.copy(table, folder / "data" / "raw" / table.name)
        project = begin(folder, project_python, base / "home")
        project.run("dvc", "repro")
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", "Run")

    base = made_once(tmp_path_factory, "run", make)
    return Rendered(base / "penguins", project_python, base / "home")


@pytest.fixture
def penguins_copy(penguins: Rendered, tmp_path: Path) -> Rendered:
    """The trained repository again, to be changed."""
    folder = tmp_path / "copy" / "penguins"
    shutil.copytree(penguins.root, folder)
    return Rendered(folder, penguins.python, penguins.home)
