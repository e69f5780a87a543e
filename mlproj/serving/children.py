"""What the supervisor's child processes have in common: being ended, being started again, being told of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from mlproj.project import POSTGRES
from mlproj.serving.settings import TOKEN

# The pauses before a child is started again, in seconds.
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# One that has run this long has recovered: its next crash is a first one.
STEADY_S = 60.0


def pause_s(failures: int, *, most_s: float = BACKOFF_S[-1]) -> float:
    """How long to wait after that many failures in a row."""
    return min(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)], most_s)


async def ended(process: asyncio.subprocess.Process, patience_s: float) -> None:
    """Wait for a process that was asked to end; then insist."""
    try:
        await asyncio.wait_for(process.wait(), patience_s)
    except TimeoutError:
        kill(process)
        await process.wait()


def terminate(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A worker sees its own environment only, and no secret; the caches of Python are its friends."""
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", TOKEN, POSTGRES)
    return {name: value for name, value in environ.items() if name not in foreign}


def parsed(line: bytes) -> Mapping[str, Any]:
    """One line of JSON as it was said; nothing where it is none."""
    try:
        said = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return said if isinstance(said, dict) else {}


def say(text: str) -> None:
    """Into the supervisor's log."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} {text}", file=sys.stderr, flush=True)
