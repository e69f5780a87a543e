"""A table that cannot be used: one clear sentence, the next step, exit code 2, and nothing left behind."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from tests.support import Run


def rows(*columns: str, count: int = 60) -> str:
    chance = random.Random(20)
    body = "".join(
        ",".join(f"{chance.random():.4f}" for _ in columns[:-1]) + f",{'yes' if n % 3 else 'no'}\n"
        for n in range(count)
    )
    return ",".join(columns) + "\n" + body


GOOD = rows("size", "weight", "label")

# What the file holds, the target asked for, and what is said about it.
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "label", "is empty"),
    "header only": (b"size,weight,label\n", "label", "no rows"),
    "one column": (b"label\n" + b"yes\nno\n" * 30, "label", "one column"),
    "a target misspelt": (GOOD.encode(), "lable", "did you mean `label`?"),
    "a constant target": (GOOD.replace("yes", "no").encode(), "label", "`label`"),
    "a target without values": (GOOD.replace("yes", "").replace(",no", ",").encode(), "label", "`label`"),
    "a target of 300 classes": (
        ("size,label\n" + "".join(f"{n % 7},name {n % 300}\n" for n in range(900))).encode(),
        "label",
        "300",
    ),
    "a column twice": (GOOD.replace("weight", "size", 1).encode(), "label", "`size`"),
    "ragged rows": (GOOD.replace("\n", "\n1,2,3,4,5,no\n", 1).encode(), "label", "line 2"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "label", "PNG"),
    "compressed": (zlib.compress(GOOD.encode() * 9, wbits=31), "label", "gzip"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_table_that_cannot_be_used_is_refused_with_a_reason(
    fault: str, mlproj: Run, tmp_path: Path
) -> None:
    content, target, said = REFUSED[fault]
    (tmp_path / "table.csv").write_bytes(content)
    done = mlproj("new", "made", "--data", "table.csv", "--target", target, "--defaults", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_that_is_not_there_is_offered_the_nearest(mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(GOOD)
    done = mlproj("new", "made", "--data", "custmers.csv", "--target", "label", "--defaults", cwd=tmp_path)
    assert done.returncode == 2
    assert "customers.csv" in done.stderr


def test_a_wrong_encoding_is_named(mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(GOOD.replace("size", "Größe").encode("cp1252"))
    words = ("--data", "table.csv", "--target", "label", "--encoding", "utf-8", "--defaults")
    done = mlproj("new", "made", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "utf-8" in done.stderr
    assert "hint:" in done.stderr


@pytest.mark.parametrize("name", ["class", "lambda", "{{ 7 * 7 }}", 'say ""hi""', "größe"])
def test_a_column_of_any_name_is_taken(name: str, mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(GOOD.replace("weight", f'"{name}"', 1), encoding="utf-8")
    words = ("--data", "table.csv", "--target", "label", "--env-manager", "none", "--defaults", "--dry-run")
    done = mlproj("new", "made", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_rows_without_a_label_are_counted(mlproj: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(GOOD.replace(",no\n", ",\n", 4).replace(",no", ",maybe"))
    words = ("--data", "table.csv", "--target", "label", "--env-manager", "none", "--defaults")
    done = mlproj("new", "made", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 of 60 rows without a label in `label`" in done.stdout


def test_five_thousand_columns_are_taken(mlproj: Run, tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(4999)] + ["label"]
    (tmp_path / "table.csv").write_text(rows(*names, count=40))
    words = ("--data", "table.csv", "--target", "label", "--env-manager", "none", "--defaults", "--dry-run")
    done = mlproj("new", "made", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
