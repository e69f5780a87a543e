"""What is fresh and what is stale, read from `dvc.yaml`, `dvc.lock` and the files themselves.

DVC answers the same question in most of a second of start-up. This reader answers in a few milliseconds for
the plain pipelines that most repositories have, and leaves the others to DVC (`pipeline.dvc.status`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproj.pipeline import stages, yaml12
from mlproj.pipeline.hashes import Hashes, ignored_names
from mlproj.pipeline.stages import Freshness, Pipeline, Stage, StageStatus

_MISSING = object()


def can_answer(root: Path, pipeline: Pipeline) -> bool:
    """Whether this reader understands all that the repository's DVC files say."""
    if not pipeline.is_plain or not all(
        file.endswith((".yaml", ".yml", ".json")) for stage in pipeline.stages for file, _ in stage.params
    ):
        return False
    lock = stages.locked(root)
    entries = [
        entry
        for stage in lock.values()
        for key in ("deps", "outs")
        for entry in stage.get(key, ())
        if isinstance(entry, dict)
    ]
    # DVC 2 hashed text with line ends folded; URLs and cloud versions have no local file at all.
    return all(entry.get("hash") == "md5" and "://" not in str(entry.get("path")) for entry in entries) and (
        ignored_names(root) is not None
        or not any(str(entry.get("md5", "")).endswith(".dir") for entry in entries)
    )


def of(root: Path, pipeline: Pipeline, hashes: Hashes) -> tuple[StageStatus, ...]:
    """The status of every stage by its own inputs and outputs, in the order of `dvc.yaml`."""
    lock = stages.locked(root)
    params: dict[str, Any] = {}
    return tuple(_status(root, stage, lock.get(stage.name), hashes, params) for stage in pipeline.stages)


def _status(
    root: Path, stage: Stage, locked: Mapping[str, Any] | None, hashes: Hashes, params: dict[str, Any]
) -> StageStatus:
    if locked is None:
        return StageStatus(stage=stage, freshness=Freshness.NEVER_RUN, reasons=("it has never run",))
    if stage.frozen:
        return StageStatus(stage=stage, freshness=Freshness.FRESH)
    reasons = ["it is declared `always_changed`"] if stage.always_changed else []
    cmd = locked.get("cmd", "")
    if (cmd if isinstance(cmd, str) else "\n".join(map(str, cmd))) != stage.cmd:
        reasons.append("its command changed")
    for kind, paths in (("deps", stage.deps), ("outs", stage.outs)):
        known = {str(entry.get("path")): entry.get("md5") for entry in locked.get(kind, ())}
        for path in paths:
            if path not in known:
                reasons.append(f"`{path}` is newly declared")
                continue
            now = hashes.md5(path)
            if now is None:
                reasons.append(f"`{path}` is missing")
            elif now != known[path]:
                reasons.append(f"`{path}` changed")
    reasons += _param_changes(root, stage, locked.get("params") or {}, params)
    freshness = Freshness.STALE if reasons else Freshness.FRESH
    return StageStatus(stage=stage, freshness=freshness, reasons=tuple(reasons))


def _param_changes(root: Path, stage: Stage, locked: Mapping[str, Any], params: dict[str, Any]) -> list[str]:
    reasons = []
    for file, keys in stage.params:
        if file not in params:
            path = root / file
            params[file] = yaml12.read(path) if path.exists() else None
        if not (root / file).exists():
            reasons.append(f"`{file}` is missing: `git checkout {file}` brings it back")
            continue
        known = locked.get(file) or {}
        # A file named without keys is tracked whole: its locked keys are its top ones.
        now_all = params[file] if isinstance(params[file], dict) else {}
        for key in keys or tuple({**known, **now_all}):
            now, then = _value(params[file], key), known.get(key, _MISSING)
            if now is _MISSING:
                reasons.append(f"parameter `{key}` is missing from `{file}`")
            elif now != then:
                reasons.append(f"parameter `{key}` changed")
    return reasons


def _value(table: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(table, dict) or part not in table:
            return _MISSING
        table = table[part]
    return table
