"""`mlproj wheels`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_LIST = "Say what is kept, and keep nothing more."
_BACKGROUND = "Take only what nobody else wants of this machine's time."


def wheels(
    only_list: Annotated[bool, typer.Option("--list", help=_LIST)] = False,
    background: Annotated[bool, typer.Option("--background", help=_BACKGROUND)] = False,
) -> None:
    """Keep the wheels of the versions that were deployed, so that no package index is needed to run them.

    They become DVC's data, in the cache and on the remote. A supervisor does the same by itself, ten minutes
    after its start and once a day. Exits 3 when some are not kept.

    Example: mlproj wheels
    """
    from mlproj.cli import render, render_replay
    from mlproj.flows import wheels as flow
    from mlproj.project import Project

    project = Project.find()
    if background:
        flow.be_nice()
    found = flow.stocks(project) if only_list else flow.keep(project, say=render.talk)
    render_replay.stocks(found)
    raise typer.Exit(Exit.DONE if all(each.is_fine for each in found) else Exit.NO)
