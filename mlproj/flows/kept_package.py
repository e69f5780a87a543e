"""The package that a version was served from, wherever it is still kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows.reading import LOCK, World, parsed
from mlproj.pipeline.scratch import Scratch
from mlproj.provenance import history, lineage, snapshot
from mlproj.provenance.things import File, Kept
from mlproj.provenance.trace import Link
from mlproj.serving import package, versions
from mlproj.serving.deployment import Version
from mlproj.serving.store import Store

PACKAGE = "models/package"


@dataclass(frozen=True, kw_only=True)
class KeptPackage:
    """A folder whose every file is as it was packaged, its digest, and where it was found."""

    folder: Path
    digest: str
    found: str


def find(
    world: World, store: Store | None, scratch: Scratch, *, number: int, run: str, expected: str | None
) -> KeptPackage | None:
    """The package of a run, the one with the digest `expected` before any other.

    Looked for on this machine, in the store that machines share, and by the run's snapshot in DVC's cache and
    remote. None where it is lost: then `world` is told which link is broken.
    """
    home = world.project.home
    found: list[KeptPackage] = []
    lacks: list[str] = []
    for kept in _here(home, store, number, run, expected, lacks):
        if kept.digest == expected or expected is None:
            return kept
        found.append(kept)
    brought = _by_snapshot(world, scratch, number, run, lacks)
    if brought is not None and brought.digest != expected and found:
        brought = None
    chosen = brought or (found[0] if found else None)
    if chosen is None:
        return None
    for each in lacks:
        world.note(each)
    return chosen


def _here(
    home: Path, store: Store | None, number: int, run: str, expected: str | None, lacks: list[str]
) -> Iterator[KeptPackage]:
    """What this machine has, or the store: what was deployed, then other packages of the run."""
    known = store.version(number) if store is not None else None
    if known is not None and known.run != run:
        known = None
    if store is not None and known is not None and expected in (None, known.digest):
        fetched = _fetched(store, home, known, lacks)
        if fetched is not None:
            yield fetched
    for folder in sorted((home / "versions").glob("*-*")):
        try:
            if package.load(folder).run_id == run:
                package.verify(folder)
                yield KeptPackage(folder=folder, digest=package.digest(folder), found="on this machine")
        except MlprojError as error:
            if folder.name.startswith(f"{number}-"):
                lacks.append(f"the copy of version {number} on this machine is damaged: {error.message}")


def _fetched(store: Store, home: Path, known: Version, lacks: list[str]) -> KeptPackage | None:
    was_here = versions.path(home, known.number, known.digest).is_dir()
    try:
        folder = versions.fetch(store, home, known)
        package.verify(folder)
    except MlprojError as error:
        if was_here:
            lacks.append(f"the copy of version {known.number} on this machine is damaged: {error.message}")
        return None
    place = "on this machine" if was_here else "from the store that machines share"
    return KeptPackage(folder=folder, digest=known.digest, found=place)


def _by_snapshot(
    world: World, scratch: Scratch, number: int, run: str, lacks: list[str]
) -> KeptPackage | None:
    """The package as DVC keeps it, by the digest that the run's snapshot has of it."""
    kept = world.kept.get(run)
    gone = f"the package of version {number} is not on this machine"
    if lacks:
        gone += f" ({lacks[-1]})"
    if kept is None:
        world.broken(
            Link.PACKAGE,
            f"{gone}, and no snapshot of run `{run}` is in this repository that would lead to it",
            known=f"its record says that run `{run}` made the version",
            hint="run `git fetch origin 'refs/tags/mlproj/*:refs/tags/mlproj/*'` where it was pushed",
        )
        return None
    (text,) = history.read(world.project.root, [(kept.commit, LOCK)])
    said = parsed(text)
    files = lineage.locked_files(said, [stage.name for stage in lineage.stages(said)])
    locked = files.get(PACKAGE)
    if locked is None or locked.md5 is None:
        world.broken(
            Link.PACKAGE,
            f"{gone}, and the snapshot of run `{run}` has none: it was kept before the run was packaged",
            known=_model(world, files.get("models/model")),
            hint=f"run `git checkout {snapshot.TAGS}/{run}`, `dvc pull` and `mlproj stage deployment`",
        )
        return None
    looked = world.objects.look(locked)
    try:
        folder = _brought(scratch, locked.md5, lacks)
    except MlprojError as error:
        where = f"; {looked.remark}" if looked.remark else ""
        away = _away(world)
        why = f"cannot be had: {error.message}"
        if looked.kept is Kept.LOST:
            why = f"is neither in DVC's cache nor on the remote{where}{away}"
        world.broken(
            Link.REMOTE if away else Link.OBJECT,
            f"{gone}, and `{PACKAGE}` (MD5 {locked.md5}) of run `{run}` {why}",
            known=_model(world, files.get("models/model")),
            hint="run `make sync_data_up` where it still is, or `mlproj trace` to see what else is missing",
        )
        return None
    return KeptPackage(
        folder=folder, digest=package.digest(folder), found=f"by DVC, from the snapshot of run {run[:8]}"
    )


def _brought(scratch: Scratch, md5: str, lacks: list[str]) -> Path:
    """The package from DVC's cache, or from the remote where the cache is damaged.

    Raises ToolError if DVC cannot bring it, ConfigError if what is there is damaged.
    """
    name = f"package-{md5[:8]}"
    folder = scratch.bring(md5, name)
    try:
        package.verify(folder)
    except ConfigError as error:
        try:
            folder = scratch.without_cache().bring(md5, name)
            package.verify(folder)
        except MlprojError:
            # The remote may be away or have none; that it is damaged here is what there is to mend.
            raise error from None
        lacks.append(f"DVC's cache is damaged, so the remote was asked: {error.message}")
    return folder


def _away(world: World) -> str:
    """That the remote cannot be reached; empty where it can, or there is none."""
    remote = world.objects.remote
    if remote is None or remote.is_reachable:
        return ""
    if remote.folder is not None:
        return f": the folder `{remote.url}` of the remote `{remote.name}` is not there"
    return f": the remote `{remote.name}` was asked by DVC"


def _model(world: World, model: File | None) -> str:
    """What is left of the model itself, from which the package could be made again."""
    if model is None or model.md5 is None:
        return ""
    return f"the model itself (`{model.path}`, MD5 {model.md5}) is {world.objects.look(model).kept}"
