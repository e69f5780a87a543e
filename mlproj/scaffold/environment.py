"""What makes a project's environment: one small class for each manager, listed in `MANAGERS`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlproj.base import files, process
from mlproj.base.errors import ConfigError
from mlproj.project import active_python
from mlproj.scaffold.answers import PYTHON_VERSIONS, EnvManager


class Manager(Protocol):
    """Makes and locks an environment in a repository."""

    tool: str  # the program it needs on PATH; empty if mlproj brings it
    command: str  # what a person types in the repository to the same end

    def make(self, root: Path, python_version: str) -> None:
        """Make the environment and write its lock file. Raises ToolError if the tool fails."""


class Uv:
    tool = ""
    command = "uv sync"

    def make(self, root: Path, python_version: str) -> None:
        del python_version  # `.python-version` and pyproject.toml say it
        _run(root, _uv(), "sync", *_compiling())


class Venv:
    """Made by uv because it is quicker; what it makes is an ordinary environment, pip included."""

    tool = ""
    command = "make requirements"

    def make(self, root: Path, python_version: str) -> None:
        python = str(root / ".venv" / "bin" / "python")
        _run(root, _uv(), "venv", "--seed", "--python", python_version, ".venv")
        install = (_uv(), "pip", "install", "--python", python)
        _run(root, *install, *_compiling(), "-r", "requirements.txt")
        _run(root, *install, "--no-deps", "--editable", ".")
        freeze(root, Path(python))


class Conda:
    tool = "conda"
    command = "make create_environment requirements lock"

    def make(self, root: Path, python_version: str) -> None:
        del python_version  # environment.yml says it
        _run(root, "conda", "env", "create", "--yes", "--prefix", ".venv", "--file", "environment.yml")
        _run(root, ".venv/bin/python", "-m", "pip", "install", "--no-deps", "--editable", ".")
        listed = process.run("conda", "list", "--prefix", ".venv", "--explicit", "--md5", cwd=root)
        files.write_text(root / "environment.lock", listed.stdout)


class Pixi:
    tool = "pixi"
    command = "pixi install"

    def make(self, root: Path, python_version: str) -> None:
        del python_version  # pixi.toml says it
        _run(root, "pixi", "install")


class Poetry:
    tool = "poetry"
    command = "poetry install"

    def make(self, root: Path, python_version: str) -> None:
        _run(root, "poetry", "env", "use", python_version)
        _run(root, "poetry", "install")


class Unmanaged:
    tool = ""
    command = ""

    def make(self, root: Path, python_version: str) -> None:
        """Nothing to make: the interpreter is there already."""


MANAGERS: Mapping[EnvManager, Manager] = {
    EnvManager.UV: Uv(),
    EnvManager.VENV: Venv(),
    EnvManager.CONDA: Conda(),
    EnvManager.PIXI: Pixi(),
    EnvManager.POETRY: Poetry(),
    EnvManager.NONE: Unmanaged(),
}

# What the pipeline and the hooks of an unmanaged project will ask its interpreter for.
_NEEDED = {
    "dvc": "dvc",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "pandas": "pandas",
    "pandera": "pandera",
    "pre_commit": "pre-commit",
    "pyarrow": "pyarrow",
    "pytest": "pytest",
    "ruamel": "ruamel.yaml",
    "ruff": "ruff",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "yaml": "pyyaml",
}

# find_spec only looks: importing them would take seconds.
_LOOK = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
json.dump({"version": "%d.%d" % sys.version_info[:2], "missing": missing}, sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The interpreter of a project whose environment is not managed, and what it lacks."""

    path: Path
    version: str
    missing: tuple[str, ...]


def interpreter(named: Path | None, environ: Mapping[str, str] = os.environ) -> Interpreter:
    """The interpreter named, else the active environment's, else the one mlproj runs in.

    Raises ConfigError if it is not one, or is too old or too new for the project's packages.
    """
    path = Path(os.path.abspath((named or active_python(environ)).expanduser()))  # noqa: PTH100 - resolve() would leave the environment
    if path.is_dir() and (path / "bin" / "python").is_file():
        path = path / "bin" / "python"
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ConfigError(
            f"`{path}` is not a program: no Python interpreter is there",
            hint="name the environment's own with `--interpreter PATH`, such as `.venv/bin/python`",
        )
    found = look(path)
    if found.version not in PYTHON_VERSIONS:
        raise ConfigError(
            f"`{path}` is Python {found.version}; the project's packages run on {', '.join(PYTHON_VERSIONS)}",
            hint="name another with `--interpreter PATH`",
        )
    return found


def look(path: Path) -> Interpreter:
    """Ask an interpreter its version and what it lacks. Raises ConfigError if it is none."""
    done = process.run(path, "-I", "-c", _LOOK, *_NEEDED, check=False)
    try:
        said = json.loads(done.stdout)
        version, missing = str(said["version"]), said["missing"]
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f"`{path}` is not a Python interpreter",
            hint="name one with `--interpreter PATH`",
        ) from None
    return Interpreter(path=path, version=version, missing=tuple(_NEEDED[name] for name in missing))


def freeze(root: Path, python: Path) -> None:
    """Write what is installed to `requirements.lock`: a run must be able to say which environment it had."""
    frozen = process.run(_uv(), "pip", "freeze", "--python", python, "--exclude-editable", cwd=root)
    files.write_text(root / "requirements.lock", frozen.stdout)


def relock(root: Path) -> None:
    """Make `uv.lock` anew, keeping the versions it has where they still fit. Raises ToolError."""
    process.run(_uv(), "lock", "--quiet", cwd=root)


def is_available(manager: Manager) -> bool:
    return not manager.tool or shutil.which(manager.tool) is not None


def _uv() -> str:
    from uv import find_uv_bin

    return find_uv_bin()


def _run(root: Path, *command: str) -> None:
    # An environment that happens to be active is not the one to fill.
    first = root / ".venv" / "bin"
    if sys.stderr.isatty():
        code = process.stream(*command, cwd=root, path_first=first)
        if code != 0:
            raise process.failure([Path(command[0]).name, *command[1:]], code, "")
    else:
        # In a log, two hundred package names say little; a failure says them all.
        process.run(*command, cwd=root, path_first=first)


def _compiling(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    # Compiling every package at once takes longer than installing them; it pays only where Python is told
    # to keep nothing it compiles, and every command would start three times slower for it.
    return ("--compile-bytecode",) if environ.get("PYTHONDONTWRITEBYTECODE") else ()
