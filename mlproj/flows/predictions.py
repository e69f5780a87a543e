"""The prediction log, written out for other tools."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TextIO

from mlproj.base.errors import ConfigError
from mlproj.monitoring import records
from mlproj.project import Project
from mlproj.serving import ids


def export(
    project: Project, stream: TextIO, *, since: str | None, until: str | None, shadows: bool = False
) -> int:
    """Write `date,model,model version,feature inputs,output`; returns how many rows. Times are UTC.

    With `shadows` their answers too, and a column `role`.
    """
    return records.export_csv(
        project.home,
        stream,
        model=project.model,
        since=id_at(since, "--since") or 0,
        until=id_at(until, "--until"),
        shadows=shadows,
        postgres=project.postgres,
    )


def id_at(text: str | None, option: str) -> int | None:
    """The first id that a prediction of that time can have; None of none. Raises ConfigError for no time."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"`{option} {text}` is not a time", hint="write it as 2026-11-01, or 2026-11-01T09:30"
        ) from None
    return ids.at(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
