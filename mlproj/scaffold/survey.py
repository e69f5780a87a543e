"""What a repository that mlproj did not make is like. Looks at files only, and runs nothing of theirs."""

from __future__ import annotations

import os
import re
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlproj.scaffold.answers import PYTHON_VERSIONS, EnvManager, License


class Layout(StrEnum):
    CCDS_2 = "Cookiecutter Data Science, version 2"
    CCDS_1 = "Cookiecutter Data Science, version 1"
    KEDRO = "Kedro"
    FOLDER = "no layout that is known"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Paths are relative to the root. `module` is None where there is no package."""

    layout: Layout
    name: str  # as the project calls itself, else its folder's
    description: str
    module: str | None
    env_manager: EnvManager
    has_environment: bool  # whether anything says which packages are needed
    lock: str | None
    python_version: str | None
    license: License
    store: str | None  # MLflow's: a database, or a folder of files
    raw: str  # where raw data are kept
    tables: tuple[str, ...]
    notebooks: int
    has_ruff: bool
    has_dvc: bool  # DVC has been set up here, or above in the same repository
    has_hooks: bool


# Nothing in these is the project's own, and some hold a hundred thousand files.
_SKIPPED = {"__pycache__", "node_modules", "venv", "env", "site-packages", "mlruns", "mlartifacts", "dist"}
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
_NOT_PACKAGES = {"tests", "test", "docs", "notebooks", "scripts", "hooks", "references", "reports", "data"}
_DEEP = 6

_MANAGERS: Sequence[tuple[EnvManager, tuple[str, ...]]] = (
    (EnvManager.UV, ("uv.lock",)),
    (EnvManager.POETRY, ("poetry.lock",)),
    (EnvManager.PIXI, ("pixi.lock", "pixi.toml")),
    (EnvManager.CONDA, ("environment.yml", "environment.yaml")),
)
_LOCKS = (
    *("uv.lock", "poetry.lock", "pixi.lock", "conda-lock.yml", "Pipfile.lock", "requirements.lock"),
    *("environment.lock", "requirements.txt", "environment.yml", "src/requirements.txt"),
)
_NEEDS = (
    *("pyproject.toml", "requirements.txt", "environment.yml", "environment.yaml", "Pipfile", "pixi.toml"),
    *("setup.py", "setup.cfg", "src/requirements.txt"),
)


def look(root: Path, *, top: Path | None = None) -> Survey:
    """Look at the folder `root`; `top` is the root of the git work tree it is in, if it is in one."""
    settings = _settings(root)
    files = [path for path, _ in _walk(root)]
    module = _module(root, settings)
    layout = _layout(root, settings, module)
    raw = "data/01_raw" if layout is Layout.KEDRO else "data/raw"
    needs = [name for name in _NEEDS if (root / name).is_file()]
    words = "\n".join(_text(root / name) for name in [*needs, "Makefile", "ruff.toml"])
    return Survey(
        layout=layout,
        name=_name(root, settings),
        description=str(_table(settings, "project").get("description") or ""),
        module=module,
        env_manager=_manager(root, settings),
        has_environment=any(name != "pyproject.toml" or _declares(settings) for name in needs),
        lock=next((name for name in _LOCKS if (root / name).is_file()), None),
        python_version=_python(root, settings),
        license=_license(root),
        store=_store(root),
        raw=raw,
        tables=tuple(sorted(path for path in files if path.lower().endswith(_TABLES))),
        notebooks=sum(path.endswith(".ipynb") for path in files),
        has_ruff=bool(re.search(r"\bruff\b", words)) or (root / "ruff.toml").is_file(),
        has_dvc=any((folder / ".dvc").is_dir() for folder in {root, top or root}),
        has_hooks=(root / ".pre-commit-config.yaml").is_file(),
    )


def _settings(root: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _table(said: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        inside = said.get(name)
        said = inside if isinstance(inside, dict) else {}
    return said


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED and entry.name[0] != "." and depth < _DEEP:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path).relative_to(root).as_posix(), entry


def _layout(root: Path, settings: Mapping[str, Any], module: str | None) -> Layout:
    if _table(settings, "tool", "kedro"):
        return Layout.KEDRO
    folders = sum((root / "data" / name).is_dir() for name in ("external", "interim", "processed", "raw"))
    # git keeps no empty folder, so a clone may have lost some of them.
    folders += sum((root / name).is_dir() for name in ("references", "reports", "models", "notebooks"))
    if folders < 4:
        return Layout.FOLDER
    if (root / "src" / "__init__.py").is_file() or (root / "test_environment.py").is_file():
        return Layout.CCDS_1
    return Layout.CCDS_2 if module is not None else Layout.FOLDER


def _module(root: Path, settings: Mapping[str, Any]) -> str | None:
    """The package: the one that `pyproject.toml` names, else the only one there is."""
    tool = _table(settings, "tool")
    named = [
        _table(tool, "kedro").get("package_name"),
        _table(tool, "flit", "module").get("name"),
        *(_table(tool, "hatch", "build", "targets", "wheel").get("packages") or ()),
        *(each.get("include") for each in _table(tool, "poetry").get("packages") or () if each),
        _table(settings, "project").get("name") or _table(tool, "poetry").get("name"),
    ]
    for name in named:
        folder = str(name or "").split("/")[-1].replace("-", "_").lower()
        if folder and _package(root, folder):
            return folder
    if (root / "src" / "__init__.py").is_file():
        return "src"
    found = [
        folder.name
        for place in (root, root / "src")
        for folder in sorted(place.iterdir() if place.is_dir() else ())
        if (folder / "__init__.py").is_file() and folder.name not in _NOT_PACKAGES
    ]
    return found[0] if len(found) == 1 else None


def _package(root: Path, name: str) -> bool:
    return any((place / name / "__init__.py").is_file() for place in (root, root / "src"))


def _name(root: Path, settings: Mapping[str, Any]) -> str:
    tool = _table(settings, "tool")
    for said in (_table(settings, "project"), _table(tool, "poetry"), _table(tool, "kedro")):
        name = said.get("name") or said.get("project_name")
        if name:
            return str(name)
    return root.name


def _manager(root: Path, settings: Mapping[str, Any]) -> EnvManager:
    for manager, marks in _MANAGERS:
        if any((root / mark).is_file() for mark in marks) or manager in _table(settings, "tool"):
            return manager
    # Pipenv, Hatch and others make an environment that mlproj finds when it is active.
    return EnvManager.VENV if (root / "requirements.txt").is_file() else EnvManager.NONE


def _declares(settings: Mapping[str, Any]) -> bool:
    return bool(
        _table(settings, "project").get("dependencies")
        or "dependencies" in (_table(settings, "project").get("dynamic") or ())
        or _table(settings, "tool", "poetry")
        or _table(settings, "tool", "pixi")
    )


def _python(root: Path, settings: Mapping[str, Any]) -> str | None:
    poetry = _table(settings, "tool", "poetry", "dependencies").get("python")
    asked = _text(root / ".python-version"), _table(settings, "project").get("requires-python"), poetry
    for said in asked:
        found = re.search(r"3\.\d+", str(said or ""))
        if found:
            return found[0] if found[0] in PYTHON_VERSIONS else None
    return None


def _license(root: Path) -> License:
    says = "".join(_text(root / name)[:2000] for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"))
    for words, license in (
        ("MIT License", License.MIT),
        ("Apache License", License.APACHE),
        ("Permission is hereby granted, free of charge", License.MIT),
        ("Redistribution and use in source and binary forms", License.BSD),
    ):
        if words in says:
            return license
    return License.NONE


def _store(root: Path) -> str | None:
    for path in (root / "mlflow.db", *sorted(root.glob("*.db")), *sorted(root.glob("*.sqlite"))):
        if path.is_file() and _is_store(path):
            return path.name
    runs = root / "mlruns"
    is_store = runs.is_dir() and any((folder / "meta.yaml").is_file() for folder in runs.iterdir())
    return "mlruns" if is_store else None


def _is_store(path: Path) -> bool:
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as store:
            tables = {str(row[0]) for row in store.execute("SELECT name FROM sqlite_master")}
        store.close()
    except sqlite3.Error:
        return False
    return {"experiments", "runs"} <= tables
