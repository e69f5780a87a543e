"""How litter looks."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from mlproj.cli.render import line, style

if TYPE_CHECKING:
    from mlproj.flows.litter import Litter

JSON_VERSION = 1

_TITLES = {
    "version": "versions nobody serves",
    "deployment": "deployments to be reviewed",
    "run": "runs without a decision",
    "data": "data no stage reads",
}


def show(found: Litter) -> None:
    for kind, items in groupby(found.items, key=lambda item: item.kind):
        line(style(_TITLES[kind], "bold"))
        for item in items:
            line(f"  {item.name}: {item.why}")
            line(f"    {style(item.command, 'cyan')}")
    if not found.items:
        line("nothing lies about")
    for note in found.notes:
        line(f"{style('note', 'yellow')}: {note}")
    if found.items:
        line("\nnothing was deleted; each command above is yours to run")


def as_json(found: Litter) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "items": [{**vars(item), "kind": str(item.kind)} for item in found.items],
        "notes": list(found.notes),
    }
