"""`mlproj` and `mlproj status`."""

from __future__ import annotations

from mlproj.base.errors import Exit


def show(*, as_json: bool = False) -> int:
    """Print where the project stands; bare `mlproj` comes straight here, without Typer."""
    from mlproj.cli import render
    from mlproj.flows.status import look
    from mlproj.project import Project

    found = look(Project.find())
    if as_json:
        render.as_json(render.status_json(found))
    else:
        render.status(found)
    return int(Exit.DONE)
