"""`mlproj adopt`: the lifecycle for a repository that is there already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlproj.base.errors import ConfigError, Exit
from mlproj.cli import tables

if TYPE_CHECKING:
    from mlproj.flows.adopt import Found

_DEFAULTS_HELP = "Ask nothing: take the guesses and the defaults, and go on without being told to."
_PHASE_HELP = "The phase of a stage of your `dvc.yaml`: scoping, data, modeling, deployment. May be repeated."
_DATA_HELP = "Your table. Documents are filled from it; without a `dvc.yaml`, a pipeline is made for it."


def adopt(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The repository; else this folder.")] = Path(),
    *,
    phase: Annotated[list[str] | None, typer.Option(metavar="STAGE=PHASE", help=_PHASE_HELP)] = None,
    data: Annotated[Path | None, typer.Option(help=_DATA_HELP)] = None,
    target: tables.Target = None,
    delimiter: tables.Delimiter = None,
    encoding: tables.Encoding = None,
    task: tables.Task = None,
    missing: tables.Missing = None,
    keep: tables.Keep = None,
    name: Annotated[str, typer.Option(help="Name of the project; else what it calls itself.")] = "",
    module: Annotated[str, typer.Option(help="Name of its Python package; else the one that is there.")] = "",
    description: Annotated[str, typer.Option(help="What it is, in a sentence.")] = "",
    author: tables.Author = "",
    python: tables.Python = "",
    env_manager: tables.EnvManager = "",
    interpreter: Annotated[
        Path | None, typer.Option(help="The Python that runs its code, unless that is in `.venv`.")
    ] = None,
    lock: Annotated[str, typer.Option(help="The environment's lock file; else the one that is there.")] = "",
    store: Annotated[str, typer.Option(help="The MLflow store; else the one that is there.")] = "",
    defaults: Annotated[bool, typer.Option("--defaults", help=_DEFAULTS_HELP)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is there and what would be added; touch nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring an existing repository in: add what is missing, write over nothing.

    Exit code 3: you said no.

    Example: mlproj adopt --dry-run
    """
    from mlproj.cli import render, render_adopt
    from mlproj.flows import adopt as flow
    from mlproj.scaffold import environment

    about = (target, delimiter, encoding, task, missing, keep)
    tables.need_data(data, about)
    asks = not defaults and not dry_run and not as_json and sys.stdin.isatty()
    found = flow.look(path.absolute())
    if not as_json:
        render_adopt.found(found)
    table = tables.told(data, *about, asks=asks) if data is not None else None
    ran_by = environment.interpreter(interpreter) if interpreter else None
    wishes = flow.Wishes(
        words={
            "project_name": name,
            "module_name": module,
            "description": description,
            "author": author or tables.author(),
            "python_version": python or (ran_by.version if ran_by else ""),
            "env_manager": env_manager,
        },
        phases=_phases(found, phase or (), asks=asks, guesses=defaults or dry_run),
        table=table,
        lock=lock or None,
        store=store or None,
        interpreter=str(ran_by.path) if ran_by else "",
    )
    made = flow.plan(found, wishes, say=render.talk)
    if not as_json:
        render_adopt.plan(made)
    if asks and not typer.confirm("Do this?", default=True, err=True):
        render.line("nothing was touched")
        raise typer.Exit(Exit.NO)
    if not dry_run:
        flow.apply(made, say=render.talk)
    if as_json:
        render.as_json(render_adopt.as_json(made, is_dry_run=dry_run))
    else:
        render_adopt.done(made, is_dry_run=dry_run)


def _phases(found: Found, words: list[str] | tuple[str, ...], *, asks: bool, guesses: bool) -> dict[str, str]:
    """The phase of every stage that has none, as an option, a person or the guess says."""
    said = {}
    for word in words:
        stage, equals, phase = word.rpartition("=")
        if not equals or not stage:
            raise ConfigError(
                f"`--phase {word}` is not STAGE=PHASE", hint="write it like `--phase train=modeling`"
            )
        said[stage] = phase
    left = [stage.name for stage in found.without_phase if stage.name not in said]
    if left and not asks and not guesses:
        raise ConfigError(
            f"nobody can be asked for the phases of {', '.join(f'`{name}`' for name in left)}",
            hint="say them with `--phase STAGE=PHASE`, or take the guesses with `--defaults`",
        )
    for name in left:
        guess = found.guesses[name]
        if asks:
            question = f"Phase of `{name}`: scoping, data, modeling, deployment or none"
            phase = tables.ask(question, guess.phase or "none")
        else:
            phase = guess.phase or "none"
        if phase.strip().lower() != "none":
            said[name] = phase
    return said
