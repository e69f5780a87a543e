"""What people wrote, found by words: decisions, notes on runs, the Markdown of notebooks. Best first.

Ranked by BM25, as SQLite's full-text index computes it: rare words count more, many of them more, long texts
less; a word in the title counts as much as four. Source: Robertson, Zaragoza, "The probabilistic relevance
framework: BM25 and beyond", 2009; https://sqlite.org/fts5.html#the_bm25_function.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlproj.decisions import about
from mlproj.decisions.store import Page
from mlproj.flows.past import Past, PastRun
from mlproj.flows.reading import read_bytes, table
from mlproj.provenance import history

_TITLE_COUNTS = 4.0
_EXCERPT_WORDS = 16
_WORD = re.compile(r"\w+")
_BOILERPLATE = re.compile(r"To be written (?:once it is|while it is still) known\.|None was recorded\.")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


class Kind(StrEnum):
    DECISION = "decision"
    RUN = "run"
    NOTEBOOK = "notebook"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A text that has all the words. `where` is a path, or a run's id; `runs` are those that it speaks of."""

    kind: Kind
    title: str
    where: str
    on: str
    excerpt: str
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Text:
    kind: Kind
    title: str
    where: str
    on: str
    body: str
    runs: tuple[str, ...] = ()


def search(past: Past, words: Sequence[str]) -> tuple[Found, ...]:
    """Every text in which each of the words occurs, or one that begins so: the best first, of equals the
    newest."""
    terms = [term for word in words for term in _WORD.findall(word)]
    if not terms:
        return ()
    texts = sorted(_texts(past), key=lambda text: text.on, reverse=True)
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(
            "CREATE VIRTUAL TABLE texts USING fts5"
            "(title, body, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        index.executemany(
            "INSERT INTO texts (rowid, title, body) VALUES (?, ?, ?)",
            [(number, text.title, text.body) for number, text in enumerate(texts)],
        )
        rows = index.execute(
            f"SELECT rowid, snippet(texts, 1, '', '', '…', {_EXCERPT_WORDS}) FROM texts"
            f" WHERE texts MATCH ? ORDER BY bm25(texts, {_TITLE_COUNTS}, 1.0), rowid",
            (" ".join(f'"{term}"*' for term in terms),),
        ).fetchall()
    return tuple(
        Found(
            kind=text.kind,
            title=text.title,
            where=text.where,
            on=text.on,
            excerpt=" ".join(excerpt.split()),
            runs=text.runs,
        )
        for text, excerpt in ((texts[number], excerpt) for number, excerpt in rows)
    )


def spoken_of(past: Past) -> dict[Path, tuple[str, ...]]:
    """The runs that each page of the notebook speaks of."""
    every = [run.run for run in past.runs]
    found = {}
    for page in past.world.pages:
        named = about.named_on(page, every)
        found[page.path] = tuple(
            run.run
            for run in past.runs
            if about.link_of(page, named, run.run, _commits(run), (run.version,) if run.version else ())
        )
    return found


def speaks_of(pages: Iterable[Page], run: str, version: int, past: PastRun | None) -> bool:
    """Whether a page of the notebook speaks of a version and its run, by the rule of `spoken_of`.

    `past` is what is kept of the run; `run` may be empty where nobody knows which made the version.
    """
    commits = _commits(past) if past is not None else []
    return any(
        about.link_of(page, about.named_on(page, [run] if run else []), run, commits, (version,))
        for page in pages
    )


def _commits(run: PastRun) -> list[str]:
    code = run.manifest.get("code") or {}
    return [each for each in (code.get("commit"), code.get("snapshot"), run.commit) if each]


def _texts(past: Past) -> Iterator[_Text]:
    project, spoken = past.project, spoken_of(past)
    for page in past.world.pages:
        forced = "  (forced)" if page.decision.kind == "forced" else ""
        yield _Text(
            kind=Kind.DECISION,
            title=f"{page.decision.title}{forced}",
            where=project.relative(page.path),
            on=page.decision.on.isoformat(),
            body=_body(page.text),
            runs=spoken[page.path],
        )
    for run in past.runs:
        facts = "; ".join(f"{name} {value}" for name, value in run.params.items())
        yield _Text(
            kind=Kind.RUN,
            title=run.title,
            where=run.run,
            on=run.at[:10],
            body=f"{run.note}\n{run.by}; {facts}",
            runs=(run.run,),
        )
    for path in sorted(history.tracked(project.root)):
        if path.endswith(".ipynb"):
            yield from _notebook(project.root, path)


def _body(text: str) -> str:
    """A page less what every page has: its front matter, its title, what waits to be written."""
    kept = _BOILERPLATE.sub("", _FRONT_MATTER.sub("", text))
    return "\n".join(line for line in kept.splitlines() if not line.startswith("#"))


def _notebook(root: Path, path: str) -> Iterator[_Text]:
    """The Markdown of a notebook; nothing of a file that is none."""
    said = table(read_bytes(root / path))
    cells = said.get("cells")
    texts = [
        "".join(source) if isinstance(source := cell.get("source", ""), list) else str(source)
        for cell in (cells if isinstance(cells, list) else ())
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown"
    ]
    if texts:
        title = next((line.lstrip("# ") for line in texts[0].splitlines() if line.strip()), path)
        yield _Text(kind=Kind.NOTEBOOK, title=title, where=path, on="", body="\n\n".join(texts))
