"""A folder of its own in which a run is built again: a git work tree of the repository, or a clone.

Nothing of the user's is touched: files, index, branch, hooks, DVC cache and MLflow store stay as they are.
The folder is gone afterwards, unless it is to be kept; what a killed process left is cleared by the next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlproj.base import files, git, process
from mlproj.base.errors import ToolError
from mlproj.provenance.snapshot import REFS

# Hooks of the user's, such as DVC's own that check data out, are not asked about our folder.
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
_KEPT = "kept"
_OURS = re.compile(r"[0-9a-z]+-(?P<pid>\d+)-.*")


def folders(environ: Mapping[str, str] = os.environ) -> Path:
    """Where runs are rebuilt: beside the environments, so that links to large files are cheap."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlproj" / "reproductions"


@contextlib.contextmanager
def place(name: str, *, keep: bool = False, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """An empty folder, deleted at the end of the block unless `keep`."""
    above = folders(environ)
    above.mkdir(parents=True, exist_ok=True)
    _clear(above)
    found = Path(tempfile.mkdtemp(dir=above, prefix=f"{name[:12]}-{os.getpid()}-"))
    if keep:
        (found / _KEPT).touch()
    try:
        yield found
    finally:
        if not keep:
            files.remove(found)


@contextlib.contextmanager
def added(root: Path, folder: Path, commit: str, *, keep: bool = False) -> Iterator[Path]:
    """A work tree of the repository at `commit`; the root of the project in it, which may lie in a subfolder.

    Raises ToolError if git cannot make it.
    """
    prefix = git.output(root, "rev-parse", "--show-prefix")
    _forget_gone(root)
    git.git(root, *_NO_HOOKS, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    try:
        yield folder / prefix if prefix else folder
    finally:
        if not keep:
            git.git(root, "worktree", "remove", "--force", str(folder), check=False)
            files.remove(folder)
            _forget_gone(root)


def clone(url: str, folder: Path) -> None:
    """A clone with the snapshots and tags of runs, which a plain one does not bring. Raises ToolError."""
    try:
        process.run("git", *_NO_HOOKS, "clone", "--quiet", url, folder)
    except ToolError as error:
        said = error.output.strip().splitlines()
        raise ToolError(
            f"`{url}` could not be cloned: {said[-1] if said else 'git said nothing'}",
            hint="is it the URL that `git remote get-url origin` says where the run was made?",
            returncode=error.returncode,
            output=error.output,
        ) from None
    refs = [f"+{REFS}/*:{REFS}/*", "+refs/tags/mlproj/*:refs/tags/mlproj/*"]
    git.git(folder, "fetch", "--quiet", "origin", *refs, check=False)
    if git.git(folder, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode:
        # A repository that `git init` made on a server may wait for `master`, and have only `main`.
        there = [
            "for-each-ref",
            "--count=1",
            "--sort=-committerdate",
            "--format=%(refname)",
            "refs/remotes/origin",
        ]
        branch = git.output(folder, *there)
        if branch:
            git.git(folder, *_NO_HOOKS, "checkout", "--quiet", "--detach", branch)


def _clear(above: Path) -> None:
    """Delete what processes left that were killed; a kept folder is the user's to delete."""
    for folder in above.iterdir():
        matched = _OURS.fullmatch(folder.name)
        if matched and not (folder / _KEPT).exists() and not process.is_alive(int(matched["pid"])):
            files.remove(folder)


def _forget_gone(root: Path) -> None:
    """Let git forget our work trees that are gone; not those of others, on a disk that is away."""
    listed = git.output(root, "worktree", "list", "--porcelain").splitlines()
    for line in listed:
        path = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and path.is_relative_to(folders()) and not path.exists():
            git.git(root, "worktree", "remove", "--force", str(path), check=False)
