"""One prediction by its id, with what people said of it, as the gateway shows it.

    python -m mlproj.serving.lookup HOME ID

prints what is not in an open day of this machine as JSON, or `null`: the record of a sealed day, and with
MLPROJ_POSTGRES that of any machine. The gateway runs that as a process of its own, since DuckDB and the
driver of PostgreSQL have no place in a process that has to stay small and never wait.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlproj.base.errors import MlprojError
from mlproj.project import POSTGRES
from mlproj.serving import feedback, ids, segments, shown
from mlproj.serving.record import Feedback, Record

_PATIENCE_S = 15.0


class Lookup:
    """Finds records under `home`; at most two processes at a time look beyond the open days."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._few = asyncio.Semaphore(2)

    async def find(self, number: int, *, postgres: str | None) -> dict[str, Any] | None:
        """The record and its feedback; None if the log has none of that id.

        With `postgres`, the URL of what several machines share, a record of any of them and what was said to
        any of them. Raises MlprojError if it could not be looked up (in time).
        """
        if postgres is None:
            found = await asyncio.to_thread(self._hot, number)
            if found is not None or not segments.sealed_path(self._home, ids.day(number)).exists():
                return found
        return await self._beyond(number, postgres)

    def _hot(self, number: int) -> dict[str, Any] | None:
        record = _hot(self._home, number)
        return None if record is None else as_json(record, local_feedback(self._home, record))

    async def _beyond(self, number: int, postgres: str | None) -> dict[str, Any] | None:
        async with self._few:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mlproj.serving.lookup", str(self._home), ids.text(number)),
                env={**os.environ, POSTGRES: postgres or ""},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise MlprojError(f"`{ids.text(number)}` could not be looked up in time") from None
        if process.returncode != 0:
            raise MlprojError(f"`{ids.text(number)}` could not be looked up")
        found: dict[str, Any] | None = json.loads(said)
        return found


def local(home: Path, number: int) -> Record | None:
    """The record with that id in the log of this machine, sealed or not."""
    from mlproj.serving import sealing

    day = ids.day(number)
    for _ in range(2):  # the day may be sealed between the two looks
        record = _hot(home, number)
        if record is None and segments.sealed_path(home, day).exists():
            record = sealing.find(segments.sealed_path(home, day), number)
        if record is not None or not segments.path(home, day).exists():
            return record
    return None


def shared(home: Path, number: int, url: str) -> tuple[Record, list[Feedback]] | None:
    """The record with that id on any machine, and what is known there or here to have been said of it.

    Of a record of this machine it does without the database, if that cannot be reached; else it raises
    ToolError.
    """
    from mlproj.serving.postgres import Archive

    record = local(home, number)
    here = [] if record is None else local_feedback(home, record)
    try:
        archive = Archive(url)
        record = record or archive.find(number)
        if record is None:
            return None
        told = _of(record, archive.said([number], [record.entity] if record.entity is not None else []))
    except MlprojError as error:
        if record is None:
            raise
        print(f"without the feedback of other machines: {error.message}", file=sys.stderr)
        return record, here
    # What was said here and has not been shipped yet.
    return record, told + [one for one in here if not _is_among(one, told)]


def local_feedback(home: Path, record: Record) -> list[Feedback]:
    entities = [record.entity] if record.entity is not None else []
    return _of(record, feedback.said(home, [record.id], entities))


def as_json(record: Record, told: list[Feedback]) -> dict[str, Any]:
    return {**shown.record(record), "feedback": [shown.feedback(one) for one in told]}


def _hot(home: Path, number: int) -> Record | None:
    try:
        return segments.find(home, number)
    except sqlite3.OperationalError:
        # Sealed and removed between the look for the file and the look into it.
        if segments.path(home, ids.day(number)).exists():
            raise
        return None


def _of(record: Record, said: list[Feedback]) -> list[Feedback]:
    """What speaks of this prediction."""
    return [
        one
        for one in said
        if one.prediction_id == record.id
        or (
            one.since_us is not None
            and one.until_us is not None
            and one.since_us <= record.arrived_us < one.until_us
        )
    ]


def _is_among(one: Feedback, told: list[Feedback]) -> bool:
    """Each machine keeps by its own clock when it was told."""
    return any(one == replace(other, arrived_us=one.arrived_us) for other in told)


def main(home: str, word: str) -> None:
    number, url = ids.parse(word), os.environ.get(POSTGRES)
    if url:
        found = shared(Path(home), number, url)
    else:
        record = local(Path(home), number)
        found = None if record is None else (record, local_feedback(Path(home), record))
    print(json.dumps(None if found is None else as_json(*found)))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except MlprojError as error:
        sys.exit(error.message)
