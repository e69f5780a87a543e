"""What is kept of a prediction, and what people say about it later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Role(StrEnum):
    """What the version was to the request when it answered."""

    PRIMARY = "primary"
    CANARY = "canary"
    SHADOW = "shadow"


class Record(NamedTuple):
    """One logged prediction or attempt, in the order of the table's columns.

    Times are microseconds: `arrived_us` since 1970 (UTC), `latency_us` by a monotonic clock. `row` counts
    from 0 within the request. `features` are JSON: one object as received; of a refused or failed attempt
    the raw body, at most 64 kB. `output` is the answer's JSON without its braces. `unseen` are the names of
    the inputs with a category that training never saw, joined by \\x1f.
    """

    id: int
    arrived_us: int
    request_id: str
    row: int
    deployment: int
    role: str
    share: float
    version: int
    run: str
    engine: str
    entity: str | None
    sticky: bool
    features: bytes
    output: str | None
    score: float | None
    confidence: float | None
    decision: str | None
    status: int
    error: str | None
    latency_us: int
    unseen: str | None


# How the error of a primary's record begins that was asked because the canary owed an answer.
STAND_IN = "for canary version"
COLUMNS = Record._fields


class Kind(StrEnum):
    """What was told: the truth, a person's decision, or a number that a business target speaks of.

    The value of the last is the target's metric and the number, `retained_customers=1`.
    """

    LABEL = "label"
    DECISION = "decision"
    METRIC = "metric"


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """The truth about a prediction, or what a person decided, told after the fact.

    Names either a prediction, or an entity with the time window (microseconds since 1970, `since_us`
    included, `until_us` not) in which its predictions lie. `at_us` is when it became so, `arrived_us` when
    we were told; 0 for what nobody said, which the store fills in.
    """

    kind: Kind
    value: str
    at_us: int
    source: str
    prediction_id: int | None = None
    entity: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    arrived_us: int = 0

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Feedback:
        """From the columns of a store, in the order in which both kinds of store have them."""
        prediction, entity, since_us, until_us, kind, value, at_us, arrived_us, source = row
        return cls(
            prediction_id=prediction,
            entity=entity,
            since_us=since_us,
            until_us=until_us,
            kind=Kind(kind),
            value=value,
            at_us=at_us,
            arrived_us=arrived_us,
            source=source,
        )
