"""What an environment has, held against what a lock file says it should have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
# uv.lock and poetry.lock are TOML; this reads what is wanted of 200 packages in a tenth of the time.
_TABLE = re.compile(r'^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"', re.MULTILINE)
_KERNEL = re.compile(r"^(\w+)-.*?-(x86_64|aarch64|arm64|i686|ppc64le|s390x|riscv64)\b(.*)$")


class Grade(StrEnum):
    """How near an environment is to the one that was recorded."""

    EXACT = "exact"
    COMPATIBLE = "compatible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Graded:
    """`differs` says what is not as recorded: `pandas 3.1.1 was 3.0.2`. `python` is the interpreter."""

    grade: Grade
    python: str
    differs: tuple[str, ...] = ()


def pins(lock: str) -> dict[str, frozenset[str]] | None:
    """The versions that a lock file allows of each package, by its normalised name; None for a form we do not
    read (conda's and pixi's). A lock for several platforms may pin one package more than once."""
    found: dict[str, set[str]] = {}
    for name, version in [*_PIN.findall(lock), *_TABLE.findall(lock)]:
        found.setdefault(normalised(name), set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()} or None


def installed(python: Path) -> dict[str, str] | None:
    """The packages of an interpreter's environment, by their folders: no Python is started, no file is read.

    None where that would not tell all: outside a virtual environment, or in one that sees the system's too.
    """
    prefix = python.parent.parent
    try:
        said = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        said = ""
    sees_more = re.search(r"include-system-site-packages\s*=\s*true", said)
    if sees_more or (not said and not (prefix / "conda-meta").is_dir()):
        return None
    found = {}
    for folder in prefix.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found[normalised(name)] = version
    return found or None


def differences(lock: str, has: Mapping[str, str]) -> tuple[str, ...] | None:
    """What an environment has in another version than its lock says; None for a lock of unknown form.

    What the lock has and the environment has not is no difference: a lock serves all platforms and groups.
    """
    wanted = pins(lock)
    if wanted is None:
        return None
    return tuple(
        f"{name} {has[name]} instead of {' or '.join(sorted(versions))}"
        for name, versions in sorted(wanted.items())
        if name in has and _release(has[name]) not in {_release(version) for version in versions}
    )


def platform_of(said: str) -> str:
    """Python's `platform.platform()` without the kernel's number, on which no result depends."""
    matched = _KERNEL.match(said)
    return f"{matched[1]}-{matched[2]}{matched[3]}" if matched else said


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _release(version: str) -> str:
    # A folder's name has `_` where a local version has `+` or `-`.
    return version.replace("_", "+").replace("-", "+")
