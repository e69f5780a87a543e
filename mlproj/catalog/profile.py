"""What is asked of the table about each column, and the facts once it is known what means missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from mlproj.catalog import columns, dates, spellings
from mlproj.catalog.columns import MOST_CATEGORIES, Facts
from mlproj.catalog.duckdb import NUMBER, Dates, Dictionary, Numbers, Table, Totals
from mlproj.catalog.target import MOST_CLASSES

Cells = Sequence[str | None]
_NUMBER = re.compile(NUMBER, re.ASCII)
# A column that is half numbers may be one of numbers, with words for what is missing.
_WORTH_ASKING = 0.5


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column, before it is known what means missing."""

    name: str
    totals: Totals
    numbers: Numbers | None
    dates: Mapping[str, Dates]
    """What the column is in each format that may be its own, likeliest first."""
    levels: Mapping[str, int] | None
    """Every value with its rows where they are few; of the target, as far as classes go."""
    head: Cells
    """The first cells of the column."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that all values keep to, what may mean missing aside."""
        return tuple(form for form, found in self.dates.items() if found.dates == found.values)

    def seen(self) -> spellings.Seen:
        numbers = self.numbers
        return spellings.Seen(
            column=self.name,
            counts=self.totals.spellings,
            is_typed=bool(self.formats) or (numbers is not None and 0 < numbers.numbers == numbers.values),
            others=self.totals.sample,
        )

    def classes(self, missing: Collection[str]) -> dict[str, int]:
        """The values with their rows, missing ones left out; nothing if they are many."""
        return {level: rows for level, rows in (self.levels or {}).items() if level not in missing}


def profiles(table: Table, *, target: int, head_rows: int) -> list[Profile]:
    heads = list(zip(*table.head(head_rows), strict=True))
    found = []
    for dictionary in table.dictionaries():
        totals = dictionary.totals()
        numbers = dictionary.numbers(
            [i for i, one in totals.items() if share(one.sample, _NUMBER) >= _WORTH_ASKING]
        )
        levels = dictionary.levels(
            [
                i
                for i, one in totals.items()
                if one.distinct - len(one.spellings) <= (MOST_CLASSES if i == target else MOST_CATEGORIES)
            ]
        )
        read = _read_as_dates(dictionary, totals)
        found += [
            Profile(
                name=table.names[i],
                totals=one,
                numbers=numbers.get(i),
                dates=read.get(i, {}),
                levels=levels.get(i),
                head=heads[i],
            )
            for i, one in totals.items()
        ]
    return found


def facts(profile: Profile, *, rows: int, repeated_rows: int, missing: Collection[str]) -> Facts:
    totals, numbers = profile.totals, profile.numbers
    absent = [spelling for spelling in totals.spellings if spelling in missing]
    present = totals.given - sum(totals.spellings[spelling] for spelling in absent)
    # Numbers and dates were counted among the values that cannot mean missing: a word such as `unknown` that
    # is kept as a category makes the column one of words again.
    if numbers is None or numbers.values != present:
        numbers = None
    form = next((form for form in profile.formats if profile.dates[form].values == present), None)
    levels = profile.classes(missing)
    return Facts(
        name=profile.name,
        rows=rows,
        present=present,
        distinct=totals.distinct - len(absent),
        repeated_rows=repeated_rows,
        numbers=numbers.numbers if numbers else 0,
        integers=numbers.integers if numbers else 0,
        whole=numbers.whole if numbers else 0,
        padded=numbers.padded if numbers else 0,
        widths=numbers.widths if numbers else (0, 0),
        minimum=numbers.minimum if numbers else None,
        maximum=numbers.maximum if numbers else None,
        mean=numbers.mean if numbers else None,
        date_format=form,
        looks_like=columns.nearly_numbers(totals.sample),
        words=fmean(len(value.split()) for value in totals.sample) if totals.sample else 0.0,
        length=fmean(len(value) for value in totals.sample) if totals.sample else 0.0,
        running=_running(profile.head) if numbers else 0.0,
        levels=tuple(sorted(levels)) if len(levels) <= MOST_CATEGORIES else (),
    )


def share(values: Sequence[str], pattern: re.Pattern[str]) -> float:
    """How many of the values are of this pattern; 0 for no values."""
    return sum(bool(pattern.fullmatch(value)) for value in values) / len(values) if values else 0.0


def is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _read_as_dates(dictionary: Dictionary, totals: Mapping[int, Totals]) -> dict[int, dict[str, Dates]]:
    likely = {i: dates.candidates(one.sample) for i, one in totals.items()}
    asked: dict[str, list[int]] = {}
    for i, forms in likely.items():
        for form in forms:
            asked.setdefault(form, []).append(i)
    found = {form: dictionary.dates(form, those) for form, those in asked.items()}
    return {i: {form: found[form][i] for form in forms} for i, forms in likely.items() if forms}


def _running(head: Cells) -> float:
    """The share of the first cells that are the cell before plus one."""
    numbers = [float(value) for value in head if value is not None and is_number(value)]
    if len(numbers) < 20:
        return 0.0
    return fmean(after == before + 1 for before, after in pairwise(numbers))
