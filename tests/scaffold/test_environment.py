from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold import environment


def test_the_interpreter_named_is_looked_into() -> None:
    found = environment.interpreter(Path(sys.executable))
    assert found.path == Path(sys.executable)
    assert found.version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "dvc" not in found.missing


def test_a_folder_of_an_environment_names_its_interpreter() -> None:
    assert environment.interpreter(Path(sys.prefix)).path == Path(sys.prefix) / "bin" / "python"


def test_the_active_environment_comes_before_the_one_mlproj_runs_in() -> None:
    active = environment.interpreter(None, {"VIRTUAL_ENV": sys.prefix})
    assert active.path == Path(sys.prefix) / "bin" / "python"
    assert environment.interpreter(None, {}).path == Path(sys.executable)


@pytest.mark.parametrize("name", ["absent", "text", "folder"])
def test_what_is_no_interpreter_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("x")
    with pytest.raises(ConfigError, match="is not a program"):
        environment.interpreter(tmp_path / name)


def test_another_program_is_no_interpreter() -> None:
    with pytest.raises(ConfigError, match="is not a Python interpreter"):
        environment.interpreter(Path("/bin/true"))
