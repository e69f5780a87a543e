"""Data by digest, copied to where a stage will read them, from whichever store has them whole.

Not through DVC: it deletes a damaged object from the cache or the remote in which it finds it, and these are
the user's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mlproj.base import files
from mlproj.provenance.objects import is_content, place_of
from mlproj.provenance.things import File

_FOLDER = ".dir"


def put(stores: Sequence[Path], file: File, target: Path) -> bool:
    """Copy a file or folder to `target`; False, with nothing written, unless each part is somewhere whole."""
    assert file.md5 is not None
    wanted = {"": file.md5}
    if file.md5.endswith(_FOLDER):
        listing = _whole(stores, file.md5)
        if listing is None:
            return False
        entries = json.loads(listing.read_text(encoding="utf-8"))
        wanted = {str(entry["relpath"]): str(entry["md5"]) for entry in entries}
        if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in wanted):
            return False  # a listing comes from elsewhere; it does not lead out of the folder
    found = {name: _whole(stores, md5) for name, md5 in wanted.items()}
    if None in found.values():
        return False
    files.remove(target)
    for name, source in found.items():
        assert source is not None
        path = target / name if name else target
        path.parent.mkdir(parents=True, exist_ok=True)
        # The content alone: the object is read-only, the copy is a file like any other.
        shutil.copyfile(source, path)
    return True


def _whole(stores: Sequence[Path], md5: str) -> Path | None:
    """The first place where an object is that has the content of its name."""
    places = (place_of(store, md5) for store in stores)
    return next((path for path in places if path.is_file() and is_content(path, md5)), None)
