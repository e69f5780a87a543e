"""`mlproj decide` and `mlproj decisions`: the notebook of what was decided and why."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit


def decide(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What was decided, in a few words.")],
    why: Annotated[str, typer.Option("--why", "-m", help="The reason, while it is still known.")] = "",
) -> None:
    """Add a decision to the notebook.

    That is a Markdown page, linked to the commit and the run it was made at.

    Example: mlproj decide "Drop tenure" --why "it is filled in after the customer has left"
    """
    from mlproj.cli import render
    from mlproj.flows.decide import add
    from mlproj.project import Project

    if not title.strip():
        raise ConfigError("a decision needs a title", hint='run `mlproj decide "Drop tenure" --why "..."`')
    project = Project.find()
    path = add(project, title.strip(), why.strip())
    render.line(f"wrote `{project.relative(path)}`")
    render.line("\nnext: " + ("commit it" if why.strip() else "open it and write down why, then commit it"))


def decisions(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]...", help="Only those that contain all of these.")
    ] = None,
) -> None:
    """List the decisions, newest first.

    Example: mlproj decisions tenure
    """
    from mlproj.cli import render
    from mlproj.decisions.store import find
    from mlproj.project import Project

    project = Project.find()
    found = find(project.decisions, tuple(words or ()))
    render.decisions(project, found)
    raise typer.Exit(Exit.DONE if found or not words else Exit.NO)
