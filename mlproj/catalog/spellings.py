"""How a file writes "missing": which spellings are no values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlproj.catalog.wording import count, listing, tick

BLANK = frozenset({""})
SURE = frozenset({"na", "n/a", "nan", "#n/a", "#na", "<na>", "null", "(null)", "?", "nil", "-nan"})
MARKS = frozenset({"-", "--", "---", ".", "..", "*"})
NONE = frozenset({"none"})
WORDS = frozenset(
    {"unknown", "missing", "n.a.", "not available", "not applicable", "undefined", "(missing)", "no data",
     "#value!", "#div/0!", "#ref!", "inf", "-inf"}
)  # fmt: skip
ALL = BLANK | SURE | MARKS | NONE | WORDS
LONGEST = max(map(len, ALL)) + 8
_CODE = re.compile(r"[A-Z]{2}")
_MARK = re.compile(r"[^\w\s]+")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The spellings in one column that may mean missing, and what the rest of the column is."""

    column: str
    counts: Mapping[str, int]
    is_typed: bool
    """Every other value is a number, or a date of one format."""
    others: Sequence[str]
    """Some of the other values, all of them if they are few."""


@dataclass(frozen=True, kw_only=True)
class Ruling:
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def rule(columns: Sequence[Seen], told: Collection[str] = ()) -> Ruling:
    """The spellings that mean missing in this file: one list for all columns, since a reader has only one.

    A word that could be a value, such as `None` or `unknown`, means missing where the rest of its column are
    numbers or dates. In a column of words it is a category; `None` is not, if it means missing elsewhere,
    while `unknown` among words keeps its meaning everywhere.
    """
    missing: set[str] = set(told)
    kept: dict[str, list[Seen]] = {}
    for seen in columns:
        for spelling in seen.counts:
            folded = spelling.strip().casefold()
            if folded in WORDS and spelling not in told:
                if seen.is_typed and not any(
                    spelling in other.counts for other in columns if not other.is_typed
                ):
                    missing.add(spelling)
            elif seen.is_typed or not _plausible(folded, spelling, seen.others):
                missing.add(spelling)
            else:
                kept.setdefault(spelling, []).append(seen)
    notes = []
    for spelling, where in kept.items():
        named = listing([seen.column for seen in where])
        if spelling in missing:
            if spelling not in told:
                notes.append(
                    f"`{spelling}` means missing in columns of numbers, and is read so in {named} as well"
                )
        else:
            rows = sum(seen.counts[spelling] for seen in where)
            notes.append(
                f"`{spelling}` in {named} ({count(rows, 'row')}) is kept as a category;"
                " add it to `missing_values` if it means missing"
            )
    for seen in columns:
        words = [word for word in seen.counts if word.strip().casefold() in WORDS and word not in missing]
        if seen.is_typed and words:
            notes.append(
                f"{tick(seen.column)} would be numbers or dates but for {listing(words)}, which is kept as a"
                " category elsewhere: add them to `missing_values` to read it so"
            )
    return Ruling(
        missing=tuple(sorted(missing, key=lambda text: (text.strip() != "", text))), notes=tuple(notes)
    )


def _plausible(folded: str, spelling: str, others: Sequence[str]) -> bool:
    """Whether the spelling reads as one of the column's values."""
    if folded in NONE:
        return True
    if folded in MARKS or folded == "?":
        return any(_MARK.fullmatch(other.strip()) for other in others)
    if spelling == "NA":
        # Namibia among countries, North America among continents.
        return len(others) >= 3 and all(_CODE.fullmatch(other) for other in others)
    return False
