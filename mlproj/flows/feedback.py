"""Feedback from a file: late ground truth, or what people decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlproj.monitoring import records
from mlproj.project import Project
from mlproj.serving import feedback, ids, spool
from mlproj.serving.record import Feedback

# Of what matches nothing, this many are shown.
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Taken:
    """How many were new, how many known already; `unmatched` speak of no prediction in the log (yet)."""

    new: int
    known: int
    unmatched: tuple[str, ...]


def take(project: Project, file: Path, *, source: str | None) -> Taken:
    """Keep the feedback in a file, whole or not at all. Raises ConfigError that names every wrong line."""
    told = feedback.read(file, source=source)
    store = feedback.Store(project.home)
    try:
        added = store.add(told)
    finally:
        store.close()
    if project.postgres is not None:
        spool.ship_feedback(project.home, project.postgres)
    unmatched = records.unmatched(project.home, told, postgres=project.postgres)
    return Taken(new=added.new, known=added.known, unmatched=tuple(map(_subject, unmatched)))


def unmatched(project: Project) -> tuple[str, ...]:
    """All feedback that is kept and speaks of no prediction in the log."""
    found = records.unmatched(project.home, postgres=project.postgres)
    return tuple(map(_subject, found))


def _subject(one: Feedback) -> str:
    about = ids.text(one.prediction_id) if one.prediction_id is not None else f"entity {one.entity}"
    return f"{about}: {one.kind} {one.value}, from {one.source}"
