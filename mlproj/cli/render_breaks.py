"""How broken links are told, whichever command met them."""

from __future__ import annotations

from collections.abc import Sequence

from mlproj.cli.render import line, style
from mlproj.provenance.things import plural
from mlproj.provenance.trace import Break


def show(breaks: Sequence[Break]) -> None:
    """Each link that is broken, what is known all the same, and the command that mends it."""
    if breaks:
        count = plural(len(breaks), "link is", "links are")
        line(style(f"{count} broken", "red"))
    for each in breaks:
        line(f"  {style('✗', 'red')} {each.link}: {each.said}")
        if each.known:
            line(f"      known all the same: {each.known}")
        if each.hint:
            line(f"      to mend it: {each.hint}")
