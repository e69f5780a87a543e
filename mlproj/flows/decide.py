"""Adding to the notebook of decisions, linked to what it is about and to where it was made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from mlproj.base import clock, git
from mlproj.base.errors import ConfigError, nearest
from mlproj.decisions import links, store
from mlproj.decisions.links import Links
from mlproj.decisions.record import Decision
from mlproj.flows.past import Past
from mlproj.project import Project
from mlproj.provenance import history
from mlproj.scoping import document


def add(
    project: Project, title: str, why: str, *, about: Iterable[str] = (), review: date | None = None
) -> tuple[Path, Decision]:
    """Write a decision's page; its path, and the decision with all that it was linked to.

    What the words name is linked as `about` is: runs, versions, metrics that are promised, commits. Raises
    ConfigError for a word of `about` that is none of them.
    """
    if git.toplevel(project.root) is None:
        past, found = None, Links()
    else:
        past = Past(project)
        found = _found(past, f"{title}\n{why}")
        for word in about:
            found |= _meant(past, word)
        found = _resolved(past, found)
    decision = Decision(
        title=title,
        on=clock.today(),
        why=why,
        commit=git.head(project.root) if past else None,
        run=past.current if past else None,
        about=found,
        review=review,
    )
    return store.add(project.decisions, decision), decision


def _found(past: Past, text: str) -> Links:
    """What a text names, as far as it is there."""
    found = links.named(text, runs=[run.run for run in past.runs], targets=_targets(past.project))
    known = {run.version for run in past.runs}
    commits = (history.commit(past.project.root, word) for word in found.commits)
    return Links(
        runs=found.runs,
        versions=tuple(number for number in found.versions if number in known),
        targets=found.targets,
        commits=tuple(commit.id for commit in commits if commit),
    )


def _meant(past: Past, word: str) -> Links:
    """What one word of the command line is: a metric, a run or version, else a commit."""
    targets = _targets(past.project)
    if word in targets:
        return Links(targets=(word,))
    try:
        run = past.named(word)
    except ConfigError:
        commit = history.commit(past.project.root, word)
        if commit is not None:
            return Links(commits=(commit.id,))
        near = nearest(word, targets)
        raise ConfigError(
            f"`--about {word}` is no run, version, promised metric or commit of {past.project.name}",
            hint=f"did you mean `{near}`?" if near else "`mlproj runs` lists runs and versions",
        ) from None
    return Links(runs=(run.run,), versions=() if run.version is None else (run.version,))


def _resolved(past: Past, found: Links) -> Links:
    """With the runs of the versions: a number may be given anew where a registry was lost, a run's id not."""
    of_versions = [run.run for run in past.runs if run.version in found.versions]
    return found | Links(runs=tuple(of_versions))


def _targets(project: Project) -> tuple[str, ...]:
    scope = document.load(project.scoping).scope
    return tuple(dict.fromkeys(target.metric for target in scope.targets)) if scope else ()
