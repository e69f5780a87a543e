from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mlproj.provenance import completeness, supply
from mlproj.provenance.objects import Objects, place_of
from mlproj.provenance.things import File

CONTENT = b"a,b\n1,2\n"
MD5 = hashlib.md5(CONTENT).hexdigest()
RAW = File(path="data/raw/table.csv", md5=MD5, size=len(CONTENT))


def put(store: Path, content: bytes = CONTENT) -> Path:
    place = place_of(store, MD5)
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".dvc"
    folder.mkdir(parents=True)
    url = tmp_path / "remote"
    (folder / "config").write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {url}\n")
    return folder.parent


def test_a_file_in_the_cache_and_on_the_remote_is_kept(root: Path) -> None:
    put(root / ".dvc" / "cache")
    put(root.parent / "remote")
    found = completeness.stored(Objects(root), [RAW])
    assert (found.kept, found.missing, found.why) == (1, (), "")


def test_a_file_that_was_not_pushed_is_named_with_the_command(root: Path) -> None:
    put(root / ".dvc" / "cache")
    (root.parent / "remote").mkdir()
    found = completeness.stored(Objects(root), [RAW])
    assert found.missing == ("`data/raw/table.csv`: here (not on the remote)",)
    assert "not on the remote `storage`" in found.why
    assert "make sync_data_up" in found.mend


def test_a_remote_that_cannot_be_reached_is_said_to_be_so(root: Path) -> None:
    put(root / ".dvc" / "cache")
    found = completeness.stored(Objects(root), [RAW])
    assert "cannot be reached" in found.why
    assert "make sync_data_up" in found.mend


def test_what_dvc_push_would_take_for_whole_is_to_be_deleted_first(root: Path) -> None:
    put(root / ".dvc" / "cache")
    damaged = put(root.parent / "remote", CONTENT[:-1])
    found = completeness.stored(Objects(root), [RAW])
    assert found.mend.startswith(f"run `rm {damaged}`")
    assert "make sync_data_up" in found.mend


def test_a_folder_that_lacks_a_file_on_the_remote_is_pushed_once_its_listing_is_gone(root: Path) -> None:
    listing = f'[{{"md5": "{MD5}", "relpath": "in/table.csv"}}]'.encode()
    name = hashlib.md5(listing).hexdigest() + ".dir"
    for store in (root / ".dvc" / "cache", root.parent / "remote"):
        place_of(store, name).parent.mkdir(parents=True)
        place_of(store, name).write_bytes(listing)
    put(root / ".dvc" / "cache")
    found = completeness.stored(Objects(root), [File(path="models/model", md5=name)])
    assert found.mend.startswith(f"run `rm {place_of(root.parent / 'remote', name)}`")
    put(root.parent / "remote")
    assert completeness.stored(Objects(root), [File(path="models/model", md5=name)]).kept == 1


def test_a_file_on_the_remote_only_is_to_be_pulled(root: Path) -> None:
    put(root.parent / "remote")
    found = completeness.stored(Objects(root), [RAW])
    assert found.missing == ("`data/raw/table.csv`: on the remote",)
    assert "make sync_data_down" in found.mend


def test_a_remote_on_the_network_counts_once_it_was_asked(root: Path) -> None:
    config = root / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(root.parent / "remote"), "s3://bucket/data"))
    put(root / ".dvc" / "cache")
    unasked = completeness.stored(Objects(root), [RAW])
    assert (unasked.not_asked, unasked.missing) == (("`data/raw/table.csv`",), ())
    assert completeness.stored(Objects(root, asked=frozenset({MD5})), [RAW]).kept == 1
    lacking = completeness.stored(Objects(root, asked=frozenset()), [RAW])
    assert lacking.missing == ("`data/raw/table.csv`: here (not on the remote)",)


def test_without_a_remote_nothing_is_safe(tmp_path: Path) -> None:
    put(tmp_path / ".dvc" / "cache")
    found = completeness.stored(Objects(tmp_path), [RAW])
    assert found.why == "no remote is configured"
    assert "dvc remote add" in found.mend


def test_what_is_damaged_in_one_store_is_copied_from_the_next(tmp_path: Path) -> None:
    damaged = put(tmp_path / "cache", b"a,b\n1,3\n")
    whole = put(tmp_path / "remote")
    target = tmp_path / "tree" / "table.csv"
    assert supply.put((tmp_path / "cache", tmp_path / "remote"), RAW, target)
    assert target.read_bytes() == CONTENT
    assert damaged.read_bytes() != whole.read_bytes() == CONTENT, "neither store was touched"
    target.unlink()
    assert not supply.put((tmp_path / "cache",), RAW, target)
    assert not target.exists()


def test_a_folder_is_copied_whole_or_not_at_all(tmp_path: Path) -> None:
    listing = f'[{{"md5": "{MD5}", "relpath": "in/table.csv"}}]'.encode()
    name = hashlib.md5(listing).hexdigest() + ".dir"
    store = tmp_path / "cache"
    place_of(store, name).parent.mkdir(parents=True)
    place_of(store, name).write_bytes(listing)
    folder = File(path="data/raw", md5=name)
    assert not supply.put((store,), folder, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
    put(store)
    assert supply.put((store,), folder, tmp_path / "raw")
    assert (tmp_path / "raw" / "in" / "table.csv").read_bytes() == CONTENT
