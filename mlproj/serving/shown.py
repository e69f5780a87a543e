"""A record and what people said of it as JSON: the one shape in which both are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from mlproj.serving import ids
from mlproj.serving.record import Feedback, Record


def record(one: Record) -> dict[str, Any]:
    """Under the names that answers use; features that are no JSON are a text."""
    return {
        "prediction_id": ids.text(one.id),
        "arrived": moment(one.arrived_us),
        "request_id": one.request_id,
        "row": one.row,
        "deployment": one.deployment,
        "role": one.role,
        "canary_share": one.share,
        "model_version": one.version,
        "run": one.run,
        "engine": one.engine,
        "entity": one.entity,
        "sticky": bool(one.sticky),
        "features": features(one),
        "output": output(one),
        "score": one.score,
        "confidence": one.confidence,
        "decision": one.decision,
        "status": one.status,
        "error": one.error,
        "latency_ms": one.latency_us / 1000,
        "unseen": unseen(one),
    }


def features(one: Record) -> Any:
    """The row as received; of a refused attempt the body, a text if it is no JSON."""
    try:
        return json.loads(one.features) if one.features else None
    except ValueError:
        return one.features.decode("utf-8", "replace")


def output(one: Record) -> dict[str, Any] | None:
    """What was answered, if anything was."""
    return None if one.output is None else dict(json.loads("{" + one.output + "}"))


def unseen(one: Record) -> list[str]:
    """The inputs with a category that training never saw."""
    return one.unseen.split("\x1f") if one.unseen else []


def feedback(told: Feedback) -> dict[str, Any]:
    return {
        "kind": told.kind.value,
        "value": told.value,
        "at": moment(told.at_us),
        "arrived": moment(told.arrived_us),
        "source": told.source,
    }


def moment(us: int) -> str:
    """UTC, with microseconds."""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="microseconds")
