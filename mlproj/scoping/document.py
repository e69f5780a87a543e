"""Reads a scoping document: what it promises, every problem in it, every question still open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlproj.scoping import front_matter
from mlproj.scoping.checks import Checks
from mlproj.scoping.keys import KEYS
from mlproj.scoping.reading import Reader
from mlproj.scoping.scope import Problem, Question, Scope, Severity, Task


@dataclass(frozen=True, kw_only=True)
class Document:
    """`scope` is None if the front matter cannot be read at all; else it holds what is right and answered."""

    path: Path
    scope: Scope | None
    problems: tuple[Problem, ...]
    unanswered: tuple[Question, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)


def load(
    path: Path,
    *,
    task: str | None = None,
    columns: Collection[str] = (),
    classes: Collection[str] = (),
) -> Document:
    """The document at `path`; whatever is in it, or not, is told in `problems`, sorted by line.

    `task`, `columns` and `classes` are what is known of the data; empty where nothing is.
    """
    text = front_matter.read(path)
    if isinstance(text, Problem):
        return Document(path=path, scope=None, problems=(text,), unanswered=())
    return parse(path, text, task=task, columns=columns, classes=classes)


def parse(
    path: Path,
    text: str,
    *,
    task: str | None = None,
    columns: Collection[str] = (),
    classes: Collection[str] = (),
) -> Document:
    """Like `load`, of a text that has been read already."""
    matter = front_matter.parse(path, text)
    if isinstance(matter, Problem):
        return Document(path=path, scope=None, problems=(matter,), unanswered=())
    reader = Reader(path)
    said = reader.fields(matter.root, KEYS, "", 1)
    known = Task(task) if task in tuple(Task) else None
    scope = Checks(reader, said, task=known, columns=columns, classes=classes).scope()
    return Document(
        path=path,
        scope=scope,
        problems=tuple(sorted(reader.problems, key=lambda problem: problem.line)),
        unanswered=tuple(sorted(reader.questions, key=lambda question: question.line)),
    )
