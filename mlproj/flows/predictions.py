"""The prediction log, written out for other tools."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TextIO

from mlproj.base.errors import ConfigError
from mlproj.monitoring import records
from mlproj.project import Project
from mlproj.serving import ids


def export(project: Project, stream: TextIO, *, since: str | None, until: str | None) -> int:
    """Write `date,model,model version,feature inputs,output`; returns how many rows. Times are UTC."""
    return records.export_csv(
        project.home,
        stream,
        model=project.model,
        since=_id_at(since, "--since") or 0,
        until=_id_at(until, "--until"),
        postgres=project.postgres,
    )


def _id_at(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"`{option} {text}` is not a time", hint="write it as 2026-11-01, or 2026-11-01T09:30"
        ) from None
    return ids.at(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
