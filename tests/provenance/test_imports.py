from __future__ import annotations

from pathlib import Path

import pytest

from mlproj.provenance import imports
from mlproj.provenance.imports import Imports

TREE = {
    "model/__init__.py": '"""A package."""\n',
    "model/train.py": "import json\nfrom model import config\nfrom model.parts.fit import fit\n",
    "model/config.py": "VALUE = 1\n",
    "model/parts/__init__.py": "SETTING = 2\n",
    "model/parts/fit.py": "def fit():\n    from .. import late\n    return late\n",
    "model/late.py": "import typing\nif typing.TYPE_CHECKING:\n    from model import only_types\n",
    "model/only_types.py": "",
    "scripts/score.py": "import model.config\nimport pandas\n",
}
ALL = ["model/train.py", "model/config.py", "model/late.py", "model/parts/__init__.py", "model/parts/fit.py"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def reader(root: Path, known: dict[str, list[str]] | None = None) -> Imports:
    return Imports(root, lambda path: (root / path).read_text(), {} if known is None else known)


def test_a_stage_that_declares_all_that_it_imports_lacks_nothing(root: Path) -> None:
    assert reader(root).undeclared("train", "python -m model.train", ALL) == ()
    assert reader(root).undeclared("train", "python -m model.train", ["model"]) == ()


@pytest.mark.parametrize("left_out", ALL)
def test_each_module_that_is_not_declared_is_named_with_what_imports_it(root: Path, left_out: str) -> None:
    (found,) = reader(root).undeclared("train", "python -m model.train", [x for x in ALL if x != left_out])
    assert (found.stage, found.path) == ("train", left_out)
    assert found.by in {"its command", "model/train.py", "model/parts/fit.py"}


def test_an_import_below_a_function_counts_and_one_for_types_does_not(root: Path) -> None:
    found = {each.path for each in reader(root).undeclared("train", "python -m model.train", [])}
    assert found == set(ALL)


def test_an_edit_is_seen_and_what_did_not_change_is_not_read_again(root: Path) -> None:
    known: dict[str, list[str]] = {}
    assert reader(root, known).undeclared("train", "python -m model.train", ALL) == ()
    before = len(known)
    (root / "model" / "more.py").write_text("")
    (root / "model" / "config.py").write_text("from model import more\nVALUE = more\n")
    (found,) = reader(root, known).undeclared("train", "python -m model.train", ALL)
    assert (found.path, found.by) == ("model/more.py", "model/config.py")
    assert len(known) == before + 2


@pytest.mark.parametrize(
    ("cmd", "expected"),
    [
        ("python -m model.train --fast", ("model/__init__.py", "model/train.py")),
        ("mkdir -p out\npython3.12 -u scripts/score.py > out/x", ("scripts/score.py",)),
        ("cd . && .venv/bin/python scripts/score.py", ("scripts/score.py",)),
        ("jupyter execute notebook.ipynb", ()),
        ("echo 'unfinished", ()),
        ("python -c 'import model'", ()),
    ],
)
def test_what_a_command_runs_is_read_from_it(root: Path, cmd: str, expected: tuple[str, ...]) -> None:
    assert imports.entries(root, cmd) == expected


def test_code_that_cannot_be_read_is_left_to_the_run(root: Path) -> None:
    (root / "model" / "config.py").write_text("def (\n")
    assert reader(root).undeclared("train", "python -m model.train", ALL) == ()
