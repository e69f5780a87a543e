"""What people tell about predictions later: the truth, what a person decided, what it did for the business.

An append-only SQLite database, `feedback.db`, written by the gateway and by `mlproj feedback` at the same
time. Nothing is refused for coming late, twice, or before its prediction can be seen: the same feedback
again changes nothing, and joins are made at read, where the last one (by the time it became true, then by
arrival) wins.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from mlproj.base import clock
from mlproj.base.errors import ConfigError, MlprojError, nearest
from mlproj.serving import ids, segments
from mlproj.serving.record import Feedback, Kind

_WAIT_S = 10.0
_SHOWN_ERRORS = 50
_PAGE = 10_000
_FIELDS = ("prediction_id", "entity", "since", "until", *Kind, "value", "at", "source")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    seq INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    prediction_id INTEGER,
    entity TEXT,
    since_us INTEGER,
    until_us INTEGER,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    arrived_us INTEGER NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_prediction ON feedback (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_entity ON feedback (entity) WHERE entity IS NOT NULL;
"""
_COLUMNS = "prediction_id, entity, since_us, until_us, kind, value, at_us, arrived_us, source"
_INSERT = f"INSERT OR IGNORE INTO feedback (digest, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SUBJECTS = ("prediction_id = ?", "entity = ? AND since_us = ? AND until_us = ?")
# The last one wins; `seq` decides between two that arrived in the same microsecond.
_ORDER = "ORDER BY at_us, arrived_us, seq"


@dataclass(frozen=True, kw_only=True)
class Added:
    """How many were new, and how many were known already and changed nothing."""

    new: int
    known: int


class Store:
    """The feedback of one project; used from one thread, beside other processes that do the same."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            path(home), timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._connection.close()
            raise MlprojError(f"feedback cannot be kept in `{path(home)}`: {error}") from error

    def add(self, feedback: Sequence[Feedback]) -> Added:
        """Keep all of them or none; durable when it returns. Raises MlprojError if it cannot be."""
        now_us = int(clock.now().timestamp() * 1e6)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                before = self._connection.total_changes
                for timed, run in groupby(feedback, key=lambda item: item.at_us != 0):
                    if timed:
                        self._connection.executemany(_INSERT, (_row(item, now_us) for item in run))
                    else:
                        self._add_untimed(run, now_us)
                new = self._connection.total_changes - before
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
            raise MlprojError(f"the feedback could not be written: {error}") from error
        return Added(new=new, known=len(feedback) - new)

    def close(self) -> None:
        self._connection.close()

    def _add_untimed(self, feedback: Iterable[Feedback], now_us: int) -> None:
        """Without a time, what the same source said last tells a repetition from a change of mind."""
        for item in feedback:
            subject, values = _SUBJECTS[item.prediction_id is None], _row(item, now_us)
            last = self._connection.execute(
                f"SELECT seq, value FROM feedback WHERE {subject} AND kind = ? AND source = ?"
                " AND (kind <> 'metric' OR substr(value, 1, length(?)) = ?) ORDER BY seq DESC LIMIT 1",
                (
                    *([item.prediction_id] if item.prediction_id is not None else values[2:5]),
                    item.kind.value,
                    item.source,
                    *(item.value.partition("=")[0] + "=",) * 2,
                ),
            ).fetchone()
            if last is None or last[1] != item.value:
                self._connection.execute(_INSERT, _row(item, now_us, after=last and last[0]))


def path(home: Path) -> Path:
    return home / "feedback.db"


def said(home: Path, numbers: Iterable[int], entities: Iterable[str]) -> list[Feedback]:
    """What was said of these predictions and these entities, the one that counts last."""
    where = "prediction_id IN (SELECT value FROM json_each(?)) OR entity IN (SELECT value FROM json_each(?))"
    return list(_select(home, where, (json.dumps(list(numbers)), json.dumps(list(entities)))))


def rows(home: Path) -> Iterator[Feedback]:
    """All feedback in the order it came."""
    return (one for _, _, one in digests(home))


def digests(home: Path, *, since_seq: int = 0) -> Iterator[tuple[int, bytes, Feedback]]:
    """What came after that number, each with its own number and digest."""
    if not path(home).exists():
        return
    with closing(segments.read(path(home))) as connection:
        query = f"SELECT seq, digest, {_COLUMNS} FROM feedback WHERE seq > ? ORDER BY seq LIMIT {_PAGE}"
        while page := connection.execute(query, (since_seq,)).fetchall():
            for seq, digest, *row in page:
                yield seq, digest, Feedback.from_row(row)
            since_seq = page[-1][0]


def means(home: Path) -> dict[str, tuple[float, int]]:
    """By business metric: the mean of what was told last of each prediction or window, and of how many."""
    if not path(home).exists():
        return {}
    query = """
        SELECT metric, avg(number), count(*) FROM (
            SELECT substr(value, 1, instr(value, '=') - 1) AS metric,
                   CAST(substr(value, instr(value, '=') + 1) AS REAL) AS number, max(seq)
            FROM feedback WHERE kind = 'metric'
            GROUP BY metric, prediction_id, entity, since_us, until_us
        ) GROUP BY metric"""
    with closing(segments.read(path(home))) as connection:
        return {metric: (mean, count) for metric, mean, count in connection.execute(query)}


def read(file: Path, *, source: str | None = None) -> list[Feedback]:
    """The feedback in a CSV file with a header, or in JSON lines (`.jsonl`, `.ndjson`, `.json`).

    Raises ConfigError with every wrong line and its number.
    """
    given = file.name if source is None else source
    found: list[Feedback] = []
    wrong: list[str] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            is_json = file.suffix.lower() in {".jsonl", ".ndjson", ".json"}
            for number, fields in _json_lines(stream, wrong) if is_json else _csv_lines(stream, wrong):
                try:
                    found.append(parse(fields, source=given))
                except ConfigError as error:
                    wrong.append(f"line {number}: {error.message}")
    except OSError as error:
        raise ConfigError(f"`{file}` cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"`{file}` cannot be read: {error}", hint="save it as CSV in UTF-8") from error
    if wrong:
        more = len(wrong) - _SHOWN_ERRORS
        shown = "\n".join(f"    {line}" for line in wrong[:_SHOWN_ERRORS])
        lines = "1 wrong line" if len(wrong) == 1 else f"{len(wrong):,} wrong lines"
        if more > 0:
            shown += f"\n    and {more:,} more"
        raise ConfigError(
            f"`{file}` has {lines}; nothing was imported:\n{shown}",
            hint="a line names `prediction_id`, or `entity` with `since` and `until`; says `label`, "
            "`decision`, or `metric` and `value`; and may say `at` and `source`",
        )
    return found


def parse(fields: Mapping[str, Any], *, source: str) -> Feedback:
    """One feedback from its fields, as in a line of a file or in the body of `POST /feedback`.

    `prediction_id`, or `entity` with the times `since` (included) and `until` (not); `label`, `decision`, or
    a business `metric` with its `value`; `at`, when that became so (default: when it is kept), and `source`.
    Times are ISO 8601, in UTC where they name no zone. Raises ConfigError saying what is wrong.
    """
    for name in fields:
        if name not in _FIELDS:
            near = nearest(str(name), _FIELDS)
            raise ConfigError(
                f"`{name}` is not a field of feedback" + (f"; did you mean `{near}`?" if near else "")
            )
    given = {name: value for name, value in fields.items() if value is not None and value != ""}
    kinds = [kind for kind in Kind if kind.value in given]
    if len(kinds) != 1:
        raise ConfigError(
            "one of `label`, `decision` and `metric` is wanted" + (", not two" if kinds else "")
        )
    prediction, window = _subject(given)
    return Feedback(
        kind=kinds[0],
        value=_said(given, kinds[0]),
        at_us=_time(given, "at") if "at" in given else 0,
        source=_text(given, "source") if "source" in given else source,
        prediction_id=prediction,
        entity=window[0],
        since_us=window[1],
        until_us=window[2],
    )


def _said(given: Mapping[str, Any], kind: Kind) -> str:
    if kind is not Kind.METRIC:
        if "value" in given:
            raise ConfigError("`value` belongs to a `metric`")
        return _value(given[kind.value], kind.value)
    name = _text(given, "metric").strip()
    if "=" in name:
        raise ConfigError(f"`{name}` is not the name of a metric: it has an `=` in it")
    try:
        number = float(given["value"])
    except (KeyError, TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"the `metric` `{name}` needs its number as `value`")
    return f"{name}={number!r}"


def _subject(given: Mapping[str, Any]) -> tuple[int | None, tuple[str | None, int | None, int | None]]:
    if ("prediction_id" in given) == ("entity" in given):
        raise ConfigError(
            "one of `prediction_id` and `entity` is wanted" + (", not both" if "entity" in given else "")
        )
    if "prediction_id" in given:
        if "since" in given or "until" in given:
            raise ConfigError("`since` and `until` belong to an `entity`, not to a `prediction_id`")
        return ids.parse(_text(given, "prediction_id")), (None, None, None)
    if "since" not in given or "until" not in given:
        raise ConfigError("an `entity` needs the times `since` and `until` of its predictions")
    since_us, until_us = _time(given, "since"), _time(given, "until")
    if until_us <= since_us:
        raise ConfigError("`until` is not after `since`")
    entity = given["entity"]
    is_number = isinstance(entity, int) and not isinstance(entity, bool)
    return None, (str(entity) if is_number else _text(given, "entity"), since_us, until_us)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise ConfigError(f"`{name}` is not a text: {json.dumps(value)[:40]}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"`{name}` is not Unicode text") from None
    return value


def _value(value: Any, name: str) -> str:
    """A label as text, as an answer shows it: a class, or a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    return _text({name: value}, name)


def _time(given: Mapping[str, Any], name: str) -> int:
    try:
        moment = datetime.fromisoformat(_text(given, name).strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"`{name}` is not a time: `{str(given[name])[:40]}`"
            " (wanted: `2026-11-23` or `2026-11-23T14:30:00Z`)"
        ) from None
    return since_1970.days * 86_400_000_000 + since_1970.seconds * 1_000_000 + since_1970.microseconds


def _csv_lines(stream: Iterable[str], wrong: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(stream, strict=True)
    names = [name.strip() for name in next(reader, [])]
    unknown = [name for name in names if name not in _FIELDS]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or unknown or repeated:
        for name in unknown:
            near = nearest(name, _FIELDS)
            wrong.append(
                f"line 1: `{name}` is not a column of feedback"
                + (f"; did you mean `{near}`?" if near else "")
            )
        wrong.extend(f"line 1: the column `{name}` is there twice" for name in repeated)
        if not names:
            wrong.append("line 1: there is no header")
        return
    number = reader.line_num + 1
    for row in reader:
        if len(row) == len(names):
            yield number, dict(zip(names, row, strict=True))
        elif row:
            wrong.append(f"line {number}: {len(row)} values for {len(names)} columns")
        number = reader.line_num + 1


def _json_lines(stream: Iterable[str], wrong: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            wrong.append(f"line {number}: not JSON (each line is one object)")
            continue
        if isinstance(fields, dict):
            yield number, fields
        else:
            wrong.append(f"line {number}: not a JSON object")


def _row(item: Feedback, now_us: int, *, after: int | None = None) -> tuple[Any, ...]:
    subject = [item.prediction_id, item.entity, item.since_us, item.until_us]
    said = [item.kind.value, item.value]
    told = json.dumps([*subject, *said, item.at_us, item.source, after])
    arrived_us = item.arrived_us or now_us
    digest = hashlib.sha256(told.encode()).digest()[:16]
    return (digest, *subject, *said, item.at_us or arrived_us, arrived_us, item.source)


def _select(home: Path, where: str, parameters: Sequence[Any]) -> Iterator[Feedback]:
    if not path(home).exists():
        return
    with closing(segments.read(path(home))) as connection:
        yield from map(
            Feedback.from_row,
            connection.execute(f"SELECT {_COLUMNS} FROM feedback WHERE {where} {_ORDER}", parameters),
        )
