"""How the gaps of a handover look."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from mlproj.cli.render import JSON_VERSION, line, style
from mlproj.provenance.things import listed, plural

if TYPE_CHECKING:
    from mlproj.flows.handover import Handover


def show(found: Handover) -> None:
    for topic, gaps in groupby(found.gaps, key=lambda gap: gap.topic):
        line(style(str(topic), "bold"))
        for gap in gaps:
            line(f"  {style('✗', 'red')} {gap.place}: {gap.what}")
            line(f"      {gap.write}")
        line()
    if found.gaps:
        line(f"{plural(len(found.gaps), 'gap')}: what stands nowhere leaves with whoever knows it")
        shows = "; `make docs` shows what a newcomer will read" if found.has_site else ""
        line(f"\nnext: close them, from the top{shows}")
    else:
        line(f"{style('✓', 'green')} nothing is missing in {listed(found.documents, most=9)}")
        follow = "`make docs`" if found.has_site else "these"
        line(f"\nnext: let somebody new follow {follow}; what they have to ask is the next gap")


def as_json(found: Handover) -> dict[str, Any]:
    """The versioned shape of `mlproj handover --json`."""
    return {
        "version": JSON_VERSION,
        "complete": found.answers_yes,
        "documents": list(found.documents),
        "gaps": [
            {
                "topic": str(gap.topic),
                "file": gap.file,
                "line": gap.line or None,
                "what": gap.what,
                "write": gap.write,
            }
            for gap in found.gaps
        ],
    }
