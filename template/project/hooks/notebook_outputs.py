#!/usr/bin/env python3
"""Refuse notebooks with outputs: they hide data in git, and every run changes them.

    notebook_outputs.py FILE...           say which have outputs
    notebook_outputs.py --clear FILE...   take them out

Nothing is cleared without being asked: an output may have taken hours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OUTPUT = re.compile(r"""\"outputs\":\s*\[\s*(?=[^\s\]])|\"execution_count\":\s*(?=\d)""")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Refuse notebooks with outputs.")
    parser.add_argument("--clear", action="store_true", help="take the outputs out")
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args(argv)
    found = False
    for path in args.files:
        try:
            text = path.read_text(encoding="utf-8")
            notebook = json.loads(text)
        except (OSError, ValueError) as error:
            found = True
            print(f"{path}:{getattr(error, 'lineno', 1)}: not a notebook: {error}")
            continue
        cells = [cell for cell in notebook.get("cells", []) if _has_outputs(cell)]
        if not cells:
            continue
        if args.clear:
            _clear(cells)
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
            print(f"{path}: outputs cleared, of cells: {len(cells)}")
        else:
            found = True
            print(
                f"{path}:{_line(text)}: cells with outputs: {len(cells)}; "
                f"run `{_runner()}{sys.argv[0]} --clear '{path}'` and add it again"
            )
    return int(found)


def _line(text: str) -> int:
    """The line of the first output, or of the first count of an execution."""
    first = OUTPUT.search(text)
    return text.count("\n", 0, first.end()) + 1 if first else 1


def _runner() -> str:
    return "hooks/run python " if Path("hooks/run").is_file() else ""


def _has_outputs(cell: dict[str, Any]) -> bool:
    return bool(cell.get("outputs")) or cell.get("execution_count") is not None


def _clear(cells: list[dict[str, Any]]) -> None:
    for cell in cells:
        cell["outputs"] = []
        cell["execution_count"] = None


if __name__ == "__main__":
    sys.exit(main())
