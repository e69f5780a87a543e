"""How snapshots of runs get to other machines: the refspecs of a plain `git push` and `git fetch`.

They stand in a file of our own in the git folder, which git reads only where some remote has a URL: written
into `.git/config` itself, `git remote add origin` would say that `origin` exists already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import files, git
from mlproj.provenance.snapshot import FETCHED, REFS, STARTED

_FILE = "mlproj.config"
_KEY = "includeIf.hasconfig:remote.*.url:**.path"
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
_HEAD = """\
# Written by mlproj: with these, a plain `git push` brings the snapshots of runs along, and `git fetch` brings
# those of others. Git reads this file where a remote has a URL.
"""


@dataclass(frozen=True, kw_only=True)
class Travel:
    """Whether snapshots are pushed to the remotes that have a URL; `hindered` says what is in the way."""

    remotes: tuple[str, ...]
    lacking: tuple[str, ...]
    hindered: str = ""


def look(root: Path) -> Travel:
    """What a plain `git push` would bring."""
    remotes = _remotes(root)
    lacking = tuple(
        name for name in remotes if _RUNS[0] not in _all(root, f"remote.{name}.push") or _is_stale(root)
    )
    if not remotes and not _file(root).is_file():
        lacking = ("origin",)
    default = _config(root, "push.default")
    hindered = "" if default in _AS_BEFORE else f"git's `push.default` is `{default}`, which no refspec says"
    return Travel(remotes=remotes, lacking=lacking, hindered=hindered if lacking else "")


def set_up(root: Path) -> tuple[str, ...]:
    """See to it that a plain `git push` brings snapshots to every remote; those for which that changed.

    Where there is no remote yet, `origin` is provided for. What a plain push did before, it goes on doing.
    """
    found = look(root)
    if not found.lacking or found.hindered:
        return ()
    as_before = _AS_BEFORE[_config(root, "push.default")]
    lines = [_HEAD]
    for name in found.remotes or ("origin",):
        own = [spec for spec in _all(root, f"remote.{name}.push", without_ours=True) if spec not in _RUNS]
        pushes = [*([] if own else [as_before]), *_RUNS]
        lines.append(f'[remote "{name}"]\n')
        lines += [f"\tpush = {spec}\n" for spec in pushes]
        lines.append(f"\tfetch = {_FETCH}\n")
    files.write_text(_file(root), "".join(lines))
    if _FILE not in _all(root, _KEY):
        git.git(root, "config", "--local", "--add", _KEY, _FILE)
    still = look(root).lacking  # a git before 2.36 does not read our file
    return tuple(name for name in found.remotes if name in found.lacking and name not in still)


def _remotes(root: Path) -> tuple[str, ...]:
    said = git.git(root, "config", "--get-regexp", r"^remote\..*\.url$", check=False).stdout
    return tuple(dict.fromkeys(re.findall(r"^remote\.(.*)\.url ", said, re.MULTILINE)))


def _is_stale(root: Path) -> bool:
    """Whether our file names a remote that has no URL: git would take it for one all the same."""
    said = git.git(root, "config", "--file", str(_file(root)), "--get-regexp", "push", check=False).stdout
    named = set(re.findall(r"^remote\.(.*)\.push ", said, re.MULTILINE))
    return not named <= set(_remotes(root))


def _file(root: Path) -> Path:
    return Path(git.output(root, "rev-parse", "--path-format=absolute", "--git-common-dir")) / _FILE


def _config(root: Path, key: str) -> str:
    return git.git(root, "config", "--get", key, check=False).stdout.strip()


def _all(root: Path, key: str, *, without_ours: bool = False) -> tuple[str, ...]:
    where = ["--local", "--no-includes"] if without_ours else []
    return tuple(git.git(root, "config", *where, "--get-all", key, check=False).stdout.split("\n")[:-1])
