"""Which kind of file this is, and how its text is written: format, encoding, delimiter."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproj.base.errors import ConfigError, nearest

DELIMITERS = (",", ";", "\t", "|")
QUOTE = '"'
# Encodings in which plain text has zero bytes.
_WIDE = ("utf-16", "utf16", "utf-32", "utf32")
_CHUNK = 1 << 20
_PEEK = 1 << 20
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive", "unpack it, and give the table inside"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it with `gunzip`"),
    (b"BZh", "compressed with bzip2", "unpack it with `bunzip2`"),
    (b"\xfd7zXZ\x00", "compressed with xz", "unpack it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with `unzstd`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, and give the table inside"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", "give a table"),
    (b"\xff\xd8\xff", "a JPEG picture", "give a table"),
    (b"GIF8", "a GIF picture", "give a table"),
    (b"%PDF-", "a PDF document", "export its table as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", "save the sheet as CSV"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "export the table as Parquet"),
    (b"\x93NUMPY", "a NumPy array", "save it as CSV or Parquet, with names for its columns"),
    (b"ARROW1", "an Arrow (Feather) file", "save it as Parquet"),
    (b"Obj\x01", "an Avro file", "save it as Parquet"),
    (b"ORC", "an ORC file", "save it as Parquet"),
    (b"\x7fELF", "a program", "give a table"),
)


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """What one pass over the file's bytes says."""

    size: int
    md5: str
    sha256: str
    has_nul: bool
    has_quote: bool
    bad_utf8: tuple[int, int] | None
    """Line and byte value of the first byte that is not UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read a file, and which of it was guessed."""

    path: Path
    format: str
    delimiter: str
    encoding: str
    guessed: tuple[str, ...]
    bytes: Bytes
    notes: tuple[str, ...] = ()


def examine(path: Path, *, delimiter: str | None, encoding: str | None) -> Reading:
    """Decide how to read `path`; raises ConfigError for what is no table."""
    _must_be_a_file(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_PEEK)
            facts = _pass_over(head, stream)
    except PermissionError:
        raise ConfigError(
            f"`{path}` may not be read by this user", hint=f"allow it with `chmod u+r {path}`"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"`{path}` could not be read: {error.strerror or error}", hint="check the disk, or copy the file"
        ) from error
    if facts.size == 0:
        raise ConfigError(f"`{path}` is empty", hint="give a table with a header line and rows")
    if head.startswith(b"PAR1"):
        return Reading(path=path, format="parquet", delimiter="", encoding="", guessed=(), bytes=facts)
    _must_not_be_binary(path, head, encoding)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise ConfigError(
            f"`{path}` is named like Parquet, but its first bytes are not Parquet's",
            hint="give it the suffix of what it is (`.csv`, `.tsv`, `.jsonl`), or write it again",
        )
    known, guessed_encoding, notes = _encoding(path, head, facts, encoding)
    text = head.decode(known, errors="replace").removeprefix("\ufeff")
    if not text.strip():
        raise ConfigError(
            f"`{path}` holds nothing but white space", hint="give a table with a header line and rows"
        )
    guessed = ("encoding",) if guessed_encoding else ()
    if _is_json_lines(path, text):
        return Reading(
            path=path,
            format="jsonl",
            delimiter="",
            encoding=known,
            guessed=guessed,
            bytes=facts,
            notes=notes,
        )
    if delimiter is not None:
        found = _given_delimiter(delimiter)
    else:
        found = guess_delimiter(text, prefer="\t" if _SUFFIXES.get(path.suffix.lower()) == "tsv" else ",")
        guessed = ("delimiter", *guessed)
    return Reading(
        path=path,
        format="tsv" if found == "\t" else "csv",
        delimiter=found,
        encoding=known,
        guessed=guessed,
        bytes=facts,
        notes=notes,
    )


def guess_delimiter(text: str, *, prefer: str = ",") -> str:
    """The delimiter that cuts most of the lines into the same number of fields; `prefer` if none does."""
    best, best_score = prefer, 0.0
    for delimiter in sorted(DELIMITERS, key=lambda known: known != prefer):
        counts = Counter(_field_counts(text, delimiter))
        if not counts:
            continue
        fields, rows = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        if fields < 2:
            continue
        agreement = rows / counts.total()
        # Commas inside sentences also cut lines, but not into equal numbers of fields: agreement comes first.
        score = round(agreement, 1) * 1000 + min(fields, 900)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def delimiter_name(delimiter: str) -> str:
    return _NAMES.get(delimiter, f"`{delimiter}`")


def _field_counts(text: str, delimiter: str) -> Iterator[int]:
    whole = text if len(text) < _PEEK // 2 else text[: text.rfind("\n") + 1]
    csv.field_size_limit(1 << 30)
    for number, row in enumerate(csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter)):
        if number >= 500:
            return
        if row:
            yield len(row)


def _must_be_a_file(path: Path) -> None:
    try:
        if path.is_dir():
            tables = sorted(child.name for child in path.iterdir() if child.suffix.lower() in _SUFFIXES)
            raise ConfigError(
                f"`{path}` is a folder, not a table",
                hint=f"give one of its files, such as `{path / tables[0]}`" if tables else "give a file",
            )
        if path.exists():
            return
        folder = path.parent
        if not folder.is_dir():
            raise ConfigError(
                f"`{path}` does not exist, nor does the folder `{folder}`", hint="check the path"
            )
        offer = nearest(path.name, sorted(child.name for child in folder.iterdir() if child.is_file()))
    except PermissionError:
        raise ConfigError(
            f"`{path}` is in a folder that this user may not read",
            hint="allow it, or copy the file elsewhere",
        ) from None
    raise ConfigError(
        f"`{path}` does not exist",
        hint=f"did you mean `{folder / offer}`?" if offer else "check the path",
    )


def _pass_over(head: bytes, stream: io.BufferedReader) -> Bytes:
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, lines, has_nul, has_quote = 0, 0, False, False
    bad: tuple[int, int] | None = None
    chunk = head
    while chunk:
        md5.update(chunk)
        sha256.update(chunk)
        has_nul = has_nul or b"\x00" in chunk
        has_quote = has_quote or b'"' in chunk
        if bad is None:
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                # The decoder counts from the bytes it had kept back from the chunk before.
                start = max(error.start - pending, 0)
                bad = (lines + chunk.count(b"\n", 0, start) + 1, error.object[error.start])
            lines += chunk.count(b"\n")
        size += len(chunk)
        chunk = stream.read(_CHUNK)
    if bad is None and decoder.getstate()[0]:
        bad = (lines + 1, decoder.getstate()[0][0])
    return Bytes(
        size=size,
        md5=md5.hexdigest(),
        sha256=sha256.hexdigest(),
        has_nul=has_nul,
        has_quote=has_quote,
        bad_utf8=bad,
    )


def _must_not_be_binary(path: Path, head: bytes, given: str | None) -> None:
    if head.startswith(b"PK\x03\x04") and (b"xl/" in head[:4096] or b"[Content_Types].xml" in head[:4096]):
        raise ConfigError(
            f"`{path}` is an Excel workbook, not text",
            hint="save the sheet as CSV (UTF-8), and give that file",
        )
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic) and not (len(magic) <= 4 and _reads_as_text(head)):
            raise ConfigError(f"`{path}` is {what}, not a table in text", hint=remedy)
    is_wide = _utf16(head) is not None or (given or "").casefold().replace("_", "-").startswith(_WIDE)
    if b"\x00" in head and not is_wide:
        raise ConfigError(
            f"`{path}` is a binary file: it holds zero bytes, which no text does",
            hint="give a CSV, TSV, Parquet or JSON lines file",
        )


def _reads_as_text(head: bytes) -> bool:
    # `ORC` and `Obj` may also begin a header line.
    try:
        return head[:4096].decode("utf-8", errors="strict").isprintable() or b"," in head.split(b"\n", 1)[0]
    except UnicodeDecodeError:
        return False


def _utf16(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    # Western text without a byte order mark has its zero bytes at every other place.
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > len(sample) * 0.4 and even == 0:
        return "utf-16-le"
    if even > len(sample) * 0.4 and odd == 0:
        return "utf-16-be"
    return None


def _encoding(path: Path, head: bytes, facts: Bytes, given: str | None) -> tuple[str, bool, tuple[str, ...]]:
    """The encoding, whether it was guessed, and what to say of it."""
    has_bom = head.startswith(codecs.BOM_UTF8)
    if given is not None:
        try:
            codec = codecs.lookup(given).name
        except LookupError:
            offer = nearest(
                given, ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "cp1250", "shift_jis")
            )
            raise ConfigError(
                f"there is no encoding `{given}`",
                hint=f"did you mean `{offer}`?"
                if offer
                else "leave it out to have it guessed, or try `utf-8`",
            ) from None
        if codec in ("utf-8", "utf-8-sig"):
            if facts.bad_utf8:
                line, byte = facts.bad_utf8
                raise ConfigError(
                    f"`{path}` is not `{given}`: byte 0x{byte:02x} in line {line:,} is not UTF-8",
                    hint="leave the encoding out to have it guessed, or try `cp1252`",
                )
            return "utf-8-sig" if has_bom else "utf-8", False, ()
        # A byte order mark says more than the name of the order, and would be taken for part of the header.
        codec = "utf-16" if codec.startswith("utf-16") and _utf16(head) == "utf-16" else codec
        _must_decode(path, codec, given)
        return codec, False, ()
    wide = _utf16(head)
    if wide:
        _must_decode(path, wide, wide)
        return wide, True, ()
    if facts.has_nul:
        raise ConfigError(
            f"`{path}` holds zero bytes, which no text does",
            hint="the file may be damaged: write it again, or remove them with `tr -d '\\000'`",
        )
    if facts.bad_utf8 is None:
        return "utf-8-sig" if has_bom else "utf-8", True, ()
    line, byte = facts.bad_utf8
    codec = "cp1252" if _decodes(path, "cp1252") is None else "latin-1"
    said = f"the file is not UTF-8 (byte 0x{byte:02x} in line {line:,}): read as {codec}"
    return codec, True, (f"{said}; check its accented letters",)


def _must_decode(path: Path, codec: str, named: str) -> None:
    failed = _decodes(path, codec)
    if failed is not None:
        raise ConfigError(
            f"`{path}` is not `{named}`: it stops being readable as that in line {failed:,}",
            hint="leave the encoding out to have it guessed, or try `utf-8`",
        )


def _decodes(path: Path, codec: str) -> int | None:
    """None if the whole file can be read in this encoding, else the line where it cannot."""
    line = 1
    try:
        with path.open(encoding=codec, newline="") as stream:
            while text := stream.read(_CHUNK):
                line += text.count("\n")
    except UnicodeError:
        return line if line > 1 else _line_of_failure(path, codec)
    return None


def _line_of_failure(path: Path, codec: str) -> int:
    with path.open("rb") as stream:
        head = stream.read(2 * _CHUNK)
    try:
        head.decode(codec)
    except UnicodeDecodeError as error:
        return head.count(b"\n", 0, error.start) + 1
    except UnicodeError:
        return 1
    return 1


def _given_delimiter(delimiter: str) -> str:
    found = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "pipe": "|"}.get(
        delimiter, delimiter
    )
    if len(found) != 1 or found in '"\r\n' or ord(found) > 127:
        raise ConfigError(
            f"{delimiter!r} cannot be a delimiter: one plain character is needed, other than a quote",
            hint="use `,`, `;`, `|`, or `tab`",
        )
    return found


def _is_json_lines(path: Path, text: str) -> bool:
    suffix = _SUFFIXES.get(path.suffix.lower())
    if suffix == "jsonl":
        return True
    first = text.lstrip()[:1]
    if suffix is not None or first not in ("{", "["):
        return False
    line = text.lstrip().split("\n", 1)[0].strip()
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict):
        return True
    if path.suffix.lower() == ".json" or (first == "[" and re.match(r"\[\s*[{\[]", text.lstrip())):
        raise ConfigError(
            f"`{path}` is one JSON value, not one object a line",
            hint=f"write it as JSON lines: `jq -c '.[]' {path.name} > {path.stem}.jsonl`",
        )
    return False
