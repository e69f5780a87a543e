#!/usr/bin/env python3
"""Refuse files too large for git: data and models belong under DVC.

    large_files.py [--limit-kb N] FILE...

Lock files are let through: they are text, compress well, and belong in git whatever their size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

LIMIT_KB = 1024
LOCK_FILES = {"uv.lock", "poetry.lock", "pixi.lock", "requirements.lock", "environment.lock"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Refuse files too large for git.")
    parser.add_argument("--limit-kb", type=int, default=LIMIT_KB)
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args(argv)
    runner = "hooks/run " if Path("hooks/run").is_file() else ""
    found = False
    for path in args.files:
        if path.name in LOCK_FILES or not path.is_file():
            continue
        size_kb = path.stat().st_size / 1024
        if size_kb > args.limit_kb:
            found = True
            print(
                f"{path}: {size_kb:,.0f} KB is more than git should hold ({args.limit_kb:,} KB); "
                f"run `git rm --cached '{path}'`, then `{runner}dvc add '{path}'`"
            )
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
