"""From a table and the name of its target to findings: the story, told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlproj.base.errors import ConfigError, nearest
from mlproj.catalog import columns as judging
from mlproj.catalog import dates, leaks, profile, remarks, source, spellings
from mlproj.catalog import target as targets
from mlproj.catalog.columns import MOST_CATEGORIES, Facts, Judgement
from mlproj.catalog.duckdb import Table, opened
from mlproj.catalog.findings import (
    Column,
    Findings,
    Kind,
    Label,
    Leak,
    Role,
    Source,
    Split,
    SplitKind,
    Target,
    Task,
)
from mlproj.catalog.profile import Profile
from mlproj.catalog.source import QUOTE, Reading
from mlproj.catalog.wording import listing, tick

_MOST_HEAD_ROWS = 1_000
_MOST_LEAK_ROWS = 20_000
_MOST_CELLS = 2_000_000
_MOST_NAMES = 30
_EXAMPLES = 3
_LONGEST_EXAMPLE = 80
_MEASURES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "r2": "R²"}


def infer(
    path: Path,
    target: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    task: Task | None = None,
    missing: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Findings:
    """Read the table once and say what each column means for predicting `target`.

    `missing` are further spellings that mean missing; columns in `keep` stay features whatever is suspected
    of them. The same file gives the same findings. Raises ConfigError for what is no table, or has no such
    target.
    """
    reading = source.examine(path, delimiter=delimiter, encoding=encoding)
    with opened(reading, missing) as table:
        place = _place(reading, table, target)
        _must_be_columns(table.names, keep)
        return _infer(reading, table, place, task=task, told=missing, keep=frozenset(keep))


def _infer(
    reading: Reading,
    table: Table,
    target: int,
    *,
    task: Task | None,
    told: Sequence[str],
    keep: frozenset[str],
) -> Findings:
    found = profile.profiles(table, target=target, head_rows=_rows(table.names, _MOST_HEAD_ROWS))
    ruling = spellings.rule([one.seen() for one in found], told)
    missing = frozenset(ruling.missing)
    duplicates = table.number_of_duplicates()
    facts = [profile.facts(one, rows=table.rows, repeated_rows=duplicates, missing=missing) for one in found]
    judgements = [judging.judge(one, is_kept=one.name in keep) for one in facts]
    aim, judgements[target] = _target(
        table, target, facts[target], judgements[target], found[target], ruling, task
    )
    open_to_doubt = [i for i in range(len(facts)) if i != target and facts[i].name not in keep]
    group, notes = _group(facts, judgements, open_to_doubt)
    suspected = _leaks(table, target, aim, facts, judgements, open_to_doubt, ruling.missing, group)
    split = _split(aim, None if group is None else table.names[group])
    if reading.delimiter and remarks.first_row_is_data(table.names, [one.head for one in found]):
        notes.append("the first row looks like data, not like names of columns: add a header line if it is")
    notes += remarks.on_rows(aim, rows=table.rows, duplicates=duplicates)
    for one, judgement, its_profile in zip(facts, judgements, found, strict=True):
        notes += remarks.on_column(one, judgement, its_profile, split=split.kind)
    if not any(judgement.role is Role.FEATURE for judgement in judgements):
        notes.append("no column is left to predict from: see why each was left out")
    return Findings(
        source=Source(
            name=reading.path.name,
            format=reading.format,
            delimiter=reading.delimiter,
            encoding=reading.encoding,
            quote=QUOTE if reading.delimiter else "",
            bytes=reading.bytes.size,
            md5=reading.bytes.md5,
            sha256=reading.bytes.sha256,
            guessed=reading.guessed,
        ),
        rows=table.rows,
        target=aim,
        # An empty field is no value in any delimited file, this delivery or the next.
        missing_values=tuple(dict.fromkeys((*([""] if reading.delimiter else []), *ruling.missing))),
        duplicates=duplicates,
        columns=tuple(
            _column(one, judgement, its_profile, missing)
            for one, judgement, its_profile in zip(facts, judgements, found, strict=True)
        ),
        leaks=tuple(suspected),
        split=split,
        notes=tuple(dict.fromkeys((*reading.notes, *ruling.notes, *notes))),
    )


def _place(reading: Reading, table: Table, target: str) -> int:
    if target in table.names:
        return table.names.index(target)
    offer = nearest(target, table.names)
    heads = list(zip(*table.head(_rows(table.names, _MOST_HEAD_ROWS)), strict=True))
    if offer is None and reading.delimiter and remarks.first_row_is_data(table.names, heads):
        raise ConfigError(
            f"`{reading.path}` has no column `{target}`: its first row looks like data, not like names",
            hint=f"write a first line with a name for each of the {len(table.names):,} columns;"
            f" now the names would be {listing([name[:40] for name in table.names])}",
        )
    raise ConfigError(
        f"`{reading.path}` has no column `{target}`",
        hint=f"did you mean `{offer}`?"
        if offer
        else f"its columns are {listing(table.names, most=_MOST_NAMES)}",
    )


def _must_be_columns(names: Sequence[str], keep: Sequence[str]) -> None:
    for name in keep:
        if name not in names:
            offer = nearest(name, names)
            raise ConfigError(
                f"there is no column `{name}` to keep",
                hint=f"did you mean `{offer}`?"
                if offer
                else f"the columns are {listing(names, most=_MOST_NAMES)}",
            )


def _target(
    table: Table,
    place: int,
    facts: Facts,
    judgement: Judgement,
    its_profile: Profile,
    ruling: spellings.Ruling,
    told: Task | None,
) -> tuple[Target, Judgement]:
    decision = targets.decide(facts, judgement, told)
    numeric = decision.task is Task.REGRESSION
    classes = {} if numeric else its_profile.classes(ruling.missing)
    median, std = table.spread(place, ruling.missing) if numeric else (None, None)
    kind = Kind.BOOLEAN if judgement.kind is Kind.BOOLEAN else Kind.CATEGORICAL
    return (
        Target(
            name=facts.name,
            task=decision.task,
            reason=decision.reason,
            classes=tuple(Label(label=label, rows=classes[label]) for label in sorted(classes)),
            positive=targets.positive_class(classes) if decision.task is Task.BINARY else None,
            missing_rows=facts.rows - facts.present,
            minimum=facts.minimum if numeric else None,
            maximum=facts.maximum if numeric else None,
            mean=facts.mean if numeric else None,
            median=median,
            std=std,
        ),
        Judgement(
            kind=Kind.NUMERIC if numeric else kind,
            role=Role.TARGET,
            storage=judgement.storage,
            reason=decision.reason,
            categories=tuple(sorted(classes))[:MOST_CATEGORIES],
        ),
    )


def _group(
    facts: Sequence[Facts], judgements: list[Judgement], candidates: Sequence[int]
) -> tuple[int | None, list[str]]:
    """The column whose rows belong together, marked as such; further ones are dropped, and that is said."""
    found = [i for i in candidates if judging.is_group(facts[i])]
    if not found:
        return None, []
    # Whom the rows are about comes before what else repeats.
    first, *others = sorted(found, key=lambda i: (not judging.names_an_entity(facts[i].name), i))
    judgements[first] = judging.as_grouped(judgements[first], facts[first])
    notes = []
    for i in others:
        judgements[i] = judging.as_repeating(judgements[i], facts[i])
        notes.append(
            f"{tick(facts[i].name)} repeats, as {tick(facts[first].name)} does, by which the split keeps rows"
            " together: name it under `split.by` if it should be the one"
        )
    return first, notes


def _leaks(
    table: Table,
    target: int,
    aim: Target,
    facts: Sequence[Facts],
    judgements: list[Judgement],
    candidates: Sequence[int],
    missing: Sequence[str],
    group: int | None,
) -> list[Leak]:
    """The suspected leaks; their columns are marked as such."""
    tried = [
        i for i in candidates if judgements[i].role is Role.FEATURE and judgements[i].kind is not Kind.TEXT
    ]
    rows = _rows(tried, _MOST_LEAK_ROWS)
    # As many of a rare class as of the other, else there are none to tell by; the ROC AUC does not mind.
    balanced = aim.task is Task.BINARY
    drawn = table.draw(
        target, tried, missing=missing, rows=rows // 2 if balanced else rows, group=group, balanced=balanced
    )
    if not tried or not drawn:
        return []
    halves, labels, *cells = zip(*drawn, strict=True)
    found = []
    for i, its_cells in zip(tried, cells, strict=True):
        read = _reader(facts[i], judgements[i], frozenset(missing))
        suspicion = leaks.suspect(its_cells, labels, halves, aim.task, positive=aim.positive, read=read)
        if suspicion is None:
            continue
        reason = (
            f"{'whether it is missing' if suspicion.by_absence else 'it'} alone predicts {tick(aim.name)}"
            f" in rows held out: {_MEASURES[suspicion.measure]} {suspicion.score:.3f}"
        )
        found.append(
            Leak(column=facts[i].name, measure=suspicion.measure, score=suspicion.score, reason=reason)
        )
        judgements[i] = replace(
            judgements[i],
            role=Role.LEAK,
            reason=f"suspected leak, {reason}; list it as a feature if it is known beforehand",
        )
    return found


def _reader(
    facts: Facts, judgement: Judgement, missing: frozenset[str]
) -> Callable[[str | None], leaks.Value]:
    """What turns a cell into what a predictor can use: a number where there is an order, else text."""
    form = facts.date_format

    def read(cell: str | None) -> leaks.Value:
        if cell is None or cell in missing:
            return None
        if judgement.kind is Kind.NUMERIC:
            return float(cell)
        return cell if form is None else dates.moment(cell, form)

    return read


def _split(target: Target, group: str | None) -> Split:
    if group is not None:
        return Split(
            kind=SplitKind.GROUPED,
            by=group,
            reason=f"{tick(group)} repeats: rows with the same one stay in one split",
        )
    if target.task is Task.REGRESSION:
        return Split(
            kind=SplitKind.RANDOM, by=None, reason="the target is a number, and nothing ties rows together"
        )
    return Split(kind=SplitKind.STRATIFIED, by=None, reason="every split has the same share of each class")


def _column(facts: Facts, judgement: Judgement, its_profile: Profile, missing: frozenset[str]) -> Column:
    numeric = judgement.kind is Kind.NUMERIC
    minimum: float | str | None = _number(facts.minimum, facts) if numeric else None
    maximum: float | str | None = _number(facts.maximum, facts) if numeric else None
    if judgement.kind is Kind.DATETIME and facts.date_format is not None:
        span = its_profile.dates[facts.date_format]
        minimum, maximum = span.first, span.last
    return Column(
        name=facts.name,
        kind=judgement.kind,
        role=judgement.role,
        reason=judgement.reason,
        storage=judgement.storage,
        missing=facts.rows - facts.present,
        distinct=facts.distinct,
        examples=_examples(its_profile, missing),
        categories=judgement.categories,
        minimum=minimum,
        maximum=maximum,
        mean=facts.mean if numeric else None,
        format=facts.date_format if judgement.kind is Kind.DATETIME else None,
    )


def _examples(its_profile: Profile, missing: frozenset[str]) -> tuple[str, ...]:
    """The first different values in the file, long ones cut short."""
    given = [cell for cell in its_profile.head if cell is not None and cell not in missing]
    found = list(dict.fromkeys((*given, *its_profile.totals.sample)))[:_EXAMPLES]
    return tuple(
        cell if len(cell) <= _LONGEST_EXAMPLE else f"{cell[: _LONGEST_EXAMPLE - 1]}…" for cell in found
    )


def _number(value: float | None, facts: Facts) -> float | None:
    """Whole numbers as such, where a float can hold them all."""
    if value is None or facts.integers != facts.present or abs(value) >= 2**53:
        return value
    return int(value)


def _rows(columns: Sequence[object], most: int) -> int:
    """How many rows to look at, the fewer the more columns there are."""
    return max(400, min(most, _MOST_CELLS // max(len(columns), 1)))
