"""Judging gates without doing any work."""

from __future__ import annotations

from dataclasses import dataclass

from mlproj.flows import complete
from mlproj.flows import evidence as gathering
from mlproj.lifecycle import gates
from mlproj.lifecycle.gates import Verdict
from mlproj.lifecycle.phases import Phase
from mlproj.project import Project
from mlproj.scoping.scope import Problem, Severity


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts asked for, and what the scoping document's reader found."""

    project: Project
    verdicts: tuple[Verdict, ...]
    problems: tuple[Problem, ...]
    asked_for_one: bool

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def counted(self) -> tuple[Verdict, ...]:
        """The verdicts that the answer rests on; of all phases, deployment counts only if asked about."""
        return tuple(
            verdict
            for verdict in self.verdicts
            if self.asked_for_one or verdict.phase is not Phase.DEPLOYMENT
        )

    @property
    def answers_yes(self) -> bool:
        return all(verdict.open for verdict in self.counted)


def judge(project: Project, phase: Phase | None) -> Judged:
    evidence = gathering.gather(project)
    if evidence.completeness is not None and evidence.completeness.not_asked:
        complete.ask(project)
        evidence = gathering.gather(project)
    phases = [phase] if phase else list(Phase)
    return Judged(
        project=project,
        verdicts=tuple(gates.judge(each, evidence) for each in phases),
        problems=evidence.document.problems,
        asked_for_one=phase is not None,
    )
