"""A settings file as nested items, each with its key, its value and the very lines it stands in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["leaf", "mapping", "sequence"]


class Unreadable(Exception):
    """The text cannot be taken apart by key: it is not valid, or uses what the reader does not follow."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of a mapping or a sequence. `lead` + `head` + its children + `foot` is its text, whole.

    `key` tells it from its siblings. `indent` is that of its children, in spaces. The whole document is an
    Item as well, with neither key nor lead.
    """

    key: str
    value: Any
    kind: Kind = "leaf"
    lead: str = ""  # comments and blank lines above it
    head: str = ""  # a leaf's own lines; else the lines before the first child
    children: tuple[Item, ...] = ()
    foot: str = ""
    indent: int = 0

    @property
    def body(self) -> str:
        return self.head + "".join(child.text for child in self.children) + self.foot

    @property
    def text(self) -> str:
        return self.lead + self.body


def unique(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items, if no two have one key. Raises Unreadable otherwise."""
    found: dict[str, Item] = {}
    for item in items:
        if item.key in found:
            raise Unreadable(f"`{item.key}` is there twice")
        found[item.key] = item
    return tuple(found.values())


def split_top(lines: list[str]) -> tuple[str, str]:
    """What is said at the top of a file of the file itself, and what is said of its first entry."""
    last = max((number for number, line in enumerate(lines) if not line.strip()), default=-1)
    return "".join(lines[: last + 1]), "".join(lines[last + 1 :])
