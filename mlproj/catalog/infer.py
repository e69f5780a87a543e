"""From a table and the name of its target to findings: the story, told once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlproj.base.errors import ConfigError, nearest
from mlproj.catalog import columns as judging
from mlproj.catalog import dates, leaks, source, spellings
from mlproj.catalog import target as targets
from mlproj.catalog.columns import MOST_CATEGORIES, Facts, Judgement
from mlproj.catalog.duckdb import NUMBER, Dates, Dictionary, Numbers, Table, Totals, opened
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
from mlproj.catalog.source import QUOTE, Reading

_CELLS_LOOKED_AT = 2_000_000
_MOST_LEAK_ROWS = 20_000
_NUMBER = re.compile(NUMBER, re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_PERCENT = re.compile(r"[+-]?\d+(\.\d+)?\s*%")
_EXAMPLES = 3
_LONGEST_EXAMPLE = 80


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

    `missing` are further spellings that mean missing; columns in `keep` stay features whatever is suspected of them.
    The same file gives the same findings. Raises ConfigError for what is no table, or has no such target.
    """
    reading = source.examine(path, delimiter=delimiter, encoding=encoding)
    with opened(reading, missing) as table:
        return _Inference(reading, table, target, task, tuple(missing), frozenset(keep)).findings()


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What was asked of DuckDB about one column, before it is known what means missing."""

    totals: Totals
    numbers: Numbers | None
    form: str | None
    dates: Dates | None
    levels: dict[str, int] | None
    """Every value with its rows where they are few; of the target, as far as classes go."""
    almost: str = ""

    @property
    def is_typed(self) -> bool:
        """Whether all that cannot mean missing are numbers, or dates of one format."""
        return self.form is not None or (
            self.numbers is not None
            and self.numbers.values > 0
            and self.numbers.numbers == self.numbers.values
        )


class _Inference:
    def __init__(
        self,
        reading: Reading,
        table: Table,
        target: str,
        task: Task | None,
        told: tuple[str, ...],
        keep: frozenset[str],
    ) -> None:
        self.reading = reading
        self.table = table
        self.task = task
        self.told = told
        self.head = table.head(max(200, min(1_000, _CELLS_LOOKED_AT // len(table.names))))
        self.target = _position(reading, table, self.head, target)
        self.keep = frozenset(_must_be_columns(table.names, keep))
        self.notes = list(reading.notes)

    def findings(self) -> Findings:
        table = self.table
        known = self._ask()
        ruling = spellings.rule(
            [_seen(name, one) for name, one in zip(table.names, known, strict=True) if one.totals.spellings],
            self.told,
        )
        self.notes += ruling.notes
        duplicates = table.number_of_duplicates()
        missing_by_column = [
            {word: rows for word, rows in one.totals.spellings.items() if word in ruling.missing}
            for one in known
        ]
        levels = [
            None
            if one.levels is None
            else {level: rows for level, rows in one.levels.items() if level not in missing}
            for one, missing in zip(known, missing_by_column, strict=True)
        ]
        facts = [
            self._facts(i, known[i], missing_by_column[i], levels[i], duplicates)
            for i in range(len(table.names))
        ]
        judgements = [judging.judge(fact, is_kept=fact.name in self.keep) for fact in facts]
        target, target_judgement = self._target(
            facts[self.target], judgements[self.target], levels[self.target] or {}, ruling.missing
        )
        judgements[self.target] = target_judgement
        group = self._group(facts, judgements)
        found_leaks = self._leaks(facts, judgements, target, ruling.missing, group)
        return Findings(
            source=Source(
                name=self.reading.path.name,
                format=self.reading.format,
                delimiter=self.reading.delimiter,
                encoding=self.reading.encoding,
                quote=QUOTE if self.reading.delimiter else "",
                bytes=self.reading.bytes.size,
                md5=self.reading.bytes.md5,
                sha256=self.reading.bytes.sha256,
                guessed=self.reading.guessed,
            ),
            rows=table.rows,
            target=target,
            missing_values=self._missing_values(ruling.missing),
            duplicates=duplicates,
            columns=tuple(
                self._column(i, known[i], facts[i], judgements[i], ruling.missing) for i in range(len(facts))
            ),
            leaks=tuple(found_leaks),
            split=self._split(target, judgements, group),
            notes=tuple(
                dict.fromkeys([*self.notes, *self._remarks(facts, judgements, known, target, duplicates)])
            ),
        )

    def _ask(self) -> list[_Known]:
        known = []
        for dictionary in self.table.dictionaries():
            totals = dictionary.totals()
            number_like = [
                i for i, one in totals.items() if one.sample and _share(one.sample, _NUMBER) >= 0.5
            ]
            numbers = dictionary.numbers(number_like)
            few = [
                i for i, one in totals.items() if one.distinct - len(one.spellings) <= self._most_levels(i)
            ]
            levels = dictionary.levels(few)
            read = _read_as_dates(dictionary, totals)
            for i, one in totals.items():
                form, found, almost = self._dates(i, read.get(i, {}))
                known.append(
                    _Known(
                        totals=one,
                        numbers=numbers.get(i),
                        form=form,
                        dates=found,
                        levels=levels.get(i),
                        almost=almost,
                    )
                )
        return known

    def _most_levels(self, column: int) -> int:
        return targets.MOST_CLASSES if column == self.target else MOST_CATEGORIES

    def _dates(self, column: int, read: Mapping[str, Dates]) -> tuple[str | None, Dates | None, str]:
        """The format that all the values keep to, what they are then, and what to say if only most do."""
        whole = [form for form, found in read.items() if found.dates == found.values]
        if not whole:
            best = max(read.values(), key=lambda found: found.dates, default=None)
            if best is None or best.dates == 0:
                return None, None, ""
            said = f"{best.dates:,} of {best.values:,} values are dates of one format, the others are not"
            return None, None, said
        form = whole[0]
        if dates.swapped(form) in whole:
            self.notes.append(
                f"{_tick(self.table.names[column])} can be read with the month or the day first:"
                f" read as {form}; change its format if the other is meant"
            )
        return form, read[form], ""

    def _facts(
        self,
        i: int,
        known: _Known,
        missing: Mapping[str, int],
        levels: Mapping[str, int] | None,
        duplicates: int,
    ) -> Facts:
        totals, numbers = known.totals, known.numbers
        present = totals.given - sum(missing.values())
        # Numbers were counted among the values that can mean nothing but themselves: a category such as
        # `unknown` that is kept makes the column one of words again.
        typed = numbers is not None and numbers.values == present
        dated = known.dates is not None and known.dates.values == present
        words = [value.split() for value in known.totals.sample]
        return Facts(
            name=self.table.names[i],
            rows=self.table.rows,
            present=present,
            distinct=totals.distinct - len(missing),
            repeated_rows=duplicates,
            numbers=numbers.numbers if numbers else 0,
            integers=numbers.integers if numbers and typed else 0,
            whole=numbers.whole if numbers and typed else 0,
            padded=numbers.padded if numbers and typed else 0,
            widths=numbers.widths if numbers else (0, 0),
            minimum=numbers.minimum if numbers and typed else None,
            maximum=numbers.maximum if numbers and typed else None,
            mean=numbers.mean if numbers and typed else None,
            date_format=known.form if dated else None,
            words=sum(map(len, words)) / len(words) if words else 0.0,
            length=sum(map(len, known.totals.sample)) / len(known.totals.sample)
            if known.totals.sample
            else 0.0,
            running=_running([row[i] for row in self.head]) if typed else 0.0,
            levels=tuple(sorted(levels)) if levels is not None and len(levels) <= MOST_CATEGORIES else (),
        )

    def _target(
        self,
        facts: Facts,
        judgement: Judgement,
        levels: Mapping[str, int],
        missing: Sequence[str],
    ) -> tuple[Target, Judgement]:
        decision = targets.decide(facts, judgement, self.task)
        classes: Mapping[str, int] = {}
        median = std = None
        if decision.task is Task.REGRESSION:
            median, std = self.table.spread(self.target, missing)
            kind = Kind.NUMERIC
        else:
            classes = levels
            kind = Kind.BOOLEAN if judgement.kind is Kind.BOOLEAN else Kind.CATEGORICAL
        numeric = decision.task is Task.REGRESSION
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
                kind=kind,
                role=Role.TARGET,
                storage=judgement.storage,
                reason=decision.reason,
                categories=tuple(sorted(classes))[:MOST_CATEGORIES],
            ),
        )

    def _group(self, facts: Sequence[Facts], judgements: list[Judgement]) -> int | None:
        """The column whose rows belong together, marked as such; further ones are dropped."""
        found = [
            i
            for i, fact in enumerate(facts)
            if i != self.target and fact.name not in self.keep and judging.is_group(fact)
        ]
        found.sort(key=lambda i: (not judging.names_an_entity(facts[i].name), i))
        for i in found:
            judgements[i] = judging.as_grouped(judgements[i], facts[i])
        for i in found[1:]:
            judgements[i] = replace(
                judgements[i],
                role=Role.DROP,
                reason=f"{facts[i].distinct:,} different values in {facts[i].present:,} rows: an identifier that repeats",
            )
            self.notes.append(
                f"{_tick(facts[i].name)} repeats like {_tick(facts[found[0]].name)}, which keeps rows together in the split;"
                " name it under `split.by` if it should be the one"
            )
        return found[0] if found else None

    def _leaks(
        self,
        facts: Sequence[Facts],
        judgements: list[Judgement],
        target: Target,
        missing: Sequence[str],
        group: int | None,
    ) -> list[Leak]:
        """Suspected leaks, whose columns are marked as such."""
        tried = [
            i
            for i, judgement in enumerate(judgements)
            if judgement.role is Role.FEATURE
            and judgement.kind is not Kind.TEXT
            and facts[i].name not in self.keep
        ]
        rows = max(400, min(_MOST_LEAK_ROWS, _CELLS_LOOKED_AT // max(len(tried), 1)))
        binary = target.task is Task.BINARY
        drawn = self.table.draw(
            self.target,
            tried,
            missing=missing,
            rows=rows // 2 if binary else rows,
            group=group,
            balanced=binary,
        )
        if not tried or not drawn:
            return []
        halves, labels, *features = zip(*drawn, strict=True)
        without = frozenset(missing)
        found = []
        for i, values in zip(tried, features, strict=True):
            suspicion = leaks.suspect(
                values,
                labels,
                halves,
                target.task,
                positive=target.positive,
                read=_reader(facts[i], judgements[i], without),
            )
            if suspicion is None:
                continue
            reason = (
                f"{'whether it is missing' if suspicion.by_absence else 'it'} alone predicts {_tick(target.name)}"
                f" on held-out rows with {_MEASURES[suspicion.measure]} {suspicion.score:.3f}"
            )
            found.append(
                Leak(column=facts[i].name, measure=suspicion.measure, score=suspicion.score, reason=reason)
            )
            judgements[i] = replace(
                judgements[i],
                role=Role.LEAK,
                reason=f"suspected leak: {reason}; move it to a list of features if it is known before the outcome",
            )
        return found

    def _split(self, target: Target, judgements: Sequence[Judgement], group: int | None) -> Split:
        if group is not None:
            name = self.table.names[group]
            return Split(
                kind=SplitKind.GROUPED,
                by=name,
                reason=f"{_tick(name)} repeats: rows of one of its values stay in one split",
            )
        for name, judgement in zip(self.table.names, judgements, strict=True):
            if judgement.kind is Kind.DATETIME and judgement.role is Role.FEATURE:
                self.notes.append(
                    f"{_tick(name)} is a date: if the model will predict the future from the past, set the split to"
                    f" `kind: time`, `by: {' '.join(name.split())}`"
                )
        if target.task is Task.REGRESSION:
            return Split(
                kind=SplitKind.RANDOM,
                by=None,
                reason="the target is a number, and nothing ties rows together",
            )
        return Split(
            kind=SplitKind.STRATIFIED, by=None, reason="each split has the same share of every class"
        )

    def _column(
        self, i: int, known: _Known, facts: Facts, judgement: Judgement, missing: Sequence[str]
    ) -> Column:
        numeric = judgement.kind is Kind.NUMERIC
        minimum: float | str | None = None
        maximum: float | str | None = None
        if numeric:
            minimum, maximum = _plain_number(facts.minimum, facts), _plain_number(facts.maximum, facts)
        elif judgement.kind is Kind.DATETIME and known.dates is not None:
            minimum, maximum = known.dates.first, known.dates.last
        return Column(
            name=facts.name,
            kind=judgement.kind,
            role=judgement.role,
            reason=judgement.reason,
            storage=judgement.storage,
            missing=facts.rows - facts.present,
            distinct=facts.distinct,
            examples=_examples([row[i] for row in self.head], known.totals.sample, set(missing)),
            categories=judgement.categories,
            minimum=minimum,
            maximum=maximum,
            mean=facts.mean if numeric else None,
            format=facts.date_format if judgement.kind is Kind.DATETIME else None,
        )

    def _missing_values(self, missing: Sequence[str]) -> tuple[str, ...]:
        # An empty field is no value in any delimited file, this one or the next delivery.
        return tuple(dict.fromkeys(["", *missing])) if self.reading.delimiter else tuple(missing)

    def _remarks(
        self,
        facts: Sequence[Facts],
        judgements: Sequence[Judgement],
        known: Sequence[_Known],
        target: Target,
        duplicates: int,
    ) -> list[str]:
        """What a person should read before trusting the rest."""
        said = []
        if self.reading.delimiter and _first_row_is_data(self.table.names, self.head):
            said.append(
                "the first row looks like data, not like names of columns: add a header line if it is"
            )
        if target.missing_rows:
            said.append(
                f"{target.missing_rows:,} of {self.table.rows:,} rows have no label in {_tick(target.name)}:"
                " they are dropped when the table is read"
            )
        if duplicates:
            said.append(
                f"{duplicates:,} rows repeat an earlier row exactly: they are dropped when the table is read"
            )
        few = [label for label in target.classes if label.rows < _FEWEST_OF_A_CLASS]
        if few:
            said.append(
                "too few rows to be in every split: "
                + ", ".join(f"{_tick(label.label)} ({label.rows:,})" for label in few[:5])
                + (f" and {len(few) - 5:,} more" if len(few) > 5 else "")
            )
        if self.table.rows - target.missing_rows < 100:
            said.append(
                f"only {self.table.rows - target.missing_rows:,} labelled rows: expect wide confidence intervals"
            )
        for fact, judgement, one in zip(facts, judgements, known, strict=True):
            said += _remarks_on(fact, judgement, one)
        features = [judgement for judgement in judgements if judgement.role is Role.FEATURE]
        if not features:
            said.append("no column is left to predict from: look at why each was dropped")
        return said


def _read_as_dates(dictionary: Dictionary, totals: Mapping[int, Totals]) -> dict[int, dict[str, Dates]]:
    """What the columns whose samples look like dates are in each format that may be theirs, likeliest first."""
    forms = {i: dates.candidates(one.sample) for i, one in totals.items()}
    asked: dict[str, list[int]] = {}
    for i, likely in forms.items():
        for form in likely:
            asked.setdefault(form, []).append(i)
    found = {form: dictionary.dates(form, columns) for form, columns in asked.items()}
    return {i: {form: found[form][i] for form in likely} for i, likely in forms.items() if likely}


def _remarks_on(facts: Facts, judgement: Judgement, known: _Known) -> list[str]:
    name, said = _tick(facts.name), []
    if judgement.role is Role.TARGET or not facts.present:
        return []
    blanks = {word: rows for word, rows in known.totals.spellings.items() if word not in ("", "NA", "NaN")}
    if judgement.kind is Kind.NUMERIC and blanks and facts.rows > facts.present:
        listed = ", ".join(f"{rows:,} × {_show(word)}" for word, rows in list(blanks.items())[:4])
        said.append(f"{name} is text with {listed}: read as numbers, those as missing")
    if judgement.kind is Kind.CATEGORICAL and not facts.levels:
        said.append(f"{name} has {facts.distinct:,} different values and is read as a category")
        numbers = known.numbers
        if numbers is not None and 0 < numbers.numbers < numbers.values:
            said.append(
                f"{numbers.numbers:,} of the {numbers.values:,} values of {name} are numbers: add the others to"
                " `missing_values`, or mend them, to read it as numbers"
            )
        elif known.almost:
            said.append(f"{name}: {known.almost}")
        else:
            for pattern, what in _NEARLY_NUMBERS:
                if known.totals.sample and _share(known.totals.sample, pattern) >= 0.95:
                    said.append(
                        f"the values of {name} look like {what} (`{known.totals.sample[0]}`): write them as plain numbers to use them so"
                    )
                    break
    if (
        judgement.kind is Kind.IDENTIFIER
        and judgement.role is Role.DROP
        and facts.present - facts.distinct > 0
    ):
        repeats = facts.present - facts.distinct
        said.append(f"{name} is read as an identifier, though {repeats:,} of its values repeat")
    return said


_FEWEST_OF_A_CLASS = 5
_MEASURES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "r2": "R²"}
_NEARLY_NUMBERS = (
    (_DECIMAL_COMMA, "numbers with a decimal comma"),
    (_THOUSANDS, "numbers with thousands separators"),
    (_PERCENT, "percentages"),
)


def _position(reading: Reading, table: Table, head: Sequence[Sequence[str | None]], target: str) -> int:
    if target in table.names:
        return table.names.index(target)
    offer = nearest(target, table.names)
    listed = ", ".join(_tick(name) for name in table.names[:_MOST_LISTED])
    if len(table.names) > _MOST_LISTED:
        listed += f" and {len(table.names) - _MOST_LISTED:,} more"
    hint = f"did you mean `{offer}`? " if offer else ""
    if reading.delimiter and _first_row_is_data(table.names, head):
        raise ConfigError(
            f"`{reading.path}` has no column `{target}`, and its first row looks like data, not like names of columns",
            hint=f"add a line with the {len(table.names):,} names as the first of the file; now it begins {_tick(table.names[0])[:60]}",
        )
    raise ConfigError(f"`{reading.path}` has no column `{target}`", hint=f"{hint}its columns are {listed}")


def _must_be_columns(names: Sequence[str], keep: frozenset[str]) -> frozenset[str]:
    for name in sorted(keep):
        if name not in names:
            offer = nearest(name, names)
            raise ConfigError(
                f"there is no column `{name}` to keep",
                hint=f"did you mean `{offer}`?" if offer else "check its name",
            )
    return keep


def _first_row_is_data(names: Sequence[str], head: Sequence[Sequence[str | None]]) -> bool:
    """Whether the header reads like a row: numbers, a sentence, or a value that its own column repeats."""
    if any(len(name) > 80 or (_NUMBER.fullmatch(name) and "." in name) for name in names):
        return True
    repeated = sum(
        sum(row[i] == name for row in head) >= 2 for i, name in enumerate(names) if not name.isspace()
    )
    return repeated >= 1 and repeated >= 0.3 * len(names)


def _seen(name: str, known: _Known) -> spellings.Seen:
    others = [value for value in dict.fromkeys(known.totals.sample)]
    return spellings.Seen(
        column=name,
        counts=known.totals.spellings,
        is_typed=known.is_typed,
        others=others[:_MOST_CATEGORIES_SEEN],
    )


_MOST_LISTED = 30
_MOST_CATEGORIES_SEEN = 200


def _reader(
    facts: Facts, judgement: Judgement, missing: frozenset[str]
) -> Callable[[str | None], leaks.Value]:
    """What turns a cell into what a predictor can use: a number where there is an order, else text."""
    form = facts.date_format

    def read(value: str | None) -> leaks.Value:
        if value is None or value in missing:
            return None
        if judgement.kind is Kind.NUMERIC:
            return float(value)
        if form is not None:
            return dates.moment(value, form)
        return value

    return read


def _running(values: Sequence[str | None]) -> float:
    numbers = [float(value) for value in values if value is not None and _NUMBER.fullmatch(value)]
    if len(numbers) < 20:
        return 0.0
    steps = sum(after == before + 1 for before, after in zip(numbers, numbers[1:], strict=False))
    return steps / (len(numbers) - 1)


def _share(values: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(bool(pattern.fullmatch(value)) for value in values) / len(values)


def _almost_dates(column: int, asked: Mapping[tuple[int, str], Dates]) -> str:
    best = max(
        (found for (i, _), found in asked.items() if i == column), key=lambda found: found.dates, default=None
    )
    if best is None or best.dates == 0:
        return ""
    return f"{best.dates:,} of {best.values:,} values are dates of one format; the others are not"


def _examples(head: Sequence[str | None], sample: Sequence[str], missing: set[str]) -> tuple[str, ...]:
    """The first different values in the file, long ones cut short."""
    given = [value for value in head if value is not None and value not in missing]
    found = list(dict.fromkeys([*given, *sample]))[:_EXAMPLES]
    return tuple(
        value if len(value) <= _LONGEST_EXAMPLE else value[: _LONGEST_EXAMPLE - 1] + "…" for value in found
    )


def _plain_number(value: float | None, facts: Facts) -> float | None:
    if value is None or facts.integers != facts.present or abs(value) >= 2**53:
        return value
    return int(value)


def _show(word: str) -> str:
    return "blank" if not word.strip() else f"`{word}`"


def _tick(name: str) -> str:
    return f"`{' '.join(name.split())}`"
