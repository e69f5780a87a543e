"""`mlproj check` and `mlproj status`: judge, change nothing."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit, nearest

_JSON = "Print the versioned JSON that docs/reference/json.md describes."
_FORMAT = (
    "text, json, or github: text, and a workflow command for each gate that closes a phase, "
    "which GitHub shows on the pull request. In GitHub Actions github, else text."
)
_FORMATS = ("text", "json", "github")


def check(
    phase: Annotated[
        str,
        typer.Argument(
            metavar="[PHASE]", help="scoping, data, modeling or deployment; all of them if left out."
        ),
    ] = "",
    format: Annotated[str, typer.Option(metavar="FORMAT", help=_FORMAT)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
) -> None:
    """Judge the gates of a phase, or of all; change nothing.

    Exits 0 when they are open and 3 when one is closed.

    Example: mlproj check modeling
    """
    from mlproj.cli import render, render_github
    from mlproj.flows.check import judge
    from mlproj.lifecycle.phases import parse
    from mlproj.project import Project

    shown = _shown(format, as_json)
    judged = judge(Project.find(), parse(phase) if phase else None)
    if shown == "json":
        render.as_json(render.checks_json(judged.verdicts))
    else:
        render.checked(judged)
    for command in render_github.commands(judged) if shown == "github" else ():
        render.line(command)
    raise typer.Exit(Exit.DONE if judged.answers_yes else Exit.NO)


def _shown(format: str, as_json: bool) -> str:
    if format and format not in _FORMATS:
        like = nearest(format, _FORMATS) or "text"
        raise ConfigError(
            f"`--format {format}` is not one of {', '.join(f'`{name}`' for name in _FORMATS)}",
            hint=f"write `--format {like}`",
        )
    if as_json:
        if format not in ("", "json"):
            raise ConfigError(f"`--json` and `--format {format}` are both said", hint="keep one of them")
        return "json"
    return format or ("github" if os.environ.get("GITHUB_ACTIONS") == "true" else "text")


def status(
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Show where the project stands and what comes next.

    So does bare `mlproj`.

    Example: mlproj status --json
    """
    from mlproj.cli.status import show

    show(as_json=as_json)
