"""Which files the stages opened, held against what `dvc.yaml` declares, and kept with what they made.

The notes are taken by `watched/sitecustomize.py` in every Python that a stage starts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlproj.base import files
from mlproj.pipeline import stages
from mlproj.pipeline.stages import Pipeline, Stage

REPORT = "reports/opened.json"

_WATCHED = Path(__file__).parent / "watched"
# Of the tools, not of the data: settings, stores, caches. Imported modules are looked at by their imports.
_TOOLS = (".git/", ".dvc/", ".mlproj/", ".venv/", "mlartifacts/", "mlruns/")
_DVC = ("dvc.yaml", "dvc.lock")
_SETTINGS = (".toml", ".lock", ".cfg", ".ini", ".db")
# Outside of the repository a process reads much that is no input: fonts, time zones, its own caches.
_TABLES = (
    ".arrow",
    ".csv",
    ".db",
    ".feather",
    ".json",
    ".jsonl",
    ".parquet",
    ".sqlite",
    ".tsv",
    ".xls",
    ".xlsx",
)
_PACKED = (".gz", ".h5", ".hdf5", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".zip")
_SYSTEM = ("/etc/", "/lib", "/opt/", "/run/", "/usr/", "/var/")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is known of some stages: `undeclared` are stages with a file that they read and `dvc.yaml` does
    not know of (by its full path where it is outside of the repository), `unwatched` those whose last run
    nobody watched."""

    undeclared: tuple[tuple[str, str], ...] = ()
    unwatched: tuple[str, ...] = ()


@contextlib.contextmanager
def watching(root: Path, pipeline: Pipeline | None) -> Iterator[dict[str, str]]:
    """The environment variables to run stages with; afterwards the report tells what those did that ran."""
    if pipeline is None or not pipeline.is_plain:
        yield {}
        return
    before, is_whole = stages.locked(root), False
    with tempfile.TemporaryDirectory(prefix="mlproj-opened-") as folder:
        known = os.environ.get("PYTHONPATH")
        try:
            yield {
                "MLPROJ_OPENED": folder,
                "PYTHONPATH": f"{_WATCHED}{os.pathsep}{known}" if known else str(_WATCHED),
            }
            is_whole = True
        finally:
            notes, locked = _notes(Path(folder)), stages.locked(root)
            # A stage that was interrupted is in the lock file as it ended the time before.
            ended = [
                name for name in notes if name in locked and (is_whole or locked[name] != before.get(name))
            ]
            _keep(root, pipeline, {name: notes[name] for name in ended}, locked)


def look(root: Path, names: Iterable[str]) -> Watched:
    """What is known of these stages as `dvc.lock` has them."""
    kept, locked = _kept(root), stages.locked(root)
    undeclared: list[tuple[str, str]] = []
    unwatched: list[str] = []
    for name in names:
        said = kept.get(name)
        if said is None or said.get("lock") != _digest(locked.get(name)):
            unwatched.append(name)
            continue
        undeclared += [(name, str(path)) for path in said.get("undeclared") or ()]
    return Watched(undeclared=tuple(undeclared), unwatched=tuple(unwatched))


def _keep(root: Path, pipeline: Pipeline, notes: Mapping[str, set[str]], locked: Mapping[str, Any]) -> None:
    known = {stage.name: stage for stage in pipeline.stages}
    kept = {name: said for name, said in _kept(root).items() if name in known}
    before = dict(kept)
    for name in notes.keys() & known.keys():
        undeclared = sorted(set(_undeclared(root, known[name], notes[name])))
        kept[name] = {"lock": _digest(locked[name]), "undeclared": undeclared}
    if kept != before:
        files.write_json(root / REPORT, {"version": 1, "stages": dict(sorted(kept.items()))})


def _kept(root: Path) -> dict[str, Mapping[str, Any]]:
    said = files.read_json(root / REPORT)
    found = said.get("stages") if isinstance(said, dict) else None
    return {name: each for name, each in found.items() if isinstance(each, dict)} if found else {}


def _notes(folder: Path) -> dict[str, set[str]]:
    """By stage, the files that its processes opened."""
    found: dict[str, set[str]] = {}
    for file in folder.iterdir():
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            stage, _, path = line.partition("\t")
            found.setdefault(stage, set()).update([path] if path else [])
    return found


def _undeclared(root: Path, stage: Stage, opened: Iterable[str]) -> Iterator[str]:
    declared = (*stage.deps, *stage.outs, *(name for name, _ in stage.params))
    home = Path.home()
    for name in opened:
        path = Path(name)
        if not path.is_file():
            continue  # it was temporary, or is no file
        if path.is_relative_to(root):
            inside = path.relative_to(root).as_posix()
            if not _is_declared(inside, declared) and not _is_of_the_tools(inside):
                yield inside
        elif (
            path.suffix in (*_TABLES, *_PACKED)
            and not _is_of_the_machine(path, home)
            and not _is_declared(name, declared)
        ):
            yield name


def _is_declared(path: str, declared: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one.rstrip('/')}/") for one in declared)


def _is_of_the_tools(path: str) -> bool:
    pure = PurePosixPath(path)
    if len(pure.parts) == 1:
        name = pure.name
        return name in _DVC or pure.suffix in _SETTINGS or name.startswith((".", "requirements", "mlflow.db"))
    return path.startswith(_TOOLS) or pure.suffix in (".py", ".pyc")


def _is_of_the_machine(path: Path, home: Path) -> bool:
    """Whether a file outside belongs to the system, to a cache or to a tool's settings."""
    if path.is_relative_to(tempfile.gettempdir()) or str(path).startswith(_SYSTEM):
        return True
    return path.is_relative_to(home) and path.relative_to(home).parts[0].startswith(".")


def _digest(entry: Any) -> str:
    """SHA-256 of a stage as `dvc.lock` has it: its command, and what it read and wrote."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
