"""`mlproj feedback` and `mlproj predictions`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlproj.base.errors import ConfigError

_FILE = "CSV or JSON lines: prediction_id (or entity, since, until), label (or decision, metric, value), at."
_SHADOWS = "Also what shadows said, which no caller saw; a column `role` tells them apart."
_SHOWN = 5


def feedback(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help=_FILE, show_default=False)] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who says so; the file's name unless said.")
    ] = None,
    unmatched: Annotated[
        bool, typer.Option("--unmatched", help="List what is kept and speaks of no prediction.")
    ] = False,
) -> None:
    """Take late ground truth, or what people decided; the same file twice changes nothing.

    The last label told of a prediction counts. What matches no prediction is kept, and listed.

    Example: mlproj feedback labels.csv
    """
    from mlproj.cli import render
    from mlproj.flows import feedback as flow
    from mlproj.project import Project

    if (file is None) is not unmatched:
        raise ConfigError("one file is wanted, or `--unmatched`", hint="such as `mlproj feedback labels.csv`")
    if file is None:
        left = flow.unmatched(Project.find())
        for subject in left:
            render.line(subject)
        render.talk(f"{len(left):,} speak of no prediction in the log")
        return
    taken = flow.take(Project.find(), file, source=source)
    render.line(f"{taken.new:,} new, {taken.known:,} known already")
    if taken.unmatched:
        render.line(f"{len(taken.unmatched):,} speak of no prediction in the log; they are kept:")
        for subject in taken.unmatched[:_SHOWN]:
            render.line(f"  {subject}")
        if len(taken.unmatched) > _SHOWN:
            render.line("  `mlproj feedback --unmatched` lists all")


def predictions(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From this time on, UTC.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time, UTC.")] = None,
    shadows: Annotated[bool, typer.Option("--shadows", help=_SHADOWS)] = False,
) -> None:
    """Write the prediction log as CSV: date, model, version, inputs, output.

    Example: mlproj predictions --since 2026-11-01 > november.csv
    """
    from mlproj.cli import render
    from mlproj.flows.predictions import export
    from mlproj.project import Project

    written = export(Project.find(), sys.stdout, since=since, until=until, shadows=shadows)
    render.talk(f"{written:,} predictions")
