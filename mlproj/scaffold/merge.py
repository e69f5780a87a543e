"""Bringing a new rendering into files that a user may have edited."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from mlproj.base import git
from mlproj.scaffold import keyed
from mlproj.scaffold.lock import File, FileClass, classify


class Change(Enum):
    REPLACED = auto()  # the user had not touched it
    MERGED = auto()  # both changed it, in different places
    REMOVED = auto()  # the new rendering has it no more
    CONFLICT = auto()  # both changed it in the same place; the result is the new rendering's


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What each file that differs becomes (None: it goes), and how that came about."""

    results: Mapping[str, File | None]
    changes: Mapping[str, Change]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.results)

    @property
    def conflicts(self) -> tuple[str, ...]:
        return self.of(Change.CONFLICT)

    def of(self, change: Change) -> tuple[str, ...]:
        return tuple(path for path, how in self.changes.items() if how is change)


def merge(root: Path, before: Mapping[str, File], after: Mapping[str, File], *, module: str) -> Merge:
    """Three-way: from the rendering `before` to the one `after`, onto the files at `root`. Writes nothing."""
    results: dict[str, File | None] = {}
    changes: dict[str, Change] = {}
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        mine = _read(root / path)
        is_generated = classify(path, module=module) is FileClass.GENERATED
        if mine == new or (old == new and not is_generated):
            continue
        if mine is None and old is not None:
            continue  # the user deleted it, and it stays so
        if mine == old or is_generated:
            results[path], changes[path] = new, Change.REPLACED if new else Change.REMOVED
            continue
        merged = _merged(path, mine, old, new) if mine and old and new else None
        results[path] = merged or new
        changes[path] = Change.MERGED if merged else Change.CONFLICT
    return Merge(results=results, changes=changes)


def _read(path: Path) -> File | None:
    if not path.is_file():
        return None
    return File(content=path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))


def _merged(path: str, mine: File, old: File, new: File) -> File | None:
    """By lines, and by key where both sides append to the file; None where that leaves a dispute."""
    lines = three_way(mine, old, new)
    suffix = Path(path).suffix
    if path not in keyed.FILES or (lines is not None and keyed.is_sound(suffix, lines.content)):
        return lines
    found = keyed.merge(suffix, base=old.content, yours=mine.content, theirs=new.content)
    if found is None or found.yours != found.theirs:
        return None
    return File(content=found.yours, executable=mine.executable)


def three_way(mine: File, old: File, new: File) -> File | None:
    """Both sides' changes in one file; None where they meet, or where the file is not text."""
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place, name) for name in ("mine", "old", "new")]
        for path, file in zip(paths, (mine, old, new), strict=True):
            path.write_bytes(file.content)
        done = git.git(Path(place), "merge-file", *map(str, paths), check=False)
        if done.returncode != 0:
            return None
        return File(content=paths[0].read_bytes(), executable=mine.executable)
