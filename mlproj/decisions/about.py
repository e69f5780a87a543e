"""By what a page of the notebook speaks of a run."""

from __future__ import annotations

from collections.abc import Iterable

from mlproj.decisions import links
from mlproj.decisions.links import Links
from mlproj.decisions.store import Page


def named_on(page: Page, runs: Iterable[str]) -> Links:
    """What title and text of a page name, of runs those given."""
    return links.named(f"{page.decision.title}\n{page.text}", runs=runs)


def link_of(page: Page, text: Links, run: str, commits: Iterable[str], versions: Iterable[int]) -> str | None:
    """By what a page, whose `text` names these, speaks of a run that was made from these commits and became
    these versions; None if it does not."""
    decision, about = page.decision, page.decision.about
    if decision.run == run:
        return "run"
    if any(run.startswith(each) for each in about.runs):
        return "it is about the run"
    if decision.commit is not None and any(each.startswith(decision.commit) for each in commits):
        return "commit"
    if run in text.runs:
        return "it names the run"
    # A number may have been another run's, in a registry that was lost: the runs of a page say more.
    if decision.run is None and not about.runs and set(versions) & {*about.versions, *text.versions}:
        return "it names the version"
    return None
