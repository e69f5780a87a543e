"""One prediction by its id, with what people said of it, as the gateway shows it.

    python -m mlproj.serving.lookup HOME ID

prints the record of a sealed day as JSON, or `null`. The gateway runs that as a process of its own, since
Parquet is read by DuckDB, which has no place in a process that has to stay small and never wait.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlproj.base.errors import MlprojError
from mlproj.serving import feedback, ids, segments
from mlproj.serving.record import Feedback, Record

_PATIENCE_S = 15.0


class Lookup:
    """Finds records under `home`; at most two processes at a time read sealed days."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._few = asyncio.Semaphore(2)

    async def find(self, number: int) -> dict[str, Any] | None:
        """The record and its feedback; None if the log has none of that id.

        Raises MlprojError if a sealed day could not be read in time.
        """
        shown = await asyncio.to_thread(self._hot, number)
        if shown is None and segments.sealed_path(self._home, ids.day(number)).exists():
            shown = await self._sealed(number)
        if shown is None:
            return None
        return {**shown, "feedback": await asyncio.to_thread(self._feedback, number, shown)}

    def _hot(self, number: int) -> dict[str, Any] | None:
        record = segments.find(self._home, number)
        return None if record is None else as_json(record)

    async def _sealed(self, number: int) -> dict[str, Any] | None:
        async with self._few:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mlproj.serving.lookup", str(self._home), ids.text(number)),
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

    def _feedback(self, number: int, shown: dict[str, Any]) -> list[dict[str, Any]]:
        arrived_us = round(datetime.fromisoformat(shown["arrived"]).timestamp() * 1e6)
        entities = [] if shown["entity"] is None else [shown["entity"]]
        told = [
            one
            for one in feedback.said(self._home, [number], entities)
            if one.prediction_id == number
            or (
                one.since_us is not None
                and one.until_us is not None
                and one.since_us <= arrived_us < one.until_us
            )
        ]
        return [_feedback_as_json(one) for one in told]


def as_json(record: Record) -> dict[str, Any]:
    """A record under the names that answers use; features that are no JSON are a text."""
    try:
        features = json.loads(record.features) if record.features else None
    except ValueError:
        features = record.features.decode("utf-8", "replace")
    return {
        "prediction_id": ids.text(record.id),
        "arrived": _time(record.arrived_us),
        "request_id": record.request_id,
        "row": record.row,
        "deployment": record.deployment,
        "role": record.role,
        "canary_share": record.share,
        "model_version": record.version,
        "run": record.run,
        "engine": record.engine,
        "entity": record.entity,
        "sticky": bool(record.sticky),
        "features": features,
        "output": None if record.output is None else json.loads("{" + record.output + "}"),
        "score": record.score,
        "confidence": record.confidence,
        "decision": record.decision,
        "status": record.status,
        "error": record.error,
        "latency_ms": record.latency_us / 1000,
        "unseen": record.unseen.split("\x1f") if record.unseen else [],
    }


def _feedback_as_json(told: Feedback) -> dict[str, Any]:
    return {
        "kind": told.kind.value,
        "value": told.value,
        "at": _time(told.at_us),
        "arrived": _time(told.arrived_us),
        "source": told.source,
    }


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="microseconds")


def main(home: str, shown: str) -> None:
    from mlproj.serving import sealing

    number = ids.parse(shown)
    record = sealing.find(segments.sealed_path(Path(home), ids.day(number)), number)
    print(json.dumps(None if record is None else as_json(record)))


if __name__ == "__main__":
    main(*sys.argv[1:])
