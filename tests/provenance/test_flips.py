"""Answers of two models to the same rows, held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mlproj.base.errors import MlprojError
from mlproj.provenance import answered
from mlproj.provenance.flips import exact_p, wilson

Row = Mapping[str, Any]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """A file of answers, its columns those of the first row."""
    names = list(rows[0])
    kinds = ["DOUBLE" if isinstance(rows[0][name], float) else "VARCHAR" for name in names]
    with duckdb.connect() as database:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(names, kinds, strict=True))
        database.execute(f"CREATE TABLE answers ({columns})")
        marks = ", ".join("?" for _ in names)
        database.executemany(f"INSERT INTO answers VALUES ({marks})", [list(row.values()) for row in rows])
        database.execute(f"COPY answers TO '{path}' (FORMAT parquet)")
    return path


def says(key: str, actual: str, yes: float, *, sex: str = "F", split: str = "test") -> Row:
    """A binary model's answer to a row."""
    return {
        "split": split,
        "key": key,
        "actual": actual,
        "predicted": "yes" if yes > 0.5 else "no",
        "probability no": 1 - yes,
        "probability yes": yes,
        "slice Sex": sex,
    }


def test_rows_are_met_by_their_keys_whatever_their_order(tmp_path: Path) -> None:
    old = [says("a", "yes", 0.9), says("b", "no", 0.8, sex="M"), says("c", "no", 0.1), says("d", "yes", 0.7)]
    new = [
        says("d", "yes", 0.2, sex="M"),
        says("c", "no", 0.1),
        says("a", "yes", 0.4),
        says("b", "no", 0.3, sex="M"),
    ]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "test")
    assert (found.whole.rows, found.whole.worse, found.whole.better, found.whole.changed) == (4, 2, 1, 3)
    assert found.whole.rate == 0.5
    assert [(flip.key, flip.place, flip.before, flip.after) for flip in found.worst] == [
        ("a", 2, "yes", "no"),
        ("d", 0, "yes", "no"),
    ]
    assert [flip.lost for flip in found.worst] == pytest.approx([0.5, 0.5])
    by_sex = {group.level: (group.tally.worse, group.tally.rows) for group in found.slices}
    assert by_sex == {"F": (1, 2), "M": (1, 2)}
    by_class = {group.level: (group.tally.worse, group.tally.better) for group in found.classes}
    assert by_class == {"yes": (2, 0), "no": (0, 1)}


def test_the_row_that_lost_most_comes_first(tmp_path: Path) -> None:
    old = [says(key, "yes", 0.9) for key in "abc"]
    new = [says("a", "yes", 0.4), says("b", "yes", 0.1), says("c", "yes", 0.3)]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "test", most=2)
    assert [flip.key for flip in found.worst] == ["b", "c"]
    assert found.whole.worse == 3


def test_rows_that_only_one_run_has_are_counted_and_left_out(tmp_path: Path) -> None:
    old = [says("a", "yes", 0.9), says("b", "yes", 0.9), says("x", "no", 0.9, split="dev")]
    new = [says("b", "yes", 0.9), says("c", "yes", 0.1), says("d", "yes", 0.1)]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "test")
    assert (found.whole.rows, found.whole.worse, found.only_before, found.only_after) == (1, 0, 1, 2)
    assert answered.splits(tmp_path / "old") == ("dev", "test")


def test_rows_that_are_wholly_alike_meet_one_to_one(tmp_path: Path) -> None:
    old = [says("a", "yes", 0.9), says("a", "yes", 0.9), says("a", "yes", 0.9)]
    new = [says("a", "yes", 0.9), says("a", "yes", 0.1)]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "test")
    assert (found.whole.rows, found.whole.worse, found.only_before) == (2, 1, 1)


def test_a_class_that_a_model_does_not_know_has_no_probability(tmp_path: Path) -> None:
    old = [says("a", "yes", 0.9)]
    new = [
        {
            "split": "test",
            "key": "a",
            "actual": "yes",
            "predicted": "it's",
            "probability it's": 1.0,
            "slice Sex": "F",
        }
    ]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "test")
    assert found.worst[0].lost == pytest.approx(0.9)


def test_of_numbers_a_row_is_worse_whose_error_grew(tmp_path: Path) -> None:
    def row(key: str, actual: float, predicted: float) -> Row:
        return {"split": "dev", "key": key, "actual": actual, "predicted": predicted}

    old = [row("a", 10.0, 11.0), row("b", 10.0, 14.0), row("c", 10.0, 12.0)]
    new = [row("a", 10.0, 7.0), row("b", 10.0, 9.0), row("c", 10.0, 8.0)]
    found = answered.flips(write(tmp_path / "old", old), write(tmp_path / "new", new), "dev")
    assert found.of_numbers
    assert (found.whole.worse, found.whole.better) == (1, 1)
    assert (found.worst[0].key, found.worst[0].lost) == ("a", 2.0)
    assert found.classes == ()


def test_the_features_of_rows_are_found_by_their_place(tmp_path: Path) -> None:
    write(tmp_path / "rows", [{"tenure": float(n), "name": f"n{n}"} for n in range(5)])
    assert answered.features(tmp_path / "rows", [3, 1], ["tenure", "gone"]) == {
        1: {"tenure": 1.0},
        3: {"tenure": 3.0},
    }


def test_shuffling_keeps_the_rows_and_changes_their_order(tmp_path: Path) -> None:
    table = write(tmp_path / "rows", [{"n": float(n)} for n in range(50)])
    for seed, name in ((1, "one"), (1, "again"), (2, "other")):
        answered.shuffled(table, tmp_path / name, seed)
    rows = {
        name: [
            row[0]
            for row in duckdb.connect().execute(f"SELECT n FROM read_parquet('{tmp_path / name}')").fetchall()
        ]
        for name in ("rows", "one", "again", "other")
    }
    assert rows["one"] == rows["again"] != rows["other"]
    assert sorted(rows["one"]) == rows["rows"] != rows["one"]


def test_what_is_no_file_of_answers_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(b"PAR1")
    with pytest.raises(MlprojError, match="cannot be read as answers") as caught:
        answered.flips(tmp_path / "torn", tmp_path / "torn", "test")
    assert "dvc repro evaluate" in caught.value.hint


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    # Twice the tail of Bin(n, 1/2), by hand: 2 (1 + 9) / 2^9, and so on.
    [(0, 0, 1.0), (5, 5, 1.0), (0, 1, 1.0), (1, 8, 20 / 512), (8, 1, 20 / 512), (0, 10, 2 / 1024)],
)
def test_the_exact_test_is_twice_the_smaller_tail(worse: int, better: int, p: float) -> None:
    assert exact_p(worse, better) == pytest.approx(p)


def test_the_exact_test_holds_where_powers_of_two_run_out() -> None:
    # The normal approximation with its correction is as good as exact here.
    z = (51_000 - 49_000 - 1) / math.sqrt(100_000)
    assert exact_p(49_000, 51_000) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_the_interval_of_a_share_is_wilson_s() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 15 of 148 and 0 of 20.
    low, high = wilson(15, 148, 0.95) or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    low, high = wilson(0, 20, 0.95) or (0, 0)
    assert (low, round(high, 4)) == (0.0, 0.1611)
    assert wilson(0, 0, 0.95) is None
