"""Data of the past into the work tree: out of DVC's cache, read-only, beside what is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlproj.base import files
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.provenance.objects import Objects, is_content
from mlproj.provenance.things import File

_READ_ONLY = 0o444
# Neither git nor DVC is to see what is brought in, its own `.gitignore` and folders of DVC files included.
_HIDE = {".gitignore": "*\n", ".dvcignore": "*\n"}
_FOLDER = ".dir"


def hide(folder: Path) -> None:
    """Keep a folder out of git and DVC, from within."""
    for name, text in _HIDE.items():
        if not (folder / name).exists():
            files.write_text(folder / name, text)


def place(objects: Objects, file: File, target: Path) -> None:
    """Put a file or folder, whose object is in the cache and whole, at `target`, in place of what is there.

    What is there already with the same content is left.
    """
    for path, md5 in _wanted(objects, file, target):
        if not _is(path, md5):
            _put(objects.cached(md5), path, linked=objects.links)


def refuse_other(objects: Objects, file: File, target: Path) -> None:
    """Raise ConfigError where `place` would replace other content."""
    for path, md5 in _wanted(objects, file, target):
        if path.exists() and not _is(path, md5):
            raise ConfigError(
                f"`{path}` is there already, with other content; nothing was written",
                hint="move it away, or name another folder with `--out`",
            )


def clear(folder: Path, keep: Iterable[Path]) -> None:
    """Remove the files of `folder` that are not in `keep`, nor in a folder that is."""
    kept = tuple(keep)
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not any(path == each or path.is_relative_to(each) for each in kept):
            path.unlink()


def _wanted(objects: Objects, file: File, target: Path) -> list[tuple[Path, str]]:
    """The files to put there, each with its digest."""
    assert file.md5 is not None
    if not file.md5.endswith(_FOLDER):
        return [(target, file.md5)]
    return [(_within(target, name), md5) for name, md5 in objects.inside(file.md5)]


def _within(target: Path, name: str) -> Path:
    """A path that a folder's listing names. A listing comes from elsewhere: it does not lead out of there."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise MlprojError(f"the listing of `{target.name}` names `{name}`, which leads out of the folder")
    return target / pure


def _put(source: Path, target: Path, *, linked: bool) -> None:
    """Whole or not at all. A link shares the cache's file, which DVC keeps read-only as well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bringing-") as place:
        made = Path(place) / target.name
        try:
            if linked:
                os.link(source, made)
            else:
                shutil.copyfile(source, made)
        except OSError:
            shutil.copyfile(source, made)  # another file system, say
        made.chmod(_READ_ONLY)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        made.replace(target)


def _is(path: Path, md5: str) -> bool:
    return path.is_file() and is_content(path, md5)
