"""What was rendered, kept in the repository so that an upgrade can tell the template's text from the user's.

`.mlproj/base.tar.gz` is the pristine rendering; `.mlproj/lock.json` says from which template and answers, and
gives each file's SHA-256 and class.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.base.errors import ConfigError
from mlproj.scaffold.answers import Answers, Inputs

FOLDER = ".mlproj"
BASE = f"{FOLDER}/base.tar.gz"
LOCK = f"{FOLDER}/lock.json"
FINDINGS = f"{FOLDER}/findings.json"
VERSION = 1


class FileClass(StrEnum):
    """Who a file belongs to once it is there."""

    MANAGED = "managed"  # the template's: an upgrade merges it
    SEEDED = "seeded"  # written once, then the user's: an upgrade offers it
    GENERATED = "generated"  # a program's: made again, never merged


_GENERATED = (f"{FOLDER}/*", ".copier-answers.yml", "dvc.lock")
_SEEDED = (
    "README.md",
    "LICENSE",
    ".dvc/config",
    "data/*",
    "docs/*.md",
    "models/*",
    "notebooks/*",
    "references/*",
    "reports/*",
    "tests/*",
)
_NEVER = (".env", "__pycache__")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One rendered file."""

    sha256: str
    kind: FileClass


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """Of a repository that was there before: which parts of the template it took (`layers.py` names them),
    and the paths at which it had files of its own, which stay out of every upgrade."""

    parts: tuple[str, ...]
    own: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Lock:
    template_version: str
    answers: Mapping[str, str]
    inputs: Inputs
    files: Mapping[str, Entry]
    adopted: Adopted | None = None


@dataclass(frozen=True, kw_only=True)
class File:
    """A file's bytes and whether it is a program."""

    content: bytes
    executable: bool


def classify(path: str, *, module: str) -> FileClass:
    """The class of a rendered file, `path` relative to the root with forward slashes."""
    if any(fnmatchcase(path, pattern) for pattern in _GENERATED):
        return FileClass.GENERATED
    if path.startswith(f"{module}/") or any(fnmatchcase(path, pattern) for pattern in _SEEDED):
        return FileClass.SEEDED
    return FileClass.MANAGED


def rendered(root: Path) -> dict[str, File]:
    """Every file below a rendering that was just made, by its path."""
    found = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not any(part in _NEVER for part in relative.parts):
            executable = bool(path.stat().st_mode & 0o100)
            found[relative.as_posix()] = File(content=path.read_bytes(), executable=executable)
    return found


def write(
    root: Path,
    rendering: Mapping[str, File],
    *,
    version: str,
    answers: Answers,
    inputs: Inputs,
    adopted: Adopted | None = None,
) -> None:
    """Record a rendering in the repository at `root`."""
    written = record(rendering, version=version, answers=answers, inputs=inputs, adopted=adopted)
    for path, file in written.items():
        files.write_bytes(root / path, file.content)


def record(
    rendering: Mapping[str, File],
    *,
    version: str,
    answers: Answers,
    inputs: Inputs,
    adopted: Adopted | None = None,
) -> dict[str, File]:
    """The two files that record a rendering, by their paths."""
    kinds = {path: classify(path, module=answers.module_name) for path in rendering}
    kept = {path: file for path, file in rendering.items() if kinds[path] is not FileClass.GENERATED}
    said = {
        "version": VERSION,
        "template": version,
        "answers": answers.as_data(),
        "inputs": vars(inputs),
        **({"adopted": vars(adopted)} if adopted else {}),
        "files": {
            path: {"class": str(kinds[path]), "sha256": _sha256(file)} for path, file in sorted(kept.items())
        },
    }
    text = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
    return {
        BASE: File(content=pack(kept), executable=False),
        LOCK: File(content=text.encode(), executable=False),
    }


def read(root: Path) -> Lock:
    """What was recorded. Raises ConfigError if it is not there or cannot be read."""
    said: Any = files.read_json(root / LOCK)
    try:
        if said["version"] != VERSION:
            raise ConfigError(
                f"`{root / LOCK}` was written by another version of mlproj",
                hint="upgrade mlproj, then run the command again",
            )
        return Lock(
            template_version=said["template"],
            answers=said["answers"],
            inputs=Inputs(**said["inputs"]),
            files={
                path: Entry(sha256=entry["sha256"], kind=FileClass(entry["class"]))
                for path, entry in said["files"].items()
            },
            adopted=_adopted(said.get("adopted")),
        )
    except (TypeError, KeyError, ValueError):
        raise ConfigError(
            f"`{root / LOCK}` is missing or cannot be read: it says what the repository was generated from",
            hint=f"bring it back: `git checkout -- {LOCK}`",
        ) from None


def _adopted(said: Any) -> Adopted | None:
    return Adopted(parts=tuple(said["parts"]), own=tuple(said["own"])) if said else None


def base(root: Path) -> dict[str, File]:
    """The pristine rendering. Raises ConfigError if it is not there or is damaged."""
    try:
        return unpack((root / BASE).read_bytes())
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ConfigError(
            f"`{root / BASE}` cannot be read: {error}", hint=f"bring it back: `git checkout -- {BASE}`"
        ) from None


def checked_base(root: Path, kept: Lock) -> dict[str, File]:
    """The pristine rendering, if it is the one that `kept` speaks of. Raises ConfigError otherwise."""
    found = base(root)
    if {path: _sha256(file) for path, file in found.items()} != {
        path: entry.sha256 for path, entry in kept.files.items()
    }:
        raise ConfigError(
            f"`{BASE}` and `{LOCK}` are not of the same rendering, as after a merge that took one of each",
            hint=f"take both from one commit: `git checkout COMMIT -- {BASE} {LOCK}`, and commit them",
        )
    return found


def pack(rendering: Mapping[str, File]) -> bytes:
    """An archive whose bytes depend on the files alone: no times, no owners, paths in order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, file in sorted(rendering.items()):
            member = tarfile.TarInfo(path)
            member.size = len(file.content)
            member.mode = 0o755 if file.executable else 0o644
            archive.addfile(member, io.BytesIO(file.content))
    return gzip.compress(stream.getvalue(), mtime=0)


def unpack(archive: bytes) -> dict[str, File]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
        for member in members:
            content = members.extractfile(member)
            if content is not None:
                executable = bool(member.mode & 0o100)
                found[member.name] = File(content=content.read(), executable=executable)
    return found


def _sha256(file: File) -> str:
    return hashlib.sha256(file.content).hexdigest()
