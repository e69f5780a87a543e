"""What a person should read before trusting what was inferred, one sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from mlproj.catalog import dates
from mlproj.catalog.columns import Facts, Judgement
from mlproj.catalog.findings import Kind, Role, SplitKind, Target
from mlproj.catalog.profile import Cells, Profile, is_number
from mlproj.catalog.wording import count, listing, tick

_FEWEST_OF_A_CLASS = 5
_FEW_ROWS = 100
_LONGEST_NAME = 80


def on_rows(target: Target, *, rows: int, duplicates: int) -> list[str]:
    said = []
    labelled = rows - target.missing_rows
    if target.missing_rows:
        said.append(
            f"{target.missing_rows:,} of {count(rows, 'row')} without a label in {tick(target.name)}:"
            " dropped when the table is read"
        )
    if duplicates:
        said.append(
            f"{count(duplicates, 'row')} the same as an earlier row in every column:"
            " dropped when the table is read"
        )
    few = [label.label for label in target.classes if label.rows < _FEWEST_OF_A_CLASS]
    if few:
        said.append(
            f"classes with fewer than {_FEWEST_OF_A_CLASS} rows, too few for every split: {listing(few)}"
        )
    if labelled < _FEW_ROWS:
        said.append(f"only {count(labelled, 'labelled row')}: expect wide confidence intervals")
    return said


def on_column(facts: Facts, judgement: Judgement, profile: Profile, *, split: SplitKind) -> list[str]:
    if judgement.role is Role.TARGET or not facts.present:
        return []
    name = tick(facts.name)
    if judgement.kind is Kind.NUMERIC:
        return _on_numbers(name, facts, profile)
    if judgement.kind is Kind.DATETIME:
        return _on_dates(name, facts, judgement, profile, split)
    if judgement.kind is Kind.CATEGORICAL and not facts.levels:
        return _on_many_categories(name, facts, profile)
    repeats = facts.present - facts.distinct
    if judgement.kind is Kind.IDENTIFIER and judgement.role is Role.DROP and repeats:
        return [f"{name} is taken for an identifier, though {count(repeats, 'row')} repeat a value of it"]
    return []


def first_row_is_data(names: Sequence[str], columns: Sequence[Cells]) -> bool:
    """Whether the header reads like a row: mostly numbers, sentences, or values that their column repeats."""
    alike = sum(
        len(name) > _LONGEST_NAME or (is_number(name) and "." in name) or cells.count(name) >= 2
        for name, cells in zip(names, columns, strict=True)
    )
    return alike >= len(names) / 2


def _on_numbers(name: str, facts: Facts, profile: Profile) -> list[str]:
    # `NA` and empty fields among numbers surprise nobody.
    odd = [
        (spelling, rows)
        for spelling, rows in profile.totals.spellings.items()
        if spelling not in ("", "NA", "NaN", "nan")
    ]
    if not odd or facts.rows == facts.present:
        return []
    said = ", ".join(f"{rows:,} times {_shown(spelling)}" for spelling, rows in odd[:4])
    return [f"{name} holds {said} among its numbers: read as missing"]


def _on_dates(name: str, facts: Facts, judgement: Judgement, profile: Profile, split: SplitKind) -> list[str]:
    said = []
    form = facts.date_format or ""
    if dates.swapped(form) in profile.formats:
        said.append(
            f"{name} can be read with the month or the day first: read as {form};"
            " change its format if the other is meant"
        )
    if judgement.role is Role.FEATURE and split is not SplitKind.TIME:
        said.append(
            f"{name} is a date: if the model is to predict the future from the past,"
            f" split by time (`kind: time`, `by: {' '.join(facts.name.split())}`)"
        )
    return said


def _on_many_categories(name: str, facts: Facts, profile: Profile) -> list[str]:
    said = f"{name} has {facts.distinct:,} different values and is read as a category"
    numbers = profile.numbers
    best = max(profile.dates.values(), key=lambda found: found.dates, default=None)
    if facts.looks_like:
        return [
            f"{said}: they look like {facts.looks_like} (`{profile.totals.sample[0]}`); write plain numbers"
        ]
    if numbers is not None and 0 < numbers.numbers < numbers.values:
        return [
            f"{said}: {numbers.numbers:,} of {numbers.values:,} are numbers;"
            " mend the others, or add them to `missing_values`, to use it as numbers"
        ]
    if best is not None and 0 < best.dates < best.values:
        return [f"{said}: {best.dates:,} of {best.values:,} are dates of one format, and the others are not"]
    return [said]


def _shown(spelling: str) -> str:
    return "an empty field" if not spelling else "a blank" if not spelling.strip() else f"`{spelling}`"
