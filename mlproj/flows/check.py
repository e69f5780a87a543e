"""Judging gates without doing any work."""

from __future__ import annotations

from dataclasses import dataclass

from mlproj.flows import evidence as gathering
from mlproj.lifecycle import gates
from mlproj.lifecycle.gates import Verdict
from mlproj.lifecycle.phases import Phase
from mlproj.project import Project
from mlproj.scoping.scope import Problem


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts asked for, and what the scoping document's reader warned of."""

    project: Project
    verdicts: tuple[Verdict, ...]
    warnings: tuple[Problem, ...]
    asked_for_one: bool

    @property
    def answers_yes(self) -> bool:
        """Whether the gates are open. Asked about all phases, deployment counts only once it has begun."""
        counted = [
            verdict
            for verdict in self.verdicts
            if self.asked_for_one or verdict.phase is not Phase.DEPLOYMENT
        ]
        return all(verdict.open for verdict in counted)


def judge(project: Project, phase: Phase | None) -> Judged:
    evidence = gathering.gather(project)
    phases = [phase] if phase else list(Phase)
    return Judged(
        project=project,
        verdicts=tuple(gates.judge(each, evidence) for each in phases),
        warnings=evidence.document.warnings,
        asked_for_one=phase is not None,
    )
