"""Which stages a pipeline has, and how they follow from each other. Nothing here runs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from mlproj.base.errors import ConfigError
from mlproj.pipeline import yaml12


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of `dvc.yaml`, its paths relative to the repository's root."""

    name: str
    cmd: str
    phase: str | None
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[tuple[str, tuple[str, ...]], ...]
    frozen: bool = False
    always_changed: bool = False


class Freshness(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    NEVER_RUN = "never run"


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """Whether a stage's outputs are what its command would make now; `reasons` says what changed."""

    stage: Stage
    freshness: Freshness
    reasons: tuple[str, ...] = ()

    @property
    def is_fresh(self) -> bool:
        return self.freshness is Freshness.FRESH


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The stages of a repository in the order of `dvc.yaml`. `is_plain` is False where `dvc.yaml` uses
    templating, loops or folders of stages, which only DVC itself can resolve."""

    stages: tuple[Stage, ...]
    is_plain: bool = True


def load(root: Path) -> Pipeline | None:
    """The pipeline of `dvc.yaml`, or None where there is none. Raises ConfigError if it cannot be read."""
    path = root / "dvc.yaml"
    if not path.exists():
        return None
    said = yaml12.read(path)
    if not isinstance(said, dict):
        raise _malformed(path, "it must be a mapping with the key `stages`")
    table = said.get("stages") or {}
    if not isinstance(table, dict):
        raise _malformed(path, "`stages` must be a mapping from names to stages")
    stages, plain = [], "vars" not in said
    for name, body in table.items():
        if not isinstance(body, dict):
            raise _malformed(path, f"stage `{name}` must be a mapping with a `cmd`")
        if body.keys() & {"foreach", "matrix", "vars", "wdir"} or "${" in repr(body):
            plain = False
        if not body.keys() & {"foreach", "matrix", "cmd"}:
            raise _malformed(path, f"stage `{name}` has no `cmd`")
        stages.append(_stage(str(name), body.get("do", body), path))
    return Pipeline(stages=tuple(stages), is_plain=plain)


def locked(root: Path) -> dict[str, Any]:
    """What `dvc.lock` says of each stage; empty before the first run; ConfigError if not YAML."""
    path = root / "dvc.lock"
    if not path.exists():
        return {}
    said = yaml12.read(path)
    table = said.get("stages") if isinstance(said, dict) else None
    if not isinstance(table, dict):
        return {}
    return {str(name): body for name, body in table.items() if isinstance(body, dict)}


def _stage(name: str, body: Mapping[str, Any], path: Path) -> Stage:
    meta = body.get("meta") or {}
    params: dict[str, list[str]] = {}
    for entry in _listed(body, "params", name, path):
        if isinstance(entry, str):
            params.setdefault("params.yaml", []).append(entry)
        elif isinstance(entry, dict):
            for file, keys in entry.items():
                params.setdefault(str(file), []).extend(map(str, keys or ()))
    cmd = body.get("cmd", "")
    return Stage(
        name=name,
        cmd=cmd if isinstance(cmd, str) else "\n".join(map(str, cmd or ())),
        phase=str(meta["phase"]) if isinstance(meta, dict) and "phase" in meta else None,
        deps=_paths(_listed(body, "deps", name, path)),
        outs=tuple(
            out for key in ("outs", "metrics", "plots") for out in _paths(_listed(body, key, name, path))
        ),
        params=tuple((file, tuple(keys)) for file, keys in params.items()),
        frozen=bool(body.get("frozen")),
        always_changed=bool(body.get("always_changed")),
    )


def _listed(body: Mapping[str, Any], key: str, name: str, path: Path) -> Sequence[Any]:
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _malformed(path, f"`{key}` of stage `{name}` must be a list")
    return value


def _paths(entries: Sequence[Any]) -> tuple[str, ...]:
    names = (entry if isinstance(entry, str) else next(iter(entry), "") for entry in entries)
    return tuple(PurePosixPath(str(name)).as_posix() for name in names)


def _malformed(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"`{path.name}`: {what}",
        hint=f"mend it, or `git checkout {path.name}` to go back to the last commit",
    )
