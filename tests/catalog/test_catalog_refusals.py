"""What is no table, or has no such target, is refused by a sentence that names it and a way out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog.infer import infer

Write = Callable[..., Path]


def refusal(path: Path, target: str = "label", **options: object) -> tuple[str, str]:
    with pytest.raises(ConfigError) as refused:
        infer(path, target, **options)  # type: ignore[arg-type]
    assert refused.value.hint, "each refusal says what to do"
    assert "\n" not in refused.value.message + refused.value.hint
    return refused.value.message, refused.value.hint


def test_a_missing_file_offers_the_nearest_in_its_folder(write: Write) -> None:
    there = write("a,label\n", "telco_churn.csv")
    message, hint = refusal(there.with_name("telco_chrun.csv"))

    assert "telco_chrun.csv` does not exist" in message
    assert f"did you mean `{there}`?" in hint


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    message, _ = refusal(tmp_path / "nowhere" / "table.csv")

    assert f"nor does the folder `{tmp_path / 'nowhere'}`" in message


def test_a_folder_offers_a_table_that_is_in_it(write: Write) -> None:
    there = write("a,label\n1,2\n")
    message, hint = refusal(there.parent)

    assert "is a folder" in message
    assert str(there) in hint


@pytest.mark.parametrize("content", ["", "\n \n\t\n"])
def test_a_file_with_nothing_in_it(write: Write, content: str) -> None:
    message, _ = refusal(write(content))

    assert "is empty" in message or "nothing but white space" in message


@pytest.mark.parametrize("content", ["a,b,label\n", "a,b,label", "a,b,label\n\n\n"])
def test_a_header_without_rows(write: Write, content: str) -> None:
    message, _ = refusal(write(content))

    assert "has 3 columns and no rows" in message


def test_a_single_column_asks_for_the_delimiter(write: Write) -> None:
    message, hint = refusal(write("label\n" + "yes\nno\n" * 20))

    assert "only one column: `label`" in message
    assert "--delimiter" in hint


def test_a_target_that_is_absent_offers_the_nearest_name(write: Write, body: str) -> None:
    _, hint = refusal(write("size,colour,Churn\n" + body), "churned")

    assert hint == "did you mean `Churn`?"


def test_a_target_that_is_like_no_column_lists_them(write: Write, body: str) -> None:
    _, hint = refusal(write("size,colour,Churn\n" + body), "price")

    assert hint == "its columns are `size`, `colour`, `Churn`"


def test_a_file_without_a_header_says_that_its_first_row_looks_like_data(write: Write, body: str) -> None:
    message, hint = refusal(write(body), "label")

    assert "its first row looks like data" in message
    assert "a name for each of the 3 columns" in hint


def test_a_target_that_never_changes(write: Write) -> None:
    message, _ = refusal(write("a,label\n" + "1,x\n2,x\n" * 10))

    assert "`label` is the same in all 20 labelled rows" in message


def test_a_target_without_a_single_label(write: Write) -> None:
    message, _ = refusal(write("a,label\n" + "1,NA\n2,\n" * 10))

    assert "`label` has no value in any of the 20 rows" in message


def test_a_target_of_three_hundred_classes(write: Write) -> None:
    message, _ = refusal(write("a,label\n" + "".join(f"{i},town {i % 300}\n" for i in range(3_000))))

    assert "`label` has 300 different values" in message
    assert "classes are at most 100" in message


def test_column_names_that_repeat_are_listed_with_their_places(write: Write) -> None:
    message, _ = refusal(write("a,b,a,label\n1,2,3,4\n"))

    assert "`a` is columns 1, 3" in message


def test_a_column_without_a_name_is_placed(write: Write) -> None:
    message, hint = refusal(write(",b,label\n1,2,3\n"))

    assert "1 column without a name: column 1" in message
    assert "row_id" in hint


def test_an_encoding_that_does_not_exist_offers_the_nearest(write: Write, body: str) -> None:
    _, hint = refusal(write("a,b,label\n" + body), encoding="utf-9")

    assert hint == "did you mean `utf-8`?"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_wrong_encoding_says_in_which_line_it_fails(write: Write, encoding: str) -> None:
    rows = "1,red,yes\n" * 30 + "1,grün,no\n" + "1,red,no\n" * 3
    message, hint = refusal(write(("a,b,label\n" + rows).encode("latin-1")), encoding=encoding)

    assert "line 32" in message
    assert "guessed" in hint


def test_a_wrong_encoding_far_into_the_file_is_found_there(write: Write) -> None:
    lines = 300_000
    content = b"a,b,label\n" + b"1,red,yes\n" * lines + b"1,gr\xfcn,no\n"
    message, _ = refusal(write(content), encoding="utf-8")

    assert f"line {lines + 2:,}" in message


@pytest.mark.parametrize(
    ("row", "found"), [("1,2\n", "2 fields"), ("1,2,3,4\n", "4 fields"), ("1\n", "1 field")]
)
def test_a_ragged_row_is_named_by_its_line_in_the_file(write: Write, body: str, row: str, found: str) -> None:
    quoted = '1,"over\nthree\nlines",yes\n'
    message, _ = refusal(write("a,b,label\n\n" + quoted + body + row + body))

    assert f"line 106 has {found}, and the header has 3" in message


def test_a_delimiter_after_the_last_field_of_each_row_is_ragged(write: Write) -> None:
    message, _ = refusal(write("a,label\n" + "1,yes,\n2,no,\n" * 10))

    assert "line 2 has 3 fields, and the header has 2" in message


def test_a_quote_that_is_never_closed_is_named_by_the_line_that_opens_it(write: Write, body: str) -> None:
    message, _ = refusal(write("a,b,label\n" + body + '1,"red,yes\n' + body))

    assert "opens a quote in line 102 that is never closed" in message


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "content")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(64), "a JPEG picture"),
        (zipped("table.csv"), "a ZIP archive"),
        (zipped("xl/workbook.xml"), "an Excel workbook"),
        (gzip.compress(b"a,b\n1,2\n"), "compressed with gzip"),
        (bz2.compress(b"a,b\n1,2\n"), "compressed with bzip2"),
        (lzma.compress(b"a,b\n1,2\n"), "compressed with xz"),
        (b"SQLite format 3\x00" + bytes(64), "an SQLite database"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), "an old Excel workbook"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "a NumPy array"),
        (b"a,b,label\n1,\x00,3\n", "a binary file"),
        (bytes(range(256)) * 9, "a binary file"),
    ],
    # Not the bytes: an archive holds the time, by which processes that collect the tests would differ.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_binary_file_named_csv_is_called_what_it_is(write: Write, content: bytes, what: str) -> None:
    message, _ = refusal(write(content))

    assert what in message


def test_zero_bytes_far_into_a_text_are_found(write: Write) -> None:
    message, _ = refusal(write(b"a,label\n" + b"1,yes\n2,no\n" * 200_000 + b"1,\x00\n"))

    assert "zero bytes" in message


def test_a_broken_line_of_json_is_numbered(write: Write) -> None:
    lines = '{"a": 1, "label": "yes"}\n' * 20 + '{"a": 1, "label"\n' + '{"a": 1, "label": "no"}\n'
    message, _ = refusal(write(lines, "table.jsonl"))

    assert "broken in line 21" in message


def test_a_line_of_json_that_is_no_object_is_numbered(write: Write) -> None:
    message, _ = refusal(write('{"a": 1, "label": "yes"}\n[1, 2]\n', "table.jsonl"))

    assert "no JSON object in line 2" in message


def test_a_json_array_is_told_how_to_become_lines(write: Write) -> None:
    message, hint = refusal(write('[{"a": 1, "label": 2},\n {"a": 2, "label": 3}]\n', "table.json"))

    assert "one JSON value" in message
    assert "jq -c '.[]' table.json > table.jsonl" in hint


def test_a_parquet_file_that_was_cut_short(write: Write) -> None:
    message, _ = refusal(write(b"PAR1" + bytes(100) + b"PAR1", "table.parquet"))

    assert "could not be read as Parquet" in message


def test_text_named_parquet(write: Write) -> None:
    message, _ = refusal(write("a,label\n1,2\n", "table.parquet"))

    assert "named like Parquet" in message


@pytest.mark.parametrize("delimiter", [";;", '"', "", "\n"])
def test_what_cannot_be_a_delimiter(write: Write, body: str, delimiter: str) -> None:
    message, _ = refusal(write("a,b,label\n" + body), delimiter=delimiter)

    assert "cannot be a delimiter" in message


def test_a_column_to_keep_that_is_not_there(write: Write, body: str) -> None:
    message, hint = refusal(write("size,colour,label\n" + body), keep=["colours"])

    assert "no column `colours` to keep" in message
    assert hint == "did you mean `colour`?"


@contextmanager
def not_root() -> Iterator[None]:
    """Be an ordinary user for a while: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_says_how_to_allow_it(write: Write) -> None:
    path = write("a,label\n1,2\n")
    for folder in list(path.parents)[: list(path.parents).index(Path(tempfile.gettempdir()))]:
        if folder.owner() == path.owner():
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IXGRP)
    path.chmod(0)
    with not_root():
        message, hint = refusal(path)

    assert "may not be read" in message
    assert f"chmod u+r {path}" in hint
