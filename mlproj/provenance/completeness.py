"""What a run is made of, and whether all of it can be had again: facts for the gate `origin`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from mlproj.provenance.imports import Undeclared
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, Kept


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """How many files of the run are both in DVC's cache and on its remote, and what is not as it should be.

    `missing` are the others, each with where it is; `why` says so in short, `mend` what to do. `not_asked`
    are those of which a remote on the network was not asked yet. `packages` are what the environment has in
    other versions than `lock` says, `install` how to put that right. `undeclared` are modules that a
    stage imports and `dvc.yaml` does not know of, `opened` such stages with a file that
    they read. `unchecked` says what could not be looked at.
    """

    kept: int = 0
    remote: str | None = None
    missing: tuple[str, ...] = ()
    why: str = ""
    mend: str = ""
    not_asked: tuple[str, ...] = ()
    lock: str | None = None
    packages: tuple[str, ...] = ()
    install: str = ""
    undeclared: tuple[Undeclared, ...] = ()
    opened: tuple[tuple[str, str], ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where the files of a run are, as far as it was looked at."""

    kept: int
    missing: tuple[str, ...]
    why: str
    mend: str
    not_asked: tuple[str, ...]


_UP, _DOWN = "run `make sync_data_up`, which is `dvc push`", "run `make sync_data_down`, which is `dvc pull`"


def stored(objects: Objects, wanted: Iterable[File]) -> Stored:
    """Look for each file in the cache and on the remote."""
    looked = [objects.look(file) for file in wanted]
    remote = objects.remote
    not_asked = tuple(f"`{file.path}`" for file in looked if _is_unasked(file, objects))
    lacking = [file for file in looked if file.kept is not Kept.BOTH and not _is_unasked(file, objects)]
    unpushed = [file for file in lacking if file.kept is not Kept.REMOTE]
    if remote is None:
        why, mend = "no remote is configured", "run `dvc remote add --default storage URL`, then `dvc push`"
    elif remote.folder is not None and not remote.is_reachable:
        why, mend = f"the remote `{remote.name}` ({remote.url}) cannot be reached", _UP
    elif unpushed:
        why, mend = f"it is not on the remote `{remote.name}`", _UP
        bad = [path for file in unpushed for path in objects.in_the_way(file)]
        if bad:
            mend = (
                f"run `rm {shlex.join(map(str, bad))}`, which DVC takes for whole, then `make sync_data_up`"
            )
    else:
        why, mend = "it is not in DVC's cache", _DOWN
    return Stored(
        kept=len(looked) - len(lacking) - len(not_asked),
        missing=tuple(f"`{file.path}`: {file.kept}{_remark(file)}" for file in lacking),
        why=why if lacking else "",
        mend=mend if lacking else "",
        not_asked=not_asked,
    )


def _is_unasked(file: File, objects: Objects) -> bool:
    """Whether only asking would tell: the remote is no folder, and what was asked before does not say it."""
    is_far = objects.remote is not None and objects.remote.folder is None
    return is_far and not objects.was_asked and file.kept in (Kept.HERE, Kept.NOT_ASKED)


def _remark(file: File) -> str:
    return f" ({file.remark})" if file.remark and file.remark not in str(file.kept) else ""
