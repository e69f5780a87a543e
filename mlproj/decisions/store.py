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
from mlproj.decisions.links import Links
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
        "review": decision.review,
        # What the page is about, beside the run and the commit that it was written at.
        **{key: list(value) for key, value in vars(decision.about).items() if value},
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
            pages.append(read(path, text))
    return tuple(sorted(pages, key=lambda page: (page.decision.on, page.path.name), reverse=True))


def read(path: Path, text: str) -> Page:
    """The page that a text is, whatever people made of its front matter."""
    return Page(path=path, decision=_decision(path, text), text=text)


def _decision(path: Path, text: str) -> Decision:
    said = _front_matter(text)
    on = _day(said.get("date"))
    return Decision(
        title=str(said.get("title") or path.stem[11:].replace("-", " ") or path.stem),
        on=on or _date_of(path.name),
        kind=str(said.get("kind") or "decision"),
        commit=_text(said.get("commit")),
        run=_text(said.get("run")),
        about=Links(
            runs=_texts(said.get("runs")),
            versions=tuple(int(each) for each in _texts(said.get("versions")) if each.isdecimal()),
            targets=_texts(said.get("targets")),
            commits=_texts(said.get("commits")),
        ),
        review=_day(said.get("review")),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    """A list of names; people also write one without the brackets."""
    return tuple(map(str, value)) if isinstance(value, list) else () if value is None else (str(value),)


def _day(value: Any) -> date | None:
    # A moment is a day to YAML's reader as well.
    found = value.date() if isinstance(value, datetime) else value
    return found if isinstance(found, date) else None


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
    about = decision.about
    facts += [f"- run `{run}`" for run in about.runs if run != decision.run]
    facts += [f"- version {number}" for number in about.versions]
    facts += [f"- target `{metric}`" for metric in about.targets]
    facts += [f"- commit `{commit[:12]}`" for commit in about.commits if commit != decision.commit]
    return "\n".join(facts) or "None was recorded."
