"""`mlproj handover`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_JSON = "For a script; docs/reference/json.md has the keys."


def handover(as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False) -> None:
    """List what only somebody's head knows, each with its place and what to write there.

    Reads the documents, the notebook, the code, git, DVC and what was deployed, and builds the site. Changes
    nothing. Exits 3 while something is missing.

    Example: mlproj handover
    """
    from mlproj.cli import render, render_handover
    from mlproj.flows.handover import examine
    from mlproj.project import Project

    found = examine(Project.find())
    if as_json:
        render.as_json(render_handover.as_json(found))
    else:
        render_handover.show(found)
    raise typer.Exit(Exit.DONE if found.answers_yes else Exit.NO)
