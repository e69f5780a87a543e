"""`mlproj data add FILE`: the project's own table. `mlproj data at TIME`: the data of a past day."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlproj.base.errors import Exit
from mlproj.cli import tables

app = typer.Typer(help="The project's data.", no_args_is_help=True, rich_markup_mode=None)

_OVERWRITE_HELP = "Where your edits and the new data meet in one place, give yours up (they stay in git)."

_WHEN_HELP = "A day (`2026-10-01`, the whole of it), a time, a commit, a branch or tag, or a run."
_OUT_HELP = "Put them into this folder, where nothing is overwritten [default: data/at/WHEN]."
_ALL_HELP = "The tables that stages made of them too."
_LIST_HELP = "Only say which; bring nothing."
_JSON_HELP = "For a script; docs/reference/json.md has the keys."


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=tables.DATA_HELP)],
    *,
    target: tables.Target = None,
    delimiter: tables.Delimiter = None,
    encoding: tables.Encoding = None,
    task: tables.Task = None,
    missing: tables.Missing = None,
    keep: tables.Keep = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE_HELP)] = False,
) -> None:
    """Take a table in: infer its columns, and fit the pipeline and the documents to it.

    Example: mlproj data add telco.csv --target Churn
    """
    from mlproj.cli import render
    from mlproj.flows.data import add as add_table
    from mlproj.project import Project

    project = Project.find()
    about = (target, delimiter, encoding, task, missing, keep)
    table = tables.told(file, *about, asks=sys.stdin.isatty())
    added = add_table(project, table, overwrite=overwrite, say=render.talk)
    render.line(f"{added.raw} is under DVC")
    tables.show(added.findings)
    for says, paths in (
        ("written anew", added.written),
        ("merged with your edits", added.merged),
        ("removed", added.removed),
        ("yours given up", added.overwritten),
    ):
        if paths:
            render.line(f"{says}: {', '.join(paths)}")
    render.line("\nnext:")
    render.line("  git diff                    # what changed; commit it when you agree")
    render.line("  $EDITOR docs/scoping.md     # do the targets still say what is wanted?")
    render.line("  mlproj stage data           # ingest, validate, split")


@app.command()
def at(
    when: Annotated[str, typer.Argument(metavar="TIME|COMMIT|RUN", help=_WHEN_HELP)],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help=_OUT_HELP)] = None,
    everything: Annotated[bool, typer.Option("--all", help=_ALL_HELP)] = False,
    only_list: Annotated[bool, typer.Option("--list", help=_LIST_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Say which data were current then, and bring them into the work tree, read-only.

    Nothing that is there is touched. Exits 3 when data is lost, or there was none yet.

    Example: mlproj data at 2026-10-01
    """
    from mlproj.cli import render, render_data
    from mlproj.flows import data_at
    from mlproj.project import Project

    wish = data_at.Wish(out=out, everything=everything, only_list=only_list)
    found = data_at.at(Project.find(), when, wish)
    if as_json:
        render.as_json(render_data.as_json(found))
    else:
        render_data.show(found)
    raise typer.Exit(Exit.DONE if found.answers_yes else Exit.NO)
