"""Whether data is still there: DVC's cache and remote, looked into by digest.

A remote that is a folder is looked at directly. Others are asked through DVC, with the project's own
interpreter, and only where that was wanted: it takes seconds and the network.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproj.base import files, process
from mlproj.base.errors import MlprojError
from mlproj.provenance.things import File, Kept, plural

_FOLDER = ".dir"
# DVC 3 keeps objects here, below the root of a cache or remote; DVC 2 kept them at the root itself.
_LAYOUT = ("files", "md5")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The default remote. `folder` is None where it is no folder of this machine."""

    name: str
    url: str
    folder: Path | None

    @property
    def is_reachable(self) -> bool:
        return self.folder is not None and self.folder.is_dir()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What one store says of an object; `is_there` None where it was not asked."""

    is_there: bool | None
    remark: str = ""


class Objects:
    """The cache of a work tree and its default remote.

    With `verify`, the content of every object that is here is read and held against its digest. `asked`
    are the digests that a remote which is no folder was found to have; None where it was not asked.
    """

    def __init__(self, root: Path, *, verify: bool = False, asked: frozenset[str] | None = None) -> None:
        settings = settings_of(root)
        self.cache = _located(settings.get("cache", {}).get("dir", "cache"), root)
        self._verify = verify
        self._asked = asked
        self._seen: dict[tuple[str, int | None], File] = {}
        self.remote = _remote(settings, root)
        # As DVC's own setting has it: what is linked takes no room, and what is copied cannot be spoilt.
        self.links = "link" in settings.get("cache", {}).get("type", "").replace("reflink", "")

    def look(self, file: File) -> File:
        """The same file, with where its content is and what is the matter with it."""
        if file.md5 is None:
            return file
        key = (file.md5, file.size)
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = self._look(file.md5, file.size)
        return replace(file, kept=known.kept, remark=known.remark)

    @property
    def stores(self) -> tuple[Path, ...]:
        """The folders that hold objects: the cache, and the remote where it is a folder of this machine."""
        return (self.cache, *([self.remote.folder] if self.remote and self.remote.folder else []))

    @property
    def was_asked(self) -> bool:
        """Whether it is known what a remote has that is no folder."""
        return self._asked is not None

    def again(self) -> None:
        """Forget what was seen: objects have come or gone."""
        self._seen.clear()

    def cached(self, md5: str) -> Path:
        """Where the cache has an object, or would have it."""
        return place_of(self.cache, md5)

    def inside(self, md5: str) -> tuple[tuple[str, str], ...]:
        """The files of a folder that is in the cache: path within it, and digest."""
        said = files.read_json(self.cached(md5))
        listing = said if isinstance(said, list) else []
        return tuple((str(entry.get("relpath")), str(entry.get("md5"))) for entry in listing)

    def find(self, md5: str) -> Path | None:
        """Where the content of a file can be read: in the cache, else on a remote that is a folder."""
        found = (place_of(store, md5) for store in self.stores)
        return next((path for path in found if path.is_file()), None)

    def listing(self, md5: str) -> dict[str, str]:
        """The digests of the files in a folder, by path; empty where its listing is not on this machine."""
        place = self.find(md5)
        said = files.read_json(place) if place is not None else None
        listing = said if isinstance(said, list) else []
        return {str(entry.get("relpath")): str(entry.get("md5")) for entry in listing}

    def why_missing(self, file: File) -> str:
        """What is the matter with an object that cannot be had: in the cache, and on the remote."""
        md5 = file.md5 or ""
        here = self._in(self.cache, md5, file.size)
        cached = here.remark or ("it is there" if here.is_there else "it is not there")
        if self.remote is None:
            return f"in the cache {cached}, and no remote is configured"
        if self.remote.folder is not None and not self.remote.is_reachable:
            where = (
                f"the remote `{self.remote.name}` cannot be reached: the folder `{self.remote.url}` is gone"
            )
            return f"in the cache {cached}, and {where}"
        there = self._on_remote(md5, file.size)
        kept = {True: "it is there", False: there.remark or "it is not there", None: "DVC did not find it"}
        return f"in the cache {cached}; on the remote `{self.remote.name}` {kept[there.is_there]}"

    def in_the_way(self, file: File) -> tuple[Path, ...]:
        """What has to go from a remote that is a folder before `dvc push` mends it: damaged objects, and the
        listing of a folder that is not whole, since DVC takes that for the folder."""
        store = self.remote.folder if self.remote else None
        if store is None or file.md5 is None or self._in(store, file.md5, file.size).is_there:
            return ()
        places = (place_of(store, file.md5), *self._damaged(store, file.md5))
        return tuple(place for place in places if place.exists())

    def damaged_here(self, file: File) -> tuple[Path, ...]:
        """What has to go from the cache before `dvc fetch` or `dvc add` mends it."""
        if file.md5 is None:
            return ()
        own = place_of(self.cache, file.md5)
        is_folder = file.md5.endswith(_FOLDER)
        lacks = not self._whole(own, file.md5, None if is_folder else file.size).is_there
        places = ([own] if lacks else []) + self._damaged(self.cache, file.md5)
        return tuple(place for place in places if place.exists())

    def once_cleared(self, file: File, then: str) -> str:
        """A hint: `then`, once what is damaged is deleted, in the cache and on a remote that is a folder."""
        bad = (*self.damaged_here(file), *self.in_the_way(file))
        return (
            f"run `rm {shlex.join(map(str, bad))}`, which DVC takes for whole, then {then}"
            if bad
            else f"run {then}"
        )

    def _damaged(self, store: Path, md5: str) -> list[Path]:
        """Of the files of a folder, those that are not whole in a store."""
        inside = [(each, place_of(store, each)) for each in self._entries(store, md5)]
        return [place for each, place in inside if not self._whole(place, each, None).is_there]

    def _look(self, md5: str, size: int | None) -> File:
        here = self._in(self.cache, md5, size)
        there = self._on_remote(md5, size)
        if here.is_there:
            kept = Kept.BOTH if there.is_there else Kept.HERE
            remark = ""
            if there.is_there is False:
                damaged = self.remote is not None and there.remark
                remark = f"on the remote {there.remark}" if damaged else "not on the remote"
            return File(path="", md5=md5, kept=kept, remark=remark)
        cached = f"in the cache {here.remark}" if here.remark else ""
        if there.is_there:
            return File(path="", md5=md5, kept=Kept.REMOTE, remark=cached)
        if there.is_there is None:
            return File(path="", md5=md5, kept=Kept.NOT_ASKED, remark=cached)
        stored = f"on the remote {there.remark}" if self.remote is not None and there.remark else there.remark
        remark = "; ".join(filter(None, (cached, stored)))
        return File(path="", md5=md5, kept=Kept.LOST, remark=remark)

    def _on_remote(self, md5: str, size: int | None) -> _Found:
        if self.remote is None:
            return _Found(is_there=False, remark="no remote is configured")
        if self.remote.folder is not None:
            return self._in(self.remote.folder, md5, size)
        if self._asked is None:
            return _Found(is_there=None)
        wanted = {md5, *self._entries(self.cache, md5)}
        return _Found(is_there=wanted <= self._asked)

    def _in(self, store: Path, md5: str, size: int | None) -> _Found:
        path = place_of(store, md5)
        if not md5.endswith(_FOLDER):
            return self._whole(path, md5, size)
        listing = self._whole(path, md5, None)
        if not listing.is_there:
            return listing
        entries = self._entries(store, md5)
        found = [self._whole(place_of(store, each), each, None) for each in entries]
        lacking = [each for each in found if not each.is_there]
        if lacking:
            first = next((each.remark for each in lacking if each.remark), "")
            count = f"{len(lacking):,} of its {plural(len(found), 'file')} {_are(len(lacking))} missing"
            return _Found(is_there=False, remark=f"{count}{': ' + first if first else ''}")
        return _Found(is_there=True)

    def _whole(self, path: Path, md5: str, size: int | None) -> _Found:
        try:
            found = path.stat().st_size
        except OSError:
            return _Found(is_there=False)
        if size is not None and found != size:
            return _Found(
                is_there=False, remark=f"the object is damaged: {found:,} bytes instead of {size:,}"
            )
        if self._verify and not is_content(path, md5):
            return _Found(is_there=False, remark="the object is damaged: its digest differs")
        return _Found(is_there=True)

    def _entries(self, store: Path, md5: str) -> tuple[str, ...]:
        """The digests that a folder's listing names."""
        if not md5.endswith(_FOLDER):
            return ()
        said = files.read_json(place_of(store, md5))
        return tuple(str(entry.get("md5")) for entry in said) if isinstance(said, list) else ()


def ask(root: Path, python: Path, remote: str, digests: Iterable[str]) -> frozenset[str]:
    """Which of the objects a remote has, of folders the files too, asked through the project's DVC.

    Raises MlprojError with DVC's own words if the remote cannot be reached.
    """
    said = _through_dvc("ask_remote.py", root, python, remote, digests)
    return frozenset(json.loads(said.strip().splitlines()[-1]))


def fetch(root: Path, python: Path, remote: str, digests: Iterable[str]) -> None:
    """Bring objects from a remote into the cache, as far as it has them, through the project's DVC.

    Raises MlprojError with DVC's own words if the remote cannot be reached.
    """
    _through_dvc("fetch_objects.py", root, python, remote, digests)


def _through_dvc(name: str, root: Path, python: Path, remote: str, digests: Iterable[str]) -> str:
    done = process.run(
        python,
        "-P",
        Path(__file__).with_name(name),
        cwd=root,
        path_first=python.parent,
        stdin=json.dumps({"remote": remote, "digests": sorted(set(digests))}),
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MlprojError(f"the remote `{remote}` could not be asked: {last}")
    return done.stdout


def is_content(path: Path, md5: str) -> bool:
    """Whether a file has the content that DVC names so; DVC 2 folded the line ends of texts."""
    wanted = md5.removesuffix(_FOLDER)
    if files.digest(path, "md5") == wanted:
        return True
    hasher = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        for line in stream:
            hasher.update(line[:-2] + b"\n" if line.endswith(b"\r\n") else line)
    return hasher.hexdigest() == wanted


def digest(content: bytes) -> str:
    """MD5 as DVC 3 writes it: of the bytes as they are."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def place_of(store: Path, md5: str) -> Path:
    """Where a cache or remote that is a folder has an object, or would have it."""
    found = store.joinpath(*_LAYOUT, md5[:2], md5[2:])
    before = store / md5[:2] / md5[2:]
    return before if not found.exists() and before.exists() else found


def settings_of(root: Path) -> dict[str, dict[str, str]]:
    """DVC's settings of this repository, those that are not in git over those that are."""
    found: dict[str, dict[str, str]] = {}
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(root / ".dvc" / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # DVC will say what is wrong with it; a trace goes on with what can be read
        for section in parser.sections():
            found.setdefault(section.strip("'"), {}).update(parser[section])
    return found


def _remote(settings: Mapping[str, Mapping[str, Any]], root: Path) -> Remote | None:
    name = settings.get("core", {}).get("remote")
    url = settings.get(f'remote "{name}"', {}).get("url")
    if name is None or url is None:
        return None
    local = "://" not in url or url.startswith("file://")
    return Remote(name=name, url=url, folder=_located(url.removeprefix("file://"), root) if local else None)


def _located(path: str, root: Path) -> Path:
    """A path in DVC's settings: relative ones are so to the folder of the settings."""
    found = Path(path).expanduser()
    return found if found.is_absolute() else root / ".dvc" / found
