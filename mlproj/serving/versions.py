"""The packages of versions on this machine: copied out of the work tree, or fetched from the other machines.

A package travels as a tar with nothing in it that differs between two packings of the same files.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlproj.base import files
from mlproj.base.errors import ConfigError
from mlproj.serving import package
from mlproj.serving.deployment import Version
from mlproj.serving.store import Store

# PostgreSQL takes values of up to 1 GB; no model that is served from a few workers comes near.
_LARGEST = 512 << 20


def path(home: Path, number: int, digest: str) -> Path:
    """Where the package of a version is kept."""
    return home / "versions" / f"{number}-{digest[:12]}"


def keep(home: Path, number: int, folder: Path) -> Path:
    """Copy a package to where nothing else writes to; returns that folder. Raises ConfigError if it is not
    as it was packaged."""
    digest = package.digest(folder)
    kept = path(home, number, digest)
    if folder != kept and not _is_as_packaged(kept, digest):
        package.verify(folder)
        with _whole(kept, digest) as temporary:
            shutil.copytree(folder, temporary)
    return kept


def _is_as_packaged(kept: Path, digest: str) -> bool:
    """False also for a copy that has been damaged since it was made."""
    try:
        package.verify(kept)
        return package.digest(kept) == digest
    except ConfigError:
        return False


def pack(folder: Path) -> bytes:
    """The files of a package as one tar. Raises ConfigError if it is too large to be kept in PostgreSQL."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > _LARGEST:
        raise ConfigError(
            f"the package `{folder}` has {size / 1e6:,.0f} MB; at most {_LARGEST / 1e6:,.0f} MB are shared"
            " between machines",
            hint="leave out of the model what it does not need to predict, and package it again",
        )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = tarfile.TarInfo(file.relative_to(folder).as_posix())
                entry.size, entry.mode = file.stat().st_size, 0o644
                with file.open("rb") as content:
                    tar.addfile(entry, content)
    return stream.getvalue()


def fetch(store: Store, home: Path, version: Version) -> Path:
    """The folder of a version on this machine, brought here from the shared store if need be.

    Raises ConfigError where nobody has put it there, or what came is not what was put there.
    """
    kept = path(home, version.number, version.digest)
    damaged = kept.is_dir() and package.digest(kept) != version.digest
    if kept.is_dir() and not damaged:
        return kept
    content = store.content(version)
    if content is None and damaged:
        raise ConfigError(
            f"`{kept / package.NAME}` is not the one that was deployed: its SHA-256 differs",
            hint="check its run out (`git checkout mlproj/run/RUN`, `dvc pull`), then deploy from there",
        )
    if content is None:
        raise ConfigError(
            f"the package of version {version.number} is not on this machine",
            hint="check its run out (`git checkout mlproj/run/RUN`, `dvc pull`), then deploy from there",
        )
    with _whole(kept, version.digest) as temporary:
        temporary.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(temporary, filter="data")
        if package.digest(temporary) != version.digest:
            raise ConfigError(f"what came as version {version.number} is another package")
        package.verify(temporary)
    return kept


@contextmanager
def _whole(kept: Path, digest: str) -> Iterator[Path]:
    """A folder to fill, which takes its name only when it is complete.

    Of two who bring the same package at once, the second leaves what the first put there: a worker may be
    loading it.
    """
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    files.remove(temporary)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        if not _is_as_packaged(kept, digest):
            files.remove(kept)
            try:
                temporary.rename(kept)
            except OSError:
                if not _is_as_packaged(kept, digest):
                    raise
    finally:
        files.remove(temporary)
