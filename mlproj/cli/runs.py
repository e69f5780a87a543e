"""`mlproj runs [WORDS]`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_WORDS = "Only those whose notes, parameters or decisions contain all of these words, best first."
_METRIC = "A bound on a metric: `recall>0.7`, on dev unless it says `test.recall>0.7`. May be given again."
_PARAM = "A parameter's value: `train.model=random_forest`. May be given again."
_DATA = "The MD5 of a data file that the run read or split, or its beginning."
_BY = "Part of the name of whoever made the run."
_LIMIT = "How many to show."
_JSON = "For a script; docs/reference/json.md has the keys."


def runs(
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORDS]...", help=_WORDS)] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="BOUND", help=_METRIC)] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_PARAM)] = None,
    data: Annotated[str | None, typer.Option(metavar="DIGEST", help=_DATA)] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help=_BY)] = None,
    limit: Annotated[int, typer.Option(min=1, help=_LIMIT)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """List past runs, newest first: what they measured, who made them, what became of them.

    Those that git keeps, and those that only the MLflow store here knows.

    Example: mlproj runs --metric 'recall>0.7' --param train.model=random_forest
    """
    from mlproj.cli import render, render_runs
    from mlproj.flows.runs import Asked, find
    from mlproj.project import Project

    asked = Asked(
        words=tuple(words or ()),
        metrics=tuple(metric or ()),
        params=tuple(param or ()),
        data=data,
        by=by,
    )
    found = find(Project.find(), asked, limit=limit)
    if as_json:
        render.as_json(render_runs.as_json(found))
    else:
        render_runs.show(found, asked)
    asks = asked != Asked()
    raise typer.Exit(Exit.DONE if found.answers_yes or not asks else Exit.NO)
