"""The records of one request: a row of the log for each row predicted, or one for an attempt that failed."""

from __future__ import annotations

from math import isnan

from mlproj.serving import answers
from mlproj.serving.exchange import Exchange
from mlproj.serving.frames import Row
from mlproj.serving.record import Record

MOST_OF_A_BODY = 1 << 16


def of_row(
    exchange: Exchange, number: int, index: int, row: Row, decision: bytes, latency_us: int, error: str | None
) -> Record:
    """The record of a predicted row. Numbers that are none (NaN) are kept as None."""
    route = exchange.route
    score, confidence = row.score, row.confidence
    entities = exchange.entities
    return Record(
        number,
        exchange.arrived_us,
        exchange.request_id,
        index,
        route.deployment,
        route.role,
        exchange.canary_share,
        route.version,
        route.run,
        route.engine,
        entities[index] if index < len(entities) else exchange.entity,
        exchange.sticky,
        row.features,
        row.output.decode(),
        None if isnan(score) else score,
        None if isnan(confidence) else confidence,
        answers.plain(decision),
        200,
        error,
        latency_us,
        row.unseen.decode() if row.unseen else None,
    )


def of_attempt(exchange: Exchange, number: int, status: int, latency_us: int, error: str | None) -> Record:
    """The record of a request that no row was predicted for; keeps what was sent, up to 64 kB."""
    route = exchange.route
    return Record(
        number,
        exchange.arrived_us,
        exchange.request_id,
        0,
        route.deployment,
        route.role,
        exchange.canary_share,
        route.version,
        route.run,
        route.engine,
        exchange.entity,
        exchange.sticky,
        exchange.body[:MOST_OF_A_BODY],
        None,
        None,
        None,
        None,
        status,
        error,
        latency_us,
        None,
    )
