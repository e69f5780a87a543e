from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlproj.base import lock
from mlproj.base.errors import MlprojError


def test_the_second_is_told_who_does_what_since_when(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(path, doing="mlproj stage data"):
        program = (
            "from pathlib import Path; from mlproj.base import lock\n"
            f"with lock.held(Path({str(path)!r}), doing='mlproj stage modeling'): print('got it')\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "`mlproj stage data` by" in done.stderr
    assert "process" in done.stderr


def test_a_lock_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import os; from pathlib import Path; from mlproj.base import lock\n"
        f"with lock.held(Path({str(path)!r}), doing='x'): os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -9
    with lock.held(path, doing="y"):
        assert '"y"' in path.read_text()


def test_a_lock_is_let_go_when_the_work_fails(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), lock.held(path, doing="x"):
        raise ZeroDivisionError
    with lock.held(path, doing="y"):
        pass


def test_one_process_cannot_take_a_lock_twice(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        lock.held(path, doing="x"),
        pytest.raises(MlprojError, match="another command works"),
        lock.held(path, doing="y"),
    ):
        pass
