"""YAML taken apart by the marks that its parser leaves, so that every comment stays where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from mlproj.scaffold.keyed_items import Item, Unreadable, split_top, unique


def read(text: str) -> Item:
    """The document as an Item. Raises Unreadable."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        value = yaml.safe_load(text) if root is not None else None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if root is None:
        return Item(key="", value={}, kind="mapping", head="".join(lines))
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise Unreadable("the document is not a block of keys")
    reader = _Reader(lines)
    children, end = reader.mapping(root, value, start=0)
    top, lead = split_top(children[0].lead.splitlines(keepends=True))
    first = replace(children[0], lead=lead)
    return Item(
        key="",
        value=value,
        kind="mapping",
        head=top,
        children=(first, *children[1:]),
        foot="".join(lines[end:]),
        indent=root.start_mark.column,
    )


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._seen: set[int] = set()

    def mapping(self, node: yaml.MappingNode, value: Any, *, start: int) -> tuple[tuple[Item, ...], int]:
        """The entries, and the line after the last one's; `start` is the line after what came before."""
        self._once(node)
        children = []
        for key, inside in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable("a key is not a word")
            self._once(key)
            known = next((k for k in value if _spelt(k, key)), None) if isinstance(value, dict) else None
            if known is None:
                raise Unreadable(f"`{key.value}` is a key of a kind that is not followed")
            item, start = self._entry(key.value, key.start_mark.line, inside, value[known], start=start)
            children.append(item)
        return unique(children), start

    def sequence(self, node: yaml.SequenceNode, value: Any, *, start: int) -> tuple[tuple[Item, ...], int]:
        self._once(node)
        children = []
        for inside, one in zip(node.value, value, strict=True):
            item, start = self._entry(_identity(one), inside.start_mark.line, inside, one, start=start)
            children.append(item)
        return unique(children), start

    def _entry(self, key: str, line: int, node: yaml.Node, value: Any, *, start: int) -> tuple[Item, int]:
        if line < start:
            raise Unreadable("two entries share a line")
        lead = "".join(self._lines[start:line])
        children: tuple[Item, ...] = ()
        if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)):
            is_below = not node.flow_style and node.start_mark.line > line
            if is_below and isinstance(node, yaml.MappingNode):
                children, end = self.mapping(node, value, start=line + 1)
            elif is_below and isinstance(node, yaml.SequenceNode):
                children, end = self.sequence(node, value, start=line + 1)
        if children:
            return (
                Item(
                    key=key,
                    value=value,
                    kind="mapping" if isinstance(node, yaml.MappingNode) else "sequence",
                    lead=lead,
                    head=self._lines[line],
                    children=children,
                    indent=node.start_mark.column,
                ),
                end,
            )
        end = max(line + 1, self._end(node))
        return Item(key=key, value=value, lead=lead, head="".join(self._lines[line:end])), end

    def _end(self, node: yaml.Node) -> int:
        """The line after the node's last."""
        self._once(node)
        if isinstance(node, yaml.ScalarNode):
            if node.style in ("|", ">"):
                return self._without_blank(node.end_mark.line)
            return node.end_mark.line + 1
        inside = [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
        ends = [self._end(each) for each in inside]
        is_flow = isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and node.flow_style
        return node.end_mark.line + 1 if is_flow else max(ends)

    def _without_blank(self, end: int) -> int:
        while end and not self._lines[end - 1].strip():
            end -= 1
        return end

    def _once(self, node: yaml.Node) -> None:
        # An alias is the very node it stands for, with the marks of the other place.
        if id(node) in self._seen:
            raise Unreadable("the document has aliases")
        self._seen.add(id(node))


def _spelt(value: Any, key: yaml.ScalarNode) -> bool:
    return value == key.value or (not isinstance(value, str) and value == yaml.safe_load(key.value))


def _identity(value: Any) -> str:
    """What tells an entry of a list from the others: `file` of `file: {cache: false}`, else all of it."""
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value)))
    return str(value)
