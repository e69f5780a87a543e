"""Files, commits and steps, as they are told of; apart from `trace` because every command asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kept(StrEnum):
    """Where an object is now, as it is said to people."""

    GIT = "in git"
    HERE = "here"
    BOTH = "here and on the remote"
    REMOTE = "on the remote"
    LOST = "lost"
    NOT_ASKED = "not here, and the remote was not asked"

    @property
    def is_here(self) -> bool:
        return self in (Kept.GIT, Kept.HERE, Kept.BOTH)

    @property
    def is_kept(self) -> bool:
        """Whether it can be had, as far as was asked."""
        return self.is_here or self is Kept.REMOTE


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit that git has: by whom, when, and its first line."""

    id: str
    by: str
    at: str
    title: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class File:
    """Data or code at one moment: a path and the digest of what it held; `rows` where a run counted them."""

    path: str
    md5: str | None
    size: int | None = None
    files: int | None = None
    rows: int | None = None
    kept: Kept = Kept.NOT_ASKED
    remark: str = ""
    brought: Commit | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of the pipeline as it ran: paths read and written, by which they are found in `Origin.files`."""

    name: str
    command: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    params: tuple[str, ...] = ()


def listed(names: Iterable[str], *, most: int = 4) -> str:
    """Names in a sentence: `a, b and c`, those beyond `most` counted."""
    found = list(names)
    if len(found) > most:
        found = [*found[: most - 1], f"{len(found) - most + 1:,} more"]
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else "none"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `1,409 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
