"""What a column means, judged from a handful of numbers about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlproj.catalog import dates
from mlproj.catalog.findings import Kind, Role, Storage

MOST_CATEGORIES = 50
_BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "y", "n", "t", "f"})
_ID_TOKENS = frozenset({"id", "ids", "uuid", "guid", "identifier", "rowid", "rownames", "rowname", "pk"})
_ENTITIES = frozenset(
    {
        "account", "client", "customer", "device", "driver", "employee", "engine", "household", "individual",
        "machine", "member", "participant", "passenger", "patient", "person", "player", "policy", "session",
        "student", "subject", "subscriber", "unit", "user", "vehicle", "visitor",
    }
)  # fmt: skip
_ID_SUFFIXES = frozenset({"id", "no", "nr", "num", "number", "key", "code"})
_CODE_TOKENS = frozenset(
    {"code", "zip", "zipcode", "postcode", "postal", "type", "class", "pclass", "cluster", "category"}
)
_TEXT_TOKENS = frozenset(
    {"comment", "comments", "note", "notes", "description", "text", "message", "review", "remark", "remarks",
     "feedback", "body", "abstract", "summary", "complaint"}
)  # fmt: skip
_SCALES = (
    ("very poor", "poor", "below average", "fair", "typical", "average", "above average", "good", "very good",
     "excellent", "very excellent"),
    ("po", "fa", "ta", "gd", "ex"),
    ("very low", "low", "medium low", "medium", "moderate", "medium high", "high", "very high", "extreme"),
    ("very small", "small", "medium", "large", "very large"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("none", "minimal", "mild", "moderate", "severe", "very severe"),
    ("never", "rarely", "seldom", "sometimes", "often", "usually", "always"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    ("beginner", "intermediate", "advanced", "expert"),
    ("first", "second", "third", "fourth", "fifth"),
)  # fmt: skip


_NEARLY_NUMBERS = (
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"), "numbers with thousands separators"),
    (re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"), "numbers with a decimal comma"),
    (re.compile(r"[+-]?\d+([.,]\d+)?\s*%"), "percentages"),
    (re.compile(r"[$€£¥]\s*[+-]?\d[\d.,]*|[+-]?\d[\d.,]*\s*[$€£¥]"), "amounts of money"),
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The numbers a column is judged from. Counts leave missing values out, save `rows`."""

    name: str
    rows: int
    present: int
    distinct: int
    repeated_rows: int = 0
    """Rows of the whole table that repeat an earlier one; they make identifiers repeat too."""
    numbers: int = 0
    integers: int = 0
    """Spelt as whole numbers: `7`, but not `7.0`."""
    whole: int = 0
    """Whole in value: `7` and `7.0`."""
    padded: int = 0
    """Whole numbers with a leading zero, as codes have: `02134`."""
    widths: tuple[int, int] = (0, 0)
    """Characters of the shortest and the longest value."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    date_format: str | None = None
    looks_like: str = ""
    """What the values nearly are, such as numbers with a decimal comma."""
    words: float = 0.0
    length: float = 0.0
    running: float = 0.0
    """Share of the first rows whose value is that of the row before, plus one."""
    levels: tuple[str, ...] = ()
    """Every value, sorted, if there are at most `MOST_CATEGORIES`."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    kind: Kind
    role: Role
    storage: Storage
    reason: str
    categories: tuple[str, ...] = ()


def judge(facts: Facts, *, is_kept: bool = False) -> Judgement:
    """Kind, role and reason of one column, the rest of the table unseen; a kept one is no identifier."""
    storage = storage_of(facts)
    if facts.present == 0:
        return Judgement(
            kind=Kind.CONSTANT,
            role=Role.DROP,
            storage=Storage.STRING,
            reason=f"all {facts.rows:,} values are missing",
        )
    if facts.distinct == 1 and facts.present == facts.rows:
        return Judgement(
            kind=Kind.CONSTANT,
            role=Role.DROP,
            storage=storage,
            reason=f"the same value in all {facts.rows:,} rows",
            categories=facts.levels,
        )
    if facts.date_format is not None:
        return Judgement(
            kind=Kind.DATETIME,
            role=Role.FEATURE,
            storage=storage,
            reason=f"every value is a date written as {facts.date_format}",
        )
    identified = _identifier(facts)
    if identified is not None and not is_kept:
        return identified
    if is_number(facts) and facts.padded == 0:
        return _number(facts, storage)
    return _words(facts, storage)


def storage_of(facts: Facts) -> Storage:
    if facts.date_format is not None:
        return Storage.DATETIME if dates.has_time(facts.date_format) else Storage.DATE
    if facts.present and is_number(facts):
        if facts.padded:
            return Storage.STRING
        return Storage.INTEGER if facts.integers == facts.present else Storage.FLOAT
    if facts.levels and {level.strip().casefold() for level in facts.levels} <= {"true", "false"}:
        return Storage.BOOLEAN
    return Storage.STRING


def is_number(facts: Facts) -> bool:
    return facts.present > 0 and facts.numbers == facts.present


def tokens(name: str) -> tuple[str, ...]:
    """The words of a column's name, lower-case: `customerID`, `customer_id` and `Customer ID` are alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(re.findall(r"[^\W_]+", spaced.casefold()))


def is_named_like_identifier(name: str) -> bool:
    words = tokens(name)
    if not words:
        return False
    if any(word in _ID_TOKENS for word in words) or name.casefold().startswith("unnamed: "):
        return True
    if len(words) >= 2 and words[-1] in _ID_SUFFIXES and words[-2] in _ENTITIES:
        return True
    return any(words[-1] == f"{entity}id" for entity in _ENTITIES)


def names_an_entity(name: str) -> bool:
    """Whether the name says who the rows are about: a customer, a patient, a machine."""
    return any(word in _ENTITIES or word.removesuffix("id") in _ENTITIES for word in tokens(name))


def ordered(levels: Sequence[str]) -> tuple[str, ...] | None:
    """The levels in their order, if they are (at least three) steps of a well-known scale."""
    if len(levels) < 3:
        return None
    folded = {" ".join(re.split(r"[\s_\-]+", level.strip().casefold())): level for level in levels}
    if len(folded) != len(levels):
        return None
    for scale in _SCALES:
        if all(level in scale for level in folded):
            return tuple(folded[step] for step in scale if step in folded)
    return None


def nearly_numbers(values: Sequence[str]) -> str:
    """What these values are, if people would read them as numbers and a program does not."""
    for pattern, what in _NEARLY_NUMBERS:
        if values and all(pattern.fullmatch(value) for value in values):
            return what
    return ""


def as_grouped(judgement: Judgement, facts: Facts) -> Judgement:
    """The same column as what keeps rows of one entity together in a split."""
    return replace(
        judgement,
        kind=Kind.IDENTIFIER,
        role=Role.GROUP,
        reason=f"{facts.distinct:,} different values in {facts.present:,} rows: rows of one stay together",
    )


def as_repeating(judgement: Judgement, facts: Facts) -> Judgement:
    """The same column as an identifier that says nothing about a row, though it repeats."""
    return replace(
        judgement,
        kind=Kind.IDENTIFIER,
        role=Role.DROP,
        reason=f"{facts.distinct:,} different values in {facts.present:,} rows: an identifier that repeats",
    )


def is_group(facts: Facts) -> bool:
    """Whether an identifier repeats as one does that names an entity seen several times."""
    if not is_named_like_identifier(facts.name) or facts.date_format is not None or facts.distinct < 10:
        return False
    if is_number(facts) and facts.whole < facts.present:
        return False
    repeats = facts.present - facts.distinct - facts.repeated_rows
    if repeats < max(1, facts.present // 100):
        return False
    if names_an_entity(facts.name):
        return True
    # `store_id` with forty stores is a category; `id` with eight rows each is whom the rows are about.
    return facts.distinct >= 50 and facts.present / facts.distinct <= 50


def _identifier(facts: Facts) -> Judgement | None:
    named = is_named_like_identifier(facts.name)
    counted = f"{facts.distinct:,} different values in {facts.present:,} rows"
    number = is_number(facts)
    if number and (facts.whole < facts.present or _is_year(facts)):
        return None
    storage = storage_of(facts)

    def found(reason: str) -> Judgement:
        return Judgement(kind=Kind.IDENTIFIER, role=Role.DROP, storage=storage, reason=reason)

    if number and facts.present >= 20 and facts.running >= 0.95:
        return found("counts the rows: each value is the one before plus one")
    unlike = facts.distinct >= min(facts.present - facts.repeated_rows, 0.99 * facts.present)
    if facts.distinct < max(10, facts.present / 2) or not unlike:
        return None
    if named:
        return found(counted)
    if facts.numbers >= 0.9 * facts.present and facts.whole < facts.numbers:
        # Measurements, with a few words among them.
        return None
    if number:
        return found(counted) if facts.distinct == facts.present and _too_distinct(facts) else None
    return None if _is_prose(facts) or facts.looks_like else found(counted)


def _too_distinct(facts: Facts) -> bool:
    """Whether whole numbers differ more than measurements would: by chance some would be equal."""
    if facts.present < 20 or facts.minimum is None or facts.maximum is None:
        return False
    spread = facts.maximum - facts.minimum + 1
    if spread == facts.distinct:
        return True
    expected_ties = facts.present * (facts.present - 1) / 2 / spread
    return expected_ties > 12 or (facts.widths[0] == facts.widths[1] and facts.widths[0] >= 9)


def _is_year(facts: Facts) -> bool:
    return (
        facts.minimum is not None
        and facts.maximum is not None
        and facts.minimum >= 1700
        and facts.maximum <= 2200
        and (facts.running < 0.95 or any(word in {"year", "yr"} for word in tokens(facts.name)))
    )


def _is_prose(facts: Facts) -> bool:
    if any(word in _TEXT_TOKENS for word in tokens(facts.name)):
        return facts.words >= 3
    return (
        facts.words >= 5
        and facts.length >= 25
        and facts.distinct >= 0.5 * facts.present
        and facts.distinct > 20
    )


def _number(facts: Facts, storage: Storage) -> Judgement:
    if facts.distinct <= 2 and facts.whole == facts.present:
        pair = facts.minimum == 0 and facts.maximum == 1
        return Judgement(
            kind=Kind.BOOLEAN if pair else Kind.CATEGORICAL,
            role=Role.FEATURE,
            storage=storage,
            reason=_levels_reason(facts),
            categories=facts.levels,
        )
    coded = any(word in _CODE_TOKENS for word in tokens(facts.name)) or is_named_like_identifier(facts.name)
    if coded and facts.whole == facts.present and (facts.levels or is_named_like_identifier(facts.name)):
        return Judgement(
            kind=Kind.CATEGORICAL,
            role=Role.FEATURE,
            storage=storage,
            reason=f"{facts.distinct:,} different whole numbers, named like a code",
            categories=facts.levels,
        )
    what = "whole numbers" if storage is Storage.INTEGER else "numbers"
    return Judgement(
        kind=Kind.NUMERIC,
        role=Role.FEATURE,
        storage=storage,
        reason=f"{what} from {_span(facts)}, {facts.distinct:,} different",
    )


def _words(facts: Facts, storage: Storage) -> Judgement:
    if _is_prose(facts):
        return Judgement(
            kind=Kind.TEXT,
            role=Role.FEATURE,
            storage=Storage.STRING,
            reason=f"free text: {facts.words:.0f} words on average, {facts.distinct:,} different",
        )
    scale = ordered(facts.levels)
    if scale is not None:
        return Judgement(
            kind=Kind.ORDINAL,
            role=Role.FEATURE,
            storage=storage,
            reason=f"{facts.distinct:,} steps of a scale",
            categories=scale,
        )
    folded = {level.strip().casefold() for level in facts.levels}
    boolean = facts.distinct == 2 and folded <= _BOOLEAN_WORDS
    reason = _levels_reason(facts)
    if facts.padded and is_number(facts):
        reason = f"{facts.distinct:,} different codes with leading zeros"
    return Judgement(
        kind=Kind.BOOLEAN if boolean else Kind.CATEGORICAL,
        role=Role.FEATURE,
        storage=storage,
        reason=reason,
        categories=facts.levels,
    )


def _levels_reason(facts: Facts) -> str:
    if facts.distinct == 1:
        return "one value, or missing"
    return f"{facts.distinct:,} different values"


def _span(facts: Facts) -> str:
    if facts.minimum is None or facts.maximum is None:
        return "none"
    style = "g" if _is_year(facts) or max(abs(facts.minimum), abs(facts.maximum)) >= 1e6 else ",.6g"
    return f"{facts.minimum:{style}} to {facts.maximum:{style}}"
