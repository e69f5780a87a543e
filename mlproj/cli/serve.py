"""`mlproj serve`: the gateway in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import Exit

_WHERE = "Instead of `[serving]` in mlproj.toml. Anything but loopback needs a token: MLPROJ_TOKEN."


def serve(
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help=_WHERE)] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=_WHERE, min=0, max=65535)] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Drain and end the one that runs.")] = False,
) -> None:
    """Serve what is deployed, in the foreground: for containers and service managers.

    `mlproj deploy` starts the same in the background.

    Exits 0 when drained; with --stop 3 when none runs.

    Example: mlproj serve --port 8080
    """
    from mlproj.cli import render
    from mlproj.flows import serve as flow
    from mlproj.project import Project
    from mlproj.serving import settings

    project = Project.find()
    if stop:
        ended = flow.stop(project)
        render.line("drained and ended" if ended else "nothing is running")
        raise typer.Exit(Exit.DONE if ended else Exit.NO)
    flow.serve(project, settings.load(project, host=host, port=port), say=render.talk)
