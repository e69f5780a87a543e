"""How far the log has been shipped to PostgreSQL: a file beside it, for the one who ships and for who waits.

The file is there as long as the log is shipped. Without it nobody waits, and shipping begins anew: what the
server has already changes nothing there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from mlproj.base import files
from mlproj.serving import segments


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Of each day's database, its own name and the number of the last commit that is shipped (whole days that
    were sealed before: an empty name); and the number of the last feedback."""

    days: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    feedback: int = 0


def read(home: Path) -> Cursor:
    """Where shipping stands; at the beginning if nothing was shipped yet."""
    said = files.read_json(_path(home))
    if not isinstance(said, dict):
        return Cursor()
    days = {day: (str(name), int(seq)) for day, (name, seq) in said.get("days", {}).items()}
    return Cursor(days=days, feedback=int(said.get("feedback", 0)))


def write(home: Path, cursor: Cursor) -> None:
    files.write_json(_path(home), asdict(cursor))


def begin(home: Path) -> None:
    """From now on no day is sealed before it is shipped."""
    if not _path(home).exists():
        write(home, Cursor())


def forget(home: Path) -> None:
    """Nothing is shipped any more: days are sealed as they end."""
    _path(home).unlink(missing_ok=True)


def covers(home: Path, day: date, connection: sqlite3.Connection) -> bool:
    """Whether all that this day's database holds now is shipped, or need not be."""
    if not _path(home).exists():
        return True
    return read(home).days.get(day.isoformat()) == segments.newest_batch(connection)


def _path(home: Path) -> Path:
    return home / "spool.json"
