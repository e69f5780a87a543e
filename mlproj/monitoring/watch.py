"""Served records in, `Windows` out: the one place that knows which requests may be compared with which.

A unit (entity, or the request without one) goes to the canary if its hash falls below the share. What is
known about the hash is an interval: at first [0, 1); after an answer by the canary at share w, below w; by
the primary, at or above it. When the share changes, a unit that comes again is drawn anew within its
interval: it has the chance (w - low) / (high - low) of being the canary's. Units that cannot but be (the
canary's own, when the share rises) tell nothing more and are left out of comparisons from then on. So each
unit is a fair draw with a known chance in each step it is compared in, whatever it did before, and the
steps' evidence multiplies although the units are the same. Within a step, arms are compared over the same
hours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from mlproj.monitoring.labels import Labels
from mlproj.monitoring.latency import Histogram
from mlproj.monitoring.questions import Baseline, Questions
from mlproj.monitoring.sampling import Distinct, Reservoir, Share
from mlproj.monitoring.tally import Counts, Tally, count, unit_counts
from mlproj.monitoring.windows import Arm, Windows
from mlproj.serving.record import STAND_IN, Feedback, Kind, Record, Role

ERRORS, REFUSALS, FIRST_SLOW = 0, 1, 2
# A refusal is quick and an error may be; they would make an arm look fast.
COMPLETED = (200, 504)
# Requests that a canary failed and the primary answered then, which is within seconds.
FAILED_OVER = 1_000
# Entities that are followed, at some 500 bytes each.
MOST_UNITS = 200_000


class Unit:
    """An entity. `trials` and `bad`: in this step, by outcome; `steps`: what it was in each."""

    __slots__ = ("bad", "canary", "chance", "firsts", "high", "low", "scored", "share", "steps", "trials")

    def __init__(self, outcomes: int) -> None:
        self.low, self.high = 0.0, 1.0
        self.share = -1.0
        self.chance = 0.0
        self.canary = False
        self.scored = False
        self.trials = [0] * outcomes
        self.bad = [0] * outcomes
        self.firsts = 0  # a bit for each outcome and arm whose first trial has been
        self.steps: list[tuple[float, float, bool]] = []

    def begin(self, share: float, canary: bool) -> None:
        """Enter a step; its chance is 0 if the unit had no choice."""
        chance = (min(max(share, self.low), self.high) - self.low) / (self.high - self.low)
        # Rounded, so that units with the same history share a stratum.
        self.chance = round(chance, 9) if 0.0 < chance < 1.0 else 0.0
        self.share, self.canary, self.scored = share, canary, False
        self.trials = [0] * len(self.trials)
        self.bad = [0] * len(self.bad)
        self.steps.append((share, self.chance, canary))
        if canary and share > self.low:
            self.high = min(self.high, share)
        elif not canary and share < self.high:
            self.low = max(self.low, share)


class Watch:
    """Counts what was served in one deployment. Feed it every record of the deployment in the order of ids.

    Its state is derived: after a restart, feed it the log from the deployment's first record again. Memory
    is a few hundred bytes an entity, and nothing for a request without one. Of more than `MOST_UNITS` of them
    half are followed from then on, by a hash that has nothing to do with the split, then half of those. What
    the others did until then stays counted: who is dropped does not depend on what was served.
    """

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        self._bounds = tuple(bound.bound_us for bound in questions.latency)
        self._tallies = tuple(Tally() for _ in range(FIRST_SLOW + len(self._bounds)))
        self._units: dict[str, Unit] = {}
        self._followed = Share()
        self._unit_counts: Counts = {}
        self._bins: tuple[Counts, ...] = tuple({} for _ in range(len(questions.score_edges) + 1))
        self._arms = ([0, 0, 0], [0, 0, 0])
        self._latency = (Histogram(), Histogram())
        self._labels = Labels(questions)
        self._crossed = 0
        self._share = -1.0
        self._step = [0, 0]
        self._cold: list[tuple[int, int]] = []
        self._failed: set[str] = set()

    def worker_started(self, at_us: int) -> None:
        """Latencies of both arms are left out for a while: of one only, they would not be compared fairly.

        Starts may be told in any order, before the records that arrived around them.
        """
        self._cold.append((at_us, at_us + self.questions.warm_up_us))

    def _is_warm(self, at_us: int) -> bool:
        return not any(began <= at_us < ended for began, ended in self._cold)

    def served(self, record: Record) -> None:
        """Count a record. Shadows are no arm; see `pairs.py`."""
        if record.role == Role.SHADOW:
            return
        canary = record.role == Role.CANARY
        if record.error is not None and record.error.startswith(STAND_IN):
            return  # Of the canary's arm by its draw, of the primary's by its answer: no trial of either.
        if record.row == 0:
            self._display(record, canary)
        share = record.share
        if share <= 0.0:
            return  # Never drawn: refused before it was routed, or its client named the version.
        if share != self._share:
            self._share, self._step = share, [0, 0]
        if canary and record.row == 0:
            self._step[0] += 1
        unit = self._unit(record, canary)
        if unit is None:
            return
        if unit.share != share:
            unit.begin(share, canary)
            self._step[1] += canary
            if unit.chance:
                count(self._unit_counts, unit.chance, canary)
        elif unit.canary != canary:
            self._crossed += record.row == 0
            return
        self._count(record, unit, canary)

    def told(self, record: Record, said: Feedback) -> None:
        """Feedback about a record; decisions are no truth, see `pairs.py`."""
        if said.kind == Kind.LABEL:
            self.label(record, said.value, arrived_us=said.arrived_us)
        elif said.kind == Kind.METRIC:
            metric, _, value = said.value.rpartition("=")
            self.business(record, metric, float(value), arrived_us=said.arrived_us)

    def label(self, record: Record, truth: object, *, arrived_us: int) -> None:
        """The truth about a record; the last one told before the answer is mature counts."""
        chance, canary = self._place(record)
        self._labels.label(record, truth, chance=chance, canary=canary, arrived_us=arrived_us)

    def business(self, record: Record, metric: str, value: float, *, arrived_us: int) -> None:
        """What an answer did for the business, for targets of that name."""
        chance, canary = self._place(record)
        self._labels.business(record, metric, value, chance=chance, canary=canary, arrived_us=arrived_us)

    def look(self, now_us: int) -> Windows:
        """All that is known at `now_us` (microseconds since 1970)."""
        self._labels.ripen(now_us)
        outcomes = [tally.outcome() for tally in self._tallies]
        primary, canary = (self._arm(arm) for arm in (0, 1))
        return Windows(
            questions=self.questions,
            canary=canary,
            primary=primary,
            units=unit_counts(self._unit_counts),
            crossed=self._crossed,
            step_requests=self._step[0],
            step_units=self._step[1],
            errors=outcomes[ERRORS],
            refusals=outcomes[REFUSALS],
            slow=tuple(outcomes[FIRST_SLOW:]),
            score_bins=tuple(unit_counts(counts) for counts in self._bins)
            if self.questions.score_edges
            else (),
            labelled=self._labels.labelled(),
            labels=unit_counts(self._labels.units),
            waiting_labels=self._labels.waiting,
            late_labels=self._labels.late,
            unreadable_labels=self._labels.unreadable,
            sticky=bool(self._units),
            followed=self._followed.part,
        )

    def _unit(self, record: Record, canary: bool) -> Unit | None:
        """Whose request it is; None for a further row or a second attempt of one that has no entity."""
        if record.sticky and record.entity is not None:
            unit = self._units.get(record.entity)
            return self._follow(record.entity) if unit is None else unit
        # The rows of one request are one unit, seen at its first.
        if record.row or not 0.0 < record.share < 1.0:
            return None
        if canary and record.status >= 500:
            if len(self._failed) >= FAILED_OVER:
                self._failed.clear()
            self._failed.add(record.request_id)
        elif self._failed and not canary and record.request_id in self._failed:
            self._failed.discard(record.request_id)
            self._crossed += 1
            return None
        return Unit(len(self._tallies))

    def _follow(self, entity: str) -> Unit | None:
        """A new entity, unless it is among those that are too many to follow."""
        while len(self._units) >= MOST_UNITS:
            self._followed.halve()
            self._units = {name: unit for name, unit in self._units.items() if self._followed.has(name)}
        if not self._followed.has(entity):
            return None
        unit = self._units[entity] = Unit(len(self._tallies))
        return unit

    def _display(self, record: Record, canary: bool) -> None:
        arm = self._arms[canary]
        arm[0] += 1
        arm[1] += record.status >= 500
        arm[2] += 400 <= record.status < 500
        if record.status == 200:
            self._latency[canary].add(record.latency_us)

    def _count(self, record: Record, unit: Unit, canary: bool) -> None:
        status = record.status
        if record.row == 0:
            self._trial(unit, ERRORS, canary, status >= 500)
            if status < 500:
                self._trial(unit, REFUSALS, canary, status >= 400)
            if status in COMPLETED and self._is_warm(record.arrived_us):
                for place, bound in enumerate(self._bounds, FIRST_SLOW):
                    self._trial(unit, place, canary, record.latency_us > bound)
        if record.score is not None and not unit.scored and unit.chance and self.questions.score_edges:
            unit.scored = True
            count(self._bins[bisect_right(self.questions.score_edges, record.score)], unit.chance, canary)

    def _trial(self, unit: Unit, place: int, canary: bool, bad: bool) -> None:
        tally = self._tallies[place]
        if unit.chance:
            tally.add(unit.chance, canary, unit.trials[place], unit.bad[place], bad)
        bit = 1 << (2 * place + canary)
        if not unit.firsts & bit:
            unit.firsts |= bit
            tally.first(canary, bad)
        unit.trials[place] += 1
        unit.bad[place] += bad

    def _place(self, record: Record) -> tuple[float, bool]:
        """The chance with which the record's unit was in its arm (0: not to be compared), and the arm."""
        canary = record.role == Role.CANARY
        if record.role == Role.SHADOW:
            return 0.0, False
        if record.entity is None or not record.sticky:
            return (record.share if 0.0 < record.share < 1.0 else 0.0), canary
        unit = self._units.get(record.entity)
        for share, chance, in_canary in unit.steps if unit is not None else ():
            if share == record.share and in_canary == canary:
                return chance, canary
        return 0.0, canary

    def _arm(self, arm: int) -> Arm:
        requests, errors, refusals = self._arms[arm]
        latency = self._latency[arm]
        return Arm(
            requests,
            errors,
            refusals,
            latency.quantile_ms(0.5),
            latency.quantile_ms(0.95),
            latency.quantile_ms(0.99),
        )


def baseline(records: Iterable[Record], *, bins: int = 10) -> Baseline:
    """How the primary did, from its recent records in the order of ids; what a rollout is planned by."""
    latency, scores, units = Histogram(), Reservoir(), Distinct()
    requests = errors = 0
    first_us: int | None = None
    last_us = 0
    for record in records:
        if record.role != Role.PRIMARY:
            continue
        if record.score is not None:
            scores.add(record.score)
        if record.row:
            continue
        first_us = record.arrived_us if first_us is None else first_us
        last_us = record.arrived_us
        requests += 1
        errors += record.status >= 500
        units.add(record.entity if record.entity is not None and record.sticky else record.request_id)
        if record.status == 200:
            latency.add(record.latency_us)
    kept = sorted(scores.kept)
    edges = sorted({kept[len(kept) * step // bins] for step in range(1, bins)}) if len(kept) >= 100 else []
    hours = max(last_us - (first_us or 0), 1) / 3.6e9
    return Baseline(
        latency_p95_ms=latency.quantile_ms(0.95),
        score_edges=tuple(edges),
        requests_per_hour=requests / hours if requests > 1 else 0.0,
        units_per_request=units.count / requests if requests else 1.0,
        error_share=errors / requests if requests else 0.0,
    )
