"""A commit hook, started as pre-commit starts it, or imported to ask it many things at once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.support import REPOSITORY

HOOKS = REPOSITORY / "template" / "project" / "hooks"
NAMES = sorted(path.stem for path in HOOKS.glob("*.py"))


def hook(name: str, *args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HOOKS / f"{name}.py", *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hook_{name}", HOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(said: str) -> list[str]:
    """The places that were named: `file:line`, or `file` where a hook knows no line."""
    return [line.split(": ")[0] for line in said.splitlines()]
