from __future__ import annotations

from pathlib import Path

from mlproj.scaffold.lock import File
from mlproj.scaffold.merge import Change, Merge, merge

LINES = [f"line {number}\n" for number in range(1, 10)]


def text(**changed: str) -> str:
    return "".join(changed.get(f"l{number}", line) for number, line in enumerate(LINES, start=1))


def file(content: str | bytes) -> File:
    return File(content=content.encode() if isinstance(content, str) else content, executable=False)


def merged(root: Path, *, mine: str | None, old: str | None, new: str | None) -> Merge:
    if mine is not None:
        (root / "f").write_text(mine)
    before = {} if old is None else {"f": file(old)}
    after = {} if new is None else {"f": file(new)}
    return merge(root, before, after, module="m")


def test_a_file_nobody_touched_is_replaced(tmp_path: Path) -> None:
    done = merged(tmp_path, mine="1", old="1", new="2")
    assert done.results == {"f": file("2")}
    assert done.of(Change.REPLACED) == ("f",)


def test_a_file_the_template_did_not_change_is_left_alone(tmp_path: Path) -> None:
    assert merged(tmp_path, mine="mine", old="1", new="1").results == {}


def test_edits_in_different_places_are_both_kept(tmp_path: Path) -> None:
    done = merged(tmp_path, mine=text(l1="mine\n"), old=text(), new=text(l9="new\n"))
    assert done.results == {"f": file(text(l1="mine\n", l9="new\n"))}
    assert done.of(Change.MERGED) == ("f",)


def test_edits_in_the_same_place_are_a_conflict_and_nothing_is_written(tmp_path: Path) -> None:
    done = merged(tmp_path, mine=text(l5="mine\n"), old=text(), new=text(l5="new\n"))
    assert done.conflicts == ("f",)
    assert (tmp_path / "f").read_text() == text(l5="mine\n")
    assert done.results == {"f": file(text(l5="new\n"))}


def test_a_file_that_goes_is_removed_unless_it_was_edited(tmp_path: Path) -> None:
    assert merged(tmp_path, mine="1", old="1", new=None).of(Change.REMOVED) == ("f",)
    assert merged(tmp_path, mine="mine", old="1", new=None).conflicts == ("f",)


def test_a_file_the_user_deleted_does_not_come_back(tmp_path: Path) -> None:
    assert merged(tmp_path, mine=None, old="1", new="2").results == {}


def test_a_new_file_is_written_and_one_in_its_way_is_a_conflict(tmp_path: Path) -> None:
    assert merged(tmp_path, mine=None, old=None, new="2").of(Change.REPLACED) == ("f",)
    assert merged(tmp_path, mine="mine", old=None, new="2").conflicts == ("f",)


def test_a_change_that_was_made_already_is_not_made_again(tmp_path: Path) -> None:
    assert merged(tmp_path, mine="2", old="1", new="2").results == {}


def test_bytes_that_are_no_text_are_never_merged(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0mine")
    done = merge(tmp_path, {"f": file(b"\0old")}, {"f": file(b"\0new")}, module="m")
    assert done.conflicts == ("f",)
