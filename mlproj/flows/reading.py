"""A repository as it is asked about its past: what was read of it, and what was found wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mlproj.decisions import store as notebook
from mlproj.decisions.store import Page
from mlproj.pipeline import yaml12
from mlproj.project import Project
from mlproj.provenance import history, lineage
from mlproj.provenance.history import KeptRun
from mlproj.provenance.objects import Objects
from mlproj.provenance.trace import Break, Link

REGISTERED = "models/registered.json"
LOCK = "dvc.lock"


@dataclass
class World:
    """A repository with what was read of it, and what was found wrong on the way."""

    project: Project
    objects: Objects
    breaks: list[Break] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def kept(self) -> dict[str, KeptRun]:
        return history.kept_runs(self.project.root)

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        return notebook.find(self.project.decisions)

    @cached_property
    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """The manifest of every run that git keeps, and of the one in the work tree."""
        runs = list(self.kept.values())
        texts = history.read(self.project.root, [(run.commit, lineage.MANIFEST) for run in runs])
        found = {run.run: table(text) for run, text in zip(runs, texts, strict=True)}
        here = table(read_bytes(self.project.root / lineage.MANIFEST))
        if isinstance(here.get("run_id"), str):
            found.setdefault(here["run_id"], here)
        return found

    def broken(self, link: Link, said: str, *, known: str = "", hint: str = "") -> None:
        found = Break(link=link, said=said, known=known, hint=hint)
        if found not in self.breaks:
            self.breaks.append(found)

    def note(self, said: str) -> None:
        if said not in self.notes:
            self.notes.append(said)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the files of a run are read: a commit, or the work tree where `commit` is None."""

    root: Path
    commit: str | None
    names: frozenset[str]

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        asked = [path for path in dict.fromkeys(paths) if path in self.names]
        if self.commit is None:
            texts = [read_bytes(self.root / path) for path in asked]
        else:
            texts = history.read(self.root, [(self.commit, path) for path in asked])
        return {path: text for path, text in zip(asked, texts, strict=True) if text is not None}


def table(text: bytes | None) -> Mapping[str, Any]:
    """A JSON object; an empty one for what is not there or is none."""
    try:
        said = json.loads(text) if text else None
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def parsed(text: bytes | None) -> Mapping[str, Any]:
    """The same of YAML."""
    try:
        said = yaml.load(text.decode("utf-8"), Loader=yaml12.Loader) if text else None
    except (yaml.YAMLError, UnicodeDecodeError):
        said = None
    return said if isinstance(said, dict) else {}


def read_bytes(path: Path) -> bytes | None:
    """The file as it is now; None if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
