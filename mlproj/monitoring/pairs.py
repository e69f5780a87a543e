"""Two answers to the same request: the primary's and the shadow's, or the model's and a person's."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mlproj.monitoring.labels import MOST_LEVELS
from mlproj.monitoring.questions import Answer, Loss, Questions, label
from mlproj.serving.record import Record, Role

# Primaries whose shadow may still come; a shadow queue holds 1,000 requests.
WAITING = 20_000


@dataclass(frozen=True)
class Table:
    """How often which two answers met: `counts` by (first, second). The rest is by unit, for the interval.

    Over units with n pairs of which a agree: their number and the sums of a², an and n².
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    units: int = 0
    agree_squared: int = 0
    agree_times_pairs: int = 0
    pairs_squared: int = 0

    @property
    def pairs(self) -> int:
        return sum(self.counts.values())

    @property
    def agree(self) -> int:
        return sum(count for (first, second), count in self.counts.items() if first == second)


@dataclass(frozen=True)
class Discordant:
    """Labelled pairs of which exactly one answer is right, one a unit: `worse` where it is the first one's."""

    loss: Loss
    labelled: int
    worse: int
    better: int


@dataclass(frozen=True)
class Paired:
    """All pairs, then each level of each slice; `missing` are answers whose shadow never came."""

    table: Table
    slices: tuple[tuple[str, str, Table], ...] = ()
    discordant: tuple[Discordant, ...] = ()
    missing: int = 0
    unreadable: int = 0


class Pairs:
    """Counts pairs. For a shadow feed `served` every record in the order of ids; for people, `decided`."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._waiting: OrderedDict[tuple[str, int], Record] = OrderedDict()
        self._all = Counting()
        self._slices: dict[tuple[str, str], Counting] = {}
        self._levels: dict[str, set[str]] = {}
        self._discordant: dict[Loss, list[int]] = {}
        self._spoken: set[tuple[Loss, str]] = set()
        self._labelled: set[int] = set()
        self._missing = 0
        self._unreadable = 0

    def served(self, record: Record) -> None:
        """A shadow's answer is counted with the primary's to the same row of the same request."""
        if record.output is None or record.role == Role.CANARY:
            return
        key = (record.request_id, record.row)
        if record.role == Role.PRIMARY:
            self._waiting[key] = record
            if len(self._waiting) > WAITING:
                self._waiting.popitem(last=False)
                self._missing += 1
            return
        primary = self._waiting.pop(key, None)
        if primary is not None and primary.output is not None:
            first, second = Answer.from_output(primary.output), Answer.from_output(record.output)
            self._pair(primary, first.label, second.label)

    def decided(self, record: Record, decision: object) -> None:
        """What a person decided where the model answered `record`; the person's answer is the first."""
        if record.output is not None:
            self._pair(record, label(decision), Answer.from_output(record.output).label)

    def label(self, primary: Record, shadow: Record, truth: object) -> None:
        """The truth about what both answered. Of each unit the first that tells them apart counts."""
        if primary.output is None or shadow.output is None or primary.id in self._labelled:
            return
        self._labelled.add(primary.id)
        first, second = Answer.from_output(primary.output), Answer.from_output(shadow.output)
        unit = _unit(primary)
        for loss in self._questions.losses:
            if loss.business or not loss.is_share:
                continue
            try:
                ours, theirs = loss.of(first, label(truth)), loss.of(second, label(truth))
            except ValueError:
                self._unreadable += 1
                continue
            if ours is None or theirs is None:
                continue
            tally = self._discordant.setdefault(loss, [0, 0, 0])
            tally[0] += 1
            if ours != theirs and (unit is None or (loss, unit) not in self._spoken):
                if unit is not None:
                    self._spoken.add((loss, unit))
                tally[1 if theirs > ours else 2] += 1

    def look(self) -> Paired:
        slices = tuple((name, level, made.table()) for (name, level), made in sorted(self._slices.items()))
        discordant = tuple(Discordant(loss, *counts) for loss, counts in self._discordant.items())
        return Paired(self._all.table(), slices, discordant, self._missing, self._unreadable)

    def _pair(self, record: Record, first: str, second: str) -> None:
        unit = _unit(record)
        self._all.add(first, second, unit)
        for place in self._places(record):
            self._slices.setdefault(place, Counting()).add(first, second, unit)

    def _places(self, record: Record) -> Iterable[tuple[str, str]]:
        features = json.loads(record.features) if self._questions.slices else {}
        for name in self._questions.slices:
            level = label(features.get(name))
            known = self._levels.setdefault(name, set())
            if level in known or len(known) < MOST_LEVELS:
                known.add(level)
                yield name, level


class Counting:
    """A `Table` in the making."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._units: dict[str, list[int]] = {}
        self._single = [0, 0]

    def add(self, first: str, second: str, unit: str | None) -> None:
        self._counts[first, second] = self._counts.get((first, second), 0) + 1
        sums = self._single if unit is None else self._units.setdefault(unit, [0, 0])
        sums[0] += first == second
        sums[1] += 1

    def table(self) -> Table:
        agree, pairs = self._single
        units = self._units.values()
        return Table(
            dict(self._counts),
            len(units) + pairs,
            agree + sum(a * a for a, _ in units),
            agree + sum(a * n for a, n in units),
            pairs + sum(n * n for _, n in units),
        )


def _unit(record: Record) -> str | None:
    return record.entity if record.sticky else None
