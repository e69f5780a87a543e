"""What a project does not say yet, so that only somebody's head knows it. Facts in, gaps out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mlproj.lifecycle.evidence import Evidence


class Topic(StrEnum):
    """What a newcomer asks, in the order they ask it."""

    WHY = "what and why"
    DATA = "data"
    LABELS = "labels"
    MODEL = "model"
    DECISIONS = "decisions"
    RUN = "how to run it"
    STORAGE = "where everything is kept"
    PEOPLE = "who to ask"
    SITE = "the site"


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Something that is not written down: where it belongs, what is so, and what to write there or do."""

    topic: Topic
    file: str
    line: int
    what: str
    write: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, kw_only=True)
class Used:
    """A version that was registered or deployed, and whether a decision speaks of it."""

    version: int
    what: str
    is_explained: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What gaps are found in, beside the gates' evidence.

    `texts` are documents by their paths from the root; one that is not there is missing. `decisions` are the
    pages of the notebook, `variables` the environment variables that the code reads, with file and line, and
    `others` the gaps that only programs can find: remotes, unpushed work, the site's links.
    """

    evidence: Evidence
    texts: Mapping[str, str]
    decisions: Mapping[str, str]
    used: Sequence[Used] = ()
    variables: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    others: Sequence[Gap] = ()


LABELS = "docs/labeling.md"
README = "README.md"
ENVIRONMENT = ".env.example"
DOCUMENTED_IN = (ENVIRONMENT, README, "docs/docs/getting-started.md")
# The sentence that a project is generated with where nobody said another.
_NO_DESCRIPTION = "A machine learning project"
# What the notebook writes where nobody gave a reason.
_NO_REASON = "To be written while it is still known."
_PLACEHOLDER = re.compile(r"\b(?:TODO|TBD)\b")
_OPEN = re.compile(r"\s*[-*] (?P<question>.+?):\**\s*")
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_OF_PEOPLE = ("problem.owner", "resources.people")
_ASKS_FOR_PEOPLE = re.compile(r"people responsible|who answers", re.IGNORECASE)


def gaps(facts: Facts) -> tuple[Gap, ...]:
    """All that is missing, by topic, each topic in the order of files and lines."""
    found = [
        *_scoping(facts),
        *_data(facts),
        *_card(facts),
        *_labels(facts),
        *_decisions(facts),
        *_set_up(facts),
        *facts.others,
    ]
    order = list(Topic)
    return tuple(sorted(found, key=lambda gap: (order.index(gap.topic), gap.file, gap.line)))


def _scoping(facts: Facts) -> Iterator[Gap]:
    document, path = facts.evidence.document, facts.evidence.document_path
    for problem in document.errors:
        write = problem.hint or "mend it"
        yield Gap(topic=Topic.WHY, file=path, line=problem.line, what=problem.message, write=write)
    for question in document.unanswered:
        topic = Topic.PEOPLE if question.key in _OF_PEOPLE else Topic.WHY
        what = f"`{question.key}` is not answered"
        yield Gap(topic=topic, file=path, line=question.line, what=what, write=question.asks)
    if document.scope is not None and not document.scope.sign_offs:
        what = "nobody has signed the present targets off"
        write = 'run `mlproj approve --role "business owner"`, as somebody who answers for them'
        line = _line(facts.texts.get(path, ""), "\napprovals:") + 1
        yield Gap(topic=Topic.WHY, file=path, line=line, what=what, write=write)


def _data(facts: Facts) -> Iterator[Gap]:
    sheet, path = facts.evidence.datasheet, facts.evidence.datasheet_path
    if not sheet.exists:
        write = "where the data come from, what they are fit for, and a row for each column"
        yield Gap(topic=Topic.DATA, file=path, line=0, what="there is no datasheet", write=write)
        return
    for line, question in sheet.unanswered:
        topic = Topic.PEOPLE if _ASKS_FOR_PEOPLE.search(question) else Topic.DATA
        what = f"not answered: {question}"
        yield Gap(topic=topic, file=path, line=line, what=what, write="the answer, instead of the mark")
    lines = facts.texts.get(path, "").splitlines()
    for column in sheet.undescribed:
        line = next((n for n, text in enumerate(lines, 1) if _is_row(text, column)), 0)
        what = f"column `{column}` has no meaning"
        write = "what it says about a row, its unit, and when it becomes known"
        yield Gap(topic=Topic.DATA, file=path, line=line, what=what, write=write)
    ingest = facts.evidence.report("ingest") or {}
    for column in ingest.get("columns") or ():
        if column not in sheet.columns:
            what = f"column `{column}` of the data has no row in the dictionary"
            write = f"| `{column}` | type | missing | values | meaning |"
            yield Gap(topic=Topic.DATA, file=path, line=len(lines), what=what, write=write)


def _is_row(text: str, column: str) -> bool:
    cell = column.replace("|", "\\|")
    return text.startswith((f"| `{cell}` |", f"| {cell} |"))


def _card(facts: Facts) -> Iterator[Gap]:
    path, evidence = facts.evidence.card_path, facts.evidence
    text = facts.texts.get(path)
    if text is None:
        write = "what the model is for, what it is not for, its weaknesses, and who answers for it"
        yield Gap(topic=Topic.MODEL, file=path, line=0, what="there is no model card", write=write)
        return
    for line, question in open_questions(text):
        topic = Topic.PEOPLE if _ASKS_FOR_PEOPLE.search(question) else Topic.MODEL
        what = f"not answered: {question}"
        yield Gap(topic=topic, file=path, line=line, what=what, write="the answer, on that line")
    run = evidence.manifest.run_id if evidence.manifest else None
    if run is not None and evidence.card_run != run:
        held = f"holds what was measured of run {evidence.card_run[:8]}" if evidence.card_run else "is empty"
        what = f"its evidence {held}; the present model is that of run {run[:8]}"
        line = _line(text, "## Evidence")
        write = "run `mlproj stage deployment`, which fills it"
        yield Gap(topic=Topic.MODEL, file=path, line=line, what=what, write=write)


def _labels(facts: Facts) -> Iterator[Gap]:
    text = facts.texts.get(LABELS)
    if text is None:
        write = "what each label means, who or what gives it, and what to do in doubt"
        yield Gap(
            topic=Topic.LABELS, file=LABELS, line=0, what="nothing says what a label means", write=write
        )
        return
    for line, question in open_questions(text):
        what = f"not answered: {question}"
        yield Gap(topic=Topic.LABELS, file=LABELS, line=line, what=what, write="the answer, on that line")
    for comment in _COMMENT.finditer(text):
        asked = " ".join(comment[1].split())
        line, write = text.count("\n", 0, comment.start()) + 1, "the answer, instead of the comment"
        yield Gap(topic=Topic.LABELS, file=LABELS, line=line, what=f"not answered: {asked}", write=write)
    yield from _unexplained(text)


def _unexplained(text: str) -> Iterator[Gap]:
    """Labels of the table whose cell `given when` is empty."""
    place: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not cells:
            place = None
        elif "given when" in cells:
            place = cells.index("given when")
        elif place is not None and place < len(cells) and not cells[place]:
            what = f"label `{cells[0]}` is not explained"
            write = "in `given when`, what must be so for a row to get it"
            yield Gap(topic=Topic.LABELS, file=LABELS, line=number, what=what, write=write)


def open_questions(text: str) -> Iterator[tuple[int, str]]:
    """The points of a document that end in a colon with nothing behind or below, or have a mark, by line."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        after = lines[number] if number < len(lines) else ""
        asked = _OPEN.fullmatch(line)
        has_mark = _PLACEHOLDER.search(line) is not None
        if has_mark or (asked and not after.startswith((" ", "\t"))):
            question = asked["question"] if asked else line.strip().lstrip("-* ")
            yield number, question.replace("**", "").strip(": ")


def _decisions(facts: Facts) -> Iterator[Gap]:
    for path, text in facts.decisions.items():
        if _NO_REASON in text:
            what, line = "it does not say why", _line(text, _NO_REASON)
            write = "the reason, while somebody still knows it"
            yield Gap(topic=Topic.DECISIONS, file=path, line=line, what=what, write=write)
    for used in facts.used:
        if not used.is_explained:
            write = f'run `mlproj decide "Why version {used.version}" --why "..."`'
            what = f"{used.what}, and no decision says why"
            yield Gap(topic=Topic.DECISIONS, file="docs/decisions", line=0, what=what, write=write)


def _set_up(facts: Facts) -> Iterator[Gap]:
    readme = facts.texts.get(README)
    if readme is None:
        write = "what the project is, and how to run it"
        yield Gap(topic=Topic.RUN, file=README, line=0, what="there is no README", write=write)
    elif _NO_DESCRIPTION in readme.splitlines():
        line, write = _line(readme, _NO_DESCRIPTION), "in one sentence, what is predicted for whom"
        what = "it does not say what the project is"
        yield Gap(topic=Topic.WHY, file=README, line=line, what=what, write=write)
    told = "\n".join(facts.texts.get(path, "") for path in DOCUMENTED_IN)
    for name, (file, line) in sorted(facts.variables.items()):
        if re.search(rf"\b{re.escape(name)}\b", told) is None:
            what = f"`{name}` is read from the environment, and `{ENVIRONMENT}` does not name it"
            write = f"in `{ENVIRONMENT}`, a line `# {name}=` with what it is and who gives it out"
            yield Gap(topic=Topic.RUN, file=file, line=line, what=what, write=write)


def _line(text: str, words: str) -> int:
    """The line on which words stand; 0 if they do not."""
    before, found, _ = text.partition(words)
    return before.count("\n") + 1 if found else 0
