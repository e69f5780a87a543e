"""Which modules of the repository a stage imports, by reading its code: what DVC has to be told to look at.

DVC runs a stage again when one of its `deps` has changed. A module that a stage imports and does not declare
may change without anything noticing, and the model is then not what its code says.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_PYTHONS = ("python", "python3", "py")


@dataclass(frozen=True, kw_only=True)
class Undeclared:
    """A stage, and the file that it imports and does not list among its `deps`; `by` is what imports it."""

    stage: str
    path: str
    by: str


class Imports:
    """The imports of the modules below `root`. `digest` names a file's content, `known` what is known of each
    content from earlier: its imports, as written; it is added to."""

    def __init__(self, root: Path, digest: Callable[[str], str | None], known: dict[str, list[str]]) -> None:
        self._root = root
        self._digest = digest
        self._known = known
        self._leads: dict[str, tuple[str, ...]] = {}
        self._files: dict[str, list[str]] = {}

    def undeclared(self, stage: str, cmd: str, deps: Iterable[str]) -> tuple[Undeclared, ...]:
        """What the stage imports, at any depth, and does not declare; a folder declares all that is in it.

        A package's `__init__.py` that holds nothing but a docstring need not be declared.
        """
        declared = frozenset(deps)
        found: dict[str, str] = {}
        waiting = [(path, "its command") for path in entries(self._root, cmd)]
        while waiting:
            path, by = waiting.pop()
            if path in found:
                continue
            found[path] = by
            if path not in self._leads:
                self._leads[path] = tuple(self._imported(path))
            waiting += [(each, path) for each in self._leads[path]]
        return tuple(
            Undeclared(stage=stage, path=path, by=by)
            for path, by in sorted(found.items())
            if not _covers(declared, path) and not (path.endswith("/__init__.py") and not self._written(path))
        )

    def _imported(self, path: str) -> Iterator[str]:
        """The files of the repository that a module imports."""
        for name in filter(None, self._names(path)):
            if name not in self._files:
                self._files[name] = files_of(self._root, name)
            yield from self._files[name]

    def _written(self, path: str) -> bool:
        return "" in self._names(path)

    def _names(self, path: str) -> list[str]:
        """The dotted names that a module imports; an empty one first, if there is any code in it."""
        content = self._digest(path)
        key = f"{path}:{content}"
        if key not in self._known:
            # Nearly always it is known: bare `mlproj` does not pay for a parser of Python.
            from mlproj.provenance import written_imports

            self._known[key] = written_imports.read(self._root, path)
        return self._known[key]


def _covers(declared: frozenset[str], path: str) -> bool:
    """Whether a file, or a folder that it is in, is declared."""
    parts = path.split("/")
    return any("/".join(parts[:end]) in declared for end in range(1, len(parts) + 1))


def entries(root: Path, cmd: str) -> tuple[str, ...]:
    """The files that a command runs: of `python -m a.b` and `python a/b.py`, on any of its lines."""
    found: list[str] = []
    for line in cmd.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            continue  # a shell's own language, which DVC hands to a shell
        for at, word in enumerate(words):
            if PurePosixPath(word).name.rstrip("0123456789.") not in _PYTHONS:
                continue
            rest = words[at + 1 :]
            while rest and rest[0].startswith("-") and rest[0] != "-m":
                rest = rest[1:]
            if rest[:1] == ["-m"] and len(rest) > 1:
                found += files_of(root, rest[1])
                if (root / rest[1].replace(".", "/")).is_dir():
                    found += files_of(root, f"{rest[1]}.__main__")
            elif rest and rest[0].endswith(".py") and (root / rest[0]).is_file():
                found.append(PurePosixPath(rest[0]).as_posix())
    return tuple(dict.fromkeys(found))


def files_of(root: Path, name: str) -> list[str]:
    """The files of the repository that importing a dotted name runs: its packages, and the module."""
    found: list[str] = []
    folder = PurePosixPath()
    parts = name.split(".")
    if not (root / parts[0]).is_dir() and not (root / f"{parts[0]}.py").is_file():
        return found  # somebody else's, as most are
    for part in parts:
        here = folder / part
        if (root / here / "__init__.py").is_file():
            found.append((here / "__init__.py").as_posix())
        elif (root / f"{here}.py").is_file():
            found.append(f"{here}.py")
            break
        elif not (root / here).is_dir():
            break
        folder = here
    return found
