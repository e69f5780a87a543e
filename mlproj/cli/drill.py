"""`mlproj drill`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_SAMPLE = "So many predictions, each of all that were ever answered as likely as any other."
_REPRODUCE = "Rebuild one of the deployed runs too, chosen by chance; takes as long as training it."
_SEED = "Of the choice; printed, so that a drill can be repeated."
_LIST = "Show the drills there were, and do nothing."
_JSON = "For a script; docs/concepts/replay.md has the keys."


def drill(
    sample: Annotated[int, typer.Option(metavar="COUNT", help=_SAMPLE)] = 100,
    reproduce: Annotated[bool, typer.Option("--reproduce", help=_REPRODUCE)] = False,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help=_SEED)] = None,
    only_list: Annotated[bool, typer.Option("--list", help=_LIST)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Try whether the past can be had again, and keep the result: an untested restore is none.

    Replays a random sample of past predictions. Each drill is kept in the project's data folder, and the
    success rate over all of them is shown. Exits 3 when something could not be done.

    Example: mlproj drill --reproduce
    """
    from mlproj.cli import render, render_replay
    from mlproj.flows import drill as flow
    from mlproj.project import Project

    project = Project.find()
    made = None
    if not only_list:
        made = flow.drill(
            project, sample=sample, reproduce=reproduce, seed=seed, by=render.user(), say=render.talk
        )
    past = flow.past(project)
    if as_json:
        render.as_json(render_replay.drills_json(past))
    else:
        render_replay.drills(past, made)
    raise typer.Exit(Exit.DONE if made is None or made.passes else Exit.NO)
