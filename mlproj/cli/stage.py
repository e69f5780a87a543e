"""`mlproj stage`: work in a phase."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit

_FORCE = "Go on though the phase before is not done; the reason is kept as a decision record."


def stage(
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="scoping, data, modeling or deployment.")],
    force: Annotated[str | None, typer.Option(metavar="REASON", help=_FORCE)] = None,
) -> None:
    """Work in a phase: run its stages, judge its gates.

    The phase before must be done first.

    Exits 0 when every gate of the phase is open, 3 when one is closed.

    Example: mlproj stage modeling
    """
    from mlproj.cli import render
    from mlproj.flows.stage import work
    from mlproj.lifecycle.phases import parse
    from mlproj.project import Project

    if force is not None and not force.strip():
        raise ConfigError("`--force` wants the reason", hint='write it out: `--force "the labels come late"`')
    result = work(Project.find(), parse(phase), force=force, say=render.talk)
    render.worked(result)
    raise typer.Exit(Exit.DONE if result.answers_yes else Exit.NO)
