"""`mlproj compare [RUN_A] [RUN_B]`."""

from __future__ import annotations

from typing import Annotated

import typer

_OLD = "The run to compare with: an id or its beginning, a version, `live`, `candidate` or `HEAD`."
_NEW = "The newer run; else the one of the work tree."
_SPLIT = "The split whose rows are compared: `test` or `dev`; else test where both were evaluated on it."
_FLOOR = "Train the newer run's recipe again, with another seed, to tell how much is chance. Remembered."
_JSON = "For a script; docs/reference/json.md has the keys."


def compare(
    old: Annotated[str | None, typer.Argument(metavar="[RUN_A]", help=_OLD)] = None,
    new: Annotated[str | None, typer.Argument(metavar="[RUN_B]", help=_NEW)] = None,
    split: Annotated[str | None, typer.Option(metavar="SPLIT", help=_SPLIT)] = None,
    floor: Annotated[bool, typer.Option("--floor", help=_FLOOR)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Hold two runs against each other: what was done otherwise, and which rows got worse.

    Without names, the run of the work tree against the version that is live, else the one registered before.
    Read from git and DVC, so runs that MLflow has lost compare as well.

    Example: mlproj compare live
    """
    from mlproj.cli import render, render_compare
    from mlproj.flows.compare import compare as hold
    from mlproj.project import Project

    found = hold(Project.find(), old, new, split=split, with_floor=floor, say=render.talk)
    if as_json:
        render.as_json(render_compare.as_json(found))
    else:
        render_compare.show(found)
