"""The memory of a process that is loaded, on machines that have little installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mlproj.flows import load


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_memory_is_read_where_no_program_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    before = load._memory_mb(os.getpid())
    assert before is not None
    held = b"x" * 100_000_000
    after = load._memory_mb(os.getpid())
    assert after is not None
    assert 90 < after - before < 150, "in millions of bytes"
    del held


def test_memory_of_a_process_that_is_gone_is_not_measured_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitpid(gone, 0)
    assert load._memory_mb(gone) is None
    monkeypatch.setenv("PATH", "")
    assert load._memory_mb(gone) is None
