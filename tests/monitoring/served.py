"""Records of a made-up service, for tests of what watches one."""

from __future__ import annotations

from itertools import count

from mlproj.serving.record import Record

SECOND_US = 1_000_000
_numbers = count(1)


def record(
    role: str = "primary",
    *,
    entity: str | None = None,
    share: float = 0.1,
    status: int = 200,
    latency_ms: float = 5.0,
    score: float | None = 0.3,
    says: str | None = "No",
    request: str | None = None,
    row: int = 0,
    at_s: float = 0.0,
    features: bytes = b"{}",
) -> Record:
    """One attempt; the next id."""
    number = next(_numbers)
    return Record(
        id=number,
        arrived_us=round(at_s * SECOND_US),
        request_id=request or f"request-{number}",
        row=row,
        deployment=1,
        role=role,
        share=share,
        version=2 if role == "canary" else 1,
        run="run",
        engine="numpy",
        entity=entity,
        sticky=entity is not None,
        features=features,
        output=f'"prediction":"{says}","probabilities":{{"No":0.7,"Yes":0.3}}' if says is not None else None,
        score=score,
        confidence=None,
        decision=None,
        status=status,
        error=None,
        latency_us=round(latency_ms * 1000),
        unseen=None,
    )
