"""Served predictions read back, from wherever they lie: hot segments, sealed days, or PostgreSQL.

Feedback is joined here, at read: of several that speak of a prediction, the last one by the time it became
true counts, then by arrival. What was told of a prediction holds for the shadow's answer to the same row too.
"""

from __future__ import annotations

import csv
import heapq
import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from mlproj.serving import feedback, ids, lookup, sealing, segments
from mlproj.serving.record import COLUMNS, Feedback, Kind, Record, Role

POSTGRES_ENV = "MLPROJ_POSTGRES"
HEADER = ("date", "model", "model version", "feature inputs", "output")

_PAGE = 5_000
_STICKY = COLUMNS.index("sticky")
# A shadow answers after the primary, from a bounded queue: this long after at most, or it was dropped.
_APART = timedelta(minutes=2)
# Rows of primaries whose shadow may still come, while reading in order.
_RECENT = 200_000
# An id is given when the answer is logged, some deadlines after the arrival at most; and ids never go back,
# while a clock that is set back does.
SKEW_US = 3_600_000_000
# A sealed day is sorted as it is asked for: by the hour, and so many hours in one go.
_HOUR = ids.at_us(ids.EPOCH_MS * 1000 + 3_600_000_000)
_MOST_HOURS = 24
# From so many ids of one day on, one pass over what lies between them is faster than a look-up each.
_MANY = 100


class Reader(Protocol):
    """One place where records and feedback lie; all ranges of ids are without their end.

    `told` gives feedback by its number, in the order in which it became visible. Records below `reached`
    are all there.
    """

    def find(self, number: int) -> Record | None: ...
    def related(self, record: Record, since_id: int, until_id: int) -> list[Record]: ...
    def rows(self, since_id: int, until_id: int) -> Iterator[Record]: ...
    def said(self, numbers: Iterable[int], entities: Iterable[str]) -> list[Feedback]: ...
    def told(self, since_seq: int) -> Iterator[tuple[int, Feedback]]: ...
    def reached(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Found:
    """A prediction, what was said of it (the one that counts last), and the other answers to the same row."""

    record: Record
    feedback: tuple[Feedback, ...]
    related: tuple[Record, ...]


def reader(home: Path, *, postgres: str | None = None) -> Reader:
    """PostgreSQL where its URL is given or named by the environment, else this machine's files."""
    url = postgres or os.environ.get(POSTGRES_ENV)
    if url:
        from mlproj.serving.postgres import Archive

        return Archive(url)
    return Local(home)


def get(home: Path, number: int, *, postgres: str | None = None) -> Found | None:
    """The prediction with that id; None if there is none."""
    source = reader(home, postgres=postgres)
    record = source.find(number)
    if record is None:
        return None
    moment = ids.moment(number)
    related = source.related(record, ids.at(moment - _APART), ids.at(moment + _APART))
    about = [record, *(other for other in related if other.role == Role.PRIMARY)]
    said = source.said([one.id for one in about], [record.entity] if record.entity is not None else [])
    heard = tuple(one for one in said if any(speaks_of(one, about_one) for about_one in about))
    return Found(record=record, feedback=heard, related=tuple(related))


def since(
    home: Path, number: int, *, until: int | None = None, postgres: str | None = None
) -> Iterator[Record]:
    """The records with number <= id < until, in the order of their ids."""
    return reader(home, postgres=postgres).rows(number, ids.LARGEST + 1 if until is None else until)


def labelled(
    home: Path,
    number: int,
    *,
    until: int | None = None,
    kind: Kind = Kind.LABEL,
    postgres: str | None = None,
) -> Iterator[tuple[Record, Feedback | None]]:
    """The same records, each with the feedback of that kind that counts, if any came."""
    source = reader(home, postgres=postgres)
    records = source.rows(number, ids.LARGEST + 1 if until is None else until)
    recent: OrderedDict[tuple[str, int], int] = OrderedDict()
    while page := list(islice(records, _PAGE)):
        partners = [_partner(record, recent) for record in page]
        numbers = {record.id for record in page} | {partner for partner in partners if partner is not None}
        entities = {record.entity for record in page if record.entity is not None}
        by_id: dict[int, list[tuple[int, Feedback]]] = {}
        by_entity: dict[str, list[tuple[int, Feedback]]] = {}
        for place, one in enumerate(source.said(numbers, entities)):
            if one.kind is not kind:
                continue
            if one.prediction_id is not None:
                by_id.setdefault(one.prediction_id, []).append((place, one))
            elif one.entity is not None:
                by_entity.setdefault(one.entity, []).append((place, one))
        for record, partner in zip(page, partners, strict=True):
            heard = [*by_id.get(record.id, ())]
            if partner is not None:
                heard += by_id.get(partner, ())
            if record.entity is not None:
                heard += [
                    placed for placed in by_entity.get(record.entity, ()) if speaks_of(placed[1], record)
                ]
            yield record, max(heard, key=lambda placed: placed[0])[1] if heard else None


def unmatched(
    home: Path, feedback: Iterable[Feedback] | None = None, *, postgres: str | None = None
) -> list[Feedback]:
    """Of the feedback given (default: all that is kept), what speaks of no prediction in the log."""
    source = reader(home, postgres=postgres)
    given = list((one for _, one in source.told(0)) if feedback is None else feedback)
    numbers = sorted({one.prediction_id for one in given if one.prediction_id is not None})
    here = _known(source, numbers)
    windows: dict[str, list[Feedback]] = {}
    for one in given:
        if one.entity is not None:
            windows.setdefault(one.entity, []).append(one)
    hit: set[int] = set()
    if windows:
        first = min(one.since_us or 0 for each in windows.values() for one in each)
        past = max(one.until_us or 0 for each in windows.values() for one in each)
        for record in source.rows(ids.at_us(first - SKEW_US), ids.at_us(past + SKEW_US)):
            for one in windows.get(record.entity or "", ()):
                if speaks_of(one, record):
                    hit.add(id(one))
    return [one for one in given if one.prediction_id not in here and id(one) not in hit]


def export_csv(
    home: Path,
    stream: TextIO,
    *,
    model: str,
    since: int = 0,
    until: int | None = None,
    shadows: bool = False,
    postgres: str | None = None,
) -> int:
    """Write records as `date,model,model version,feature inputs,output`; returns how many.

    Features and output are JSON; of an attempt that failed, the output is its status and error. With
    `shadows` their answers too, which no caller saw, and a last column `role` that tells them apart.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*HEADER, "role") if shadows else HEADER)
    count = 0
    records = reader(home, postgres=postgres).rows(since, ids.LARGEST + 1 if until is None else until)
    for record in records:
        if record.role == Role.SHADOW and not shadows:
            continue
        inputs = record.features.decode("utf-8", "replace")
        row = (_shown(record.arrived_us), model, record.version, inputs, _output(record))
        writer.writerow((*row, record.role) if shadows else row)
        count += 1
    return count


class Reading:
    """The records from `at` to `until`, some at a time: a log may be too long to be read without a pause."""

    def __init__(self, source: Reader, at: int, until: int) -> None:
        self._source = source
        self.at, self.until = at, until

    @property
    def is_done(self) -> bool:
        return self.at >= self.until

    def some(self, most: int) -> Iterator[Record]:
        """The next records, `most` at most, and what lies within a day; `at` moves with each."""
        for _ in range(_MOST_HOURS):
            end = min(self.until, self.at + _HOUR)
            for record in self._source.rows(self.at, end):
                self.at = record.id + 1
                yield record
                most -= 1
                if not most:
                    return
            self.at = max(self.at, end)
            if self.is_done:
                return


def several(source: Reader, numbers: Iterable[int]) -> dict[int, Record]:
    """Those of the predictions that are in the log; one pass over each day that has many of them."""
    found: dict[int, Record] = {}
    days: dict[date, list[int]] = {}
    for number in sorted(set(numbers)):
        days.setdefault(ids.day(number), []).append(number)
    for of_day in days.values():
        if isinstance(source, Local):
            found |= source.hot(of_day)
        left = [number for number in of_day if number not in found]
        if len(left) < _MANY:
            each = [source.find(number) for number in left]
            found |= {record.id: record for record in each if record is not None}
        else:
            wanted = set(left)
            rows = source.rows(left[0], left[-1] + 1)
            found |= {record.id: record for record in rows if record.id in wanted}
    return found


class Local:
    """The files of this machine: SQLite for the days that are not sealed yet, DuckDB for the others."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def find(self, number: int) -> Record | None:
        return lookup.local(self._home, number)

    def hot(self, numbers: Sequence[int]) -> dict[int, Record]:
        """Those of the predictions of one day that are in its database, while it is not sealed."""
        file = segments.path(self._home, ids.day(numbers[0]))
        try:
            with closing(segments.read(file)) as connection:
                query = f"SELECT {', '.join(COLUMNS)} FROM prediction WHERE id IN"
                query += " (SELECT value FROM json_each(?))"
                rows = connection.execute(query, (json.dumps(numbers),)).fetchall()
        except sqlite3.OperationalError:
            if file.exists():
                raise
            return {}
        # SQLite knows no booleans.
        return {row[0]: Record._make(row)._replace(sticky=row[_STICKY] == 1) for row in rows}

    def related(self, record: Record, since_id: int, until_id: int) -> list[Record]:
        found: dict[int, Record] = {}
        for day in sorted({ids.day(since_id), ids.day(until_id)}):
            hot, sealed = segments.path(self._home, day), segments.sealed_path(self._home, day)
            if hot.exists():
                with closing(segments.read(hot)) as connection:
                    others = segments.related(connection, record, since_id, until_id)
                found |= {other.id: other for other in others}
            if sealed.exists():
                others = sealing.related(sealed, record, since_id, until_id)
                found |= {other.id: other for other in others}
        return sorted(found.values())

    def rows(self, since_id: int, until_id: int) -> Iterator[Record]:
        for day in sorted({*segments.hot_days(self._home), *segments.sealed_days(self._home)}):
            first, past = (max(since_id, ids.bounds(day)[0]), min(until_id, ids.bounds(day)[1]))
            if first >= past:
                continue
            with closing(_Hot(segments.path(self._home, day))) as hot:
                # Looked for after the database is open, or a day sealed between the two would be missed.
                sealed = segments.sealed_path(self._home, day)
                if not sealed.exists():
                    yield from hot.rows(first, past)
                    continue
                merged = heapq.merge(
                    sealing.rows(sealed, first, past), hot.rows(first, past), key=lambda record: record.id
                )
                yield from sealing.distinct(merged)

    def said(self, numbers: Iterable[int], entities: Iterable[str]) -> list[Feedback]:
        return feedback.said(self._home, numbers, entities)

    def told(self, since_seq: int) -> Iterator[tuple[int, Feedback]]:
        return ((seq, one) for seq, _, one in feedback.digests(self._home, since_seq=since_seq))

    def reached(self) -> int:
        return ids.LARGEST


class _Hot:
    """A day's database, or nothing where it is sealed; once open it is read to its end, removed or not."""

    def __init__(self, file: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = segments.read(file)
        except sqlite3.OperationalError:
            if file.exists():
                raise

    def rows(self, since_id: int, until_id: int) -> Iterator[Record]:
        if self._connection is not None:
            yield from segments.pages(self._connection, since_id, until_id)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _partner(record: Record, recent: OrderedDict[tuple[str, int], int]) -> int | None:
    """The id of the primary's answer that a shadow repeated."""
    key = (record.request_id, record.row)
    if record.role != Role.PRIMARY:
        return recent.get(key)
    recent[key] = record.id
    if len(recent) > _RECENT:
        recent.popitem(last=False)
    return None


def speaks_of(one: Feedback, record: Record) -> bool:
    """Whether feedback is about a record, by its id or by its entity and arrival."""
    if one.prediction_id is not None:
        return one.prediction_id == record.id
    return (
        one.entity == record.entity
        and one.since_us is not None
        and one.until_us is not None
        and one.since_us <= record.arrived_us < one.until_us
    )


def _known(source: Reader, numbers: Sequence[int]) -> set[int]:
    """Which of the ids, in order, are in the log; one pass over the days that they lie in."""
    known: set[int] = set()
    at = 0
    while at < len(numbers):
        past = ids.bounds(ids.day(numbers[at]))[1]
        of_day = set(numbers[at:])
        of_day = {number for number in of_day if number < past}
        if len(of_day) < _MANY:
            known |= {number for number in of_day if source.find(number) is not None}
        else:
            records = source.rows(min(of_day), max(of_day) + 1)
            known |= of_day & {record.id for record in records}
        at += len(of_day)
    return known


def _output(record: Record) -> str:
    if record.output is not None:
        return f"{{{record.output}}}"
    return json.dumps({"status": record.status, "error": record.error})


def _at_us(moment_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)


def _shown(moment_us: int) -> str:
    return _at_us(moment_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
