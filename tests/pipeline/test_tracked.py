from __future__ import annotations

from pathlib import Path

import pytest

from mlproj.base.files import digest
from mlproj.pipeline import tracked
from mlproj.pipeline.hashes import Hashes

LOCK = """\
schema: '2.0'
stages:
  simulate:
    cmd: python simulate.py
    outs:
    - {path: data/raw/made.csv, hash: md5, md5: 0123456789abcdef0123456789abcdef, size: 1}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / ".gitkeep").touch()
    return tmp_path


def files(root: Path) -> dict[str, tracked.DataFile]:
    return {file.path: file for file in tracked.raw_data(root, Hashes(root, root / "cache.json"))}


def test_a_file_that_dvc_does_not_know_is_not_kept(root: Path) -> None:
    (root / "data" / "raw" / "new.csv").write_text("a\n1\n")
    assert not files(root)["data/raw/new.csv"].kept


def test_a_file_under_dvc_is_kept_until_it_changes(root: Path) -> None:
    table = root / "data" / "raw" / "table.csv"
    table.write_text("a\n1\n")
    (root / "data" / "raw" / "table.csv.dvc").write_text(
        f"outs:\n- md5: {digest(table, 'md5')}\n  path: table.csv\n"
    )
    assert files(root)["data/raw/table.csv"].unchanged
    table.write_text("a\n2\n")
    assert not files(root)["data/raw/table.csv"].unchanged
    table.unlink()
    assert not files(root)["data/raw/table.csv"].present


def test_what_a_stage_makes_is_kept_by_the_stage(root: Path) -> None:
    (root / "dvc.lock").write_text(LOCK)
    (root / "dvc.yaml").write_text(
        "stages: {simulate: {cmd: python simulate.py, outs: [data/raw/made.csv]}}\n"
    )
    assert not files(root)["data/raw/made.csv"].present


def test_what_a_stage_made_that_is_gone_is_not_missed(root: Path) -> None:
    (root / "dvc.lock").write_text(LOCK)
    (root / "dvc.yaml").write_text("stages: {ingest: {cmd: python dataset.py}}\n")
    assert files(root) == {}
