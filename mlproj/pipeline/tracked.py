"""Which files DVC keeps, and whether they are still what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlproj.pipeline import stages, yaml12
from mlproj.pipeline.hashes import Hashes

_NOT_DATA = {".gitkeep", ".gitignore", ".DS_Store"}


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file or folder of raw data. `kept` is False where DVC does not know it, `unchanged` where it
    differs from what DVC recorded, `present` where it is recorded but not in the work tree; `is_made` is True
    where a stage makes it, so that it need not come from anywhere."""

    path: str
    kept: bool
    unchanged: bool
    present: bool = True
    is_made: bool = False
    md5: str | None = None


def raw_data(root: Path, hashes: Hashes, *, folder: str = "data/raw") -> tuple[DataFile, ...]:
    """Every file below `folder`, and every one that DVC says should be there, by path."""
    made = {path: md5 for path, md5 in _made(root).items() if path.startswith(f"{folder}/")}
    recorded = {**_added(root, folder), **made}
    found: dict[str, DataFile] = {}
    for path, md5 in recorded.items():
        now = hashes.md5(path)
        found[path] = DataFile(
            path=path,
            kept=True,
            unchanged=now in (md5, None),
            present=now is not None,
            is_made=path in made,
            md5=md5,
        )
    base = root / folder
    for file in sorted(base.rglob("*")) if base.is_dir() else ():
        name = file.relative_to(root).as_posix()
        if not file.is_file() or file.name in _NOT_DATA or file.suffix == ".dvc":
            continue
        if not any(name == path or name.startswith(f"{path}/") for path in recorded):
            found[name] = DataFile(path=name, kept=False, unchanged=False)
    return tuple(found[path] for path in sorted(found))


def _added(root: Path, folder: str) -> dict[str, str | None]:
    """Paths and digests of what `.dvc` files record."""
    added: dict[str, str | None] = {}
    base = root / folder
    for file in sorted(base.rglob("*.dvc")) if base.is_dir() else ():
        said = yaml12.read(file)
        for out in said.get("outs") or () if isinstance(said, dict) else ():
            where = (file.parent / str(out.get("path"))).relative_to(root).as_posix()
            added[where] = out.get("md5")
    return added


def _made(root: Path) -> dict[str, str | None]:
    """Paths and digests of what stages make."""
    pipeline = stages.load(root)
    names = {stage.name for stage in pipeline.stages} if pipeline else set()
    made: dict[str, str | None] = {}
    for name, body in stages.locked(root).items():
        # `dvc.lock` remembers stages that are gone; what they made is nobody's any more.
        for out in body.get("outs") or () if name.partition("@")[0] in names else ():
            made[str(out.get("path"))] = out.get("md5")
    return made
