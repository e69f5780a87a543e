"""What a lock file's wheels are found by: a tag whose commit names them as DVC's data.

It is a tag, since clones bring tags and `dvc gc --all-tags` keeps what one names, and a commit of its own,
since the work tree and its branch are the user's. It holds the lock file, the `.dvc` file of the folder of
wheels, and DVC's settings, by which the remote is found.
"""

from __future__ import annotations

import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlproj.base import git
from mlproj.provenance import history

TAGS = "mlproj/wheels"
WHEELS = "models/wheels.dvc"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "mlproj",
    "GIT_AUTHOR_EMAIL": "mlproj@localhost",
    "GIT_COMMITTER_NAME": "mlproj",
    "GIT_COMMITTER_EMAIL": "mlproj@localhost",
}


def name(lock_sha256: str) -> str:
    """What the wheels of a lock file are called on a platform like this one; another has other wheels."""
    return f"{lock_sha256[:16]}-{sysconfig.get_platform()}"


def tag(lock_sha256: str) -> str:
    return f"{TAGS}/{name(lock_sha256)}"


def keep(root: Path, lock_sha256: str, contents: Mapping[str, str]) -> str:
    """Point the tag at a commit with these files, by their paths from the project's root; the commit."""
    prefix = git.output(root, "rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="mlproj-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        for path, text in sorted(contents.items()):
            blob = git.output(root, "hash-object", "-w", "--stdin", stdin=text)
            entry = f"100644,{blob},{prefix}{path}"
            git.git(root, "update-index", "--add", "--cacheinfo", entry, env=env)
        tree = git.output(root, "write-tree", env=env)
    identity = {} if git.identity(root) else _IDENTITY
    commit = git.output(
        root, "commit-tree", tree, "-m", f"Wheels of lock file {lock_sha256[:16]}", env=identity
    )
    # Not `git tag`: where tags are signed, it would ask for a key that a person has to touch.
    git.git(root, "update-ref", f"refs/tags/{tag(lock_sha256)}", commit)
    return commit


def find(root: Path, lock_sha256: str) -> bytes | None:
    """The `.dvc` file of the wheels; None where none are kept, or the tag was not fetched."""
    ref = f"refs/tags/{tag(lock_sha256)}^{{commit}}"
    done = git.git(root, "rev-parse", "--verify", "--quiet", ref, check=False)
    if done.returncode != 0:
        return None
    (found,) = history.read(root, [(done.stdout.strip(), WHEELS)])
    return found
