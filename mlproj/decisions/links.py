"""What a page of the notebook speaks of: runs, versions, targets and commits, declared or merely named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_HEX = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])")
_VERSION = re.compile(r"(?<![0-9a-z])(?:version |versions |v)(\d{1,6})(?![0-9.]*\d)")


@dataclass(frozen=True, kw_only=True)
class Links:
    """`commits` are as they were written: whole, or their beginnings."""

    runs: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    def __or__(self, other: Links) -> Links:
        return Links(
            runs=_once(*self.runs, *other.runs),
            versions=tuple(dict.fromkeys([*self.versions, *other.versions])),
            targets=_once(*self.targets, *other.targets),
            commits=_once(*self.commits, *other.commits),
        )


def named(text: str, *, runs: Iterable[str] = (), targets: Iterable[str] = ()) -> Links:
    """What a text names: known runs by seven letters of their ids or more, `version 3` or `v3`, known
    metrics as whole words. Other hexadecimal words are taken for commits: whether they are, git knows."""
    folded, known = text.casefold(), list(runs)
    found, commits = [], []
    for word in dict.fromkeys(_HEX.findall(folded)):
        meant = [run for run in known if run.startswith(word)]
        found += meant if len(meant) == 1 else []
        # A number such as 20261201 is rather a date.
        commits += [word] if not meant and not word.isdigit() else []
    return Links(
        runs=_once(*found),
        versions=tuple(dict.fromkeys(int(number) for number in _VERSION.findall(folded))),
        targets=tuple(metric for metric in dict.fromkeys(targets) if _is_word(metric.casefold(), folded)),
        commits=tuple(commits),
    )


def _is_word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _once(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
