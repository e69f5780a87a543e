"""What was told since the last time, with the predictions that it speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlproj.monitoring import records
from mlproj.monitoring.records import Reader
from mlproj.serving.record import Feedback, Record

# Feedback may come before the prediction that it speaks of can be seen; this many are asked for again.
_MOST_WAITING = 50_000


class News:
    """Feedback about the records with an id of at least `began`, each given out once with its record.

    Feed `served` every such record: a window that lies open to the future speaks of records to come.
    """

    def __init__(self, home: Path, began: int, *, postgres: str | None = None) -> None:
        self._began = began
        self._source: Reader = records.reader(home, postgres=postgres)
        self._seq = 0
        self._waiting: list[Feedback] = []
        self._windows: dict[str, list[Feedback]] = {}
        self._found: list[tuple[Record, Feedback]] = []

    def served(self, record: Record) -> None:
        for one in self._windows.get(record.entity or "", ()):
            if records.speaks_of(one, record):
                self._found.append((record, one))

    def new(self, *, until: int) -> Iterator[tuple[Record, Feedback]]:
        """What has been told, or has found its prediction, since the last time."""
        fresh = list(self._fresh())
        self._waiting = [*self._waiting, *(one for one in fresh if one.prediction_id is not None)]
        still = []
        for one in self._waiting:
            number = one.prediction_id
            assert number is not None  # by entity they do not wait here
            if number < self._began:
                continue  # Of another deployment: not worth a look-up, of which there may be very many.
            record = self._source.find(number) if number < until else None
            if record is None:
                still.append(one)
            else:
                yield record, one
        self._waiting = still[-_MOST_WAITING:]
        yield from self._by_entity([one for one in fresh if one.entity is not None], until)
        found, self._found = self._found, []
        yield from found

    def _by_entity(self, fresh: list[Feedback], until: int) -> Iterator[tuple[Record, Feedback]]:
        """One pass over the deployment's records for all windows that are new."""
        if not fresh:
            return
        windows: dict[str, list[Feedback]] = {}
        for one in fresh:
            windows.setdefault(one.entity or "", []).append(one)
            self._windows.setdefault(one.entity or "", []).append(one)
        for record in self._source.rows(self._began, until):
            for one in windows.get(record.entity or "", ()):
                if records.speaks_of(one, record):
                    yield record, one

    def _fresh(self) -> Iterator[Feedback]:
        for seq, one in self._source.told(self._seq):
            self._seq = seq
            yield one
