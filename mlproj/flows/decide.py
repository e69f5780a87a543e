"""Adding to the notebook of decisions, linked to the commit and the run they were made at."""

from __future__ import annotations

from pathlib import Path

from mlproj.base import clock, git
from mlproj.decisions import store
from mlproj.decisions.record import Decision
from mlproj.project import Project
from mlproj.provenance import manifest


def add(project: Project, title: str, why: str) -> Path:
    """Write a decision's page and return its path."""
    run = manifest.load(project.root / "models" / "run.json")
    decision = Decision(
        title=title,
        on=clock.today(),
        why=why,
        commit=git.head(project.root),
        run=run.run_id if run else None,
    )
    return store.add(project.decisions, decision)
