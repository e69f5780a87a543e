"""Delimited text read slowly and exactly, field by field, as `pandas.read_csv` reads it.

DuckDB reads what keeps to RFC 4180 at full speed; what does not comes here, to be either written again so
that it does, or refused with the line to look at.
"""

from __future__ import annotations

import contextlib
import csv
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproj.base.errors import ConfigError
from mlproj.catalog.source import QUOTE, Reading, delimiter_name
from mlproj.catalog.wording import count


@dataclass(frozen=True)
class Record:
    line: int
    """Number of the line in the file on which the record begins, from 1."""
    fields: list[str]


def records(path: Path, *, delimiter: str, encoding: str) -> Iterator[Record]:
    """Every record, the header included; blank lines left out, as pandas leaves them out.

    Raises ConfigError if the last record is a quote that was never closed.
    """
    # A quote that is never closed makes one field of the rest of the file.
    csv.field_size_limit((1 << 31) - 1)
    with path.open(encoding=encoding, newline="") as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=delimiter, quotechar=QUOTE)
        begin = 1
        for fields in reader:
            if lines.ended and _is_open(lines.kept, delimiter):
                raise ConfigError(
                    f"`{path}` opens a quote in line {begin:,} that is never closed",
                    hint=f"look at line {begin:,}: close the quote, or double it if it is part of a value",
                )
            if fields and not (len(fields) == 1 and fields[0] and not fields[0].strip(" \t")):
                yield Record(begin, fields)
            begin = reader.line_num + 1
            lines.kept.clear()


def header(reading: Reading) -> list[str]:
    """The fields of the first record; names may hold anything, line breaks included."""
    first = next(records(reading.path, delimiter=reading.delimiter, encoding=reading.encoding), Record(1, []))
    return first.fields


def is_plain(reading: Reading) -> bool:
    """Whether DuckDB and pandas are sure to read the same: UTF-8, and no space around a quote."""
    if reading.encoding not in ("utf-8", "utf-8-sig"):
        return False
    with reading.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        start = len(b"\xef\xbb\xbf") if reading.encoding == "utf-8-sig" else 0
        if view[start : start + 1] in (b"\r", b"\n", b" ", b"\t"):
            return False
        if not reading.bytes.has_quote:
            return True
        # DuckDB drops spaces outside of quotes; pandas keeps them, and then the quote is no quote.
        return not _has_loose_quote(view, start, reading.delimiter.encode())


def _has_loose_quote(view: mmap.mmap, start: int, delimiter: bytes) -> bool:
    """Whether somewhere only spaces stand between a quote and the edge of a field."""
    edges = (delimiter, b"\r", b"\n", b"")
    for space in {b" ", b"\t"} - {delimiter}:
        place = view.find(space + b'"', start)
        while place >= 0:
            before = place
            while (
                before > start
                and view[before : before + 1] in (b" ", b"\t")
                and view[before : before + 1] != delimiter
            ):
                before -= 1
            if view[before : before + 1] in edges or before == start:
                return True
            place = view.find(space + b'"', place + 1)
        place = view.find(b'"' + space, start)
        while place >= 0:
            after = place + 1
            while view[after : after + 1] in (b" ", b"\t") and view[after : after + 1] != delimiter:
                after += 1
            if view[after : after + 1] in (*edges, b'"'):
                return True
            place = view.find(b'"' + space, place + 1)
    return False


def write_plainly(reading: Reading, names: list[str], destination: Path) -> int:
    """Write the records again as comma-separated UTF-8 with every field quoted; return how many rows.

    Raises ConfigError, with the line in the file, for a row with more or fewer fields than the header.
    """
    rows = 0
    with destination.open("w", encoding="utf-8", newline="") as stream, _surrogates_refused(reading):
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for record in records(reading.path, delimiter=reading.delimiter, encoding=reading.encoding):
            if len(record.fields) != len(names):
                raise _ragged(reading, record, len(names))
            writer.writerow(record.fields)
            rows += 1
    return rows - 1


def _ragged(reading: Reading, record: Record, expected: int) -> ConfigError:
    return ConfigError(
        f"`{reading.path}` is ragged: line {record.line:,} has {count(len(record.fields), 'field')},"
        f" and the header has {expected:,}",
        hint=f"look at line {record.line:,}: a value that holds a {delimiter_name(reading.delimiter)} is put"
        " in double quotes; or say the delimiter, if that is not the one of this file",
    )


def _is_open(lines: list[str], delimiter: str) -> bool:
    """Whether a record ends inside a quote: then one more line would be part of it."""
    read = csv.reader([*lines, "one more line\n"], delimiter=delimiter, quotechar=QUOTE)
    return sum(1 for _ in read) == 1


@contextlib.contextmanager
def _surrogates_refused(reading: Reading) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise ConfigError(
            f"`{reading.path}` is not `{reading.encoding}` throughout: {error}",
            hint="say the encoding the file was written in, or write it again as UTF-8",
        ) from error


class _Lines:
    """The lines of a file, those of the record being read kept, and whether the file has ended."""

    def __init__(self, stream: Iterator[str]) -> None:
        self._stream = stream
        self.kept: list[str] = []
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._stream)
        except StopIteration:
            self.ended = True
            raise
        self.kept.append(line)
        return line
