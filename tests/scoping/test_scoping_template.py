from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from mlproj.scoping.document import Document, load
from mlproj.scoping.scope import Section, Why

TEMPLATE = Path(__file__).parents[2] / "template"
DOCUMENT = "project/docs/scoping.md.jinja"
ODD_NAMES = [
    "gender",
    "a: b",
    "it's",
    'a "b"',
    "back\\slash",
    "{{ braces }}",
    "{% if %}",
    "# hash",
    "- dash",
    "yes",
    "größe 漢 😀",
    "---",
]


def findings(
    task: str = "binary",
    *,
    columns: Sequence[str] = ("gender",),
    rows: int = 7043,
    std: float | None = 79886.69,
    classes: dict[str, int] | None = None,
    simulated: bool = False,
    target: str = "Churn",
) -> dict[str, Any]:
    labels = classes or {"binary": {"No": 5174, "Yes": 1869}, "multiclass": {"a": 1, "b": 1, "c": 1}}.get(
        task
    )
    return {
        "simulated": simulated,
        "rows": rows,
        "target": {
            "name": target,
            "task": task,
            "classes": [{"label": label, "rows": count} for label, count in (labels or {}).items()],
            "positive": list(labels)[-1] if labels and task == "binary" else None,
            "std": std if task == "regression" else None,
        },
        "columns": [
            {"name": name, "kind": "categorical", "role": "feature", "distinct": 2} for name in columns
        ],
    }


def render(found: dict[str, Any], project_name: str = "churn-model") -> str:
    options = yaml.safe_load((TEMPLATE / "copier.yml").read_text(encoding="utf-8"))["_envops"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE), undefined=jinja2.StrictUndefined, **options
    )
    return environment.get_template(DOCUMENT).render(
        findings=found, project_name=project_name, scaffold="full"
    )


def document(tmp_path: Path, found: dict[str, Any]) -> Document:
    path = tmp_path / "scoping.md"
    path.write_text(render(found), encoding="utf-8")
    task, columns = found["target"]["task"], [column["name"] for column in found["columns"]]
    read = load(path, task=task, columns=columns)
    assert read.problems == ()
    return read


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_new_document_has_no_problem_and_asks_in_every_section(tmp_path: Path, task: str) -> None:
    read = document(tmp_path, findings(task))
    assert {question.section for question in read.unanswered} == set(Section)
    assert {question.why for question in read.unanswered} == {Why.PLACEHOLDER, Why.SUGGESTED}
    scope = read.scope
    assert scope is not None
    assert scope.approvals == ()
    assert all(target.suggested for target in scope.targets)
    assert [milestone.due for milestone in scope.milestones] == [None, None]
    assert all(milestone.needs for milestone in scope.milestones)


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        (
            findings("binary"),
            ["recall at least 0.5 on test", "average_precision at least 0.5 on test"],
        ),
        (
            findings("binary", classes={"good": 9900, "fraud": 100}),
            ["recall at least 0.5 on test", "average_precision at least 0.35 on test"],
        ),
        (
            findings("multiclass"),
            ["balanced_accuracy at least 0.55 on test", "f1 at least 0.55 on test"],
        ),
        (
            findings("multiclass", classes={str(label): 2 for label in range(300)}),
            ["balanced_accuracy at least 0.35 on test", "f1 at least 0.35 on test"],
        ),
        (findings("regression"), ["rmse at most 56000 on test", "mae at most 40000 on test"]),
        (
            findings("regression", std=1.234e-5),
            ["rmse at most 8.6e-06 on test", "mae at most 6.2e-06 on test"],
        ),
        (findings("regression", std=3.0), ["rmse at most 2.1 on test", "mae at most 1.5 on test"]),
        (findings("regression", std=0.0), []),
        (findings("regression", std=None), []),
    ],
)
def test_targets_are_suggested_from_the_data(
    tmp_path: Path, found: dict[str, Any], sentences: list[str]
) -> None:
    read = document(tmp_path, found)
    assert read.scope is not None
    assert [target.sentence for target in read.scope.ml] == sentences


def test_no_slices_are_suggested_for_a_small_table(tmp_path: Path) -> None:
    read = document(tmp_path, findings(rows=344))
    assert read.scope is not None
    assert all(target.slices == () for target in read.scope.targets)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_column_of_any_name_can_be_a_slice(tmp_path: Path, task: str, name: str) -> None:
    read = document(tmp_path, findings(task, columns=[name], target=name, classes={"No": 3, name: 1}))
    assert read.scope is not None
    assert read.scope.ml[0].slices == (name,)
    front, _, _ = (tmp_path / "scoping.md").read_text(encoding="utf-8")[4:].partition("\n---\n")
    assert yaml.safe_load(front)["targets"]["ml"][0]["split"] == "test"


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "bell\x07", "tab\there", "next\x85line"])
def test_a_name_that_cannot_be_shown_is_left_out(tmp_path: Path, name: str) -> None:
    read = document(tmp_path, findings(columns=[name, "gender"], target=name, classes={"No": 3, name: 1}))
    assert read.scope is not None
    assert read.scope.ml[0].slices == ("gender",)


def test_simulated_data_are_called_simulated_in_both_halves() -> None:
    front, _, prose = render(findings(simulated=True))[4:].partition("\n---\n")
    assert "SIMULATED" in front
    assert "simulated" in prose
    assert "simulated" not in render(findings()).lower()


def test_the_prose_walks_the_five_steps() -> None:
    headings = [line for line in render(findings()).splitlines() if line.startswith("## ")]
    assert headings == [
        "## 1. Business problems",
        "## 2. Solutions",
        "## 3. Feasibility and value",
        "## 4. Milestones",
        "## 5. Resources",
    ]


def test_the_document_has_no_trailing_blanks_or_double_blank_lines() -> None:
    for task in ("binary", "multiclass", "regression"):
        for rows in (10, 7043):
            for simulated in (True, False):
                text = render(findings(task, rows=rows, simulated=simulated))
                assert "\n\n\n" not in text
                assert all(line == line.rstrip() for line in text.splitlines())
                assert text.endswith("?\n")
