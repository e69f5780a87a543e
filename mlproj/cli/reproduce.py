"""`mlproj reproduce RUN`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_RUN = "A run or the beginning of its id, a version (`v3`), or a prediction's id."
_FROM = "Clone this repository instead of using the one at hand; works anywhere."
_KEEP = "Leave the folder in which it was rebuilt, and say where it is."
_JSON = "For a script; docs/reference/json.md has the keys."


def reproduce(
    run: Annotated[str, typer.Argument(metavar="RUN", help=_RUN)],
    from_: Annotated[str | None, typer.Option("--from", metavar="URL", help=_FROM)] = None,
    keep: Annotated[bool, typer.Option("--keep", help=_KEEP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Build a run's model again, and say how near it comes.

    In a folder of its own: the code of the run's snapshot, the data that it read (from DVC's cache or the
    remote), the environment of its lock file, every stage run anew. Your work tree, branch, caches and MLflow
    runs stay as they are; the result is a report in the project's data folder, and a run in MLflow.

    Exits 0 when at least no decision changed, 3 when the model is another one, or when something that it is
    made from is lost: each such thing is named.

    Example: mlproj reproduce 398580a3
    """
    from mlproj.cli import render, render_reproduce
    from mlproj.flows.reproduce import Options
    from mlproj.flows.reproduce import reproduce as rebuild
    from mlproj.project import Project

    project = None if from_ else Project.find()
    found = rebuild(project, run, Options(url=from_, keep=keep), render.talk)
    if as_json:
        render.as_json(render_reproduce.as_json(found))
    else:
        render_reproduce.show(found)
    raise typer.Exit(Exit.DONE if found.answers_yes else Exit.NO)
