"""How a reproduction looks: what holds, what does not, and where the report is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlproj.cli import render_breaks
from mlproj.cli.render import JSON_VERSION, line, style
from mlproj.provenance import report, reproduction
from mlproj.provenance.reproduction import Compared, Reproduction
from mlproj.provenance.things import listed, plural

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def show(found: Reproduction) -> None:
    """The verdict, the rungs below it, and what is broken."""
    colour = "green" if found.answers_yes else "red"
    named = f"run {found.run[:8]}" if found.run else f"`{found.subject}`"
    line(f"{style(named, 'bold')}: {style(report.verdict(found), colour)}")
    if found.rungs:
        _facts(found)
    for rung in found.rungs:
        mark, shade = _MARKS[rung.holds]
        line(f"  {style(mark, shade)} {rung.name}: {rung.said}")
    for source in found.sources:
        line(f"      it may come from {source}")
    for note in found.notes:
        line(f"\nnote: {note}")
    if found.breaks:
        line("")
        render_breaks.show(found.breaks)
    if found.report is not None:
        line(f"\nreport: {found.report}")
    if found.tracked is not None:
        line(f"MLflow: run {found.tracked[:8]}, tagged `reproduction.of`")
    if found.folder is not None:
        line(f"kept: {found.folder}")


def as_json(found: Reproduction) -> dict[str, Any]:
    """The versioned shape of `mlproj reproduce --json`."""
    return {"version": JSON_VERSION, **reproduction.as_json(found)}


def _facts(found: Reproduction) -> None:
    line(f"  code       commit {str(found.code)[:12]} was checked out, read from {found.read_from}")
    if found.environment is not None:
        differs = f": {listed(found.environment.differs)}" if found.environment.differs else ""
        line(f"  packages   {found.environment.grade}{differs}")
    line(f"  data       {_same([*found.inputs, *found.data], 'file')}")
    other = [each for each in found.metrics if not each.is_same]
    said = f"{plural(len(found.metrics), 'value')}, {f'{len(other)} differ' if other else 'all equal'}"
    outside = [f"{each.name} on {each.split}" for each in other if not each.is_within]
    if other:
        said += f"; outside their intervals: {listed(outside)}" if outside else ", within their intervals"
    line(f"  metrics    {said}")
    if found.model_files:
        line(f"  model      {_same(found.model_files, 'file')}, which is not the identity of a model")


def _same(found: Sequence[Compared], noun: str) -> str:
    other = [f"`{each.path}`" for each in found if not each.is_same]
    count = plural(len(found), noun)
    return (
        f"{count}, {f'{len(other)} with another digest: {listed(other)}' if other else 'all equal by digest'}"
    )
