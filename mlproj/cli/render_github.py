"""Judged gates as GitHub's workflow commands, which it shows beside the lines of a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlproj.lifecycle.check import Outcome
from mlproj.lifecycle.phases import Phase
from mlproj.scoping.scope import Severity

if TYPE_CHECKING:
    from mlproj.flows.check import Judged
    from mlproj.lifecycle.check import Check

_LINE = re.compile(r"line (\d+)\b")


def commands(judged: Judged) -> Iterator[str]:
    """A line for each mistake in the scoping document and for each gate that closes a phase asked about.

    What nobody can tell yet is a warning: it closes the phase, and nothing in the change is wrong.
    """
    project = judged.project
    scoping, data = project.relative(project.scoping), project.relative(project.data_doc)
    scoping_is_judged = any(verdict.phase is Phase.SCOPING for verdict in judged.counted)
    for problem in judged.problems if scoping_is_judged else ():
        level = "error" if problem.severity is Severity.ERROR else "warning"
        said = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
        yield _command(level, said, file=scoping, line=problem.line, title="scoping document")
    for verdict in judged.counted:
        for check in verdict.closed_by:
            level = "error" if check.outcome is Outcome.FAIL else "warning"
            title = f"{verdict.phase} gate {check.name}"
            file = scoping if verdict.phase is Phase.SCOPING else None
            file = data if check.name in ("datasheet", "dictionary") else file
            # The problems of the scoping document have been told, each on its line.
            if not (check.name == "document" and judged.problems):
                yield _command(level, _said(check), file=file, line=_first_line(check), title=title)


def _said(check: Check) -> str:
    return "\n".join([check.reason, *check.details, *([check.hint] if check.hint else [])])


def _first_line(check: Check) -> int | None:
    """The first line that the details of a document's gate name, if they do."""
    lines = [int(line) for detail in check.details for line in _LINE.findall(detail)]
    return min(lines, default=None)


def _command(level: str, message: str, *, file: str | None, line: int | None, title: str) -> str:
    where = f"file={_property(file)}," if file else ""
    where += f"line={line}," if file and line else ""
    return f"::{level} {where}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
