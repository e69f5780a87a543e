"""What commands that make a repository or take a table share: options, questions, findings shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlproj.base.errors import ConfigError

if TYPE_CHECKING:
    from mlproj.flows.new import Table

DATA_HELP = "Your table: CSV, TSV, Parquet or JSON lines."

Target = Annotated[str | None, typer.Option(help="The column to predict.")]
Delimiter = Annotated[str | None, typer.Option(help="What separates the table's fields; else guessed.")]
Encoding = Annotated[str | None, typer.Option(help="How the table's text is encoded; else guessed.")]
Task = Annotated[
    str | None, typer.Option(help="binary, multiclass or regression; else inferred from the target.")
]
Missing = Annotated[
    list[str] | None,
    typer.Option(help="A further spelling that means missing, such as `unknown`. May be given again."),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(help="A column to keep as a feature whatever is suspected of it. May be given again."),
]
Author = Annotated[str, typer.Option(help="You or your organisation; else what git says.")]
Python = Annotated[str, typer.Option(help="Python version: 3.11, 3.12 or 3.13.")]
EnvManager = Annotated[str, typer.Option(help="uv, venv, conda, pixi, poetry or none.")]

_COLUMNS_SHOWN = 12
_NOTES_SHOWN = 12


def ask(question: str, default: str | None = None) -> str:
    # On stderr: stdout is for the result, and may be a pipe.
    answer: str = typer.prompt(question, default=default, show_default=bool(default), err=True)
    return answer


def author() -> str:
    """Who git says works here; empty where it says nobody."""
    from mlproj.base import git
    from mlproj.base.errors import MissingToolError

    try:
        identity = git.identity(Path.cwd())
    except MissingToolError:
        return ""  # said where git is needed
    return identity[0] if identity else ""


def need_data(data: Path | None, about: Iterable[object]) -> None:
    """Raises ConfigError where something is said about a table and no table is named."""
    if data is None and any(about):
        raise ConfigError(
            "`--target` and the other options about a table need `--data`",
            hint="name the table: `--data FILE --target COLUMN`",
        )


def told(
    data: Path,
    target: str | None,
    delimiter: str | None,
    encoding: str | None,
    task: str | None,
    missing: Sequence[str] | None,
    keep: Sequence[str] | None,
    *,
    asks: bool,
) -> Table:
    """The table as the options, or a person, say it is."""
    from mlproj.flows.new import Table

    return Table(
        path=data,
        target=target or _asked_target(data, delimiter, encoding, asks=asks),
        delimiter=delimiter,
        encoding=encoding,
        task=task,
        missing=tuple(missing or ()),
        keep=tuple(keep or ()),
    )


def _asked_target(data: Path, delimiter: str | None, encoding: str | None, *, asks: bool) -> str:
    """The column to predict, as a person says it; raises ConfigError naming the columns where none can."""
    from mlproj.flows.new import columns

    names = columns(data, delimiter=delimiter, encoding=encoding)
    shown = ", ".join(f"`{name}`" for name in names[:_COLUMNS_SHOWN])
    if len(names) > _COLUMNS_SHOWN:
        shown += f" and {len(names) - _COLUMNS_SHOWN} more"
    if not asks:
        raise ConfigError(
            f"which column of `{data.name}` is to be predicted? It has {shown}",
            hint=f"name it, e.g. `--target {shlex.quote(names[-1])}`",
        )
    typer.echo(f"{data.name} has {shown}", err=True)
    return ask("Which is to be predicted")


def show(findings: Mapping[str, Any]) -> None:
    """What was inferred from the table, guesses and suspicions first of all."""
    from mlproj.cli import render

    source, target = findings["source"], findings["target"]
    if findings["simulated"]:
        render.line(f"data: a simulated example, {findings['rows']:,} rows; `mlproj stage data` makes it")
    else:
        render.line(f"data: {source['name']}, {findings['rows']:,} rows, {len(findings['columns'])} columns")
        if source["guessed"]:
            guesses = ", ".join(f"{what} {source[what]!r}" for what in source["guessed"])
            options = " or ".join(f"`--{what}`" for what in source["guessed"])
            render.line(f"  guessed: {guesses}; say otherwise with {options}")
    render.line(f"  {target['task']} target {target['name']}: {target['reason']}")
    roles: dict[str, list[str]] = {}
    for column in findings["columns"]:
        if column["role"] in ("drop", "leak"):
            roles.setdefault(column["role"], []).append(column["name"])
    for role, says in (("leak", "left out as suspected leaks"), ("drop", "left out")):
        if role in roles:
            names = roles[role]
            more = f" and {len(names) - _COLUMNS_SHOWN} more" if len(names) > _COLUMNS_SHOWN else ""
            render.line(f"  {says}: {', '.join(names[:_COLUMNS_SHOWN])}{more} (reasons in params.yaml)")
    for note in findings["notes"][:_NOTES_SHOWN]:
        render.line(f"  {note}")
    if len(findings["notes"]) > _NOTES_SHOWN:
        render.line(f"  and {len(findings['notes']) - _NOTES_SHOWN} more, in docs/data.md")
