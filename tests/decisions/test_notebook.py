from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mlproj.decisions import record, store
from mlproj.decisions.record import Decision

DAY = date(2026, 12, 1)


def test_a_page_is_named_by_date_and_words_and_reads_back(tmp_path: Path) -> None:
    decision = Decision(title="Drop tenure", on=DAY, why="It is a leak.", commit="a" * 40, run="b" * 32)
    path = store.add(tmp_path, decision)
    assert path.name == "2026-12-01-drop-tenure.md"
    (page,) = store.find(tmp_path)
    assert (page.decision.title, page.decision.on, page.decision.run) == ("Drop tenure", DAY, "b" * 32)
    assert "It is a leak." in page.text


def test_a_second_decision_of_the_same_words_keeps_the_first(tmp_path: Path) -> None:
    decision = Decision(title="Drop tenure", on=DAY)
    first, second = store.add(tmp_path, decision), store.add(tmp_path, decision)
    assert (first.name, second.name) == ("2026-12-01-drop-tenure.md", "2026-12-01-drop-tenure-2.md")


def test_the_same_decision_for_the_same_reason_is_not_written_twice(tmp_path: Path) -> None:
    decision = Decision(title="Drop tenure", on=DAY, why="It is a leak.")
    assert store.add(tmp_path, decision) == store.add(tmp_path, decision)
    other = Decision(title="Drop tenure", on=DAY, why="It is late.")
    assert store.add(tmp_path, other).name == "2026-12-01-drop-tenure-2.md"


def test_every_word_must_occur_in_whatever_case(tmp_path: Path) -> None:
    store.add(tmp_path, Decision(title="Drop tenure", on=DAY, why="Leaks the label"))
    store.add(tmp_path, Decision(title="Keep region", on=date(2026, 12, 3)))
    assert [page.decision.title for page in store.find(tmp_path)] == ["Keep region", "Drop tenure"]
    assert [page.decision.title for page in store.find(tmp_path, ("LABEL", "drop"))] == ["Drop tenure"]
    assert store.find(tmp_path, ("label", "region")) == ()


def test_a_page_written_by_hand_counts_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "2026-11-02-use-weekly-data.md").write_text("We met and agreed.\n")
    (tmp_path / "notes.md").write_text("---\n: [\n---\n")
    pages = store.find(tmp_path)
    assert [(page.decision.title, page.decision.on) for page in pages] == [
        ("use weekly data", date(2026, 11, 2)),
        ("notes", date.min),
    ]


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Über Größe: 3 %", "uber-groe-3"),
        ("../../etc/passwd", "etc-passwd"),
        ("決定", "decision"),
        ("a" * 99, "a" * 60),
    ],
)
def test_a_title_becomes_a_plain_file_name(title: str, slug: str) -> None:
    assert record.slug(title) == slug
