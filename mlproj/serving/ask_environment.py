"""What an environment is. Runs with its own interpreter, which may know nothing of mlproj.

Answers with one JSON object on stdout: `python`, `platform`, `cpu`, `blas` (as threadpoolctl describes the
libraries, null where it is not installed), and `packages`, all of them, by name.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any


def main() -> None:
    packages: dict[str, str] = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name:
            packages.setdefault(re.sub(r"[-_.]+", "-", name).lower(), each.version)
    said = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "blas": blas(),
        "packages": packages,
    }
    json.dump(said, sys.stdout)


def cpu() -> str:
    """The processor's name, as training records it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def blas() -> list[dict[str, Any]] | None:
    # Each brings a library of its own.
    for name in ("numpy", "scipy.linalg"):
        with contextlib.suppress(ImportError):
            import_module(name)
    try:
        found: list[dict[str, Any]] = import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return None
    return found


if __name__ == "__main__":
    main()
