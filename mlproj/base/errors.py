"""
What can stop a command, and the exit code each gives.

    MlprojError            1
    ├── ConfigError        2   a file we read, or a word typed, says something we cannot use
    ├── ToolError          4   another program (git, dvc, uv) failed
    └── MissingToolError   5   another program is not installed

An answer that happens to be no (a closed gate, a broken link) is not an error: it is a value, and exits 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NO = 3
    TOOL_FAILED = 4
    TOOL_MISSING = 5
    INTERRUPTED = 130


class MlprojError(Exception):
    """Something stopped a command. `hint` is the next thing to type, without the word "hint"."""

    exit_code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(MlprojError):
    exit_code = Exit.USAGE


class ToolError(MlprojError):
    """Another program failed; carries what it was asked and what it said."""

    exit_code = Exit.TOOL_FAILED

    def __init__(
        self, message: str, *, hint: str = "", returncode: int | None = None, output: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode
        self.output = output


class MissingToolError(MlprojError):
    exit_code = Exit.TOOL_MISSING


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name a misspelt one most likely meant, if any is near enough to offer."""
    names = list(known)
    folded = {known_name.casefold(): known_name for known_name in names}
    if name.casefold() in folded:
        return folded[name.casefold()]
    import difflib

    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return found[0] if found else None
