#!/usr/bin/env python3
"""Refuse files with merge markers left in.

    merge_markers.py FILE...

A line of equals signs alone is no sign: Markdown and reStructuredText underline headings with it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# Put together, so that this file does not refuse itself.
MARKERS = (b"<" * 7 + b" ", b">" * 7 + b" ", b"|" * 7 + b" ")


def main(argv: Sequence[str] | None = None) -> int:
    found = False
    for name in sys.argv[1:] if argv is None else argv:
        path = Path(name)
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.startswith(MARKERS):
                    found = True
                    marker = line.split(b" ", 1)[0].decode()
                    print(f"{path}:{number}: a merge marker, `{marker}`, was left in")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
