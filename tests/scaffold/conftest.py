"""A small table, what is found in it, and the template rendered from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlproj.catalog.infer import infer
from mlproj.scaffold import copier
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scaffold.copier import Template
from tests.scaffold import upgrading
from tests.support import fenced

INPUTS = Inputs(project_id="0123456789ab", year="2026")

Render = Callable[..., Path]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows of visits: an identifier, numbers, a category, a date, a two-valued target."""
    lines = ["visit id,age,plan,since,left"]
    for row in range(120):
        plan = ("basic", "plus", "pro")[row % 3]
        left = "yes" if (row * 7) % 10 < 3 else "no"
        lines.append(
            f"v-{row:04},{20 + row * 13 % 50},{plan},2024-{row % 12 + 1:02}-{row % 28 + 1:02},{left}"
        )
    path = tmp_path_factory.mktemp("table") / "visits.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def findings(table: Path) -> dict[str, Any]:
    return infer(table, "left").to_json()


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory, findings: dict[str, Any]) -> Render:
    """Render the template for some answers, the rest being defaults; returns the folder.

    Asked twice, the same folder is returned, so a test that writes into it asks for `own=True`.
    """
    made: dict[tuple[Answers, Inputs], Path] = {}

    def rendered(*, inputs: Inputs = INPUTS, own: bool = False, **words: str) -> Path:
        answers = Answers.from_words({"project_name": "visit-model", "python_version": "3.11", **words})
        if own or (answers, inputs) not in made:
            folder = tmp_path_factory.mktemp("rendered") / "visit-model"
            copier.render(folder, answers, inputs, findings)
            if own:
                return folder
            made[answers, inputs] = folder
        return made[answers, inputs]

    return rendered


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A repository made by `mlproj new` for the small table, to look at and not to touch."""
    place, home = tmp_path_factory.mktemp("generated"), tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mlproj", "new", "visit-model", "--data", str(table)),
            *("--target", "left", "--env-manager", "none", "--interpreter", sys.executable),
        ],
        cwd=place,
        env=fenced(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place / "visit-model"


@pytest.fixture
def made(generated: Path, tmp_path: Path) -> Path:
    """The same, to work in."""
    return Path(shutil.copytree(generated, tmp_path / "visit-model", symlinks=True))


@pytest.fixture(scope="session")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """An older version of the template."""
    folder = tmp_path_factory.mktemp("templates") / "yesterday"
    return upgrading.version(folder, "0.0.1", copier.template_dir(), upgrading.YESTERDAY)


@pytest.fixture(scope="session")
def from_yesterday(tmp_path_factory: pytest.TempPathFactory, yesterday: Template) -> Path:
    """A repository of that version, to copy."""
    place, home = tmp_path_factory.mktemp("yesterday"), tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in fenced(home).items():
            patch.setenv(name, value)
        return upgrading.generate(place / "visit-model", yesterday)


@pytest.fixture
def repository(from_yesterday: Path, tmp_path: Path) -> Path:
    """A repository of yesterday's version, to work in."""
    return Path(shutil.copytree(from_yesterday, tmp_path / "visit-model", symlinks=True))


@pytest.fixture
def today(tmp_path: Path, yesterday: Template) -> upgrading.Today:
    """Make today's template: yesterday's with these edits to the project's files."""

    def made(edits: Mapping[str, upgrading.Edit], number: str = "0.0.2") -> Template:
        return upgrading.version(tmp_path / f"template-{number}", number, yesterday.folder, edits)

    return made
