"""MLflow's own store, read without MLflow: a SQLite file beside the repository, opened for reading only.

Nothing hangs on it. Where it is gone, of another form than we know, or a server's, it knows of nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What `mlproj reproduce` logs is a report on a run, not another run.
_REPORT = "reproduction.of"


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as the store has it. `metrics` are by split and name, those of its evaluation among them; `at` is
    its start in UTC (ISO 8601), `note` what people wrote on its page."""

    run: str
    by: str
    at: str
    is_deleted: bool
    note: str
    params: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, float]]


def runs(store: Path) -> tuple[TrackedRun, ...]:
    """Every run of its own; an evaluation belongs to the run that it is of."""
    rows = _ask(
        store,
        "SELECT r.run_uuid, r.start_time, r.user_id, r.lifecycle_stage, p.value, n.value FROM runs AS r"
        " LEFT JOIN tags AS p ON p.run_uuid = r.run_uuid AND p.key = 'mlflow.parentRunId'"
        " LEFT JOIN tags AS n ON n.run_uuid = r.run_uuid AND n.key = 'mlflow.note.content'"
        " WHERE r.run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = ?)",
        (_REPORT,),
    )
    parents = {run: parent for run, _, _, _, parent, _ in rows if parent is not None}
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for run, key, value in _ask(store, "SELECT run_uuid, key, value FROM latest_metrics WHERE is_nan = 0"):
        split, _, name = str(key).partition("_")
        metrics.setdefault(parents.get(run, run), {}).setdefault(split, {})[name] = value
    params: dict[str, dict[str, str]] = {}
    for run, key, value in _ask(store, "SELECT run_uuid, key, value FROM params"):
        params.setdefault(run, {})[key] = value
    return tuple(
        TrackedRun(
            run=run,
            by=user or "",
            at=datetime.fromtimestamp((began or 0) / 1000, UTC).isoformat(timespec="seconds"),
            is_deleted=stage == "deleted",
            note=note or "",
            params=params.get(run, {}),
            metrics=metrics.get(run, {}),
        )
        for run, began, user, stage, parent, note in rows
        if parent is None
    )


def run_of_alias(store: Path, model: str, alias: str) -> str | None:
    """The run whose registered version has an alias."""
    rows = _ask(
        store,
        "SELECT v.run_id FROM registered_model_aliases AS a JOIN model_versions AS v"
        " ON v.name = a.name AND v.version = a.version WHERE a.name = ? AND a.alias = ?",
        (model, alias),
    )
    return str(rows[0][0]) if rows else None


def _ask(store: Path, query: str, values: Sequence[Any] = ()) -> list[Any]:
    if not store.is_file():
        return []
    where = f"{store.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=1)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
