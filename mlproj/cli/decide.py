"""`mlproj decide` and `mlproj decisions`: the notebook of what was decided and why."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit

_ABOUT = "A run, version, promised metric or commit that it is about. May be given again."
_REVIEW = "The day by which to think again, such as 2027-06-30; `mlproj litter` reminds of it."
_WORDS = "What to look for: those that contain all of these words, or words that begin so."
_JSON = "For a script; docs/reference/json.md has the keys."


def decide(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What was decided, in a few words.")],
    why: Annotated[str, typer.Option("--why", "-m", help="The reason, while it is still known.")] = "",
    about: Annotated[list[str] | None, typer.Option(metavar="WORD", help=_ABOUT)] = None,
    review: Annotated[str | None, typer.Option(metavar="DATE", help=_REVIEW)] = None,
) -> None:
    """Add a decision to the notebook.

    That is a Markdown page, linked to the commit and the run it was made at, and to the runs, versions,
    targets and commits that its words name.

    Example: mlproj decide "Drop tenure" --why "it is filled in after the customer has left"
    """
    from datetime import date

    from mlproj.cli import render, render_runs
    from mlproj.flows.decide import add
    from mlproj.project import Project

    if not title.strip():
        raise ConfigError("a decision needs a title", hint='run `mlproj decide "Drop tenure" --why "..."`')
    try:
        day = date.fromisoformat(review) if review else None
    except ValueError:
        raise ConfigError(f"`--review {review}` is not a day", hint="write it as 2027-06-30") from None
    project = Project.find()
    path, decision = add(project, title.strip(), why.strip(), about=about or (), review=day)
    render.line(f"wrote `{project.relative(path)}`")
    linked = render_runs.links(decision.about)
    if linked:
        render.line(f"linked to {linked}")
    render.line("\nnext: " + ("commit it" if why.strip() else "open it and write down why, then commit it"))


def decisions(
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORDS]...", help=_WORDS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """List the decisions, newest first; with words, whatever was written that has them, best first.

    Words are looked for in decisions, in notes on runs and in the Markdown of notebooks.

    Example: mlproj decisions tenure
    """
    from mlproj.cli import render, render_runs
    from mlproj.decisions.store import find
    from mlproj.project import Project

    project = Project.find()
    if not words:
        pages = find(project.decisions)
        if as_json:
            render.as_json(render_runs.pages_json(project, pages))
        else:
            render.decisions(project, pages)
        return
    from mlproj.flows.past import Past
    from mlproj.flows.search import search

    found = search(Past(project), tuple(words))
    if as_json:
        render.as_json(render_runs.found_json(found))
    else:
        render_runs.found(found, words)
    raise typer.Exit(Exit.DONE if found else Exit.NO)
