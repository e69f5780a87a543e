"""What was told since the last time, with the predictions that it speaks of."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path

from mlproj.monitoring import records
from mlproj.monitoring.records import Reader, Reading
from mlproj.serving import ids
from mlproj.serving.record import Feedback, Record

# How much is done for feedback in one go, so that who asks has time for the traffic: look-ups by id, and
# records read for what is told by entity. The rest is done the next time.
_MOST_LOOKED_UP = 5_000
_MOST_READ = 50_000
# Feedback about predictions that cannot be seen yet; with so much of it at hand no more is read.
_MOST_WAITING = 50_000
# Windows that lie open to the future, by their entities.
_MOST_OPEN = 100_000
# What is not found is looked for again so much later, in time of the log, and then given up: who made the id
# up, or wrote to the log so late, must not be asked about for ever.
_LATER_US = (10_000_000, 60_000_000, 600_000_000)


class News:
    """Feedback about the records with an id of at least `began`, each given out once with its record.

    Feed `served` every such record: a window that lies open to the future speaks of records to come.
    """

    def __init__(self, home: Path, began: int, *, postgres: str | None = None) -> None:
        self._began = began
        self._source: Reader = records.reader(home, postgres=postgres)
        self._seq = 0
        # By the id from which on to look for it: its number, how often that was done, and what was told.
        self._waiting: list[tuple[int, int, int, Feedback]] = []
        self._open: dict[str, list[Feedback]] = {}
        # Windows over records that `served` had seen before, each with the id up to which it had.
        self._asked: list[tuple[Feedback, int]] = []
        self._past: dict[str, list[tuple[Feedback, int]]] = {}
        self._reading: Reading | None = None
        self._found: list[tuple[Record, Feedback]] = []

    def served(self, record: Record) -> None:
        windows = self._open.get(record.entity) if record.entity is not None else None
        if windows is None or record.entity is None:
            return
        self._found += [(record, one) for one in windows if records.speaks_of(one, record)]
        still = [one for one in windows if (one.until_us or 0) + records.SKEW_US > record.arrived_us]
        if still:
            self._open[record.entity] = still
        else:
            del self._open[record.entity]

    def new(self, *, until: int) -> Iterator[tuple[Record, Feedback]]:
        """What has been told, or has found its prediction, since the last time."""
        self._listen(until)
        yield from self._by_id(until)
        yield from self._by_entity(until)
        found, self._found = self._found, []
        yield from found

    def _listen(self, until: int) -> None:
        """Take in what is new, while there is room for it."""
        if len(self._waiting) >= _MOST_WAITING:
            return
        for seq, one in self._source.told(self._seq):
            self._seq = seq
            number = one.prediction_id
            if number is None:
                self._ask(one, until)
            # Of another deployment, or made up: not worth a look-up, of which there may be very many.
            elif self._began <= number < ids.at_us(one.arrived_us + records.SKEW_US):
                heapq.heappush(self._waiting, (number, seq, 0, one))
                if len(self._waiting) >= _MOST_WAITING:
                    return

    def _by_id(self, until: int) -> Iterator[tuple[Record, Feedback]]:
        due: list[tuple[int, int, int, Feedback]] = []
        while self._waiting and self._waiting[0][0] < until and len(due) < _MOST_LOOKED_UP:
            due.append(heapq.heappop(self._waiting))
        found = records.several(self._source, [one.prediction_id or 0 for _, _, _, one in due])
        for _, seq, tries, one in due:
            record = found.get(one.prediction_id or 0)
            if record is not None:
                yield record, one
            elif tries < len(_LATER_US):
                later = until + ids.at_us(ids.EPOCH_MS * 1000 + _LATER_US[tries])
                heapq.heappush(self._waiting, (later, seq, tries + 1, one))

    def _ask(self, one: Feedback, until: int) -> None:
        if one.entity is None or one.since_us is None or one.until_us is None:
            return
        self._asked.append((one, until))
        if ids.at_us(one.until_us + records.SKEW_US) > until:
            self._open.setdefault(one.entity, []).append(one)
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]

    def _by_entity(self, until: int) -> Iterator[tuple[Record, Feedback]]:
        """One pass over the records of all windows that are new, as far as one may go at a time."""
        if self._reading is None and self._asked:
            since = min(one.since_us or 0 for one, _ in self._asked) - records.SKEW_US
            past = max(one.until_us or 0 for one, _ in self._asked) + records.SKEW_US
            self._reading = Reading(
                self._source, max(ids.at_us(since), self._began), min(ids.at_us(past), until)
            )
            self._past = {}
            for one, upto in self._asked:
                self._past.setdefault(one.entity or "", []).append((one, upto))
            self._asked = []
        if self._reading is None:
            return
        for record in self._reading.some(_MOST_READ):
            for one, upto in self._past.get(record.entity or "", ()):
                if record.id < upto and records.speaks_of(one, record):
                    yield record, one
        if self._reading.is_done:
            self._reading, self._past = None, {}
