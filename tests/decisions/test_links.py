"""What the words of a page name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mlproj.decisions import links, store
from mlproj.decisions.links import Links
from mlproj.decisions.record import Decision

RUNS = (
    "9bca7137e13d4f66b0289592629a1a12",
    "9bca7137ffffffffffffffffffffffff",
    "e018fc3236d346cda5c06b950a19f208",
)


def test_runs_versions_metrics_and_commits_are_recognised_in_a_text() -> None:
    text = "Version 3 (run e018fc32) has less Recall than v2; see commit 9527d63d3aae."
    found = links.named(text, runs=RUNS, targets=("recall", "rec"))
    assert found == Links(runs=(RUNS[2],), versions=(3, 2), targets=("recall",), commits=("9527d63d3aae",))


@pytest.mark.parametrize(
    "text",
    [
        "20261201 rows",  # a number
        "the first letters of two runs: 9bca7137",
        "version 1.2.3 of pandas",
        "defaced",  # seven letters that are hexadecimal, and name no run: a commit, if git knows it
    ],
)
def test_what_only_looks_like_a_name_links_to_no_run_or_version(text: str) -> None:
    found = links.named(text, runs=RUNS, targets=("recall",))
    assert (found.runs, found.versions, found.targets) == ((), (), ())


def test_a_metric_is_named_by_its_whole_word() -> None:
    assert links.named("negative_flips rose", targets=("flips", "negative_flips")).targets == (
        "negative_flips",
    )


def test_what_a_page_is_about_reads_back_and_may_be_written_by_hand(tmp_path: Path) -> None:
    about = Links(runs=(RUNS[0],), versions=(3,), targets=("recall",), commits=("a" * 40,))
    decision = Decision(title="Keep it", on=date(2026, 12, 1), about=about, review=date(2027, 3, 1))
    store.add(tmp_path, decision)
    (page,) = store.find(tmp_path)
    assert (page.decision.about, page.decision.review) == (about, date(2027, 3, 1))
    page.path.write_text("---\ntitle: By hand\ndate: 2026-12-02\nversions: 4\nruns: 1234567\n---\n")
    (page,) = store.find(tmp_path)
    assert page.decision.about == Links(runs=("1234567",), versions=(4,))
