"""Every key of the front matter: what it holds and asks. The reader and the schema follow this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mlproj.scoping.scope import (
    Approach,
    Automation,
    BenchmarkKind,
    Feasible,
    Section,
    Split,
    TargetKind,
)


class Holds(StrEnum):
    TEXT = "a text"
    TEXTS = "a list of texts"
    NAME = "a name"
    NAMES = "a list of names"
    NUMBER = "a number"
    FLAG = "true or false"
    DATE = "a date"
    CHOICE = "one of a few words"
    KEYS = "keys of its own"
    ENTRIES = "a list of entries"


@dataclass(frozen=True, kw_only=True)
class Key:
    """`optional` keys ask nothing when they are left out; `choices` are the words that a CHOICE can be."""

    name: str
    holds: Holds
    asks: str
    choices: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    optional: bool = False


def _text(name: str, asks: str, *, optional: bool = False) -> Key:
    return Key(name=name, holds=Holds.TEXT, asks=asks, optional=optional)


def _choice(name: str, asks: str, choices: type[StrEnum], *, optional: bool = False) -> Key:
    words = tuple(str(choice) for choice in choices)
    return Key(name=name, holds=Holds.CHOICE, asks=asks, choices=words, optional=optional)


def _keys(name: str, asks: str, *keys: Key) -> Key:
    return Key(name=name, holds=Holds.KEYS, asks=asks, keys=keys)


def _entries(name: str, asks: str, *keys: Key, optional: bool = False) -> Key:
    return Key(name=name, holds=Holds.ENTRIES, asks=asks, keys=keys, optional=optional)


_BOUND = (
    Key(name="at_least", holds=Holds.NUMBER, asks="The smallest value that is good enough?", optional=True),
    Key(name="at_most", holds=Holds.NUMBER, asks="The largest value that is good enough?", optional=True),
)
_SUGGESTED = Key(
    name="suggested",
    holds=Holds.FLAG,
    asks="Do you stand by this target? It was suggested: take the mark `suggested` away once you do.",
    optional=True,
)

TARGETS = {
    TargetKind.ML: _entries(
        "ml",
        "What must the model's predictions reach?",
        Key(name="metric", holds=Holds.NAME, asks="Which metric?"),
        *_BOUND,
        _choice("split", "On which part of the data?", Split, optional=True),
        Key(name="class", holds=Holds.NAME, asks="For which class alone?", optional=True),
        Key(
            name="slices", holds=Holds.NAMES, asks="By which columns is it looked at as well?", optional=True
        ),
        Key(
            name="slice_margin",
            holds=Holds.NUMBER,
            asks="How much worse than the bound may a slice be?",
            optional=True,
        ),
        Key(
            name="with_confidence",
            holds=Holds.NUMBER,
            asks="With what confidence must the bound be met?",
            optional=True,
        ),
        _SUGGESTED,
    ),
    TargetKind.SOFTWARE: _entries(
        "software",
        "What must the service that answers reach?",
        Key(name="metric", holds=Holds.NAME, asks="Which metric?"),
        *_BOUND,
        _SUGGESTED,
    ),
    TargetKind.BUSINESS: _entries(
        "business",
        "What must the business get out of it?",
        Key(name="metric", holds=Holds.NAME, asks="Which number of the business?"),
        *_BOUND,
        Key(name="linked_to", holds=Holds.NAME, asks="Which ML or software target moves it?"),
        _SUGGESTED,
    ),
}

KEYS = (
    _keys(
        "problem",
        "Which business problem is to be solved?",
        _text("statement", "What goes wrong today, for whom, and what does it cost?"),
        _text("owner", "Who owns the problem and decides about it?"),
        Key(name="wishes", holds=Holds.TEXTS, asks="What should work better?"),
    ),
    _keys(
        "solution",
        "How is it to be solved?",
        _text("statement", "What will predict what, for whom, and what is done with it?"),
        _choice("approach", "Build it, buy it, or adapt something?", Approach),
        Key(name="alternatives", holds=Holds.TEXTS, asks="What else was considered?"),
    ),
    _keys(
        "feasibility",
        "Can it be done, and is it worth it?",
        _keys(
            "benchmark",
            "What must the model be compared with?",
            _choice("kind", "What kind of benchmark is it?", BenchmarkKind),
            Key(name="metric", holds=Holds.NAME, asks="In which metric was it measured?"),
            Key(name="value", holds=Holds.NUMBER, asks="What did it reach?"),
            _text("source", "Who measured it, where and when?"),
        ),
        Key(
            name="human_could_do_it",
            holds=Holds.FLAG,
            asks="Could a person do the task with the same data?",
        ),
        _text("predictive_features", "Why should these data tell the answer?"),
        _choice("verdict", "Go, no-go, or a proof of concept first?", Feasible),
    ),
    _keys(
        "ethics",
        "Should it be done?",
        _text("net_positive", "Who gains and who may lose?"),
        _text("fairness", "Which groups could it treat worse, and how will you see it?"),
        _text("concerns_aired", "Who raised which concerns, and what came of them?"),
    ),
    _keys("targets", "What is promised?", *TARGETS.values()),
    _choice("automation", "Which degree of automation is aimed for?", Automation),
    _entries(
        "milestones",
        "What will be reached by when?",
        _text("name", "What is the milestone called?"),
        Key(name="due", holds=Holds.DATE, asks="When is it due?"),
        Key(name="needs", holds=Holds.NAMES, asks="The metrics of which targets must be met by then?"),
    ),
    _keys(
        "resources",
        "What does it take?",
        _text("data", "Which data, from whom, with what rights?"),
        _text("people", "Who works on it, and for how long?"),
        _text("compute", "Which machines?"),
        _text("budget", "What may it cost, to make and to run?"),
    ),
    _entries(
        "approvals",
        "Who has signed the targets?",
        _text("role", "In which role?"),
        _text("name", "Who?"),
        Key(name="date", holds=Holds.DATE, asks="When?"),
        _text("of", "The digest of the targets signed?"),
        optional=True,
    ),
)

SECTIONS = {section.value for section in Section}
