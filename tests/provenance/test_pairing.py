from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from mlproj.base.errors import ConfigError
from mlproj.provenance import pairing

CLASSES = 'split VARCHAR, key VARCHAR, actual VARCHAR, predicted VARCHAR, "probability a\'s" DOUBLE'
NUMBERS = "split VARCHAR, key VARCHAR, actual DOUBLE, predicted DOUBLE"
ROWS = [
    ("dev", "k1", "a", "a", 0.9),
    ("test", "k1", "a", "a", 0.8),
    ("test", "k2", "b", "b", 0.2),
    ("test", "k2", "b", "a", 0.6),
]


def written(path: Path, columns: str, rows: list[tuple[object, ...]]) -> Path:
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE rows ({columns})")
        for row in rows:
            database.execute(f"INSERT INTO rows VALUES ({', '.join('?' * len(row))})", row)
        database.execute(f"COPY rows TO '{path}' (FORMAT parquet)")
    return path


def test_equal_files_have_no_difference(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", CLASSES, [*ROWS])
    found = pairing.pair(one, other)
    assert (found.rows, found.alone, found.differ, found.largest, found.flips) == (4, 0, 0, 0.0, 0)


def test_rows_are_paired_by_split_and_key_whatever_their_order(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", CLASSES, [ROWS[2], ROWS[1], ROWS[3], ROWS[0]])
    assert pairing.pair(one, other).differ == 0


def test_changed_decisions_and_the_largest_difference_are_told(tmp_path: Path) -> None:
    changed = [ROWS[0], ("test", "k1", "a", "b", 0.45), ("test", "k2", "b", "b", 0.2000001), ROWS[3]]
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", CLASSES, [*changed])
    found = pairing.pair(one, other)
    assert (found.differ, found.flips, found.lost, found.won) == (2, 1, 1, 0)
    assert found.largest == pytest.approx(0.35)


def test_rows_of_one_file_only_are_counted(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", CLASSES, [*ROWS[:2], ("test", "k9", "a", "a", 0.7)])
    found = pairing.pair(one, other)
    assert (found.rows, found.alone) == (2, 3)


def test_a_number_that_became_none_is_infinitely_far(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", CLASSES, [("dev", "k1", "a", "a", None), *ROWS[1:]])
    found = pairing.pair(one, other)
    assert (found.differ, found.largest) == (1, float("inf"))


def test_predictions_of_a_regression_differ_by_their_size(tmp_path: Path) -> None:
    one = written(
        tmp_path / "one.parquet", NUMBERS, [("test", "k1", 1000.0, 2000.0), ("test", "k2", 0.0, 0.1)]
    )
    other = written(
        tmp_path / "other.parquet", NUMBERS, [("test", "k1", 1000.0, 2002.0), ("test", "k2", 0.0, 0.1)]
    )
    found = pairing.pair(one, other)
    assert found.flips is None
    assert found.largest == pytest.approx(0.001)
    assert (found.lost, found.won) == (1, 0)


def test_a_file_of_another_form_is_said_to_be_so(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", CLASSES, [*ROWS])
    other = written(tmp_path / "other.parquet", "split VARCHAR, key VARCHAR", [("dev", "k1")])
    with pytest.raises(ConfigError, match="lacks `actual`, `predicted`"):
        pairing.pair(one, other)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read"):
        pairing.pair(one, tmp_path / "torn.parquet")
