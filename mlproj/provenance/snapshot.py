"""The work tree as it is now, kept as a git commit without touching the user's index or branch."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import git
from mlproj.base.errors import MlprojError

REFS = "refs/mlproj/runs"
TAGS = "mlproj/run"
# Where `git fetch` puts what others have pushed.
FETCHED = "refs/mlproj/fetched"
# The beginning of the names of snapshots whose run has no outcome yet.
STARTED = "started-"
# An untracked file above this is data that nobody has put under DVC yet; git would keep it for ever.
_LARGEST_BYTES = 5_000_000

_FALLBACK_IDENTITY = {
    "GIT_AUTHOR_NAME": "mlproj",
    "GIT_AUTHOR_EMAIL": "mlproj@localhost",
    "GIT_COMMITTER_NAME": "mlproj",
    "GIT_COMMITTER_EMAIL": "mlproj@localhost",
}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A commit that holds the work tree. `is_head` where nothing was uncommitted, so that it is HEAD itself;
    `left_out` names untracked files too large for git."""

    commit: str
    tree: str
    is_head: bool
    left_out: tuple[str, ...] = ()


def take(root: Path, message: str, *, parent: str | None = None) -> Snapshot:
    """Snapshot tracked and untracked files (not the ignored) on top of `parent`, by default HEAD.

    Raises MlprojError where there is no git repository.
    """
    top = git.toplevel(root)
    if top is None:
        raise MlprojError(
            f"`{root}` is not in a git repository, so a run could not say which code made it",
            hint="run `git init`, then `git add -A` and `git commit -m start`",
        )
    head = git.head(root)
    with tempfile.TemporaryDirectory(prefix="mlproj-index-") as folder:
        index = Path(folder) / "index"
        own = Path(git.output(root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
        if own.exists():
            # A copy keeps git's cache of file times, so that only what changed is read again.
            shutil.copyfile(own, index)
        env = {"GIT_INDEX_FILE": str(index)}
        left_out = _too_large(top)
        pathspec = ["--", ".", *(f":(exclude,top,literal){name}" for name in left_out)]
        git.git(top, "add", "-A", *pathspec, env=env)
        written = git.output(top, "write-tree", env=env)
    if parent is None and head is not None and written == tree(root, head):
        return Snapshot(commit=head, tree=written, is_head=True, left_out=left_out)
    over = parent or head
    parents = ["-p", over] if over else []
    env = {} if git.identity(root) else _FALLBACK_IDENTITY
    commit = git.output(root, "commit-tree", written, *parents, "-m", message, env=env)
    return Snapshot(commit=commit, tree=written, is_head=False, left_out=left_out)


def keep(root: Path, name: str, commit: str) -> str:
    """Point `refs/mlproj/runs/<name>` at a snapshot, so that git does not collect it; the ref's name."""
    ref = f"{REFS}/{name}"
    git.git(root, "update-ref", ref, commit)
    return ref


def outcome(root: Path, name: str) -> str | None:
    """The commit that was kept for a run, anchored (clones have the tag only) or fetched, or None."""
    for ref in (f"{REFS}/{name}", f"refs/tags/{TAGS}/{name}", f"{FETCHED}/{name}"):
        done = git.git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def tree(root: Path, commit: str) -> str:
    """The tree that a commit holds."""
    return git.output(root, "rev-parse", f"{commit}^{{tree}}")


def forget(root: Path, prefix: str) -> None:
    """Let go of the kept snapshots whose names begin with `prefix`."""
    for ref in git.output(root, "for-each-ref", "--format=%(refname)", f"{REFS}/{prefix}*").split():
        git.git(root, "update-ref", "-d", ref)


def anchor(root: Path, run_id: str, commit: str) -> str:
    """Tag a run that must outlive everything: clones fetch tags, and `dvc gc` looks at them."""
    tag = f"{TAGS}/{run_id}"
    # Not `git tag`: where tags are signed, it would ask for a key that a person has to touch.
    git.git(root, "update-ref", f"refs/tags/{tag}", commit)
    return tag


def anchors(root: Path) -> frozenset[str]:
    """The ids of the runs that have been anchored."""
    said = git.output(root, "for-each-ref", "--format=%(refname:lstrip=4)", f"refs/tags/{TAGS}/")
    return frozenset(said.split())


def holds(root: Path, commit: str) -> bool:
    """Whether the repository still has a commit."""
    return git.git(root, "cat-file", "-e", f"{commit}^{{commit}}", check=False).returncode == 0


def _too_large(top: Path) -> tuple[str, ...]:
    said = git.git(top, "ls-files", "--others", "--exclude-standard", "-z").stdout
    return tuple(name for name in said.split("\0") if name and _size(top / name) > _LARGEST_BYTES)


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
