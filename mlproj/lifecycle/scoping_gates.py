"""The gates of the scoping phase: is everything answered, promised, compared, dated and signed?"""

from __future__ import annotations

from collections.abc import Iterator

from mlproj.lifecycle.check import Check, count, failed, listed, passed
from mlproj.lifecycle.evidence import Evidence
from mlproj.scoping.scope import Feasible, Scope, Section, number


def gates(evidence: Evidence) -> Iterator[Check]:
    document, edit = evidence.document, f"edit `{evidence.document_path}`"
    if document.errors:
        shown = [
            f"line {problem.line}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
            for problem in document.errors
        ]
        yield failed(
            "document", f"{count(len(shown), 'problem')} in `{evidence.document_path}`", edit, *shown
        )
    else:
        yield passed("document", "it can be read, and nothing in it contradicts itself")
    scope = document.scope
    if scope is None:
        return
    yield _questions(evidence, edit)
    yield _targets(scope, edit)
    yield _benchmark(scope, edit)
    yield _feasibility(scope, edit)
    if scope.ethics.answered:
        yield passed("ethics", "answered")
    else:
        yield failed("ethics", "not answered", edit)
    undated = [milestone.name for milestone in scope.milestones if milestone.due is None]
    if undated:
        yield failed("milestones", f"no date for {listed(undated)}", edit)
    elif not scope.milestones:
        yield failed("milestones", "there is none", edit)
    else:
        yield passed("milestones", f"{count(len(scope.milestones), 'milestone')} with dates")
    yield _sign_off(scope)


def _questions(evidence: Evidence, edit: str) -> Check:
    open_questions = evidence.document.unanswered
    if not open_questions:
        return passed("questions", "every question is answered")
    per_section = {
        section: [question for question in open_questions if question.section is section]
        for section in Section
    }
    shown = [
        f"{section}: " + ", ".join(f"{_short(question.key)} (line {question.line})" for question in questions)
        for section, questions in per_section.items()
        if questions
    ]
    return failed("questions", f"{count(len(open_questions), 'question')} not answered yet", edit, *shown)


def _short(key: str) -> str:
    """A question's key below its section, which stands before the list: `benchmark.kind`."""
    return key.partition(".")[2] or key


def _targets(scope: Scope, edit: str) -> Check:
    kinds = {"ML": scope.ml, "software": scope.software, "business": scope.business}
    lacking = [kind for kind, targets in kinds.items() if not any(not target.suggested for target in targets)]
    if lacking:
        return failed("targets", f"no {listed(lacking)} target that a person has set", edit)
    if not scope.linked:
        return failed("targets", "no business target is `linked_to` an ML or software target", edit)
    return passed("targets", f"{count(len(scope.targets), 'target')}: ML, software and business, linked")


def _benchmark(scope: Scope, edit: str) -> Check:
    benchmark = scope.feasibility.benchmark
    if benchmark is None:
        return failed("benchmark", "nothing says what the model has to be compared with", edit)
    said = f"{benchmark.kind}: {benchmark.metric} {number(benchmark.value)}, from {benchmark.source}"
    return passed("benchmark", said)


def _feasibility(scope: Scope, edit: str) -> Check:
    verdict = scope.feasibility.verdict
    if verdict is None:
        return failed("feasibility", "there is no verdict yet", edit)
    if verdict is Feasible.NO_GO:
        return failed("feasibility", "the verdict is no-go", f"{edit} when that has changed, or stop here")
    return passed("feasibility", f"the verdict is {verdict}")


def _sign_off(scope: Scope) -> Check:
    if scope.sign_offs:
        by = [f"{approval.name} ({approval.role}) on {approval.date}" for approval in scope.sign_offs]
        return passed("sign-off", f"by {listed(by)}")
    approve = 'run `mlproj approve --role "business owner"`'
    if scope.approvals:
        return failed("sign-off", "the targets have changed since they were signed off", approve)
    return failed("sign-off", "nobody has signed the targets off", approve)
