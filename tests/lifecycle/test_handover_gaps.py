"""What only somebody's head knows, found in facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproj.catalog.datasheet import load as datasheet
from mlproj.lifecycle.handover import Facts, Topic, Used, gaps
from tests.lifecycle.test_gates import SCOPING, evidence

CARD = """\
# Model card

- People responsible: Ada
- Meant for:
  calling customers
- Kind: a tree
"""
LABELS = """\
# Labels

| label | rows | given when | not to be confused with |
| --- | --- | --- | --- |
| yes | 3 | they left | |

- **Who gives it:** sales
"""
SHEET = """\
- **What is one row?**
  A customer.

| column | type | missing | values | meaning |
| --- | --- | --- | --- | --- |
| `gender` | categorical | 0 | | as they said |
| `tenure` | numeric | 0 | | months |
"""


def facts(tmp_path: Path, texts: dict[str, str] | None = None, scoping: str = SCOPING, **more: Any) -> Facts:
    """A project of which everything is told, but for what a test says."""
    whole = {
        "docs/scoping.md": scoping,
        "docs/data.md": SHEET,
        "docs/model_card.md": CARD,
        "docs/labeling.md": LABELS,
        "README.md": "# Churn\n\nWho will leave.\n",
        ".env.example": "# CRM_TOKEN= from the sales desk\n",
        **(texts or {}),
    }
    sheet = tmp_path / "data.md"
    sheet.write_text(whole["docs/data.md"], encoding="utf-8")
    known = evidence(tmp_path, scoping, **more.pop("evidence", {}))
    known = replace(known, datasheet=datasheet(sheet), card_run="r" * 32)
    return Facts(evidence=known, texts=whole, **{"decisions": {}, **more})


def told(found: Facts) -> list[tuple[str, str, str]]:
    return [(str(gap.topic), gap.place, gap.what) for gap in gaps(found)]


def test_where_everything_is_told_there_is_no_gap(tmp_path: Path) -> None:
    assert told(facts(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "topic", "place", "what"),
    [
        ("docs/data.md", "A customer.", "TODO", "data", "docs/data.md:2", "not answered: What is one row?"),
        ("docs/data.md", "months", "TODO", "data", "docs/data.md:7", "column `tenure` has no meaning"),
        (
            "docs/data.md",
            "| `tenure` | numeric | 0 | | months |\n",
            "",
            "data",
            "docs/data.md:6",
            "column `tenure` of the data has no row in the dictionary",
        ),
        (
            "docs/model_card.md",
            "\n  calling customers",
            "",
            "model",
            "docs/model_card.md:4",
            "not answered: Meant for",
        ),
        (
            "docs/model_card.md",
            " Ada",
            "",
            "who to ask",
            "docs/model_card.md:3",
            "not answered: People responsible",
        ),
        ("docs/model_card.md", "a tree", "TODO", "model", "docs/model_card.md:6", "not answered: Kind: TODO"),
        (
            "docs/labeling.md",
            "they left",
            "",
            "labels",
            "docs/labeling.md:5",
            "label `yes` is not explained",
        ),
        (
            "docs/labeling.md",
            " sales",
            "",
            "labels",
            "docs/labeling.md:7",
            "not answered: Who gives it",
        ),
        (
            "docs/labeling.md",
            "# Labels\n",
            "# Labels\n<!-- One row\nis ... -->",
            "labels",
            "docs/labeling.md:2",
            "not answered: One row is ...",
        ),
        (
            "README.md",
            "Who will leave.",
            "A machine learning project",
            "what and why",
            "README.md:3",
            "it does not say what the project is",
        ),
    ],
)
def test_a_gap_is_told_with_its_place(
    tmp_path: Path, path: str, old: str, new: str, topic: str, place: str, what: str
) -> None:
    before = facts(tmp_path).texts[path]
    assert old in before
    assert told(facts(tmp_path, {path: before.replace(old, new)})) == [(topic, place, what)]


def test_an_unanswered_question_is_asked_and_one_about_people_stands_under_people(tmp_path: Path) -> None:
    scoping = SCOPING.replace("owner: Sales", "owner: TODO").replace("by gender", "TODO")
    found = gaps(facts(tmp_path, scoping=scoping, evidence={"signed": False}))
    assert [(gap.topic, gap.line, gap.what) for gap in found if gap.what.endswith("is not answered")] == [
        (Topic.WHY, 9, "`ethics.fairness` is not answered"),
        (Topic.PEOPLE, 2, "`problem.owner` is not answered"),
    ]
    assert found[-1].write == "Who owns the problem and decides about it?"


def test_targets_that_nobody_signed_are_a_gap_where_signatures_stand(tmp_path: Path) -> None:
    (gap,) = gaps(facts(tmp_path, evidence={"signed": False}))
    line = SCOPING.splitlines().index("approvals: []") + 1
    assert (gap.line, gap.what) == (line, "nobody has signed the present targets off")


@pytest.mark.parametrize("missing", ["docs/model_card.md", "docs/labeling.md", "README.md"])
def test_a_document_that_is_not_there_is_a_gap(tmp_path: Path, missing: str) -> None:
    whole = facts(tmp_path)
    texts = {path: text for path, text in whole.texts.items() if path != missing}
    assert [gap.place for gap in gaps(replace(whole, texts=texts))] == [missing]


def test_a_card_with_the_numbers_of_another_run_is_a_gap(tmp_path: Path) -> None:
    whole = facts(tmp_path)
    stale = replace(whole, evidence=replace(whole.evidence, card_run="a" * 32))
    (gap,) = gaps(stale)
    assert gap.what == (
        "its evidence holds what was measured of run aaaaaaaa; the present model is that of run rrrrrrrr"
    )


def test_a_version_of_which_no_decision_speaks_is_a_gap(tmp_path: Path) -> None:
    used = [
        Used(version=number, what=f"version {number} was deployed by tester", is_explained=number == 1)
        for number in (1, 2)
    ]
    (gap,) = gaps(facts(tmp_path, used=used))
    assert gap.what == "version 2 was deployed by tester, and no decision says why"
    assert gap.write.startswith('run `mlproj decide "Why version 2"')


def test_a_decision_without_a_reason_is_a_gap(tmp_path: Path) -> None:
    page = {"docs/decisions/a.md": "# Drop it\n\n## Why\n\nTo be written while it is still known.\n"}
    (gap,) = gaps(facts(tmp_path, decisions=page))
    assert (gap.place, gap.what) == ("docs/decisions/a.md:5", "it does not say why")


def test_a_variable_that_the_code_reads_has_to_be_named(tmp_path: Path) -> None:
    variables = {"CRM_TOKEN": ("churn/crm.py", 4), "CRM_URL": ("churn/crm.py", 5)}
    (gap,) = gaps(facts(tmp_path, variables=variables))
    assert (gap.topic, gap.place) == (Topic.RUN, "churn/crm.py:5")
    assert "`CRM_URL` is read from the environment" in gap.what
