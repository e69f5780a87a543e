"""Late truths: waiting until the answer is old enough, then counted as losses by unit."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass

from mlproj.monitoring.questions import Answer, Questions, label
from mlproj.monitoring.tally import Counts, Tally, count
from mlproj.monitoring.windows import Labelled
from mlproj.serving.record import Record

# A slice with more levels than this is a number or a name, and no group of customers.
MOST_LEVELS = 20

Key = tuple[int, str | None, str | None]


@dataclass(frozen=True)
class Pending:
    """Losses of one answer, until they count; `ripe_us` is when that is."""

    losses: tuple[tuple[int, float], ...]
    levels: tuple[tuple[str, str], ...]
    unit: str | None
    chance: float
    canary: bool
    arrived_us: int
    ripe_us: int


class Labels:
    """Labels count when their prediction is older than the maturity, as they stand then, in both arms alike.

    One that comes later still counts as it comes; one told again after it has counted is only tallied as
    late. What counts goes by the arrivals, not by when somebody looks: a log read again says the same.
    """

    def __init__(self, questions: Questions) -> None:
        self.units: Counts = {}
        self.late = 0
        self.unreadable = 0
        self._questions = questions
        self._pending: dict[tuple[int, str], Pending] = {}
        self._queue: list[tuple[int, int, str]] = []
        self._counted: set[tuple[int, str]] = set()
        self._tallies: dict[Key, Tally] = {}
        # Of each outcome, unit and chance: trials and their sum.
        self._sums: dict[tuple[Key, str, float], list[float]] = {}
        self._known: set[tuple[str, float]] = set()
        self._levels: dict[str, set[str]] = {}

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def label(self, record: Record, truth: object, *, chance: float, canary: bool, arrived_us: int) -> None:
        if record.output is None:
            return
        losses = []
        try:
            answer = Answer.from_output(record.output)
            for place, loss in enumerate(self._questions.losses):
                value = None if loss.business else loss.of(answer, label(truth))
                if value is not None:
                    losses.append((place, value))
        except ValueError:
            self.unreadable += 1
            return
        self._put(record, "", tuple(losses), chance=chance, canary=canary, arrived_us=arrived_us)

    def business(
        self, record: Record, metric: str, value: float, *, chance: float, canary: bool, arrived_us: int
    ) -> None:
        losses = tuple(
            (place, -value if loss.higher_is_better else value)
            for place, loss in enumerate(self._questions.losses)
            if loss.business and loss.metric == metric
        )
        if losses:
            self._put(record, metric, losses, chance=chance, canary=canary, arrived_us=arrived_us)

    def ripen(self, now_us: int) -> None:
        """Count what has come of age."""
        while self._queue and self._queue[0][0] <= now_us:
            ripe_us, prediction, kind = heapq.heappop(self._queue)
            pending = self._pending.get((prediction, kind))
            if pending is not None and pending.ripe_us == ripe_us:
                del self._pending[prediction, kind]
                self._counted.add((prediction, kind))
                self._count(pending, kind)

    def labelled(self) -> tuple[Labelled, ...]:
        """Each loss over all, then by slice."""
        rows = []
        for (place, name, level), tally in self._tallies.items():
            rows.append(Labelled(self._questions.losses[place], tally.outcome(), name, level))
        return tuple(rows)

    def _put(
        self,
        record: Record,
        kind: str,
        losses: tuple[tuple[int, float], ...],
        *,
        chance: float,
        canary: bool,
        arrived_us: int,
    ) -> None:
        key = (record.id, kind)
        if key in self._counted:
            self.late += 1
            return
        mature_us = record.arrived_us + self._questions.maturity_us
        before = self._pending.get(key)
        if before is not None:
            # Until the answer is mature the last one counts, from then on the first.
            mature, was_mature = arrived_us >= mature_us, before.arrived_us >= mature_us
            self.late += mature or was_mature
            if mature and (not was_mature or arrived_us >= before.arrived_us):
                return
            if not mature and not was_mature and arrived_us < before.arrived_us:
                return
        ripe_us = max(mature_us, arrived_us)
        if before is None or before.ripe_us != ripe_us:
            heapq.heappush(self._queue, (ripe_us, record.id, kind))
        self._pending[key] = Pending(
            losses, self._slice(record), _unit(record), chance, canary, arrived_us, ripe_us
        )

    def _count(self, pending: Pending, kind: str) -> None:
        if not pending.chance:
            return
        if not kind and (pending.unit is None or (pending.unit, pending.chance) not in self._known):
            if pending.unit is not None:
                self._known.add((pending.unit, pending.chance))
            count(self.units, pending.chance, pending.canary)
        for place, value in pending.losses:
            for name, level in ((None, None), *pending.levels):
                self._add((place, name, level), pending, value)

    def _add(self, key: Key, pending: Pending, value: float) -> None:
        tally = self._tallies.get(key) or self._tallies.setdefault(key, Tally())
        trials, total = 0.0, 0.0
        if pending.unit is not None:
            sums = self._sums.setdefault((key, pending.unit, pending.chance), [0.0, 0.0])
            trials, total = sums
            sums[0] += 1
            sums[1] += value
        tally.add(pending.chance, pending.canary, int(trials), total, value)
        if not trials:
            tally.first(pending.canary, value)

    def _slice(self, record: Record) -> tuple[tuple[str, str], ...]:
        if not self._questions.slices:
            return ()
        features = json.loads(record.features)
        levels = []
        for name in self._questions.slices:
            level = label(features.get(name))
            known = self._levels.setdefault(name, set())
            if level in known or len(known) < MOST_LEVELS:
                known.add(level)
                levels.append((name, level))
        return tuple(levels)


def _unit(record: Record) -> str | None:
    return record.entity if record.sticky else None
