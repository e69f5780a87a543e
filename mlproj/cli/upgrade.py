"""`mlproj upgrade`: today's template into this repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mlproj.base.errors import ConfigError, Exit

if TYPE_CHECKING:
    from pathlib import Path

    from mlproj.scaffold.upgrade import Question

_DEFAULTS_HELP = "Ask nothing: take the default of every question that is new in the template."
_SHOW_HELP = "Print the template's newer forms of the files that are yours, as a patch. Changes nothing."


def upgrade(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change and what would conflict; touch nothing.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Undo an upgrade that is not committed yet, whole.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help=_SHOW_HELP)] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help=_DEFAULTS_HELP)] = False,
) -> None:
    """Merge what is new in the template into this repository, for you to look at and commit.

    Exit code 3: something is left to you, a conflict for instance.

    Example: mlproj upgrade --dry-run
    """
    from mlproj.cli import render, render_upgrade
    from mlproj.flows import upgrade as flow
    from mlproj.scaffold import copier

    if dry_run + abort + show > 1:
        raise ConfigError("`--dry-run`, `--abort` and `--show` do not go together", hint="take one of them")
    root = _root()
    if abort:
        render.line(f"the upgrade to the template of mlproj {flow.abort(root)} is undone")
        return
    ask = _ask if sys.stdin.isatty() and not defaults else _default
    if show:
        render_upgrade.offered(flow.show(root, template=copier.installed(), ask=ask))
        return
    done = flow.run(root, template=copier.installed(), ask=ask, dry_run=dry_run, say=render.talk)
    render_upgrade.upgraded(done)
    if done.conflicts or done.left:
        raise typer.Exit(Exit.NO)


def _root() -> Path:
    """The repository's root; its settings may hold the marks of a conflict, and are not read."""
    from pathlib import Path

    from mlproj.project import Project, locate

    return locate(Path.cwd()) or Project.find().root


def _default(question: Question) -> str:
    del question
    return ""  # an empty answer is the default


def _ask(question: Question) -> str:
    from mlproj.cli import tables

    choices = f": {', '.join(question.choices)}" if question.choices else ""
    default = "" if "{{" in question.default else question.default
    return tables.ask(f"{question.help}{choices}", default)
