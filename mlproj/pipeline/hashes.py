"""MD5 digests as DVC writes them, remembered while a file stays as it was."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from mlproj.base import files
from mlproj.base.errors import MlprojError

# A file written this shortly ago may be written again without its time stamp changing (git's "racy" rule).
_RACY_NS = 2_000_000_000


def ignored_names(root: Path) -> frozenset[str] | None:
    """The names that `.dvcignore` leaves out of folders; None if it says more than plain names."""
    path = root / ".dvcignore"
    if not path.exists():
        return frozenset()
    lines = (line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    names = frozenset(line for line in lines if line and not line.startswith("#"))
    return None if any(set(name) & set("*?[]!/\\") for name in names) else names


class Hashes:
    """Digests of files and folders below `root`, kept in `store` from one command to the next."""

    def __init__(self, root: Path, store: Path) -> None:
        self._root = root
        self._store = store
        said = files.read_json(store)
        self._known: dict[str, list[int | str]] = said if isinstance(said, dict) else {}
        self._changed = False
        self._ignored = ignored_names(root) or frozenset()

    def md5(self, path: str) -> str | None:
        """DVC's digest of a file, or of a folder (ending in `.dir`); None where there is neither."""
        full = self._root / path
        if full.is_dir():
            return self._folder(path)
        return self._file(full, path) if full.is_file() else None

    def save(self) -> None:
        """Keep what was learnt; a repository that cannot be written to is only slower next time."""
        if self._changed:
            try:
                files.write_text(self._store, json.dumps(self._known))
            except MlprojError:
                return

    def _file(self, full: Path, path: str) -> str:
        """`path` is relative to the root."""
        stat = full.stat()
        seen = [stat.st_mtime_ns, stat.st_size, stat.st_ino]
        known = self._known.get(path)
        if known is not None and known[:3] == seen:
            return str(known[3])
        digest = files.digest(full, "md5")
        if time.time_ns() - stat.st_mtime_ns > _RACY_NS:
            self._known[path] = [*seen, digest]
            self._changed = True
        return digest

    def _folder(self, path: str) -> str:
        """The digest of DVC's own listing of a folder: dvc_data/hashfile/tree.py:Tree.as_bytes."""
        listing = []
        folder = self._root / path
        for above, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name not in self._ignored]
            here = Path(above)
            within = "" if here == folder else here.relative_to(folder).as_posix()
            for name in names:
                full = here / name
                if name in self._ignored or not full.is_file():
                    continue
                relpath = f"{within}/{name}" if within else name
                listing.append({"md5": self._file(full, f"{path}/{relpath}"), "relpath": relpath})
        listing.sort(key=lambda entry: tuple(entry["relpath"].split("/")))
        text = json.dumps(listing, sort_keys=True)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
