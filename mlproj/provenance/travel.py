"""How snapshots of runs get to other machines: the refspecs of a plain `git push` and `git fetch`.

They are settings of a remote, so they can be made once there is one: `git remote add` refuses a name that has
any. (An `includeIf` that waits for a URL would do, but sends GitPython, and with it MLflow, in circles.)
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import git, process
from mlproj.base.errors import ToolError
from mlproj.provenance.snapshot import FETCHED, REFS, STARTED

_RUNS = (
    # Forced: an outcome that was kept anew takes the place of the one before, and so does its tag.
    f"+{REFS}/*:{REFS}/*",
    "+refs/tags/mlproj/*:refs/tags/mlproj/*",
    f"^{REFS}/{STARTED}*",
)
# Not into the place of our own: a fetch that prunes would delete what has not been pushed yet.
_FETCH = f"+{REFS}/*:{FETCHED}/*"
_PATIENCE_S = 3.0
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


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """How many of the runs kept here a remote has as they are here."""

    runs: int
    there: int

    @property
    def lacking(self) -> int:
        return self.runs - self.there


def arrived(root: Path, remote: str, *, patience_s: float = _PATIENCE_S) -> Arrived | None:
    """What has got to a remote; None where it does not answer in time, or not without asking somebody."""
    said = git.output(root, "for-each-ref", "--format=%(objectname)%09%(refname)", REFS).splitlines()
    kept = {line for line in said if not line.partition(f"{REFS}/")[2].startswith(STARTED)}
    if not kept:
        return Arrived(runs=0, there=0)
    ssh = os.environ.get("GIT_SSH_COMMAND") or "".join(_all(root, "core.sshCommand")[-1:]) or "ssh"
    quiet = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": f"{ssh} -oBatchMode=yes -oConnectTimeout={patience_s:.0f}",
    }
    asked = ("git", "ls-remote", "--quiet", remote, f"{REFS}/*")
    try:
        there = process.run(*asked, cwd=root, env=quiet, patience_s=patience_s).stdout.splitlines()
    except ToolError:
        return None
    return Arrived(runs=len(kept), there=len(kept.intersection(there)))


def by_name(remote: str) -> str:
    """The command that pushes snapshots whatever git's settings say."""
    return f"git push {remote} '{_RUNS[0]}' '{_RUNS[1]}'"


def _default(root: Path) -> str:
    return git.git(root, "config", "--get", "push.default", check=False).stdout.strip()


def _all(root: Path, key: str) -> tuple[str, ...]:
    return tuple(git.git(root, "config", "--get-all", key, check=False).stdout.split("\n")[:-1])
