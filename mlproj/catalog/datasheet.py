"""`docs/data.md`: the datasheet that people answer, and the dictionary with one row a column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PLACEHOLDER = re.compile(r"\b(?:TODO|TBD)\b")
_QUESTION = re.compile(r"^\s*(?:[-*] |#+ )\**(.+?)\**\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, kw_only=True)
class Datasheet:
    """The columns that the dictionary describes, in its order; the questions still open, each with its line;
    and the columns whose row still has a placeholder."""

    exists: bool
    columns: tuple[str, ...] = ()
    unanswered: tuple[tuple[int, str], ...] = ()
    undescribed: tuple[str, ...] = ()


def load(path: Path) -> Datasheet:
    """Read the document; one that is missing or empty describes nothing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Datasheet(exists=False)
    columns: list[str] = []
    undescribed: list[str] = []
    unanswered: list[tuple[int, str]] = []
    inside_table = inside_fence = inside_comment = False
    question = ""
    for number, line in enumerate(lines, 1):
        if _FENCE.match(line):
            inside_fence = not inside_fence
        inside_comment = inside_comment or "<!--" in line
        is_open = bool(_PLACEHOLDER.search(line)) and not inside_fence and not inside_comment
        if "-->" in line:
            inside_comment = False
        cells = _row(line)
        if cells is None:
            inside_table = False
            asked = _QUESTION.match(line)
            question = asked.group(1) if asked else question
            if is_open:
                unanswered.append((number, question or line.strip()))
        elif cells[0].lower() == "column":
            inside_table = True
        elif inside_table and not set(cells[0]) <= set(":- "):
            columns.append(_name(cells[0]))
            undescribed += [columns[-1]] if is_open else []
    return Datasheet(
        exists=True,
        columns=tuple(columns),
        unanswered=tuple(unanswered),
        undescribed=tuple(undescribed),
    )


def _row(line: str) -> list[str] | None:
    text = line.strip()
    if not text.startswith("|"):
        return None
    return [cell.strip() for cell in _CELLS.split(text.strip("|"))]


def _name(cell: str) -> str:
    """A column's name as the table holds it: Markdown's escapes and back-ticks taken away."""
    return cell.strip("`").replace("\\|", "|")
