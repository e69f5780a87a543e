"""What tests share beside fixtures: the program as users run it, and a fence around it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

Run = Callable[..., subprocess.CompletedProcess[str]]


GITCONFIG = """\
[user]
	name = Test User
	email = test@localhost
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[gc]
	auto = 0
"""
# What would let a developer's own set-up into a test.
_FOREIGN = (
    "GIT_",
    "XDG_",
    "DVC_",
    "MLFLOW_",
    "VIRTUAL_ENV",
    "CONDA_",
    "SOURCE_DATE_EPOCH",
    "GITHUB_",
    "MAKE",
    "MFLAGS",
)


def fenced(home: Path) -> dict[str, str]:
    """The environment of a process that has an empty home and a git that knows a user and nothing else."""
    (home / ".gitconfig").write_text(GITCONFIG, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    # A download once made is not made again by every test.
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return {
        **kept,
        "HOME": str(home),
        "UV_CACHE_DIR": cache,
        "NO_COLOR": "1",
        "DVC_NO_ANALYTICS": "true",
        # DVC keeps its locks and its hash cache outside the home unless it is told otherwise.
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
    }


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that takes long to make, made by whichever process of a test run needs it first."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = factory.mktemp(name)
        make(folder)
        return folder
    folder = factory.getbasetemp().parent / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / ".made").touch()
    return folder


def run_mlproj(
    *words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program as users do; its output is text, its exit code is for the test to check."""
    return subprocess.run(
        [sys.executable, "-m", "mlproj", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=900,
        check=False,
    )
