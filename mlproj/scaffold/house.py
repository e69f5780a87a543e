"""A house's own defaults for new repositories: `config.toml`, the user's or one named."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError, nearest

# What `[new]` may say, by the name of the answer that it stands for.
KEYS: Mapping[str, str] = {
    "author": "author",
    "description": "description",
    "license": "license",
    "python": "python_version",
    "python_version": "python_version",
    "env_manager": "env_manager",
    "storage": "storage",
    "storage_url": "storage_url",
    "docs": "docs",
    "ci": "ci",
    "scaffold": "scaffold",
    "template": "template",
}


@dataclass(frozen=True, kw_only=True)
class House:
    """`defaults` are words by answer, as somebody would type them, and `files` where each stands; `warnings`
    say what was not understood."""

    defaults: Mapping[str, str]
    files: Mapping[str, Path]
    warnings: tuple[str, ...]


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "mlproj" / "config.toml"


def load(named: Path | None, *, environ: Mapping[str, str] = os.environ) -> House:
    """The defaults of the file named, and below them the user's own.

    Raises ConfigError, with the line, where a file is not TOML, and where the one named is not there.
    """
    found: dict[str, str] = {}
    places: dict[str, Path] = {}
    warnings: list[str] = []
    for path, must_be in ((user_file(environ), False), (named, True)):
        if path is None or (not must_be and not path.is_file()):
            continue
        defaults = _read(path, warnings)
        if {"storage", "storage_url"} & defaults.keys():
            # An address goes with its kind of storage: one file's is not to be paired with the other's.
            found = {key: word for key, word in found.items() if key not in ("storage", "storage_url")}
        found |= defaults
        places |= dict.fromkeys(defaults, path)
    return House(defaults=found, files={key: places[key] for key in found}, warnings=tuple(warnings))


def _read(path: Path, warnings: list[str]) -> dict[str, str]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"`{path}` is not there", hint="name the file of defaults: `--config FILE`"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` is not TOML: {error}", hint="mend that line") from None
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be read: {error.strerror}") from None
    for key in said:
        if key != "new":
            warnings.append(_unknown(path, key, ["new"], in_table=""))
    table = said.get("new", {})
    if not isinstance(table, dict):
        raise ConfigError(f"`{path}`: `new` must be a table: write `[new]`")
    defaults = {}
    for key, value in table.items():
        if key not in KEYS:
            warnings.append(_unknown(path, key, list(KEYS), in_table="[new] "))
            continue
        defaults[KEYS[key]] = _word(path, key, value)
    if defaults.get("template"):
        defaults["template"] = _beside(path, defaults["template"])
    return defaults


def _word(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(
            f"`{path}`: `[new] {key}` must be a text", hint=f'write it in quotes: `{key} = "{value}"`'
        )
    return value


def _beside(path: Path, template: str) -> str:
    """A folder named relative to the file; addresses stay as they are."""
    folder = path.parent / Path(template).expanduser()
    return str(folder) if folder.exists() else template


def _unknown(path: Path, key: str, known: list[str], *, in_table: str) -> str:
    near = nearest(key, known)
    also = f"; did you mean `{near}`?" if near else ""
    return f"`{path}`: `{in_table}{key}` is not known, and left out{also}"
