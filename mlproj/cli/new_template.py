"""`mlproj new --template`: what is shown of somebody else's template, asked, and said of what it made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mlproj.base.errors import ConfigError, Exit

if TYPE_CHECKING:
    from mlproj.flows.adopt import Wishes
    from mlproj.flows.template import Made
    from mlproj.scaffold.foreign import Foreign

_SHOWN = 12


def generate(
    name: str,
    source: str,
    *,
    checkout: str | None,
    directory: str | None,
    answers: Sequence[str],
    trust: bool,
    replay: bool,
    defaults: bool,
    dry_run: bool,
    wishes: Wishes,
) -> None:
    """Fetch, show, ask, make."""
    from mlproj.cli import render
    from mlproj.flows import template as flow
    from mlproj.flows.new import surroundings
    from mlproj.scaffold import names

    asks = not defaults and sys.stdin.isatty()
    folder = Path.cwd() / names.check_project(name)
    words = _answers(answers)
    if replay and (words or defaults):
        raise ConfigError(
            "`--replay` takes the answers of last time", hint="leave `--answer` and `--defaults` out"
        )
    if said := surroundings(folder):
        render.warning(said)
    fetched = flow.fetched(source, folder, checkout=checkout, directory=directory, say=render.talk)
    with fetched as template:
        _show(template)
        if dry_run:
            render.line("\nnothing of it was run, and nothing was written")
            return
        flow.must_have_engine(template)
        if not flow.agreed(trust, asks=asks, confirm=lambda: _confirm(template)):
            render.line("nothing of it was run, and nothing was written")
            raise typer.Exit(Exit.NO)
        made = flow.create(
            folder,
            template,
            answers=words,
            defaults=defaults or not sys.stdin.isatty(),
            replay=replay,
            wishes=wishes,
            say=render.talk,
        )
    _done(made)


def _answers(words: Sequence[str]) -> Mapping[str, str]:
    said = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"`--answer {word}` is not KEY=VALUE", hint="write it like `--answer author=Ada`"
            )
        said[key] = value
    return said


def _confirm(template: Foreign) -> bool:
    runs = "these, and whatever its expressions say" if template.runs else "whatever its expressions say"
    sure: bool = typer.confirm(f"Run {runs}, as you?", default=False, err=True)
    return sure


def _show(template: Foreign) -> None:
    from mlproj.cli import render

    render.line(f"{template.source}: a {template.kind} template of {template.files} files")
    if template.commit:
        render.line(f"  commit     {template.commit}")
    render.line(f"  asks for   {', '.join(template.questions[:_SHOWN]) or 'nothing'}")
    if len(template.questions) > _SHOWN:
        render.line(f"             and {len(template.questions) - _SHOWN} more")
    for number, each in enumerate(template.runs):
        render.line(f"  {'runs' if not number else '':<11}{each}")
    if not template.runs:
        render.line("  runs       no hook, task or extension")
    render.line("A template is code: its hooks, its extensions, and every expression in its files and names.")


def _done(made: Made) -> None:
    from mlproj.cli import render

    render.line(
        f"\nmade {made.root.name}: {len(made.files)} files in two commits, the template's and mlproj's"
    )
    for note in made.notes:
        render.line(f"note: {note}")
    render.line("\nnext:")
    render.line(f"  cd {made.root.name}")
    render.line("  $EDITOR docs/scoping.md     # what is promised: targets, milestones")
    render.line("  mlproj                      # where the project stands, at any time")
