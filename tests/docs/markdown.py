"""The little that the tests need to know about Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPOSITORY

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))

_FENCE = re.compile(r"(?:<!-- exits (?P<code>\d+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\((?P<to>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. `exits` is what its last command exits with, from a comment above it."""

    kind: str
    text: str
    exits: int = 0

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines: those after a `$` in a transcript, all of them in a script."""
        if self.kind == "console":
            return tuple(line[2:] for line in self.text.splitlines() if line.startswith("$ "))
        if self.kind == "sh":
            whole = self.text.replace("\\\n", " ")
            return tuple(line for line in whole.splitlines() if line.strip())
        return ()


def blocks(page: Path) -> Iterator[Block]:
    for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Block(kind=found["kind"], text=found["text"], exits=int(found["code"] or 0))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    return [found["to"] or found["image"] for found in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: Path, heading: str) -> dict[str, tuple[str, ...]]:
    """The rows of the first table below a heading, by their first cell without backticks."""
    below = re.split(rf"^#+ {re.escape(heading)}$", page.read_text(encoding="utf-8"), flags=re.M)[1]
    rows: dict[str, tuple[str, ...]] = {}
    for line in below.splitlines():
        if line.startswith("|"):
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            rows[first.strip("`")] = tuple(rest)
        elif rows:
            break
    return dict(list(rows.items())[2:])
