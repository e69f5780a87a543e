"""Putting files into a repository that somebody else made: all of them or none, and over nothing.

`mlproj-adopt.json`, in the repository's git folder, is written before anything else and says what is about to
be there that was not. It is what an adoption that was killed is taken back by.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files, git
from mlproj.base.errors import ConfigError
from mlproj.scaffold.lock import LOCK, File

_RECORD = "mlproj-adopt.json"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Underway:
    """Paths relative to `root`: those that were not there, folders as well, and what others held (base64).

    `becomes` has the SHA-256 of each file that is written, to tell it from one that was edited since.
    """

    root: str
    added: tuple[str, ...]
    folders: tuple[str, ...]
    held: Mapping[str, str]
    becomes: Mapping[str, str]


def refuse(root: Path, *, top: Path | None) -> None:
    """Raises ConfigError where the folder is no repository to adopt, or not in a state to be."""
    if not root.is_dir():
        raise ConfigError(f"`{root}` is not a folder", hint="name the repository's: `mlproj adopt PATH`")
    if (root / "mlproj.toml").exists() or (root / LOCK).exists():
        raise ConfigError(
            f"`{root.name}` is an mlproj repository already",
            hint="`mlproj` says where it stands, `mlproj upgrade` brings it to today's template",
        )
    if all(name.name == ".git" for name in root.iterdir()):
        raise ConfigError(f"`{root}` is empty", hint="`mlproj new NAME` makes a repository that runs")
    if top is None:
        return
    lines = git.git(
        root, *("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--", ".")
    ).stdout.split("\0")[:-1]
    staged = git.git(root, "diff", "--cached", "--name-only", "-z", check=False).stdout.split("\0")[:-1]
    changed = list(dict.fromkeys([line[3:] for line in lines] + staged))
    if changed:
        raise ConfigError(
            f"{listed(changed)} changed since the last commit, and an adoption begins from a commit",
            hint="commit them, or put them away with `git stash`; then run the command again",
        )


def refuse_in_the_way(root: Path, paths: Collection[str], *, has_git: bool) -> None:
    """Raises ConfigError naming what keeps a new file from being put, or from being kept by git."""
    for path in sorted(paths):
        for place in (*(str(parent) for parent in Path(path).parents[:-1]), path):
            here = root / place
            is_folder = here.is_dir() and not here.is_symlink() and place != path
            if os.path.lexists(here) and not is_folder:
                raise ConfigError(
                    f"`{place}` is in the way: `{path}` is to be put there, and nothing is written over",
                    hint="give it another name, commit, and run the command again",
                )
    lines = "".join(f"{path}\0" for path in sorted(paths))
    said = git.git(root, "check-ignore", "-z", "--stdin", stdin=lines, check=False).stdout if has_git else ""
    ignored = said.split("\0")[:-1]
    if ignored:
        raise ConfigError(
            f"git ignores {listed(ignored)}, which would be lost to the next clone",
            hint="except them in `.gitignore`: after `/data/**`, write `!/data/**/` and `!/data/**/*.dvc`",
        )


@contextlib.contextmanager
def put(
    root: Path, new: Mapping[str, File], edited: Mapping[str, bytes], *, made_later: Sequence[str] = ()
) -> Iterator[None]:
    """Write the files, then run the block; if either fails or is interrupted, nothing was ever there.

    `edited` are files that are there and become these bytes. `made_later` are paths the block itself makes or
    edits.
    """
    added = [path for path in (*new, *made_later) if not os.path.lexists(root / path)]
    record = Underway(
        root=str(root.resolve()),
        added=tuple(added),
        folders=tuple(_new_folders(root, added)),
        held={
            path: base64.b64encode((root / path).read_bytes()).decode()
            for path in (*edited, *made_later)
            if (root / path).is_file()
        },
        becomes={
            path: hashlib.sha256(content).hexdigest()
            for path, content in {**{path: file.content for path, file in new.items()}, **edited}.items()
        },
    )
    journal = _journal(root)
    files.write_json(journal, asdict(record))
    try:
        for path, file in new.items():
            files.write_bytes(root / path, file.content)
            if file.executable:
                (root / path).chmod(0o777 & ~files.umask())
        for path, content in edited.items():
            files.write_bytes(root / path, content)
        yield
    except BaseException:
        _undo(root, record)
        raise
    files.remove(journal)


def take_back(root: Path) -> bool:
    """Undo an adoption of this folder that was killed on its way; whether there was one.

    Raises ConfigError if a file of it has been edited since.
    """
    said: Any = files.read_json(_journal(root))
    try:
        record = Underway(**said)
    except TypeError:
        return False
    if record.root != str(root.resolve()):
        return False
    edited = [path for path in record.becomes if not _is_ours(root, path, record)]
    if edited:
        raise ConfigError(
            f"an adoption of `{root.name}` was killed on its way, and {listed(edited)} was edited since",
            hint=f"move it away and run the command again, or keep what is there: `rm {_journal(root)}`",
        )
    _undo(root, record)
    return True


def _is_ours(root: Path, path: str, record: Underway) -> bool:
    """Whether the file is as it was, or as it was to be."""
    if not (root / path).is_file():
        return path in record.added
    content = (root / path).read_bytes()
    before = base64.b64decode(record.held[path]) if path in record.held else None
    return content == before or hashlib.sha256(content).hexdigest() == record.becomes[path]


def stage(root: Path, paths: Sequence[str]) -> None:
    """Show git what was added, so that `git diff --staged` shows it to the user."""
    lines = "".join(f"{path}\0" for path in paths)
    env = {"GIT_LITERAL_PATHSPECS": "1"}
    git.git(root, "add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=lines, env=env)


def listed(paths: Sequence[str]) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown


def _undo(root: Path, record: Underway) -> None:
    env = {"GIT_LITERAL_PATHSPECS": "1"}
    words = ("rm", "-r", "-f", "--quiet", "--cached", "--ignore-unmatch", "--")
    git.git(root, *words, *record.added, env=env, check=False)
    for path in record.added:
        files.remove(root / path)
    for path, content in record.held.items():
        files.write_bytes(root / path, base64.b64decode(content))
        git.git(root, "add", "--update", "--", path, env=env, check=False)
    for folder in sorted(record.folders, key=len, reverse=True):
        if folder == ".dvc":
            files.remove(root / folder)  # DVC's own, with its caches
        with contextlib.suppress(OSError):  # something else is in it
            (root / folder).rmdir()
    files.remove(_journal(root))


def _new_folders(root: Path, paths: Sequence[str]) -> list[str]:
    folders = {parent.as_posix() for path in paths for parent in Path(path).parents[:-1]}
    return sorted(folder for folder in folders if not (root / folder).exists())


def _journal(root: Path) -> Path:
    return Path(git.output(root, "rev-parse", "--absolute-git-dir")) / _RECORD
