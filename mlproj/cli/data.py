"""`mlproj data add FILE`: the project's own table, in place of the example or of an older one."""

from __future__ import annotations

import typer

app = typer.Typer(help="The project's data.", no_args_is_help=True, rich_markup_mode=None)
