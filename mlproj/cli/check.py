"""`mlproj check` and `mlproj status`: judge, change nothing."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mlproj.base.errors import Exit

_JSON = "Print the versioned JSON that docs/reference/json.md describes."


def check(
    phase: Annotated[
        str,
        typer.Argument(
            metavar="[PHASE]", help="scoping, data, modeling or deployment; all of them if left out."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Judge the gates of a phase, or of all; change nothing.

    Exits 0 when they are open and 3 when one is closed. In GitHub Actions a closed gate is annotated.

    Example: mlproj check modeling
    """
    from mlproj.cli import render
    from mlproj.flows.check import judge
    from mlproj.lifecycle.phases import parse
    from mlproj.project import Project

    judged = judge(Project.find(), parse(phase) if phase else None)
    if as_json:
        render.as_json(render.checks_json(judged.verdicts))
    else:
        render.checked(judged)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        render.annotate(judged)
    raise typer.Exit(Exit.DONE if judged.answers_yes else Exit.NO)


def status(
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Show where the project stands and what comes next.

    So does bare `mlproj`.

    Example: mlproj status --json
    """
    from mlproj.cli.status import show

    show(as_json=as_json)
