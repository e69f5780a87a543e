"""How snapshots of runs get to other machines: the refspecs of a plain `git push` and `git fetch`.

They are settings of a remote, so they can be made once there is one: `git remote add` refuses a name that has
any. (An `includeIf` that waits for a URL would do, but sends GitPython, and with it MLflow, in circles.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import git
from mlproj.provenance.snapshot import FETCHED, REFS, STARTED

_RUNS = (
    # Forced: an outcome that was kept anew takes the place of the one before, and so does its tag.
    f"+{REFS}/*:{REFS}/*",
    "+refs/tags/mlproj/*:refs/tags/mlproj/*",
    f"^{REFS}/{STARTED}*",
)
# Not into the place of our own: a fetch that prunes would delete what has not been pushed yet.
_FETCH = f"+{REFS}/*:{FETCHED}/*"
# What a plain `git push` would do, as a refspec: once a remote names any, git looks at nothing else.
_AS_BEFORE = {"": "HEAD", "simple": "HEAD", "current": "HEAD", "matching": ":"}


@dataclass(frozen=True, kw_only=True)
class Travel:
    """The remotes, and those to which a plain `git push` brings no snapshots; `hindered` says what is in the
    way of changing that."""

    remotes: tuple[str, ...]
    lacking: tuple[str, ...]
    hindered: str = ""


def look(root: Path) -> Travel:
    """What a plain `git push` would bring."""
    said = git.git(root, "config", "--get-regexp", r"^remote\..*\.url$", check=False).stdout
    remotes = tuple(dict.fromkeys(re.findall(r"^remote\.(.*)\.url ", said, re.MULTILINE)))
    lacking = tuple(name for name in remotes if _RUNS[0] not in _all(root, f"remote.{name}.push"))
    default = _default(root) if lacking else ""
    hindered = "" if default in _AS_BEFORE else f"git's `push.default` is `{default}`, which no refspec says"
    return Travel(remotes=remotes, lacking=lacking, hindered=hindered)


def set_up(root: Path) -> tuple[str, ...]:
    """See to it that a plain `git push` brings snapshots to every remote; those for which that changed.

    What it pushed before, it goes on pushing.
    """
    found = look(root)
    if not found.lacking or found.hindered:
        return ()
    for name in found.lacking:
        own = _all(root, f"remote.{name}.push")
        for spec in (*(() if own else (_AS_BEFORE[_default(root)],)), *_RUNS):
            git.git(root, "config", "--local", "--add", f"remote.{name}.push", spec)
        if _FETCH not in _all(root, f"remote.{name}.fetch"):
            git.git(root, "config", "--local", "--add", f"remote.{name}.fetch", _FETCH)
    return found.lacking


def by_name(remote: str) -> str:
    """The command that pushes snapshots whatever git's settings say."""
    return f"git push {remote} '{_RUNS[0]}' '{_RUNS[1]}'"


def _default(root: Path) -> str:
    return git.git(root, "config", "--get", "push.default", check=False).stdout.strip()


def _all(root: Path, key: str) -> tuple[str, ...]:
    return tuple(git.git(root, "config", "--get-all", key, check=False).stdout.split("\n")[:-1])
