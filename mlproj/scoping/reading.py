"""From YAML nodes to plain values by the table of keys, noting what is wrong and what is unanswered."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import yaml

from mlproj.base.errors import nearest
from mlproj.scoping.keys import SECTIONS, Holds, Key
from mlproj.scoping.scope import Problem, ProblemKind, Question, Section, Severity, Why, number

_PLACEHOLDER = re.compile(r"\b(?:TODO|TBD)\b")
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*)(?:\.[\d_]*)?(?:[eE][-+]\d+)?|[-+]?\.\d[\d_]*(?:[eE][-+]\d+)?")
_PERCENT = re.compile(r"([\d.]+)\s*%")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAG, _NULL, _BOOL = f"{_TAG}str", f"{_TAG}null", f"{_TAG}bool"
_INT, _FLOAT, _MERGE = f"{_TAG}int", f"{_TAG}float", f"{_TAG}merge"
_TRUE = {"true", "yes", "on"}


@dataclass(kw_only=True)
class Fields:
    """What one mapping says: values that are right and answered, and the line of each key said at all."""

    where: str
    line: int
    values: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name)
        return tuple(str(item) for item in value) if isinstance(value, tuple) else ()

    def number(self, name: str) -> float | None:
        value = self.values.get(name)
        return value if isinstance(value, float) else None

    def flag(self, name: str) -> bool | None:
        value = self.values.get(name)
        return value if isinstance(value, bool) else None

    def date(self, name: str) -> date | None:
        value = self.values.get(name)
        return value if isinstance(value, date) else None

    def keys(self, name: str) -> Fields:
        value = self.values.get(name)
        return value if isinstance(value, Fields) else Fields(where=self.at(name), line=self.line_of(name))

    def entries(self, name: str) -> tuple[Fields, ...]:
        value = self.values.get(name)
        items = value if isinstance(value, tuple) else ()
        return tuple(item for item in items if isinstance(item, Fields))

    def line_of(self, name: str) -> int:
        return self.lines.get(name, self.line)

    def at(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name


class Reader:
    """Reads one document; `problems` and `questions` fill up on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.questions: list[Question] = []

    def fields(self, node: yaml.MappingNode, keys: tuple[Key, ...], where: str, line: int) -> Fields:
        known = {key.name: key for key in keys}
        read = Fields(where=where, line=line)
        said: dict[str, tuple[yaml.Node, int]] = {}
        for key_node, value in self._pairs(node, frozenset()):
            at = key_node.start_mark.line + 1
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if name is None:
                self.wrong(at, "a key must be a word", "put it in quotes", ProblemKind.TYPE)
            elif name not in known:
                self._unknown(name, at, read, known)
            elif name in said:
                first = said[name][1]
                self.wrong(
                    at,
                    f"`{read.at(name)}` is said twice: line {first} says it first",
                    "keep one of the two",
                    ProblemKind.DUPLICATE,
                )
            else:
                said[name] = (value, at)
        for name, key in known.items():
            if name not in said:
                self._missing(key, read.at(name), line, Why.MISSING)
                continue
            value, at = said[name]
            if key.optional and key.holds is not Holds.ENTRIES and _gap(value) is Why.EMPTY:
                continue
            read.lines[name] = at
            found = self._value(value, key, read.at(name), at)
            if found is not None:
                read.values[name] = found
        return read

    def wrong(
        self, line: int, message: str, hint: str, kind: ProblemKind, *, severity: Severity = Severity.ERROR
    ) -> None:
        self.problems.append(
            Problem(path=self.path, line=line, message=message, hint=hint, kind=kind, severity=severity)
        )

    def ask(self, where: str, line: int, asks: str, why: Why) -> None:
        section = re.split(r"[.\[]", where, maxsplit=1)[0]
        if section in SECTIONS:
            self.questions.append(
                Question(section=Section(section), key=where, asks=asks, why=why, line=line)
            )
            return
        self.wrong(
            line,
            f"`{where}` is {why}",
            "`mlproj approve` writes sign-offs: take this one out",
            ProblemKind.TYPE,
        )

    def _pairs(self, node: yaml.MappingNode, above: frozenset[int]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Keys and values, those merged in by `<<` last and only where the mapping itself is silent."""
        own = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                yield key, value
        for other in merged:
            if not isinstance(other, yaml.MappingNode) or id(other) in above | {id(node)}:
                self.wrong(
                    other.start_mark.line + 1,
                    "`<<` merges keys, and these are none",
                    "write the keys themselves",
                    ProblemKind.TYPE,
                )
                continue
            for key, value in self._pairs(other, above | {id(node)}):
                if isinstance(key, yaml.ScalarNode) and key.value not in own:
                    own.add(key.value)
                    yield key, value

    def _unknown(self, name: str, line: int, read: Fields, known: dict[str, Key]) -> None:
        meant = nearest(name, known)
        self.wrong(
            line,
            f"`{read.at(name)}` is not a key that is known",
            f"did you mean `{meant}`?" if meant else f"known here: {_listed(known)}",
            ProblemKind.UNKNOWN_KEY,
            severity=Severity.WARNING,
        )

    def _missing(self, key: Key, where: str, line: int, why: Why) -> None:
        if key.optional:
            return
        if key.holds is Holds.KEYS:
            for inner in key.keys:
                self._missing(inner, f"{where}.{inner.name}", line, why)
        else:
            self.ask(where, line, key.asks, why)

    def _value(self, node: yaml.Node, key: Key, where: str, line: int) -> object | None:
        why = _gap(node)
        if why is not None:
            if key.optional and why is not Why.EMPTY:
                self.ask(where, line, key.asks, why)
            self._missing(key, where, line, why)
            return None
        match key.holds:
            case Holds.KEYS:
                return self._keys(node, key, where, line)
            case Holds.ENTRIES | Holds.NAMES | Holds.TEXTS:
                return self._list(node, key, where, line)
            case _:
                return self._scalar(node, key, where, line)

    def _keys(self, node: yaml.Node, key: Key, where: str, line: int) -> Fields | None:
        if isinstance(node, yaml.MappingNode):
            return self.fields(node, key.keys, where, line)
        self.wrong(
            line,
            f"`{where}` must hold keys of its own",
            f"write them indented below it: {_listed({inner.name: inner for inner in key.keys})}",
            ProblemKind.TYPE,
        )
        return None

    def _list(self, node: yaml.Node, key: Key, where: str, line: int) -> tuple[object, ...] | None:
        if not isinstance(node, yaml.SequenceNode):
            hint = "begin each entry with `- `"
            if isinstance(node, yaml.ScalarNode):
                hint = f"write `{key.name}: [{node.value.strip()}]`, or begin each entry with `- `"
            self.wrong(line, f"`{where}` must be a list", hint, ProblemKind.TYPE)
            return None
        items = []
        for index, item in enumerate(node.value):
            at, here = item.start_mark.line + 1, f"{where}[{index}]"
            why = _gap(item)
            if why is not None:
                self.ask(here, at, key.asks, why)
            elif key.holds is not Holds.ENTRIES:
                items.append(self._scalar(item, key, here, at))
            elif isinstance(item, yaml.MappingNode):
                items.append(self.fields(item, key.keys, here, at))
            else:
                self.wrong(
                    at,
                    f"`{here}` must hold keys of its own",
                    f"write `- {key.keys[0].name}: ...`",
                    ProblemKind.TYPE,
                )
        return tuple(item for item in items if item is not None)

    def _scalar(self, node: yaml.Node, key: Key, where: str, line: int) -> object | None:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(line, f"`{where}` must be {_one(key.holds)}, not a list or keys", "", ProblemKind.TYPE)
            return None
        match key.holds:
            case Holds.NAME | Holds.NAMES:
                return self._name(node, where, line)
            case Holds.NUMBER:
                return self._number(node, where, line)
            case Holds.DATE:
                return self._date(node, where, line)
            case Holds.CHOICE:
                return self._choice(node, key, where, line)
            case Holds.FLAG:
                return self._flag(node, where, line)
            case _:
                return str(node.value).strip()

    def _name(self, node: yaml.ScalarNode, where: str, line: int) -> str | None:
        # Others load the document whole: what is no text to YAML would not reach them as written.
        if node.tag == _TEXT_TAG or (node.tag == _INT and node.value == str(_integer(node.value))):
            return str(node.value)
        self.wrong(
            line,
            f"`{where}`: `{node.value}` without quotes is no text to YAML",
            f'write `"{node.value}"`',
            ProblemKind.TYPE,
        )
        return None

    def _number(self, node: yaml.ScalarNode, where: str, line: int) -> float | None:
        written = node.value.strip()
        value = float(written.replace("_", "")) if _NUMBER.fullmatch(written) else math.nan
        octal = node.tag == _INT and written.lstrip("+-").startswith("0") and value != 0
        if node.tag in (_INT, _FLOAT) and math.isfinite(value) and not octal:
            return value
        self.wrong(
            line, f"`{where}` must be a number, not `{written}`", _as_number(written), ProblemKind.TYPE
        )
        return None

    def _date(self, node: yaml.ScalarNode, where: str, line: int) -> date | None:
        written = node.value.strip()
        match = _DATE.fullmatch(written)
        if match is None:
            self.wrong(
                line,
                f"`{where}` must be a date, not `{written}`",
                "write year, month and day: `2026-12-15`",
                ProblemKind.TYPE,
            )
            return None
        year, month, day = (int(part) for part in match.groups())
        try:
            return date(year, month, day)
        except ValueError:
            hint = "months go from 01 to 12, years from 0001"
            if year and 1 <= month <= 12:
                last = (date(year, month % 12 + 1, 1) - timedelta(days=1)).day
                hint = f"that month has {last} days"
            self.wrong(line, f"`{where}`: there is no {written}", hint, ProblemKind.DATE)
            return None

    def _choice(self, node: yaml.ScalarNode, key: Key, where: str, line: int) -> str | None:
        written = node.value.strip()
        if written in key.choices:
            return str(written)
        meant = nearest(written, key.choices)
        offered = f"did you mean `{meant}`? " if meant else ""
        self.wrong(
            line,
            f"`{where}` cannot be `{written}`",
            f"{offered}It is one of {_listed(key.choices)}" if offered else f"one of {_listed(key.choices)}",
            ProblemKind.CHOICE,
        )
        return None

    def _flag(self, node: yaml.ScalarNode, where: str, line: int) -> bool | None:
        if node.tag == _BOOL:
            return node.value.lower() in _TRUE
        self.wrong(line, f"`{where}` must be true or false, not `{node.value.strip()}`", "", ProblemKind.TYPE)
        return None


def _gap(node: yaml.Node) -> Why | None:
    """Why the node answers nothing, if it does not."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _NULL or not node.value.strip():
            return Why.EMPTY
        return Why.PLACEHOLDER if _PLACEHOLDER.search(node.value) else None
    return Why.EMPTY if not node.value else None


def _integer(written: str) -> int | None:
    try:
        return int(written)
    except ValueError:
        return None


def _as_number(written: str) -> str:
    percent = _PERCENT.fullmatch(written)
    try:
        if percent:
            return f"write `{number(round(float(percent[1]) / 100, 12))}`"
        value = float(written)
    except ValueError:
        return "write it with digits and a point: `0.75`"
    if not math.isfinite(value):
        return "every bound is a finite number"
    return f"write `{number(value)}`, without quotes"


def _one(holds: Holds) -> str:
    return {Holds.TEXTS: str(Holds.TEXT), Holds.NAMES: str(Holds.NAME)}.get(holds, str(holds))


def _listed(names: tuple[str, ...] | dict[str, Key]) -> str:
    return ", ".join(f"`{name}`" for name in names)
