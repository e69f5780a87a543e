"""`mlproj doctor`: what is missing on this machine."""

from __future__ import annotations

from pathlib import Path

import typer

from mlproj.base.errors import Exit


def doctor() -> None:
    """Say what is missing on this machine, and what mends it.

    Inside a repository, its environment and hooks are looked at as well.

    Exits 0 when nothing is missing, 3 when something is.

    Example: mlproj doctor
    """
    from mlproj.cli import render
    from mlproj.flows.doctor import examine

    found = examine(Path.cwd())
    render.findings(found)
    raise typer.Exit(Exit.DONE if all(each.is_fine or not each.needed for each in found) else Exit.NO)
