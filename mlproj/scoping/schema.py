"""The JSON Schema of the front matter, for editors: made from the tables that the reader follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlproj.scoping.keys import KEYS, TARGETS, Holds, Key
from mlproj.scoping.scope import METRICS, Direction, Metric, TargetKind

Schema = dict[str, Any]

FILE = Path(__file__).with_name("schema.json")
# An open question fits everywhere; what is no open question has to fit its key.
_OPEN = {"$ref": "#/$defs/open"}


def build() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Front matter of a scoping document",
        **_mapping(KEYS),
        "$defs": {
            "open": {
                "description": "A question nobody has answered yet.",
                "type": ["string", "null"],
                "pattern": r"^\s*$|\b(TODO|TBD)\b",
            }
        },
    }


def text() -> str:
    """What `schema.json` must hold; `python -m mlproj.scoping.schema` writes it there."""
    return json.dumps(build(), indent=2) + "\n"


def _mapping(keys: tuple[Key, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {key.name: _key(key) for key in keys},
        "additionalProperties": False,
    }


def _key(key: Key) -> Schema:
    # Not `anyOf`: where nothing fits, an editor would underline the whole section instead of the one word.
    return {"description": key.asks, "if": _OPEN, "else": _value(key)}


def _value(key: Key) -> Schema:
    match key.holds:
        case Holds.KEYS:
            return _mapping(key.keys)
        case Holds.ENTRIES:
            return {"type": "array", "items": _entry(key)}
        case Holds.TEXTS:
            return {"type": "array", "items": {"type": "string"}}
        case Holds.NAMES:
            return {"type": "array", "items": {"type": ["string", "integer"]}}
        case Holds.NAME:
            return {"type": ["string", "integer"]}
        case Holds.NUMBER:
            return {"type": "number"}
        case Holds.FLAG:
            return {"type": "boolean"}
        case Holds.DATE:
            return {"type": "string", "format": "date"}
        case Holds.CHOICE:
            return {"enum": list(key.choices)}
        case Holds.TEXT:
            return {"type": "string"}


def _entry(key: Key) -> Schema:
    entry = _mapping(key.keys)
    kind = next((kind for kind, targets in TARGETS.items() if targets is key), None)
    if kind is None:
        return entry
    entry["not"] = {"required": list(Direction)}
    if METRICS[kind]:
        entry["properties"]["metric"]["else"] = {"enum": list(METRICS[kind])}
        entry["allOf"] = [_bounds(metric, kind) for metric in METRICS[kind].values()]
    return entry


def _bounds(metric: Metric, kind: TargetKind) -> Schema:
    """Which way round the metric's bound is, which values it can have, and whether it has classes."""
    bound: Schema = {}
    if metric.low is not None:
        bound["minimum" if metric.low_is_possible else "exclusiveMinimum"] = metric.low
    if metric.high is not None:
        bound["maximum"] = metric.high
    allowed: Schema = {str(metric.direction): bound}
    allowed |= {str(other): False for other in Direction if other is not metric.direction}
    if kind is TargetKind.ML and not metric.per_class:
        allowed["class"] = False
    return {
        "if": {"properties": {"metric": {"const": metric.name}}, "required": ["metric"]},
        "then": {"properties": allowed},
    }


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
