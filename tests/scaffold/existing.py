"""Repositories that mlproj did not make, laid out as their own documentation says."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.scaffold.upgrading import commit, git, put

TABLE = "visit,age,plan,left\n" + "".join(
    f"v-{row:03},{20 + row * 7 % 50},{('basic', 'plus', 'pro')[row % 3]},{'yes' if row % 10 < 3 else 'no'}\n"
    for row in range(120)
)

# The user's own stages, with comments and a spelling that nobody should touch.
STAGES = """\
# How we do it.
stages:
  # every Monday
  make_dataset:
    cmd: head -n 51 data/raw/visits.csv > data/interim/visits.csv   # 50 rows will do
    deps: [data/raw/visits.csv]
    outs:
      - data/interim/visits.csv

  fit:
    cmd: wc -l < data/interim/visits.csv > models/model.txt
    deps:
      - data/interim/visits.csv
    outs: [models/model.txt]
    meta: {owner: "the team"}
"""

IGNORED = "/data/**\n!/data/**/\n!/data/**/.gitkeep\n!/data/**/.gitignore\n!/data/**/*.dvc\n.venv\n"

_FOLDERS = (
    "data/external",
    "data/interim",
    "data/processed",
    "data/raw",
    "models",
    "notebooks",
    "references",
)

# cookiecutter-data-science 2, "Directory structure" of its documentation.
CCDS_2: Mapping[str, str] = {
    **{f"{folder}/.gitkeep": "" for folder in (*_FOLDERS, "reports/figures", "docs")},
    **{f"visits/{name}.py": "" for name in ("__init__", "config", "dataset", "features", "plots")},
    **{f"visits/modeling/{name}.py": "" for name in ("__init__", "train", "predict")},
    "Makefile": "requirements:\n\tpip install -r requirements.txt\n",
    "README.md": "# visits\n",
    "LICENSE": "The MIT License (MIT)\n",
    "requirements.txt": "pandas\nruff\n",
    ".gitignore": IGNORED,
    "pyproject.toml": (
        '[build-system]\nrequires = ["flit_core >=3.2,<4"]\nbuild-backend = "flit_core.buildapi"\n\n'
        '[project]\nname = "visits"\nversion = "0.0.1"\ndescription = "Who comes back."\n'
        'requires-python = "~=3.11.0"\n\n[tool.ruff]\nline-length = 99\n'
    ),
}

# cookiecutter-data-science 1.
CCDS_1: Mapping[str, str] = {
    **{f"{folder}/.gitkeep": "" for folder in (*_FOLDERS, "reports/figures")},
    "src/__init__.py": "",
    "src/data/make_dataset.py": "",
    "src/features/build_features.py": "",
    "src/models/train_model.py": "",
    "src/visualization/visualize.py": "",
    "docs/conf.py": "",
    "setup.py": "from setuptools import setup\n\nsetup(name='src')\n",
    "test_environment.py": "",
    "tox.ini": "[flake8]\n",
    "requirements.txt": "-e .\nsphinx\n",
    ".gitignore": "/data/\n.env\n",
    "Makefile": "data:\n\tpython src/data/make_dataset.py\n",
}

# kedro new, with none of its tools.
KEDRO: Mapping[str, str] = {
    "pyproject.toml": (
        '[project]\nname = "visits-flow"\nrequires-python = ">=3.10"\ndependencies = ["kedro~=1.0"]\n\n'
        '[tool.kedro]\npackage_name = "visits_flow"\nproject_name = "Visits Flow"\n'
        'kedro_init_version = "1.0.0"\n'
    ),
    "conf/base/catalog.yml": "",
    "conf/base/parameters.yml": "",
    "notebooks/.gitkeep": "",
    "data/01_raw/.gitkeep": "",
    "src/visits_flow/__init__.py": "",
    "src/visits_flow/pipeline_registry.py": "",
    "src/visits_flow/settings.py": "",
    "requirements.txt": "kedro\n",
    ".gitignore": "conf/local/**\n",
}

# What most work begins as.
FOLDER: Mapping[str, str] = {
    "visits.csv": TABLE,
    "Untitled.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n',
    "old/Untitled1.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n',
}


def make(root: Path, files: Mapping[str, str]) -> Path:
    """The files in a git repository with one commit."""
    root.mkdir(parents=True)
    put(root, {**files})
    git(root, "init", "--quiet")
    commit(root, "as it was")
    return root


def with_stages(root: Path) -> Path:
    """A CCDS 2 repository with two stages and a table of their own."""
    make(root, {**CCDS_2, "dvc.yaml": STAGES})
    (root / "data/raw/visits.csv").write_text(TABLE)
    return root


def put_store(root: Path, name: str = "runs.db") -> None:
    """A database with the tables that tell an MLflow store from another."""
    with closing(sqlite3.connect(root / name)) as store:
        store.execute("CREATE TABLE experiments (id INTEGER)")
        store.execute("CREATE TABLE runs (id INTEGER)")
        store.commit()


def answered(place: Path, words: list[str], answers: list[str]) -> int:
    """The exit code of a run in a terminal where somebody types the answers."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mlproj", *words],
        cwd=place,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        os.close(follower)
        os.write(leader, "".join(f"{answer}\n" for answer in answers).encode())
        said, _ = child.communicate(timeout=120)
    os.close(leader)
    assert b"Traceback" not in said, said.decode()
    return child.returncode
