"""The hook for scoping documents, beside the validator that knows all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mlproj.scoping import document
from mlproj.scoping.keys import KEYS, TARGETS, Holds, Key
from mlproj.scoping.scope import METRICS, ProblemKind, Section
from tests.hooks.started import hook, lines, loaded

SCOPING = loaded("scoping_document")

# All questions answered, everything right.
GOOD = """\
---
problem:
  statement: customers leave  # and nobody knows why
  owner: the head of sales
  wishes: [see it coming]
solution:
  statement: say who leaves
  approach: build
  alternatives: [ask them]
feasibility:
  benchmark: {kind: human, metric: recall, value: 0.6, source: sales}
  human_could_do_it: true
  predictive_features: what they do
  verdict: go
ethics: {net_positive: all, fairness: by region, concerns_aired: none}
targets:
  ml:
    - metric: recall
      at_least: 0.75
      split: test
      slices: [region]
      slice_margin: 0.05
    - {metric: log_loss, at_most: 0.4}
  software:
    - metric: latency_p95_ms
      at_most: 50
    - {metric: throughput_rps, at_least: 200}
  business:
    - metric: retained
      at_least: 150
      linked_to: recall
automation: assist
milestones:
  - name: a model
    due: 2026-12-15
    needs: [recall]
resources: {data: ours, people: two, compute: one, budget: none}
approvals: []
---

# Prose

targets: [not read
"""

# What stands in the document, what to write instead, and whether the hook sees it.
BAD = [
    ("automation: assist", "automation: [assist", True),
    ("---\n\n# Prose", "\n# Prose", True),
    ("automation: assist", "automation: assist\nautomation: full", True),
    ("approach: build", "approach: built", True),
    ("kind: human", "kind: humans", True),
    ("verdict: go", "verdict: gone", True),
    ("automation: assist", "automation: all", True),
    ("metric: recall\n", "metric: recal\n", True),
    ("metric: latency_p95_ms", "metric: latency_p94_ms", True),
    ("metric: recall\n", "metric: latency_p95_ms\n", True),
    ("at_least: 0.75", "at_least: 75", True),
    ("at_least: 0.75", "at_least: -0.1", True),
    ("at_least: 0.75", "at_most: 0.75", True),
    ("at_least: 0.75", "at_least: 0.75\n      at_most: 0.9", True),
    ("at_least: 0.75", "at_least: high", True),
    ("at_least: 0.75", "at_least: '0.75'", True),
    ("at_least: 0.75", "at_least: [0.75]", True),
    ("at_least: 0.75", "at_least: true", True),
    ("at_most: 50", "at_most: 0", True),
    ("at_most: 50", "at_least: 50", True),
    ("split: test", "split: train", True),
    ("due: 2026-12-15", "due: 2026-02-30", True),
    ("due: 2026-12-15", "due: next week", True),
    ("approvals: []", "approvals: [{role: a, name: b, date: 2026-13-01, of: c}]", True),
    ("linked_to: recall", "linked_to: recal", True),
    ("linked_to: recall", "linked_to: retained", True),
    ("needs: [recall]", "needs: [recal]", True),
    ("needs: [recall]", "needs: [recall, TODO, f1]", True),
    # What only the whole can tell is left to `mlproj check scoping`.
    ("slice_margin: 0.05", "slice_margin: -1", False),
    ("human_could_do_it: true", "human_could_do_it: perhaps", False),
]


def judged(tmp_path: Path, text: str) -> tuple[list[int], list[int]]:
    """The lines that the hook refuses, and those in which the validator finds errors."""
    path = tmp_path / "scoping.md"
    path.write_text(text, encoding="utf-8")
    return [line for line, _ in SCOPING.problems(text)], [e.line for e in document.load(path).errors]


def test_a_good_document_and_one_that_nobody_has_answered_pass(tmp_path: Path) -> None:
    assert judged(tmp_path, GOOD) == ([], [])
    refused, _ = judged(tmp_path, re.sub(r": [\w.-]+$", ": TODO", GOOD, flags=re.MULTILINE))
    assert refused == []
    assert judged(tmp_path, "---\nproblem:\n---\n") == ([], [])


@pytest.mark.parametrize(("right", "wrong", "is_seen"), BAD)
def test_a_mistake_is_refused_on_the_line_that_the_validator_names(
    tmp_path: Path, right: str, wrong: str, is_seen: bool
) -> None:
    assert right in GOOD
    refused, errors = judged(tmp_path, GOOD.replace(right, wrong, 1))
    assert errors, "the validator finds it"
    assert bool(refused) is is_seen
    assert set(refused) <= set(errors)


@pytest.mark.parametrize(
    ("right", "wrong", "is_seen"),
    [
        ("milestones:", "milestone:", True),
        ("targets:\n", "Targets:\n", True),
        ("automation:", "automatoin:", True),
        ("approvals: []", "glossary: []", False),
        ("approvals: []", "approvals: []\napproval: []", False),
    ],
)
def test_a_misspelt_section_is_refused_and_a_key_of_ones_own_is_not(
    tmp_path: Path, right: str, wrong: str, is_seen: bool
) -> None:
    assert right in GOOD
    text = GOOD.replace(right, wrong, 1)
    path = tmp_path / "scoping.md"
    path.write_text(text, encoding="utf-8")
    read = document.load(path)
    unknown = [problem.line for problem in read.problems if problem.kind is ProblemKind.UNKNOWN_KEY]
    assert len(unknown) == 1, "the validator warns of it"
    assert [line for line, _ in SCOPING.problems(text)] == (unknown if is_seen else [])


@pytest.mark.parametrize(
    ("right", "unsure"),
    [
        ("metric: recall\n", "metric: TODO\n"),
        ("    - {metric: log_loss, at_most: 0.4}\n", "    - {<<: *other}\n"),
        ("  business:", "  <<: *other\n  business:"),
    ],
)
def test_a_reference_is_not_judged_before_all_targets_are_known(right: str, unsure: str) -> None:
    text = GOOD.replace("needs: [recall]", "needs: [f1]").replace("problem:", "problem: &other", 1)
    assert right in text
    assert [*SCOPING.problems(text)]
    assert [*SCOPING.problems(text.replace(right, unsure, 1))] == []


VALUE = re.compile(r"(:|- )( ?[^\s,}\]]+)(?=[,}\]\n])")
VALUES = (
    *("TODO", "null", "''", "[]", "{}", "[1]", "{a: 1}", "0", "-3", "1e3", "1e-3", "0x1F", "010"),
    *(".inf", ".nan", "yes", "2026-01-01", "2026-1-1", "!!str 5", '"5"', "*a", "&a 5", "5 %"),
    *("1:30", "0o17", "+5", "5.", "1_000", "~", "&a {<<: *a}", "TBD later", "text: more", "'"),
)


def changes() -> Iterator[str]:
    """The document changed in one place, in every way that a slip of the hand makes."""
    written = GOOD.splitlines(keepends=True)
    slips: list[Callable[[str], str]] = [
        *(partial(VALUE.sub, rf"\1 {value}") for value in VALUES),
        lambda line: "",
        lambda line: line * 2,
        lambda line: f" {line}",
        lambda line: line.removeprefix("  "),
        lambda line: line.replace(": ", ":", 1),
        lambda line: line.replace("0.", "."),
        lambda line: line.replace("0.", "1_0."),
        lambda line: line.replace("0.", "00."),
    ]
    for number, line in enumerate(written):
        for slip in slips:
            yield "".join([*written[:number], slip(line), *written[number + 1 :]])


@pytest.mark.slow
def test_whatever_the_validator_accepts_the_hook_does_not_refuse(tmp_path: Path) -> None:
    refused_some = 0
    for text in changes():
        refused, errors = judged(tmp_path, text)
        assert not refused or errors, text
        refused_some += bool(refused)
    assert refused_some > 300


def test_both_know_the_same_metrics_choices_and_sections() -> None:
    assert {
        str(kind): {
            metric.name: (str(metric.direction), metric.low, metric.high, metric.low_is_possible)
            for metric in metrics.values()
        }
        for kind, metrics in METRICS.items()
    } == SCOPING.METRICS
    split = next(key for key in TARGETS[next(iter(TARGETS))].keys if key.name == "split")
    assert split.choices == SCOPING.SPLITS
    assert dict(choices(KEYS, "")) == SCOPING.CHOICES
    assert tuple(key.name for key in KEYS) == SCOPING.SECTIONS
    assert {str(section) for section in Section} <= set(SCOPING.SECTIONS)


def choices(keys: tuple[Key, ...], where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key in keys:
        if key.holds is Holds.CHOICE:
            yield f"{where}{key.name}", key.choices
        elif key.holds is Holds.KEYS:
            yield from choices(key.keys, f"{where}{key.name}.")


def test_a_problem_has_file_line_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "scoping.md").write_text(GOOD.replace("at_least: 0.75", "at_least: 75"), encoding="utf-8")
    (tmp_path / "bytes.md").write_bytes(b"---\n\xff\n---\n")
    done = hook("scoping_document", "scoping.md", "bytes.md", "absent.md", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ""
    assert lines(done.stdout) == ["scoping.md:19", "bytes.md:1", "absent.md:1"]
    assert "`recall` can never be 75: write a number at least 0 and at most 1" in done.stdout
