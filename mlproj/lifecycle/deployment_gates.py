"""The gates of the deployment phase: what is promised of live traffic is not known before there is any."""

from __future__ import annotations

from collections.abc import Iterator

from mlproj.lifecycle.check import Check, unknown
from mlproj.lifecycle.evidence import Evidence


def gates(evidence: Evidence) -> Iterator[Check]:
    scope = evidence.document.scope
    for target in (*scope.software, *scope.business) if scope else ():
        yield unknown(
            f"{target.kind} target",
            f"{target.sentence}: measured on live traffic, and there is none",
            "",
            metric=target.metric,
        )
    yield unknown("serving", "no version of the model is on live traffic", "")
