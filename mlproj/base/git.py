"""Git, asked through its command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlproj.base import process


def git(
    root: Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    return process.run("git", *args, cwd=root, env=env, stdin=stdin, check=check)


def output(root: Path, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    return git(root, *args, env=env, stdin=stdin).stdout.strip()


def toplevel(start: Path) -> Path | None:
    """The root of the work tree that `start` is in, or None outside one."""
    done = git(start, "rev-parse", "--show-toplevel", check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def head(root: Path) -> str | None:
    """The commit checked out, or None before the first."""
    done = git(root, "rev-parse", "--verify", "--quiet", "HEAD", check=False)
    return done.stdout.strip() or None


def is_dirty(root: Path) -> bool:
    """Whether the work tree differs from the last commit, untracked files included."""
    return bool(output(root, "status", "--porcelain"))


def identity(root: Path) -> tuple[str, str] | None:
    """The user's name and e-mail as git would write them, or None if git has not been told."""
    name = os.environ.get("GIT_AUTHOR_NAME") or git(root, "config", "user.name", check=False).stdout.strip()
    email = (
        os.environ.get("GIT_AUTHOR_EMAIL") or git(root, "config", "user.email", check=False).stdout.strip()
    )
    return (name, email) if name and email else None
