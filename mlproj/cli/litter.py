"""`mlproj litter`."""

from __future__ import annotations

from typing import Annotated

import typer

_REVIEW = "After how many days a deployment is to be reviewed, where no decision about it names a day."
_JSON = "For a script; docs/reference/json.md has the keys."


def litter(
    review_days: Annotated[int, typer.Option(min=1, metavar="DAYS", help=_REVIEW)] = 90,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """List what nobody seems to need any more, each with the command that retires it. Deletes nothing.

    Versions nobody serves or speaks of, deployments past their review, runs without a decision, data that no
    stage reads. What live traffic or a kept prediction hangs on is never offered for deletion.

    Example: mlproj litter --review-days 180
    """
    from mlproj.cli import render, render_litter
    from mlproj.flows.litter import look
    from mlproj.project import Project

    found = look(Project.find(), review_days=review_days)
    if as_json:
        render.as_json(render_litter.as_json(found))
    else:
        render_litter.show(found)
