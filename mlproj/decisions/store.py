"""The notebook as files: one Markdown page a decision, which people edit like any other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from mlproj.base import files
from mlproj.decisions.record import Decision, matches

_FENCED = re.compile(r"---[ \t]*\n(.*?\n)---[ \t]*(?:\n|$)", re.DOTALL)
_PAGE = """\
---
{front}---

# {title}

## Why

{why}

## Evidence

{evidence}

## Outcome

To be written once it is known.
"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A decision where it stands, with its text."""

    path: Path
    decision: Decision
    text: str


def add(folder: Path, decision: Decision, *, evidence: str = "") -> Path:
    """Write a new page and return its path; another decision of the same day and words gets a number.

    The same decision for the same reason is not written twice: the page it has is returned.
    """
    stem = Path(decision.file_name).stem
    path, number = folder / decision.file_name, 2
    while path.exists():
        if decision.why and f"## Why\n\n{decision.why}\n" in path.read_text(encoding="utf-8"):
            return path
        path, number = folder / f"{stem}-{number}.md", number + 1
    front = {
        "title": decision.title,
        "date": decision.on,
        "kind": decision.kind,
        "commit": decision.commit,
        "run": decision.run,
    }
    said = {key: value for key, value in front.items() if value is not None}
    files.write_text(
        path,
        _PAGE.format(
            front=yaml.safe_dump(said, sort_keys=False, allow_unicode=True),
            title=decision.title,
            why=decision.why or "To be written while it is still known.",
            evidence=evidence or _evidence(decision),
        ),
    )
    return path


def find(folder: Path, words: tuple[str, ...] = ()) -> tuple[Page, ...]:
    """The pages that contain every word, newest first; a page without front matter counts by its name."""
    pages = []
    for path in sorted(folder.glob("*.md")) if folder.is_dir() else ():
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.name != "README.md" and matches(f"{path.stem}\n{text}", words):
            pages.append(Page(path=path, decision=_read(path, text), text=text))
    return tuple(sorted(pages, key=lambda page: (page.decision.on, page.path.name), reverse=True))


def _read(path: Path, text: str) -> Decision:
    said = _front_matter(text)
    on = said.get("date")
    if isinstance(on, datetime):
        on = on.date()
    return Decision(
        title=str(said.get("title") or path.stem[11:].replace("-", " ") or path.stem),
        on=on if isinstance(on, date) else _date_of(path.name),
        kind=str(said.get("kind") or "decision"),
        commit=said.get("commit"),
        run=said.get("run"),
    )


def _front_matter(text: str) -> Mapping[str, Any]:
    fenced = _FENCED.match(text)
    if fenced is None:
        return {}
    try:
        said = yaml.safe_load(fenced[1])
    except yaml.YAMLError:
        return {}
    return said if isinstance(said, dict) else {}


def _date_of(name: str) -> date:
    try:
        return date.fromisoformat(name[:10])
    except ValueError:
        return date.min


def _evidence(decision: Decision) -> str:
    facts = []
    if decision.commit:
        facts.append(f"- commit `{decision.commit[:12]}`")
    if decision.run:
        facts.append(f"- run `{decision.run}`")
    return "\n".join(facts) or "None was recorded."
