"""`mlproj approve`: sign the scoping document's targets off."""

from __future__ import annotations

from typing import Annotated

import typer


def approve(
    role: Annotated[str, typer.Option(help="In which role, e.g. `business owner`.")],
    name: Annotated[str, typer.Option(help="Who signs; by default the name that git commits with.")] = "",
) -> None:
    """Sign off the targets of the scoping document.


    The signature holds for these targets only: changing a bound asks for a new one.

    Example: mlproj approve --role "business owner"
    """
    from mlproj.cli import render
    from mlproj.flows.approve import sign
    from mlproj.project import Project

    render.signed(sign(Project.find(), role=role, name=name))
