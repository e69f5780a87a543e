"""A merged tree brought into the work tree and the index, in steps that can all be taken back.

`mlproj-upgrade.json`, in the repository's git folder, is written before anything is touched and names the
commit and every path that will change. It is what an interrupted upgrade is undone by, and `--abort`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlproj.base import files, git, process
from mlproj.base.errors import ConfigError
from mlproj.scaffold.trees import Conflict, Repository

_RECORD = "mlproj-upgrade.json"
_OURS = "mlproj "
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Underway:
    """An upgrade that was begun on the commit `head`; paths are relative to the top of the work tree."""

    head: str
    root: str
    version: str
    tree: str  # what the whole work tree becomes
    paths: tuple[str, ...]
    is_applied: bool  # false: it was interrupted


def underway(repository: Repository) -> Underway | None:
    """The upgrade of this project that is not committed yet, if there is one."""
    said: Any = files.read_json(repository.git_dir / _RECORD)
    try:
        found = Underway(**{**said, "paths": tuple(said["paths"])})
    except (TypeError, KeyError):
        return None
    is_ours = found.head == repository.head and found.root == repository.prefix
    return found if is_ours else None


def is_pending(repository: Repository, started: Underway) -> bool:
    """Whether something of the upgrade is still there to be committed or undone."""
    if not started.is_applied:
        return True
    done = git.git(repository.root, "diff", "--cached", "--quiet", started.head, "--", ".", check=False)
    return done.returncode != 0


def refuse_changes(repository: Repository) -> None:
    """Raises ConfigError unless the project's folder and the whole index are as the last commit has them."""
    changed = git.git(
        repository.root,
        *("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"),
    ).stdout.split("\0")[:-1]
    here = [line[3:] for line in changed if line[0] != " " or line[3:].startswith(repository.prefix)]
    if here:
        raise ConfigError(
            f"{_listed(here)} changed since the last commit, and an upgrade begins from a commit",
            hint="commit them, or put them away with `git stash`; then run the command again",
        )


def refuse_untracked(repository: Repository, added: Sequence[str], tracked: Collection[str]) -> None:
    """Raises ConfigError naming the files, tracked by nobody, that stand where the upgrade would write.

    `added` and `tracked` are paths relative to the project.
    """
    there = []
    for path in added:
        # A file where a folder is to be is as much in the way.
        for place in (path, *(str(parent) for parent in Path(path).parents[:-1])):
            here = repository.root / place
            is_folder = here.is_dir() and not here.is_symlink() and place != path
            if os.path.lexists(here) and not is_folder and place not in tracked:
                there.append(place)
    if there:
        raise ConfigError(
            f"the template brings {_listed(there)}, which is here already and is not in git",
            hint="commit yours and it is merged, or move it away; then run the command again",
        )


def is_untouched(repository: Repository, started: Underway) -> bool:
    """Whether nobody edited a path of an interrupted upgrade: each is as it was, or as it was to be."""
    top = _top(repository)
    known: dict[str, set[str]] = {}
    for tree in (started.head, started.tree):
        for line in git.git(top, "ls-tree", "-r", "-z", tree).stdout.split("\0")[:-1]:
            said, path = line.split("\t", 1)
            known.setdefault(path, set()).add(said.split()[2])
    there = [path for path in started.paths if (top / path).is_file()]
    names = git.output(top, "hash-object", "--stdin-paths", stdin="".join(f"{path}\n" for path in there))
    return all(name in known.get(path, ()) for path, name in zip(there, names.split(), strict=True))


def apply(
    repository: Repository, *, version: str, tree: str, paths: Sequence[str], conflicts: Sequence[Conflict]
) -> None:
    """Make the work tree and the index what `tree`, of the whole repository, and the conflicts say.

    `paths`, relative to the project, are all that differs. The index is replaced in one step, conflicts and
    all: there is no moment at which a file with marks in it could be committed as if it were resolved.
    """
    started = Underway(
        head=repository.head,
        root=repository.prefix,
        version=version,
        tree=tree,
        paths=tuple(repository.prefix + path for path in paths),
        is_applied=False,
    )
    with _index_held(repository) as index:
        _write(repository, started)
        env = {"GIT_INDEX_FILE": str(index)}
        # The index may be a copy whose times are another file's, as in a repository that was copied.
        git.git(repository.root, "update-index", "-q", "--refresh", env=env, check=False)
        git.git(repository.root, "read-tree", "-m", "-u", repository.head, tree, env=env)
        lines = ""
        for conflict in conflicts:
            path = repository.prefix + conflict.path
            lines += f"0 {repository.nothing}\t{path}\0"
            for stage, blob in sorted(conflict.stages.items()):
                lines += f"{blob.mode} {blob.name} {stage}\t{path}\0"
        git.git(repository.root, "update-index", "-z", "--index-info", env=env, stdin=lines)
    _write(repository, replace(started, is_applied=True))


def undo(repository: Repository, started: Underway) -> None:
    """Put every path of an upgrade back to what the last commit has; other files stay as they are."""
    top = _top(repository)
    before = set(git.git(top, "ls-tree", "-r", "-z", "--name-only", repository.head).stdout.split("\0")[:-1])
    with _index_held(repository) as index:
        env = {"GIT_INDEX_FILE": str(index), "GIT_LITERAL_PATHSPECS": "1"}
        gone = [path for path in started.paths if path not in before]
        if started.is_applied:
            # What the upgrade added is in the index; a file that is not came later, and is the user's.
            there = set(git.git(top, "ls-files", "-z", env=env).stdout.split("\0")[:-1])
            gone = [path for path in gone if path in there]
        git.git(
            top,
            *("update-index", "-z", "--force-remove", "--stdin"),
            env=env,
            stdin="".join(f"{path}\0" for path in gone),
        )
        for path in gone:
            _remove(top, top / path)
        kept = [path for path in started.paths if path in before]
        if kept:
            git.git(
                top,
                *("restore", f"--source={repository.head}", "--staged", "--worktree"),
                *("--pathspec-from-file=-", "--pathspec-file-nul"),
                env=env,
                stdin="".join(f"{path}\0" for path in kept),
            )
    forget(repository)


def forget(repository: Repository) -> None:
    files.remove(repository.git_dir / _RECORD)


def _write(repository: Repository, record: Underway) -> None:
    files.write_json(repository.git_dir / _RECORD, asdict(record))


@contextlib.contextmanager
def _index_held(repository: Repository) -> Iterator[Path]:
    """A copy of the index to work on, which takes the index's place at the end; git is kept out meanwhile."""
    lock = repository.index.with_name(f"{repository.index.name}.lock")
    copy = repository.index.with_name("mlproj-index")
    try:
        _take(lock)
    except FileExistsError:
        raise ConfigError(
            f"another git works in this repository, or one was killed: `{lock}` is there",
            hint=f"if no git runs, remove it: `rm {lock}`; then run the command again",
        ) from None
    try:
        # What one that was killed left behind.
        files.remove(copy.with_name(f"{copy.name}.lock"))
        shutil.copy2(repository.index, copy)
        yield copy
        copy.replace(repository.index)
    finally:
        files.remove(copy)
        files.remove(copy.with_name(f"{copy.name}.lock"))
        files.remove(lock)


def _take(lock: Path) -> None:
    """Make git's lock file, saying whose it is; one of an mlproj that is dead is taken over."""
    try:
        said = lock.read_text(encoding="utf-8")
        if said.startswith(_OURS) and not process.is_alive(int(said[len(_OURS) :])):
            files.remove(lock)
    except (OSError, ValueError):
        pass  # none is there, or it is git's
    descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{_OURS}{os.getpid()}\n")


def _top(repository: Repository) -> Path:
    depth = repository.prefix.count("/")
    return repository.root.parents[depth - 1] if depth else repository.root


def _remove(top: Path, path: Path) -> None:
    files.remove(path)
    for folder in path.parents:
        if folder == top:
            break
        try:
            folder.rmdir()
        except OSError:  # something else is in it
            break


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown
