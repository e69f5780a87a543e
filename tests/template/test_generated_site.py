"""`make docs` of a generated repository: one site of documents, results, plots and decisions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.template.rendered import Rendered, render

DECISION = """\
---
title: Leave the comments out
date: 2026-11-20
kind: decision
run: 0a1b2c3d4e5f
---

# Leave the comments out

## Why

They were written after the [species](../data.md) was known,
as [the numbers](../../reports/metrics.json) show.
"""
PAGES = (
    "index",
    "scoping",
    "data",
    "labeling",
    "model_card",
    "results",
    "decisions/index",
    "getting-started",
    "pipeline",
    "people",
)


def make(root: Path, python: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Run the Makefile of a repository; what it says comes back."""
    return subprocess.run(
        ["make", "--silent", target, f"BIN={python.parent}{os.sep}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def text(page: Path) -> str:
    """The words of a page, without its marks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")).split())


@pytest.mark.parametrize("scaffold", ["full", "bare"])
def test_the_site_is_whole_before_anything_has_run(
    tmp_path: Path, project_python: Path, scaffold: str
) -> None:
    root = render(tmp_path / "fresh", None, scaffold=scaffold)
    done = make(root, project_python, "docs")
    assert done.returncode == 0, done.stderr
    assert [page for page in PAGES if not (root / "site" / f"{page}.html").is_file()] == []
    assert "The pipeline has not run here yet" in text(root / "site" / "results.html")
    assert "owner : not answered yet" in text(root / "site" / "scoping.html")


def test_no_page_needs_the_network(tmp_path: Path, project_python: Path) -> None:
    root = render(tmp_path / "fresh", None)
    assert make(root, project_python, "docs").returncode == 0
    for page in (root / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"([^\"]+)\"", page.read_text("utf-8"))
        assert [each for each in loaded if re.match(r"https?:|//", each)] == [], page


def test_placeholders_in_the_place_of_whole_sections_are_shown_as_such(
    tmp_path: Path, project_python: Path
) -> None:
    root = render(tmp_path / "fresh", None)
    sections = ("problem", "targets", "milestones", "resources", "approvals", "ethics")
    front = "".join(f"{name}: TODO\n" for name in sections)
    (root / "docs" / "scoping.md").write_text(f"---\n{front}---\n# Scoping\n", encoding="utf-8")
    done = make(root, project_python, "docs")
    assert done.returncode == 0, done.stderr
    assert "Ethics not answered yet" in text(root / "site" / "scoping.html")
    assert "who works on it not answered yet" in text(root / "site" / "people.html")


def test_a_link_that_leads_nowhere_stops_it_by_name(tmp_path: Path, project_python: Path) -> None:
    root = render(tmp_path / "fresh", None)
    with (root / "docs" / "data.md").open("a", encoding="utf-8") as page:
        page.write("\nSee [the manual](manual.md).\n")
    done = make(root, project_python, "docs")
    assert done.returncode != 0
    assert "'data.md' contains a link 'manual.md'" in done.stderr


@pytest.mark.slow
def test_after_a_run_the_site_has_numbers_figures_and_decisions(penguins_copy: Rendered) -> None:
    root = penguins_copy.root
    (root / "docs" / "decisions").mkdir()
    (root / "docs" / "decisions" / "2026-11-20-comments.md").write_text(DECISION, encoding="utf-8")
    done = make(root, penguins_copy.python, "docs")
    assert done.returncode == 0, done.stderr
    site = root / "site"
    results = text(site / "results.html")
    assert "f1 dev at least 0.8" in results
    assert "Gentoo penguin (Pygoscelis papua) test at least 0.8 (only suggested)" in results
    assert "On dev: 75 rows" in results
    assert "a dummy logistic_regression" in results
    figures = re.findall(r'<img[^>]+src="(figures/[^"]+)"', (site / "results.html").read_text("utf-8"))
    assert {Path(each).name for each in figures} == {
        "calibration.png",
        "confusion.png",
        "precision_recall.png",
    }
    assert all((site / each).is_file() for each in figures)
    assert "344 rows read, 344 kept" in text(site / "data.html")
    assert "hist_gradient_boosting" in text(site / "model_card.html")
    decided = text(site / "decisions" / "index.html")
    assert "Leave the comments out They were written after the species was known" in decided
    page = site / "decisions" / "2026-11-20-comments.html"
    assert "the numbers ( reports/metrics.json )" in text(page)
    assert 'href="../data.html"' in page.read_text(encoding="utf-8")
    assert "python -m penguins.modeling.train" in text(site / "pipeline.html")
    assert "Test" in text(site / "people.html")
    assert "site" not in penguins_copy.git("status", "--porcelain")

    # What DVC would have to fetch first is not there, and no reason to build nothing.
    shutil.rmtree(root / "reports" / "figures")
    assert make(root, penguins_copy.python, "docs").returncode == 0
    assert "make sync_data_down brings them" in text(site / "results.html")
