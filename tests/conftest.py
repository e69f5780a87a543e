"""What every test stands on: a home of its own, the program as users run it, and the real tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def isolate(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and a git that knows a user and nothing else; returns the home."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "DVC_", "MLFLOW_", "MLPROJ_HOME")) or name in {
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "SOURCE_DATE_EPOCH",
            "GITHUB_ACTIONS",
        }:
            monkeypatch.delenv(name)
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    monkeypatch.setenv("UV_CACHE_DIR", cache)  # a download once made is not made again by every test
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    # DVC keeps its locks and hash cache outside the home unless it is told otherwise.
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc"))
    monkeypatch.setenv("MPLCONFIGDIR", str(home / "matplotlib"))
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test User\n\temail = test@localhost\n"
        "[init]\n\tdefaultBranch = main\n[commit]\n\tgpgsign = false\n[gc]\n\tauto = 0\n",
        encoding="utf-8",
    )
    return home


@pytest.fixture
def mlproj() -> Run:
    """Run the program as users do; its output is text, its exit code is for the test to check."""

    def run(*words: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mlproj", *map(str, words)],
            cwd=cwd,
            env={**os.environ, **env},
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables, which is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real tables are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def project_python() -> Path:
    """An interpreter with all that a generated repository needs; `make test` builds it."""
    named = os.environ.get("MLPROJ_TEST_PYTHON")
    if not named or not Path(named).is_file():
        pytest.skip("MLPROJ_TEST_PYTHON does not name an interpreter with DVC and MLflow; run `make test`")
    return Path(named)
