"""Wheels of the versions that were deployed, kept as DVC's data: an index is no archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from mlproj.base import files, lock
from mlproj.base.errors import MlprojError
from mlproj.flows import serve, wheelhouse
from mlproj.flows.reading import World
from mlproj.flows.wheelhouse import NAME
from mlproj.pipeline.scratch import Scratch, scratch
from mlproj.project import Project
from mlproj.provenance import vault
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, Kept, listed
from mlproj.serving import environments, store, versions, wheels
from mlproj.serving.environments import Wanted


class State(StrEnum):
    """Whether an environment can be put together again without an index."""

    KEPT = "kept"
    NOT_KEPT = "not kept"
    NONE = "no wheels"  # there is no lock file of which wheels could be kept


@dataclass(frozen=True, kw_only=True)
class Stock:
    """The wheels of one environment, and the versions that run in it. `said` tells where they are, or why
    there are none; `is_only_here` where the remote could have them and has not."""

    versions: tuple[int, ...]
    lock: str | None
    lock_sha256: str | None
    state: State
    said: str
    is_only_here: bool = False

    @property
    def is_fine(self) -> bool:
        return self.state is not State.NOT_KEPT


def be_nice() -> None:
    """Take from now on only what nobody else wants of this machine's time."""
    os.nice(19)


def stocks(project: Project) -> tuple[Stock, ...]:
    """What is kept for every version that was deployed, those of one lock file together."""
    objects = Objects(project.root)
    together: dict[tuple[str | None, str | None], list[int]] = {}
    for number, wanted in _deployed(project):
        together.setdefault((wanted.lock, wanted.lock_sha256), []).append(number)
    return tuple(
        replace(stock(project, objects, name, sha256), versions=tuple(numbers))
        for (name, sha256), numbers in together.items()
    )


def stock(project: Project, objects: Objects, name: str | None, sha256: str | None) -> Stock:
    """What is kept of the wheels of a lock file."""
    found = Stock(versions=(), lock=name, lock_sha256=sha256, state=State.NONE, said="")
    if name is None or sha256 is None:
        return replace(found, said="its run recorded no lock file")
    if Path(name).name not in wheels.KEEPABLE:
        return replace(found, said=f"`{name}` is a lock file of another tool, which has to keep its packages")
    md5 = wheelhouse.md5(project, sha256)
    if md5 is None and project.env_manager == "none":
        return replace(found, said="its environment is not managed here, so where it is from is not known")
    if md5 is None:
        return replace(found, state=State.NOT_KEPT, said="its environment needs a package index to be built")
    looked = objects.look(File(path=NAME, md5=md5))
    if looked.kept is Kept.LOST:
        remark = f": {looked.remark}" if looked.remark else ""
        return replace(found, state=State.NOT_KEPT, said=f"they were kept, and are lost{remark}")
    remote = objects.remote
    return replace(
        found,
        state=State.KEPT,
        said=f"{looked.kept}{_remark(looked)}",
        is_only_here=looked.kept is Kept.HERE and remote is not None and remote.is_reachable,
    )


def keep(project: Project, *, say: Callable[[str], None]) -> tuple[Stock, ...]:
    """Bring the wheels that are not kept yet from their index into DVC's cache and onto the remote.

    What was brought by an attempt that was interrupted is not brought again. Raises MlprojError, with the
    wheels kept that could be, if an index or the remote cannot be reached.
    """
    with lock.held(project.home / f"{NAME}.lock", doing="keeping wheels"):
        for left in (project.home / NAME).glob("mlproj-dvc-*"):
            files.remove(left)  # of one that was killed
        lacking = {
            each.lock_sha256: each
            for each in stocks(project)
            if each.state is State.NOT_KEPT or each.is_only_here
        }
        failed: list[MlprojError] = []
        for _, wanted in _deployed(project):
            found = lacking.pop(wanted.lock_sha256, None)
            if found is not None:
                try:
                    _keep(project, wanted, found, say)
                except MlprojError as error:
                    failed.append(error)
        if failed:
            raise failed[0]
    return stocks(project)


def _deployed(project: Project) -> Iterator[tuple[int, Wanted]]:
    """Every version with the environment that it wants, as its package or else its run's manifest says."""
    if project.postgres is None and not (project.home / "serving.db").exists():
        return
    with store.open(project.home, project.postgres) as opened:
        known = opened.versions()
        manifests = World(project=project, objects=Objects(project.root)).manifests
        for each in known:
            place = opened.place(each)
            folder = place.folder if place else versions.path(project.home, each.number, each.digest)
            if folder.is_dir():
                yield each.number, serve.wanted(project, folder)
                continue
            said = manifests.get(each.run, {}).get("environment") or {}
            yield (
                each.number,
                Wanted(
                    lock=said.get("lock"),
                    lock_sha256=said.get("lock_sha256"),
                    python=said.get("python"),
                    commit=serve.outcome(project, each.run),
                ),
            )


def _keep(project: Project, wanted: Wanted, found: Stock, say: Callable[[str], None]) -> None:
    sha256 = str(wanted.lock_sha256)
    # Not in the work tree; beside the log, it outlives an interruption.
    folder = project.home / NAME / vault.name(sha256)
    texts = environments.texts(project, wanted)
    numbers = listed([str(number) for number in found.versions])
    with scratch(project, beside=folder.parent) as place:
        md5 = wheelhouse.md5(project, sha256)
        if md5 is None or found.state is State.NOT_KEPT:
            python = environments.python_for(project, wanted, say=say, house=wheelhouse.house(project))
            say(f"bringing the wheels of `{wanted.lock}` (of version {numbers})")
            wheels.download(texts, str(wanted.lock), python, folder)
            count, size = wheels.size(folder)
            say(
                f"keeping {count} wheels, {size / 1e6:,.0f} MB; those that DVC has already are not kept twice"
            )
            shutil.copytree(folder, place.root / NAME)
            place.dvc("add", "--quiet", NAME)
            # Named only when they are where others find them; until then they are brought once more.
            _push(project, place)
            described = (place.root / f"{NAME}.dvc").read_text(encoding="utf-8")
            contents = {vault.WHEELS: described, **texts, ".dvc/config": _config(project)}
            vault.keep(project.root, sha256, contents)
            files.remove(folder)
        else:
            place.bring(md5, NAME)
            _push(project, place)


def _push(project: Project, place: Scratch) -> None:
    if Objects(project.root).remote is not None:
        place.dvc("push", "--quiet", f"{NAME}.dvc")


def _config(project: Project) -> str:
    path = project.root / ".dvc" / "config"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _remark(looked: File) -> str:
    return f", {looked.remark}" if looked.remark else ""
