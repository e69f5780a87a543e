"""The gates of each phase: evidence in, verdict out, with the reason and the next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlproj.lifecycle import data_gates, deployment_gates, modeling_gates, scoping_gates
from mlproj.lifecycle.check import Check
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase

_GATES: dict[Phase, Callable[[Evidence], Iterator[Check]]] = {
    Phase.SCOPING: scoping_gates.gates,
    Phase.DATA: data_gates.gates,
    Phase.MODELING: modeling_gates.gates,
    Phase.DEPLOYMENT: deployment_gates.gates,
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A phase's gates. It is `open` when all of them passed: what is not known does not count as done."""

    phase: Phase
    checks: tuple[Check, ...]

    @property
    def open(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def closed_by(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


def judge(phase: Phase, evidence: Evidence) -> Verdict:
    """Judge every gate of a phase. Pure: the same evidence gives the same verdict."""
    return Verdict(phase=phase, checks=tuple(_GATES[phase](evidence)))
