"""Two answers to the same request: the primary's and the shadow's, or the model's and a person's."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mlproj.monitoring.labels import MOST_LEVELS
from mlproj.monitoring.latency import Histogram
from mlproj.monitoring.numbers import Differences, Losses, Measuring
from mlproj.monitoring.questions import Answer, Loss, Questions, label
from mlproj.serving.record import Feedback, Kind, Record, Role

# Primaries whose shadow may still come; a shadow queue holds 1,000 requests.
WAITING = 20_000
# After this no shadow's answer comes any more: both its queue and its worker have given up long before.
LATEST_US = 60_000_000
# Pairs whose label may still come, at some 300 bytes each.
ANSWERED = 100_000


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
    """Labelled pairs of which one answer is right, one a unit: `worse` where it is the first."""

    loss: Loss
    labelled: int
    worse: int
    better: int


@dataclass(frozen=True)
class Health:
    """How a shadow did: requests it took, those it failed at (status 500 and above), and the 95th percentile
    of the latency of its answers beside the primary's to the same requests, in ms."""

    asked: int = 0
    failed: int = 0
    p95_ms: float | None = None
    primary_p95_ms: float | None = None


@dataclass(frozen=True)
class Paired:
    """All pairs, then each level of each slice. `missing`: answers of which no shadow's came."""

    table: Table | Differences
    slices: tuple[tuple[str, str, Table | Differences], ...] = ()
    discordant: tuple[Discordant, ...] = ()
    losses: tuple[Losses, ...] = ()
    missing: int = 0
    health: Health = Health()


class Pairs:
    """Counts pairs, of shadow and primary and of model and person. Feed it every record in the order of ids.

    What both said is kept until a label comes, of the last `ANSWERED` pairs, where a target asks for labels.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._waiting: OrderedDict[tuple[str, int], Record] = OrderedDict()
        self._answered: OrderedDict[int, Both] = OrderedDict()
        self._shares = tuple(loss for loss in questions.losses if loss.is_share)
        self._numbers = tuple(loss for loss in questions.losses if loss.is_of_numbers)
        self._shadow = Tables(questions.slices, are_numbers=questions.are_numbers)
        self._people = Tables(questions.slices, are_numbers=questions.are_numbers)
        self._discordant: dict[Loss, list[int]] = {}
        self._losses: dict[Loss, list[float]] = {}
        self._asked, self._failed = 0, 0
        self._latency, self._primary_latency = Histogram(), Histogram()
        self._spoken: set[tuple[Loss, str]] = set()
        self._decided: OrderedDict[int, None] = OrderedDict()
        self._missing = 0
        self._is_beside = False

    def served(self, record: Record) -> None:
        """A shadow's answer is counted with the primary's to the same row of the same request."""
        if record.role == Role.CANARY or (record.output is None and record.role == Role.PRIMARY):
            return
        key = (record.request_id, record.row)
        if record.role == Role.PRIMARY:
            self._waiting[key] = record
            self._give_up(record.arrived_us)
            return
        if not self._is_beside and key in self._waiting:
            # Until now no shadow was there, as its worker was loading: nobody missed those answers.
            self._is_beside = True
            while next(iter(self._waiting)) != key:
                self._waiting.popitem(last=False)
        self._asked += 1
        self._failed += record.status >= 500
        primary = self._waiting.pop(key, None)
        if primary is None or primary.output is None or record.output is None:
            return
        self._latency.add(record.latency_us)
        self._primary_latency.add(primary.latency_us)
        first, second = Answer.from_output(primary.output), Answer.from_output(record.output)
        self._shadow.add(primary, first.label, second.label)
        if self._shares or self._numbers:
            # Models say the same few labels over and over: one text of each is enough.
            self._answered[primary.id] = Both(
                sys.intern(first.label), sys.intern(second.label), _unit(primary)
            )
            if len(self._answered) > ANSWERED:
                self._answered.popitem(last=False)

    def _give_up(self, now_us: int) -> None:
        """Let go of primaries whose shadow does not come any more."""
        while self._waiting:
            key, oldest = next(iter(self._waiting.items()))
            if len(self._waiting) <= WAITING and now_us - oldest.arrived_us <= LATEST_US:
                return
            del self._waiting[key]
            self._missing += self._is_beside

    def told(self, record: Record, said: Feedback) -> None:
        """Feedback about a primary's answer: the truth, or what a person decided."""
        if said.kind == Kind.DECISION:
            self.decided(record, said.value)
        elif said.kind == Kind.LABEL:
            self.label(record, said.value)

    def decided(self, record: Record, decision: object) -> None:
        """What a person decided, as first told, where the model answered `record`; theirs is the first."""
        if record.output is not None and record.role != Role.SHADOW and record.id not in self._decided:
            self._decided[record.id] = None
            if len(self._decided) > ANSWERED:
                self._decided.popitem(last=False)
            self._people.add(record, label(decision), Answer.from_output(record.output).label)

    def label(self, primary: Record, truth: object) -> None:
        """The truth about what both answered. Of each unit the first that tells them apart counts.

        Both answers have the same truth, so unlike in a canary nothing has to wait for its maturity.
        """
        both = self._answered.pop(primary.id, None)
        if both is None:
            return
        first, second = (Answer(label=said, probabilities={}) for said in (both.first, both.second))
        for loss in self._numbers:
            self._measure(loss, first, second, label(truth), both.unit)
        for loss in self._shares:
            ours, theirs = loss.of(first, label(truth)), loss.of(second, label(truth))
            if ours is None and theirs is None:
                continue
            # What the metric does not count for one of them (a precision) is no mistake of it.
            ours, theirs = ours or 0.0, theirs or 0.0
            tally = self._discordant.setdefault(loss, [0, 0, 0])
            tally[0] += 1
            if ours != theirs and (both.unit is None or (loss, both.unit) not in self._spoken):
                if both.unit is not None:
                    self._spoken.add((loss, both.unit))
                tally[1 if theirs > ours else 2] += 1

    def _measure(self, loss: Loss, first: Answer, second: Answer, truth: str, unit: str | None) -> None:
        """Of each unit the first label counts, so that they are independent of one another."""
        if unit is not None and (loss, unit) in self._spoken:
            return
        try:
            ours, theirs = loss.of(first, truth), loss.of(second, truth)
        except ValueError:
            return  # the truth that was told is no number
        if ours is None or theirs is None:
            return
        if unit is not None:
            self._spoken.add((loss, unit))
        sums = self._losses.setdefault(loss, [0, 0.0, 0.0, 0.0])
        for place, more in enumerate((1, ours, theirs, (theirs - ours) ** 2)):
            sums[place] += more

    def look(self) -> Paired:
        """The shadow and the primary."""
        return Paired(
            *self._shadow.look(),
            discordant=tuple(Discordant(loss, *counts) for loss, counts in self._discordant.items()),
            losses=tuple(Losses(loss, int(n), *sums) for loss, (n, *sums) in self._losses.items()),
            missing=self._missing,
            health=Health(
                self._asked,
                self._failed,
                self._latency.quantile_ms(0.95),
                self._primary_latency.quantile_ms(0.95),
            ),
        )

    def people(self) -> Paired:
        """The model and people's decisions."""
        return Paired(*self._people.look())


@dataclass(frozen=True, slots=True)
class Both:
    """The labels that the two said, waiting for the truth."""

    first: str
    second: str
    unit: str | None


class Tables:
    """Pairs of all and by slice."""

    def __init__(self, slices: tuple[str, ...], *, are_numbers: bool) -> None:
        self._new: type[Counting | Measuring] = Measuring if are_numbers else Counting
        self._all = self._new()
        self._slices: dict[tuple[str, str], Counting | Measuring] = {}
        self._levels: dict[str, set[str]] = {name: set() for name in slices}

    def add(self, record: Record, first: str, second: str) -> None:
        unit = _unit(record)
        self._all.add(first, second, unit)
        for place in self._places(record):
            self._slices.setdefault(place, self._new()).add(first, second, unit)

    def look(self) -> tuple[Table | Differences, tuple[tuple[str, str, Table | Differences], ...]]:
        slices = tuple((name, level, made.table()) for (name, level), made in sorted(self._slices.items()))
        return self._all.table(), slices

    def _places(self, record: Record) -> Iterable[tuple[str, str]]:
        features = json.loads(record.features) if self._levels else {}
        for name, known in self._levels.items():
            level = label(features.get(name))
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
