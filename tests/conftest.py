"""What every test stands on: a home of its own, the program as users run it, and the real tables."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support import SHARED_DATA, Run, fenced, run_mlproj

# A shell that starts us in the background ignores Ctrl-C for us and all our children, whom tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolate(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs behind the fence; returns the home."""
    home = tmp_path_factory.mktemp("home")
    environ = fenced(home)
    for name in set(os.environ) - set(environ):
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def mlproj() -> Run:
    return run_mlproj


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
