"""YAML 1.2, as DVC writes and reads it: there `Yes` is a word and `1e-05` a number; in 1.1, neither is."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mlproj.base.errors import ConfigError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The core schema of YAML 1.2.2, section 10.3.2, and time stamps, which DVC's reader keeps from 1.1.
_WORDS = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
_STAMP = "tag:yaml.org,2002:timestamp"


class Loader(_Base):  # type: ignore[misc]
    """A safe loader that resolves plain words by the core schema of 1.2."""


Loader.yaml_implicit_resolvers = {
    first: kept
    for first, known in _Base.yaml_implicit_resolvers.items()
    if (kept := [(tag, pattern) for tag, pattern in known if tag == _STAMP])
}
# Whole numbers before fractions: the first pattern that fits a word wins.
for _tag, (_pattern, _first) in _WORDS.items():
    Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def _number(loader: Any, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text[2:], base) if base else int(text)


def _fraction(loader: Any, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


Loader.add_constructor("tag:yaml.org,2002:int", _number)
Loader.add_constructor("tag:yaml.org,2002:float", _fraction)


def read(path: Path) -> Any:
    """What a YAML file says, not to be changed: one command may ask for it several times.

    Raises ConfigError with line and column where it is not YAML.
    """
    known = path.stat()
    return _read(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, _mtime_ns: int, _size: int) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise ConfigError(
            f"`{path.name}`{where}: not YAML: {problem}",
            hint=f"mend that line, or `git checkout {path.name}` to go back to the last commit",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"`{path.name}` is not UTF-8 text", hint="save it as UTF-8") from None
