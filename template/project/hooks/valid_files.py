#!/usr/bin/env python3
"""Refuse TOML, JSON, notebooks and YAML that do not parse.

    valid_files.py FILE...

YAML is read when PyYAML is installed, as it is in the project's environment; without it, it is not judged.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path


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
            print(f"{path}: {' '.join(str(error).split())}")
    return int(failed)


def _parse_yaml(text: str) -> None:
    try:
        import yaml
    except ImportError:
        return
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Composing checks the syntax and leaves tags of other programs (`!reference`) alone.
        for _ in yaml.compose_all(text, Loader=loader):
            pass
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


PARSERS: dict[str, Callable[[str], object]] = {
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".ipynb": json.loads,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}


if __name__ == "__main__":
    sys.exit(main())
