"""`docs/data.md`: the datasheet that people answer, and the dictionary with one row a column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PLACEHOLDER = re.compile(r"\bTODO\b")
_FENCE = re.compile(r"^\s*(```|~~~)")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, kw_only=True)
class Datasheet:
    """The columns that the dictionary describes, in its order, and the lines still to be answered."""

    exists: bool
    columns: tuple[str, ...] = ()
    unanswered: tuple[tuple[int, str], ...] = ()


def load(path: Path) -> Datasheet:
    """Read the document; one that is missing or empty describes nothing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Datasheet(exists=False)
    columns: list[str] = []
    unanswered: list[tuple[int, str]] = []
    inside_table = inside_fence = inside_comment = False
    for number, line in enumerate(lines, 1):
        if _FENCE.match(line):
            inside_fence = not inside_fence
        inside_comment = inside_comment or "<!--" in line
        if not inside_fence and not inside_comment and _PLACEHOLDER.search(line):
            unanswered.append((number, line.strip()))
        if "-->" in line:
            inside_comment = False
        cells = _row(line)
        if cells is None:
            inside_table = False
        elif cells[0].lower() == "column":
            inside_table = True
        elif inside_table and not set(cells[0]) <= set(":- "):
            columns.append(_name(cells[0]))
    return Datasheet(exists=True, columns=tuple(columns), unanswered=tuple(unanswered))


def _row(line: str) -> list[str] | None:
    text = line.strip()
    if not text.startswith("|"):
        return None
    return [cell.strip() for cell in _CELLS.split(text.strip("|"))]


def _name(cell: str) -> str:
    """A column's name as the table holds it: Markdown's escapes and back-ticks taken away."""
    return cell.strip("`").replace("\\|", "|")
