"""TOML taken apart line by line: a statement is the fewest lines that the parser takes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mlproj.scaffold.keyed_items import Item, Unreadable, split_top, unique

_STRING_LINE = re.compile(r"""^\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*(,?)\s*(?:\#.*)?$""")
_OPENING = re.compile(r"^[^\[#]*=\s*\[\s*(?:#.*)?$")
# A requirement is told from others by its name, so that a new bound is a change and not another package.
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:$|[\[<>=!~;@(\s].*)")


def read(text: str) -> Item:
    """The document as an Item: tables, their keys, and arrays of one string a line. Raises Unreadable."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from None
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    top: list[Item] = []
    table: Item | None = None
    inside: list[Item] = []
    foot = ""

    def close() -> None:
        nonlocal table
        if table is not None:
            key = table.key + (
                repr([child.value for child in inside]) if table.key.startswith("array") else ""
            )
            values = {child.key: child.value for child in inside}
            top.append(replace(table, key=key, value=values, children=unique(inside)))
        table = None
        inside.clear()

    for lead, statement in _statements(lines):
        if not statement:
            foot = lead
        elif statement.lstrip().startswith("["):
            close()
            table = Item(key=_name(statement), value=None, kind="mapping", lead=lead, head=statement)
        else:
            (inside if table is not None else top).append(_entry(lead, statement))
    close()
    head = ""
    if top:
        head, lead = split_top(top[0].lead.splitlines(keepends=True))
        top[0] = replace(top[0], lead=lead)
    return Item(key="", value=value, kind="mapping", head=head, children=unique(top), foot=foot)


def _statements(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The comments and blank lines above a statement, and the statement; at the end, those below the last."""
    lead, statement = "", ""
    for line in lines:
        if not statement and (not line.strip() or line.lstrip().startswith("#")):
            lead += line
            continue
        statement += line
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        yield lead, statement
        lead, statement = "", ""
    if statement:
        raise Unreadable("the last statement does not end")
    yield lead, ""


def _name(header: str) -> str:
    found: Any = tomllib.loads(header)
    names = []
    while found:
        if isinstance(found, list):
            found = found[0]
            continue
        names.append(next(iter(found)))
        found = found[names[-1]]
    return ("array " if header.lstrip().startswith("[[") else "table ") + repr(names)


def _entry(lead: str, statement: str) -> Item:
    found: Any = tomllib.loads(statement)
    names = []
    # A dotted key nests one table in another; an inline table that looks the same is told apart by its brace.
    depth = len(_dotted(statement))
    for _ in range(depth):
        names.append(next(iter(found)))
        found = found[names[-1]]
    key = repr(names)
    children = _strings(statement, found)
    if children is None:
        return Item(key=key, value=found, lead=lead, head=statement)
    lines = statement.splitlines(keepends=True)
    items, foot = children
    indent = len(items[0].head) - len(items[0].head.lstrip())
    return Item(
        key=key,
        value=found,
        kind="sequence",
        lead=lead,
        head=lines[0],
        children=items,
        foot=foot + lines[-1],
        indent=indent,
    )


def _dotted(statement: str) -> list[str]:
    """The parts of the key before the first `=` outside quotes."""
    parts, quote, word = [], "", ""
    for letter in statement:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "=":
            break
        elif letter == ".":
            parts.append(word)
            word = ""
            continue
        word += letter
    return [*parts, word]


def _strings(statement: str, value: Any) -> tuple[tuple[Item, ...], str] | None:
    """The entries of an array that has one string a line, and what stands below the last."""
    lines = statement.splitlines(keepends=True)
    if not isinstance(value, list) or len(lines) < 3 or not _OPENING.match(lines[0].rstrip()):
        return None
    if not lines[-1].lstrip().startswith("]"):
        return None
    found: list[tuple[str, str]] = []
    lead = ""
    for line in lines[1:-1]:
        if not line.strip() or line.lstrip().startswith("#"):
            lead += line
            continue
        match = _STRING_LINE.match(line.rstrip("\n"))
        if match is None:
            return None
        # The last entry may go without its comma; in front of another it may not.
        whole = line if match[2] else line[: match.end(1)] + "," + line[match.end(1) :]
        found.append((lead, whole))
        lead = ""
    if len(found) != len(value) or not found:
        return None
    names = [_REQUIREMENT.fullmatch(one) for one in value]
    keys = [match[1].lower() for match in names if match]
    if len(keys) != len(value) or len({*keys}) != len(keys):
        keys = value
    items = (
        Item(key=key, value=one, lead=above, head=line)
        for key, one, (above, line) in zip(keys, value, found, strict=True)
    )
    return unique(items), lead
