"""
Serve one version of a model on a Unix socket, in that version's own Python.

    PYTHON -P worker.py PACKAGE --socket PATH [--digest SHA256] [--engine NAME] [--max-rows N] [--memory-mb N]
                        [--background] [--even-if-different]

This file is run by path and needs nothing but the standard library; with msgspec, requests are read several
times faster. It refuses a package of which a single byte differs from what `package.json` says (and, with
--digest, a `package.json` other than the one deployed), before anything in it is imported, and one whose
engine does not answer what the original answered when packaged; with --even-if-different, that is only said
when it is ready, for somebody who wants to know by how much it differs.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import functools
import gc
import hashlib
import importlib
import io
import json
import math
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]

FRAME = struct.Struct("<IIH")  # bytes after this header, batch id, items
ITEM = struct.Struct("<BII")  # kind, extra, bytes
ANSWER = struct.Struct("<HHI")  # status, rows, bytes of the body
ROW = struct.Struct("<ddHII")  # score, confidence, bytes of unseen, of output, of features
ONE_ROW = struct.Struct("<HHIddHII")  # an answer without a body, and its one row

PREDICT, MLFLOW_JSON, MLFLOW_CSV, V2 = range(4)
LARGEST_FRAME = 1 << 30
MOST_FIELDS_NAMED = 20
LONGEST_NAME = 200
LONGEST_KEPT = 64  # characters of a date that is remembered
NOT_READY = 3
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>: which signal comes when the parent is gone
WARM_UP_ROWS = (1, 8, 64)
ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

# What pandas.read_csv takes for a missing value, as `mlflow models serve` reads a CSV body with it.
MISSING_IN_CSV = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
        *("n/a", "NULL", "null", "None", "NaN", "-NaN", "nan", "-nan"),
    }
)
# Datatypes of the Open Inference Protocol as struct codes; BYTES has its own form.
TENSORS = {
    **{"BOOL": "?", "FP16": "e", "FP32": "f", "FP64": "d"},
    **{"INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"},
    **{"UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q"},
}
# What the values of a tensor can be in JSON; all numbers are as FP64's.
IN_JSON: dict[str, set[type]] = {
    "BYTES": {str, type(None)},
    "BOOL": {bool, type(None)},
    "FP64": {int, float, type(None)},
}

Row = tuple[Any, ...]


class Engine(Protocol):
    classes: list[Any] | None

    def predict(self, columns: dict[str, list[Any]]) -> tuple[list[Any], list[list[float]] | None]: ...


class NotReadyError(Exception):
    """This package cannot be served; the message names what is wrong."""


class DifferentError(NotReadyError):
    """The engine does not answer a recorded row as it was answered at packaging."""


class ModelError(Exception):
    """The engine answered something that is no answer."""


class BrokenFrameError(Exception):
    """The other end does not speak our frames."""


class WrongValueError(Exception):
    """A value that an input cannot take: `wrong_type` or `not_finite`, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RefusalError(Exception):
    """A request that the model does not get to see; `fields` are (code, field, row, message)."""

    def __init__(
        self, status: int, code: str, message: str, fields: Sequence[tuple[str, str, int, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self, kind: int) -> bytes:
        """The error as JSON; Open Inference clients want a text under `error`, so the rest stands beside."""
        fields = [{"field": name, "row": row, "message": said} for _, name, row, said in self.fields]
        if kind == V2:
            return json.dumps({"error": self.message, "code": self.code, "fields": fields}).encode()
        return json.dumps({"error": {"code": self.code, "message": self.message, "fields": fields}}).encode()


def bad_request(message: str) -> RefusalError:
    return RefusalError(400, "bad_request", message)


def wrong_fields(wrong: Sequence[tuple[str, str, int, str]]) -> RefusalError:
    """All the wrong fields at once, as far as a person reads on; the first gives the code."""
    wrong = [(code, name[:LONGEST_NAME], row, said) for code, name, row, said in wrong]
    code, name, _, said = wrong[0]
    message = f"`{name}`: {said}"
    if len(wrong) > 1:
        message += f" (and {len(wrong) - 1:,} more)"
    return RefusalError(422, code, message, wrong[:MOST_FIELDS_NAMED])


def too_many_rows(rows: int, most: int) -> RefusalError:
    return RefusalError(413, "too_many_rows", f"{rows:,} rows in one request, at most {most:,} are taken")


def encode_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


encode: Callable[[Any], bytes] = encode_json if msgspec is None else msgspec.json.Encoder().encode


def decode(body: bytes) -> Any:
    """A body as Python values; NaN and Infinity, which Python's own clients write, become floats."""
    try:
        return json.loads(str(body, "utf-8"))
    except RecursionError:
        raise RefusalError(400, "not_json", "the body is nested too deeply") from None
    except ValueError as error:
        raise RefusalError(400, "not_json", f"the body is not JSON: {error}") from None


def decode_fast(body: bytes) -> Any:
    if msgspec is not None:
        with contextlib.suppress(ValueError, RecursionError):
            return msgspec.json.decode(body)
    return decode(body)


def shown(value: Any) -> str:
    """A value as the caller wrote it, and what it is."""
    if value is None:
        return "null is not allowed"
    names = {bool: "true or false", str: "a text", list: "an array", dict: "an object"}
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = "this"
    if len(text) > 60:
        text = text[:57] + "..."
    return f"{text} is {names.get(type(value), 'a number')}"


def read_moment(text: str, form: str) -> datetime:
    return datetime.fromisoformat(text) if form == "ISO8601" else datetime.strptime(text, form)


# The same days are asked for again and again, and to read one takes a third of the time of a whole row.
kept_moment = functools.lru_cache(maxsize=4096)(read_moment)


class Field:
    """One input of the model: which values it takes, and how they reach the engine."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name: str = entry["name"]
        self.kind: str = entry["kind"]
        self.format: str | None = entry.get("format")
        self.nullable: bool = bool(entry.get("nullable", True))
        categories = entry.get("categories")
        self.known = None if categories is None else frozenset([*categories, None])
        plain: dict[str, set[type]] = {"number": {int, float}, "text": {str}}
        self.plain = plain.get(self.kind, set())

    def moment(self, text: str) -> datetime:
        form = self.format or "ISO8601"
        return kept_moment(text, form) if len(text) <= LONGEST_KEPT else read_moment(text, form)

    def check(self, value: Any) -> Any:
        """The value itself, if the input takes it as it is; raises WrongValueError."""
        if value is None:
            if not self.nullable:
                raise WrongValueError("wrong_type", f"{self.wanted()} is wanted, {shown(value)}")
        elif self.kind == "number":
            self.check_number(value)
        elif type(value) is not str:
            raise WrongValueError("wrong_type", f"{self.wanted()} is wanted, {shown(value)}")
        elif self.kind == "datetime":
            self.check_moment(value)
        else:
            try:
                value.encode()
            except UnicodeEncodeError:
                raise WrongValueError("wrong_type", "the text is not valid Unicode") from None
        return value

    def check_number(self, value: Any) -> None:
        if type(value) is float:
            if not math.isfinite(value):
                raise WrongValueError("not_finite", "the number is not finite; a missing value is null")
        elif type(value) is int:
            try:
                float(value)
            except OverflowError:
                raise WrongValueError("not_finite", "the number is too large for a double") from None
        else:
            raise WrongValueError("wrong_type", f"{self.wanted()} is wanted, {shown(value)}")

    def check_moment(self, text: str) -> None:
        try:
            moment = self.moment(text)
            if moment.tzinfo is not None:
                moment.astimezone(UTC)  # which fails for the first and last days there are
        except (ValueError, OverflowError):
            raise WrongValueError("wrong_type", f"{self.wanted()} is wanted, not {text[:60]!a}") from None

    def wanted(self) -> str:
        if self.kind == "number":
            return "a number"
        if self.kind == "text":
            return "a text"
        return (
            "a date as ISO 8601 writes it" if self.format in (None, "ISO8601") else f"a date as {self.format}"
        )

    def coerce(self, value: Any) -> Any:
        """As `check`, taking also what MLflow converts to a column's type: "1.5", true, NaN, ISO dates."""
        if type(value) is float and math.isnan(value):
            value = None
        elif self.kind == "number":
            if type(value) is bool:
                value = int(value)
            elif type(value) is str:
                value = self.number(value)
        elif self.kind == "datetime" and type(value) is str and self.format not in (None, "ISO8601"):
            value = self.date(value)
        return self.check(value)

    def is_plain(self, column: Sequence[Any]) -> bool:
        """Whether no value needs a closer look: the common case, of a whole column at once."""
        if not self.plain.issuperset(map(type, column)):
            return False
        try:
            if self.kind == "number":
                return all(map(math.isfinite, column))
            "".join(column).encode()
        except (OverflowError, UnicodeEncodeError):
            return False
        return True

    def number(self, text: str) -> Any:
        if "_" in text:  # digits grouped as Python's own source code has them
            return text
        with contextlib.suppress(ValueError):
            return int(text)
        with contextlib.suppress(ValueError):
            value = float(text)
            return None if math.isnan(value) else value
        return text

    def date(self, text: str) -> str:
        try:
            self.moment(text)
        except ValueError:
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(text).strftime(str(self.format))
        return text


class Request:
    """A request that may reach the engine: its rows in the order of the inputs, as received."""

    __slots__ = ("features", "form", "rows")

    def __init__(self, rows: list[Row], features: list[bytes], form: Callable[..., bytes] | None) -> None:
        self.rows = rows
        self.features = features
        self.form = form


class Reader:
    """Turns the bodies of all protocols into rows, or says why not."""

    def __init__(self, package: dict[str, Any], max_rows: int) -> None:
        self.model: str = package["model"]
        self.fields = [Field(entry) for entry in package["inputs"]]
        self.names = [field.name for field in self.fields]
        self.max_rows = max_rows
        named = set(self.names)
        entity = package.get("entity") or "entity_id"
        # Columns of the data that this model does not use are no mistake: the next version may want them.
        aside = (entity, "entity_id", "request_id", *package.get("ignored", ()))
        self.reserved = frozenset(name for name in aside if name not in named)
        self.allowed = named | self.reserved
        self.numbers = frozenset(field.name for field in self.fields if field.kind == "number")
        self.moments = [at for at, field in enumerate(self.fields) if field.kind == "datetime"]
        outputs = package["outputs"]
        self.classes: list[Any] | None = outputs["classes"] if outputs["kind"] == "classes" else None
        self.one: Any = None
        if msgspec is not None:
            # A name with a quote or a backslash in it cannot be a struct's; such a model reads slowly.
            with contextlib.suppress(ValueError):
                self.make_decoders()

    def make_decoders(self) -> None:
        # An integer that no double holds would fail the whole frame: large ones go the slow way, which looks.
        small = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
        kinds: dict[str, Any] = {"text": str, "datetime": str, "number": small | float}
        inputs = []
        for at, field in enumerate(self.fields):
            kind = kinds[field.kind]
            inputs.append((f"f{at}", kind | None if field.nullable else kind))
        extra = [(f"r{at}", Any, msgspec.UNSET) for at in range(len(self.reserved))]
        rename = {f"f{at}": name for at, name in enumerate(self.names)}
        rename |= {f"r{at}": name for at, name in enumerate(sorted(self.reserved))}
        strict = msgspec.defstruct(
            "Row", [*inputs, *extra], rename=rename, forbid_unknown_fields=True, gc=False
        )
        loose = msgspec.defstruct("Record", inputs, rename=rename, gc=False)
        records: Any = msgspec.defstruct(
            "Records",
            [("dataframe_records", list[loose]), ("params", Any, None)],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
        )
        self.many = msgspec.json.Decoder(list[strict]).decode  # type: ignore[valid-type]
        self.records = msgspec.json.Decoder(records).decode
        self.values = msgspec.structs.astuple
        self.extra = tuple(name for name, _, _ in extra)
        self.none_reserved = (msgspec.UNSET,) * len(extra)
        self.one = msgspec.json.Decoder(strict).decode

    def read(self, kind: int, extra: int, body: bytes, *, thorough: bool = False) -> Request:
        """Raises RefusalError. `thorough` reads by the slow way only, which sees all that can be wrong."""
        if kind == PREDICT:
            return self.predict(body, thorough)
        if kind == MLFLOW_JSON:
            return self.mlflow_json(body, thorough)
        if kind == MLFLOW_CSV:
            return self.mlflow_csv(body)
        if kind == V2:
            return self.v2(body, extra)
        raise bad_request(f"there is no protocol {kind}")

    # -- kind 0: an object is a row, an array of objects rows

    def predict(self, body: bytes, thorough: bool) -> Request:
        if self.one is not None and not thorough:
            try:
                if body.lstrip()[:1] == b"[":
                    return self.predict_many(body)
                row = self.one(body)
                values = self.values(row)
                for at in self.moments:
                    self.fields[at].check(values[at])
            except (ValueError, RecursionError, WrongValueError):
                return self.predict_slowly(body)
            count = len(self.fields)
            # As many colons as inputs: nothing else and nothing twice is in it, so the body is the row.
            if values[count:] == self.none_reserved and body.count(b":") == count:
                return Request([values], [body], None)
            return Request([values], [self.feature(row)], None)
        return self.predict_slowly(body)

    def predict_many(self, body: bytes) -> Request:
        found = self.many(body)
        self.check_count(len(found))
        rows = list(map(self.values, found))
        for at in self.moments:
            for values in rows:
                self.fields[at].check(values[at])
        return Request(rows, list(map(self.feature, found)), None)

    def feature(self, row: Any) -> bytes:
        for name in self.extra:
            setattr(row, name, msgspec.UNSET)
        return encode(row)

    def predict_slowly(self, body: bytes) -> Request:
        value = decode(body)
        found = value if isinstance(value, list) else [value]
        self.check_count(len(found))
        wrong: list[tuple[str, str, int, str]] = []
        for at, entry in enumerate(found):
            if not isinstance(entry, dict):
                raise bad_request(f"an object with the inputs is wanted (row {at}), {shown(entry)}")
            wrong += self.faults(entry, at)
        if wrong:
            raise wrong_fields(wrong)
        rows = [tuple(entry[name] for name in self.names) for entry in found]
        return Request(rows, self.features(rows), None)

    def faults(self, entry: dict[str, Any], at: int) -> Iterator[tuple[str, str, int, str]]:
        for field in self.fields:
            if field.name not in entry:
                yield "missing_field", field.name, at, "the field is missing"
                continue
            try:
                field.check(entry[field.name])
            except WrongValueError as error:
                yield error.code, field.name, at, error.message
        for name in entry:
            if name not in self.allowed:
                yield "unexpected_field", name, at, "the model has no such input"

    def check_count(self, rows: int) -> None:
        if rows > self.max_rows:
            raise too_many_rows(rows, self.max_rows)
        if not rows:
            raise bad_request("there is no row in the request")

    def features(self, rows: list[Row]) -> list[bytes]:
        return [encode(dict(zip(self.names, row, strict=True))) for row in rows]

    def table(self, columns: dict[str, Sequence[Any]], form: Callable[..., bytes]) -> Request:
        """Rows of the columns that are inputs; all are equally long, and others are left aside."""
        checked: list[Sequence[Any]] = []
        wrong: list[tuple[str, str, int, str]] = []
        for field in self.fields:
            column = columns.get(field.name)
            if column is None:
                wrong.append(("missing_field", field.name, 0, "the column is missing"))
                continue
            if field.is_plain(column):
                checked.append(column)
                continue
            values: list[Any] = []
            for at, value in enumerate(column):
                try:
                    values.append(field.coerce(value))
                except WrongValueError as error:
                    wrong.append((error.code, field.name, at, error.message))
            checked.append(values)
        if wrong:
            raise wrong_fields(wrong)
        rows = list(zip(*checked, strict=True))
        return Request(rows, self.features(rows), form)

    # -- kinds 1 and 2: what `mlflow models serve` takes (mlflow.pyfunc.scoring_server)

    def mlflow_json(self, body: bytes, thorough: bool) -> Request:
        if self.one is not None and not thorough and not self.moments and b'"dataframe_records"' in body[:64]:
            with contextlib.suppress(ValueError, RecursionError):
                given = self.records(body)
                if not given.params:
                    found = given.dataframe_records
                    self.check_count(len(found))
                    return Request(list(map(self.values, found)), list(map(encode, found)), predictions)
        value = decode(body) if thorough else decode_fast(body)
        forms = {
            "dataframe_split": self.from_split,
            "dataframe_records": self.from_records,
            "instances": self.from_tensors,
            "inputs": self.from_tensors,
        }
        form = [name for name in forms if name in value] if isinstance(value, dict) else []
        if len(form) != 1:
            raise bad_request(f"a JSON object with exactly one of {', '.join(forms)} is wanted")
        if value.get("params"):
            raise bad_request("the model takes no `params`")
        return self.table(forms[form[0]](form[0], value[form[0]]), predictions)

    def from_split(self, form: str, value: Any) -> dict[str, Sequence[Any]]:
        if not isinstance(value, dict) or not value.keys() <= {"columns", "data", "index"}:
            raise bad_request(f"`{form}` is an object with `columns`, `data` and perhaps `index`")
        names, data = value.get("columns"), value.get("data")
        if not isinstance(names, list) or not isinstance(data, list):
            raise bad_request(f"`columns` and `data` of `{form}` are arrays")
        self.check_count(len(data))
        for at, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(names):
                raise bad_request(f"row {at} of `{form}` is not an array of {len(names):,} values")
        return self.named(names, list(zip(*data, strict=True)))

    def named(self, names: list[Any], columns: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        table: dict[str, Sequence[Any]] = {}
        for name, column in zip(names, columns, strict=True):
            if isinstance(name, str):
                if name in table and name in self.names:
                    raise bad_request(f"the column `{name[:60]}` is given twice")
                table[name] = column
        return table

    def from_records(self, form: str, value: Any) -> dict[str, Sequence[Any]]:
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise bad_request(f"`{form}` is an array of objects")
        self.check_count(len(value))
        table: dict[str, Sequence[Any]] = {}
        for field in self.fields:
            if any(field.name in row for row in value):
                # A data frame made of records has a missing value where one of them lacks a key.
                table[field.name] = [row.get(field.name) for row in value]
        return table

    def from_tensors(self, form: str, value: Any) -> dict[str, Sequence[Any]]:
        if isinstance(value, list):
            if value and isinstance(value[0], dict):
                return self.from_records(form, value)
            if len(self.fields) != 1:
                raise bad_request(f"the values of `{form}` have no names, and the model has several inputs")
            self.check_count(len(value))
            return {self.names[0]: value}
        if not isinstance(value, dict):
            raise bad_request(f"`{form}` is an object or an array")
        lengths = {len(column) for column in value.values() if isinstance(column, list)}
        if len(lengths) > 1:
            raise bad_request(f"the columns of `{form}` are not equally long")
        rows = lengths.pop() if lengths else 1
        self.check_count(rows)
        return {
            name: column if isinstance(column, list) else [column] * rows for name, column in value.items()
        }

    def mlflow_csv(self, body: bytes) -> Request:
        try:
            text = str(body, "utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_request(f"the CSV is not UTF-8: {error.reason} at byte {error.start:,}") from None
        try:
            lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
        except csv.Error as error:
            raise bad_request(f"the body is not CSV: {error}") from None
        if not lines:
            raise bad_request("the CSV has no header")
        header, data = lines[0], lines[1:]
        self.check_count(len(data))
        # pandas takes the first column for an index when the header has no name for it.
        if all(len(line) == len(header) + 1 for line in data):
            data = [line[1:] for line in data]
        for at, line in enumerate(data):
            if len(line) > len(header):
                raise bad_request(f"row {at} of the CSV has {len(line):,} values for {len(header):,} columns")
        cells = [[None if cell in MISSING_IN_CSV else cell for cell in line] for line in data]
        # A line that ends early has missing values at its end.
        full = [[*line, *[None] * (len(header) - len(line))] for line in cells]
        return self.table(self.named(header, list(zip(*full, strict=True))), predictions)

    # -- kind 3: the Open Inference Protocol, with its extension for binary tensors

    def v2(self, body: bytes, extra: int) -> Request:
        if extra > len(body):
            raise bad_request(f"a header of {extra:,} bytes is announced, the body has {len(body):,}")
        head, raw = (body[:extra], body[extra:]) if extra else (body, b"")
        value = decode_fast(head)
        inputs = value.get("inputs") if isinstance(value, dict) else None
        if not isinstance(inputs, list) or not all(isinstance(entry, dict) for entry in inputs):
            raise bad_request("an object with an array `inputs` of tensors is wanted")
        request_id = value.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise bad_request("`id` is a text")
        if request_id is not None and not request_id.isascii():
            # It is sent back as it is, which half of a surrogate pair cannot be.
            request_id = request_id.encode(errors="replace").decode()
        asked = self.outputs_asked(value)
        columns, wrong = self.tensors(inputs, raw)
        for name in sorted(columns.keys() - set(self.names)):
            wrong.append(("unexpected_field", name, 0, "the model has no such input"))
        for field in self.fields:
            if field.name not in columns:
                wrong.append(("missing_field", field.name, 0, "the tensor is missing"))
        if wrong:
            raise wrong_fields(wrong)
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise bad_request("the tensors are not equally long")
        self.check_count(lengths.pop())

        def form(labels: list[Any], probabilities: list[list[float]] | None) -> bytes:
            return self.v2_answer(request_id, asked, labels, probabilities)

        return self.table(columns, form)

    def tensors(
        self, inputs: list[dict[str, Any]], raw: bytes
    ) -> tuple[dict[str, Sequence[Any]], list[tuple[str, str, int, str]]]:
        """The values of each tensor, none for those that are wrong, and what is wrong with them."""
        columns: dict[str, Sequence[Any]] = {}
        wrong: list[tuple[str, str, int, str]] = []
        at = 0
        for entry in inputs:
            name = entry.get("name")
            if not isinstance(name, str):
                raise bad_request("a tensor in `inputs` has no `name`")
            if name in columns:
                raise bad_request(f"the tensor `{name[:60]}` is given twice")
            size = binary_size(entry, len(raw) - at)
            try:
                columns[name] = tensor(entry, None if size is None else raw[at : at + size])
                if name in self.numbers and entry["datatype"] == "BYTES":
                    raise WrongValueError("wrong_type", "a number is wanted, BYTES is a text")
            except WrongValueError as error:
                wrong.append((error.code, name, 0, error.message))
                columns[name] = ()
            at += size or 0
        if at != len(raw):
            raise bad_request(f"{len(raw) - at:,} bytes after the last tensor")
        return columns, wrong

    def outputs_asked(self, value: dict[str, Any]) -> set[str] | None:
        asked = value.get("outputs")
        if not asked:
            return None
        names = {"prediction"} if self.classes is None else {"prediction", "probabilities"}
        if not isinstance(asked, list) or not all(isinstance(entry, dict) for entry in asked):
            raise bad_request("`outputs` is an array of objects")
        given = [entry.get("name") for entry in asked]
        if not all(isinstance(name, str) and name in names for name in given):
            raise bad_request(f"the outputs are: {', '.join(sorted(names))}")
        return set(given)

    def v2_answer(
        self,
        request_id: str | None,
        asked: set[str] | None,
        labels: list[Any],
        probabilities: list[list[float]] | None,
    ) -> bytes:
        """JSON, which clients read whether or not they asked for binary tensors."""
        datatype = "FP64"
        if self.classes is not None:
            kinds = {type(label) for label in self.classes}
            datatype = "BOOL" if kinds == {bool} else "INT64" if kinds == {int} else "BYTES"
            if datatype == "BYTES":
                labels = [str(label) for label in labels]
        outputs = [{"name": "prediction", "datatype": datatype, "shape": [len(labels)], "data": labels}]
        if probabilities is not None:
            shape = [len(probabilities), len(probabilities[0])]
            data = [value for row in probabilities for value in row]
            outputs.append({"name": "probabilities", "datatype": "FP64", "shape": shape, "data": data})
        answer: dict[str, Any] = {"model_name": self.model}
        if request_id is not None:
            answer["id"] = request_id
        answer["outputs"] = [output for output in outputs if asked is None or output["name"] in asked]
        return encode(answer)


def predictions(labels: list[Any], _: list[list[float]] | None) -> bytes:
    """To the byte what MLflow's scoring server writes."""
    return json.dumps({"predictions": labels}).encode()


def binary_size(entry: dict[str, Any], left: int) -> int | None:
    """Bytes of a tensor that stands after the JSON; None if its values are in the JSON."""
    parameters = entry.get("parameters")
    if not isinstance(parameters, dict):
        return None
    if "shared_memory_region" in parameters:
        raise bad_request("tensors in shared memory are not taken")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0 or size > left:
        raise bad_request(f"`binary_data_size` of `{str(entry.get('name'))[:60]}` does not fit the body")
    return size


def tensor(entry: dict[str, Any], raw: bytes | None) -> list[Any]:
    """The n values of a tensor of shape [n] or [n, 1]; raises WrongValueError or RefusalError."""
    shape, datatype = entry.get("shape"), entry.get("datatype")
    rows = shape[0] if isinstance(shape, list) and shape and shape[1:] in ([], [1]) else None
    if type(rows) is not int:
        raise WrongValueError("wrong_type", "a tensor of shape [n] or [n, 1] is wanted")
    if not isinstance(datatype, str) or (datatype != "BYTES" and datatype not in TENSORS):
        raise WrongValueError("wrong_type", f"a datatype of BYTES, {', '.join(TENSORS)} is wanted")
    values = tensor_from_json(entry.get("data"), datatype) if raw is None else tensor_from_raw(raw, datatype)
    if len(values) != rows:
        raise WrongValueError("wrong_type", f"{len(values):,} values in a tensor of {rows:,}")
    return values


def tensor_from_json(data: Any, datatype: str) -> list[Any]:
    if not isinstance(data, list):
        raise WrongValueError("wrong_type", "the tensor has no array `data`")
    values, kinds = data, set(map(type, data))
    if list in kinds:
        values = [item[0] if type(item) is list and len(item) == 1 else item for item in data]
        kinds = set(map(type, values))
    allowed = IN_JSON.get(datatype, IN_JSON["FP64"])
    if not kinds <= allowed:
        value = next(value for value in values if type(value) not in allowed)
        raise WrongValueError("wrong_type", f"a tensor of {datatype} is announced, {shown(value)}")
    return values


def tensor_from_raw(raw: bytes, datatype: str) -> list[Any]:
    if datatype == "BYTES":
        return list(texts(raw))
    code = TENSORS[datatype]
    count, left = divmod(len(raw), struct.calcsize(f"<{code}"))
    if left:
        raise WrongValueError("wrong_type", f"{len(raw):,} bytes are not whole values of {datatype}")
    return list(struct.unpack(f"<{count}{code}", raw))


def texts(raw: bytes) -> Iterator[str]:
    """Texts each led by their length in four bytes."""
    at = 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if at + 4 > len(raw) or end > len(raw):
            raise WrongValueError("wrong_type", "a text runs beyond the tensor's end")
        try:
            yield str(raw[at + 4 : end], "utf-8")
        except UnicodeDecodeError:
            raise WrongValueError("wrong_type", "the text is not UTF-8") from None
        at = end


class Answers:
    """What the engine said on some rows, and what the log keeps of it; lists with one entry a row."""

    __slots__ = ("confidences", "labels", "outputs", "probabilities", "scores", "unseen")

    labels: list[Any]
    probabilities: list[list[float]] | None
    outputs: list[bytes]
    scores: list[float]
    confidences: list[float]
    unseen: list[bytes]


class Server:
    """Answers frames: the rows of all its requests in one call of the engine."""

    def __init__(self, package: dict[str, Any], engine: Engine, max_rows: int) -> None:
        self.reader = Reader(package, max_rows)
        self.engine = engine
        self.classes = self.reader.classes
        positive = package["outputs"].get("positive")
        self.positive: int | None = None
        if self.classes is not None:
            if len(self.classes) == 2:
                self.positive = self.classes.index(positive) if positive in self.classes else 1
            self.labels = {label: label for label in self.classes}
            self.heads = {label: b'"prediction":%b' % encode(label) for label in self.classes}
            names = [label if isinstance(label, str) else json.dumps(label) for label in self.classes]
            pairs = b",".join(encode(name).replace(b"%", b"%%") + b":%b" for name in names)
            self.tail = b'%b,"confidence":%b,"probabilities":{' + pairs + b"}"

    def answer(self, batch: int, count: int, frame: bytes) -> bytes:
        """The answering frame. `frame` is what follows the header; raises BrokenFrameError."""
        read: list[tuple[int, Request | RefusalError]] = []
        items = list(split_frame(count, frame))
        for kind, extra, body in items:
            read.append((kind, self.read(kind, extra, body)))
        rows: list[Row] = []
        for _, request in read:
            if isinstance(request, Request):
                rows += request.rows
        pieces = [b""]
        answers = self.predict_merged(rows)
        if answers is None:
            for item in items:
                self.answer_alone(item, pieces)
        else:
            at = 0
            for kind, request in read:
                if isinstance(request, RefusalError):
                    refuse(request, kind, pieces)
                else:
                    put(request, answers, at, pieces)
                    at += len(request.rows)
        pieces[0] = FRAME.pack(sum(map(len, pieces)), batch, count)
        return b"".join(pieces)

    def read(self, kind: int, extra: int, body: bytes, *, thorough: bool = False) -> Request | RefusalError:
        try:
            return self.reader.read(kind, extra, body, thorough=thorough)
        except RefusalError as refusal:
            return refusal
        except Exception:
            traceback.print_exc()
            return RefusalError(500, "model_error", "the request could not be read")

    def predict_merged(self, rows: list[Row]) -> Answers | None:
        """None if the engine failed: each request is then tried by itself, so that one harms nobody else."""
        try:
            return self.predict(rows)
        except Exception:
            traceback.print_exc()
            return None

    def answer_alone(self, item: tuple[int, int, bytes], pieces: list[bytes]) -> None:
        kind, extra, body = item
        request = self.read(kind, extra, body, thorough=True)
        if isinstance(request, Request):
            try:
                put(request, self.predict(request.rows), 0, pieces)
                return
            except Exception:
                traceback.print_exc()
                request = RefusalError(500, "model_error", "the model failed on this request")
        refuse(request, kind, pieces)

    def predict(self, rows: list[Row]) -> Answers:
        answers = Answers()
        if not rows:
            answers.labels, answers.probabilities, answers.outputs = [], None, []
            answers.scores, answers.confidences, answers.unseen = [], [], []
            return answers
        columns: dict[str, list[Any]] = {}
        strange: list[tuple[Field, list[Any]]] = []
        # Rows read by msgspec have the reserved fields after the inputs, where zip leaves them aside.
        for field, column in zip(self.reader.fields, zip(*rows, strict=False), strict=False):
            columns[field.name] = values = floats(column) if field.kind == "number" else list(column)
            if field.known is not None and not field.known.issuperset(values):
                strange.append((field, values))
        answers.unseen = unseen(strange, len(rows)) if strange else [b""] * len(rows)
        labels, probabilities = self.engine.predict(columns)
        labels = as_list(labels)
        answers.probabilities = probabilities = None if probabilities is None else as_list(probabilities)
        if len(labels) != len(rows) or (probabilities is not None and len(probabilities) != len(rows)):
            raise ModelError(f"the engine gave {len(labels)} answers to {len(rows)} rows")
        # A runtime may say 1 for true: what is answered is the class itself.
        answers.labels = labels if self.classes is None else [self.labels[label] for label in labels]
        if self.classes is None:
            self.numbers(answers)
        elif probabilities is None:
            answers.scores = answers.confidences = [math.nan] * len(rows)
            answers.outputs = [self.heads[label] for label in answers.labels]
        else:
            self.chances(answers, probabilities)
        return answers

    def numbers(self, answers: Answers) -> None:
        if not all(map(math.isfinite, answers.labels)):
            raise ModelError("the engine gave a number that is not finite")
        answers.scores = answers.labels
        answers.confidences = [math.nan] * len(answers.labels)
        answers.outputs = [b'"prediction":%b' % text for text in encode(answers.labels)[1:-1].split(b",")]

    def chances(self, answers: Answers, probabilities: list[list[float]]) -> None:
        if not math.isfinite(sum(map(sum, probabilities))):
            raise ModelError("the engine gave a probability that is not finite")
        heads, tail = self.heads, self.tail
        answers.confidences = best = list(map(max, probabilities))
        positive = self.positive
        answers.scores = best if positive is None else [row[positive] for row in probabilities]
        # All probabilities are written in one go, which costs a fifth of writing each by itself.
        written = encode(probabilities)[2:-2].split(b"],[")
        answers.outputs = outputs = []
        for label, row, text, highest in zip(answers.labels, probabilities, written, best, strict=True):
            texts_ = text.split(b",")
            outputs.append(tail % (heads[label], texts_[row.index(highest)], *texts_))


def floats(column: Iterable[Any]) -> list[float | None]:
    try:
        return list(map(float, column))
    except TypeError:
        return [None if value is None else float(value) for value in column]


def as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else list(values.tolist())


def unseen(strange: list[tuple[Field, list[Any]]], count: int) -> list[bytes]:
    """Per row the names of the inputs whose category was not met in training."""
    names: list[list[str]] = [[] for _ in range(count)]
    for field, values in strange:
        known = field.known or frozenset()
        for found, value in zip(names, values, strict=True):
            if value not in known:
                found.append(field.name)
    return ["\x1f".join(found).encode()[:65535] for found in names]


def split_frame(count: int, frame: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    for _ in range(count):
        if at + ITEM.size > len(frame):
            raise BrokenFrameError("a frame ends before its last item")
        kind, extra, size = ITEM.unpack_from(frame, at)
        at += ITEM.size
        if at + size > len(frame):
            raise BrokenFrameError("an item is longer than its frame")
        yield kind, extra, frame[at : at + size]
        at += size
    if at != len(frame):
        raise BrokenFrameError("a frame is longer than its items")


def refuse(refusal: RefusalError, kind: int, pieces: list[bytes]) -> None:
    body = refusal.body(kind)
    pieces += (ANSWER.pack(refusal.status, 0, len(body)), body)


def put(request: Request, answers: Answers, at: int, pieces: list[bytes]) -> None:
    """A request's part of the answering frame; its rows are those of `answers` from `at` on."""
    count = len(request.rows)
    if count == 1 and request.form is None:
        # Nearly every request of a busy service.
        output, names, feature = answers.outputs[at], answers.unseen[at], request.features[0]
        sizes = (len(names), len(output), len(feature))
        head = ONE_ROW.pack(200, 1, 0, answers.scores[at], answers.confidences[at], *sizes)
        pieces += (head, names, output, feature)
        return
    end = at + count
    body = b""
    if request.form is not None:
        every = answers.probabilities
        body = request.form(answers.labels[at:end], None if every is None else every[at:end])
    pieces += (ANSWER.pack(200, count, len(body)), body)
    for row in range(at, end):
        output, names, feature = answers.outputs[row], answers.unseen[row], request.features[row - at]
        sizes = (len(names), len(output), len(feature))
        pieces += (ROW.pack(answers.scores[row], answers.confidences[row], *sizes), names, output, feature)


# -- the package


def read_package(folder: Path, expected_digest: str | None) -> dict[str, Any]:
    """package.json, once every other file has been found to be what it says; raises NotReadyError.

    With `expected_digest` (SHA-256 in hexadecimal) package.json has to be that very file.
    """
    try:
        written = (folder / "package.json").read_bytes()
        if expected_digest is not None and hashlib.sha256(written).hexdigest() != expected_digest:
            raise NotReadyError("`package.json` is not the one that was deployed: its SHA-256 differs")
        package = json.loads(written)
        files = dict(package["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotReadyError(f"`package.json` cannot be read: {error!r}") from None
    found = set(walk(folder)) - {"package.json"}
    for name in sorted(files.keys() - found):
        raise NotReadyError(f"`{name}` is missing from the package")
    for name in sorted(found - files.keys()):
        raise NotReadyError(f"`{name}` is not part of the package")
    for name, expected in files.items():
        if digest(folder / name) != expected:
            raise NotReadyError(f"`{name}` is not the file that was packaged: its SHA-256 differs")
    if not isinstance(package, dict) or package.get("format") != 1:
        raise NotReadyError(f"`package.json` has format {package.get('format')!r}, 1 is wanted")
    return package


def walk(folder: Path) -> Iterator[str]:
    """All files, by their path in the folder; a link could lead out of it and is refused."""
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise NotReadyError(f"`{relative}` is neither a file nor a folder")
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path, package: dict[str, Any], name: str) -> Engine:
    sys.path.insert(0, str(folder / "code"))
    # Bytecode written there would be a file that the package does not have.
    sys.dont_write_bytecode = True
    module = importlib.import_module(f"{package['module']}.deployment.engines")
    engine: Engine = module.load(folder, name)
    return engine


def warm_up(server: Server, package: dict[str, Any]) -> None:
    """The example through the whole path, as requests come; raises NotReadyError if it gets no answer."""
    body = json.dumps(package["example"]).encode()
    item = ITEM.pack(PREDICT, 0, len(body)) + body
    for rows in WARM_UP_ROWS:
        answer = server.answer(0, rows, item * rows)
        status, _, size = ANSWER.unpack_from(answer, FRAME.size)
        if status != 200:
            start = FRAME.size + ANSWER.size
            said = json.loads(answer[start : start + size])["error"]["message"]
            raise NotReadyError(f"the example row gets no answer: {said}")


def compare(server: Server, recorded: dict[str, Any]) -> int:
    """How many recorded rows the engine answers as the original did; DifferentError if one is different."""
    rows = recorded["rows"]
    if not rows:
        return 0
    tolerance = float(recorded["tolerance"])
    answers = server.predict([tuple(row[name] for name in server.reader.names) for row in rows])
    numbers = server.classes is None

    def same(given: Any, wanted: Any) -> bool:
        return math.isclose(given, wanted, rel_tol=tolerance, abs_tol=tolerance)

    for at, (given, wanted) in enumerate(zip(answers.labels, recorded["labels"], strict=True)):
        if not (same(given, wanted) if numbers else given == wanted):
            raise DifferentError(f"recorded row {at} was predicted {wanted!r}, this engine says {given!r}")
    if recorded.get("probabilities") is not None and answers.probabilities is not None:
        pairs = zip(answers.probabilities, recorded["probabilities"], strict=True)
        for at, (chances, before) in enumerate(pairs):
            if not all(map(same, chances, before)):
                raise DifferentError(
                    f"recorded row {at} had probabilities {before}, this engine says {chances}"
                )
    return len(rows)


# -- the process


class Listener:
    """A Unix socket that one gateway at a time is served on."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path = path
        self.server = server
        self.stopping = False
        self.busy = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if path.is_socket():
            path.unlink()  # of a worker that was killed
        before = os.umask(0o177)
        try:
            self.socket.bind(str(path))
        finally:
            os.umask(before)
        self.inode = path.stat().st_ino
        self.socket.listen(8)

    def remove(self) -> None:
        """Only our own socket: the next worker may have put one in its place already."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self.inode:
                self.path.unlink()

    def stop(self, *_: object) -> None:
        """At SIGTERM: at once when idle, else after the batch in hand."""
        self.stopping = True
        if not self.busy:
            raise SystemExit(0)

    def wait(self, waited: socket.socket) -> None:
        """Until there is something to read; nothing is taken from the socket, so a signal loses nothing."""
        self.busy = False
        if self.stopping:
            raise SystemExit(0)
        poll = select.poll()
        poll.register(waited, select.POLLIN)
        poll.poll()
        self.busy = True

    def serve(self) -> None:
        while True:
            self.wait(self.socket)
            connection, _ = self.socket.accept()
            with connection:
                try:
                    self.serve_connection(connection)
                except (OSError, BrokenFrameError) as error:
                    print(f"connection closed: {error}", file=sys.stderr, flush=True)

    def serve_connection(self, connection: socket.socket) -> None:
        buffer = b""
        while True:
            while len(buffer) < FRAME.size:
                self.wait(connection)
                more = connection.recv(1 << 16)
                if not more:
                    return
                buffer += more
            size, batch, count = FRAME.unpack_from(buffer)
            if size > LARGEST_FRAME:
                raise BrokenFrameError(f"a frame of {size:,} bytes")
            end = FRAME.size + size
            if len(buffer) < end:
                pieces, got = [buffer], len(buffer)
                while got < end:
                    more = connection.recv(min(end - got, 1 << 20))
                    if not more:
                        return
                    pieces.append(more)
                    got += len(more)
                buffer = b"".join(pieces)
            connection.sendall(self.server.answer(batch, count, buffer[FRAME.size : end]))
            buffer = buffer[end:]


def leave_with_parent(cleanup: list[Callable[[], None]]) -> None:
    """Exit as soon as standard input ends: whoever started us is gone, and nobody else would stop us."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        for step in cleanup:
            step()
        os._exit(0)

    # No thread runs while native code keeps Python's lock, nor in a stopped process: Linux ends us then.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=watch, daemon=True).start()


def limit(memory_mb: int | None, background: bool) -> None:
    for name in ONE_THREAD:
        os.environ[name] = "1"
    if memory_mb is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    if background:
        os.nice(19)
        # Where memory runs out, this process goes, and not the one that answers.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        if hasattr(os, "SCHED_IDLE"):
            # A container may forbid it; the nice value is then what keeps us behind.
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def rss_mb() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20  # macOS, in bytes
    return pages * resource.getpagesize() >> 20


def prepare(options: argparse.Namespace) -> tuple[Server, dict[str, Any]]:
    folder = options.package.resolve()
    package = read_package(folder, options.digest)
    name = options.engine or package["engine"]
    limit(options.memory_mb, options.background)
    server = Server(package, load(folder, package, name), options.max_rows)
    warm_up(server, package)
    try:
        return server, {"engine": name, "compared": compare(server, package["recorded"])}
    except DifferentError as error:
        if not options.even_if_different:
            raise
        return server, {"engine": name, "compared": 0, "differs": str(error)}


def main() -> int:
    started = time.monotonic()
    parser = argparse.ArgumentParser(prog="worker.py", description="Serve one version of a model.")
    parser.add_argument("package", type=Path)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--digest")
    parser.add_argument("--engine")
    parser.add_argument("--max-rows", type=int, default=1000)
    parser.add_argument("--memory-mb", type=int)
    parser.add_argument("--background", action="store_true")
    parser.add_argument("--even-if-different", action="store_true")
    options = parser.parse_args()
    options.max_rows = min(options.max_rows, 65535)  # what a frame's count of rows can hold

    # The one line on standard output is ours; what a model prints goes with the log.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: dict[str, Any]) -> None:
        print(json.dumps(line), file=out, flush=True)

    # Ctrl-C reaches all of a terminal's processes, but it is the supervisor that stops us, once nobody waits.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cleanup: list[Callable[[], None]] = []
    leave_with_parent(cleanup)
    try:
        server, facts = prepare(options)
        listener = Listener(options.socket, server)
    except NotReadyError as error:
        say({"ready": False, "error": str(error)})
        return NOT_READY
    except (Exception, SystemExit) as error:  # a module may leave with sys.exit at its import
        traceback.print_exc()
        say({"ready": False, "error": f"{type(error).__name__}: {error}"})
        return NOT_READY
    cleanup.append(listener.remove)
    # What is loaded by now lives as long as we do, so the collector need not look at it again.
    gc.collect()
    gc.freeze()
    try:
        signal.signal(signal.SIGTERM, listener.stop)
        seconds = round(time.monotonic() - started, 3)
        say({"ready": True, **facts, "seconds": seconds, "pid": os.getpid(), "rss_mb": rss_mb()})
        listener.serve()
    finally:
        listener.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
