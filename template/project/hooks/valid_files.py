#!/usr/bin/env python3
"""Refuse TOML, JSON, notebooks and YAML that do not parse, and YAML that says a key twice.

    valid_files.py FILE...

YAML is read when PyYAML is installed, as it is in the project's environment; without it, it is not judged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    failed = False
    for name in sys.argv[1:] if argv is None else argv:
        path = Path(name)
        parse = PARSERS.get(path.suffix)
        if parse is None or not path.is_file():
            continue
        try:
            parse(path.read_text(encoding="utf-8"))
        except ValueError as error:
            failed = True
            print(f"{path}:{_line(error)}: does not parse: {' '.join(str(error).split())}")
    return int(failed)


def _line(error: ValueError) -> int:
    """The line that the message names; 1 where it names none, as TOML's at the end of a file."""
    found = re.search(r"\bline (\d+)", str(error))
    return int(found[1]) if found else 1


# Each parser is imported for files of its kind only: a commit waits for all of them else.
def _parse_json(text: str) -> None:
    import json

    json.loads(text)


def _parse_toml(text: str) -> None:
    import tomllib

    tomllib.loads(text)


def _parse_yaml(text: str) -> None:
    try:
        import yaml
    except ImportError:
        return
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Composing checks the syntax and leaves tags of other programs (`!reference`) alone.
        for document in yaml.compose_all(text, Loader=loader):
            _refuse_twice(document)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _refuse_twice(document: Any) -> None:
    """Raise ValueError for a key that a mapping has twice: one of the two values is lost in silence."""
    nodes, seen = [document], set()
    for node in nodes:
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))  # an alias is the node that it stands for
        if node.id == "sequence":
            nodes += node.value
        elif node.id == "mapping":
            nodes += [value for _, value in node.value]
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                if key.id != "scalar" or key.value == "<<":
                    continue
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in lines:
                    raise ValueError(
                        f"`{key.value}` of line {line} stands in line {lines[name]} already: keep one"
                    )
                lines[name] = line


PARSERS: dict[str, Callable[[str], None]] = {
    ".toml": _parse_toml,
    ".json": _parse_json,
    ".ipynb": _parse_json,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}


if __name__ == "__main__":
    sys.exit(main())
