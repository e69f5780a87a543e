"""How an upgrade looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mlproj.cli import render

if TYPE_CHECKING:
    from mlproj.flows.upgrade import Change, Left, Upgraded

_SAYS = {"A": "new", "M": "changed", "R": "moved", "D": "removed"}
_MERGED = "merged"
_WIDTH = 9


def upgraded(done: Upgraded) -> None:
    """What came in, what is left to a person, and what to type next."""
    if done.before == done.after:
        render.line(f"the template of mlproj {done.after}")
    else:
        render.line(f"from the template of mlproj {done.before} to that of {done.after}")
    for change in done.changes:
        render.line(_change(change))
    for left in (*done.conflicts, *done.left):
        _left(left)
    if done.ignored:
        render.line(f"not written, because git does not keep it here: {', '.join(done.ignored)}")
    if done.offers:
        render.line(f"\nyours, and newer in the template: {', '.join(done.offers)}")
    is_empty = not (done.changes or done.conflicts or done.left)
    if done.is_dry_run:
        render.line("\nnothing was touched; `mlproj upgrade` does this")
        return
    if is_empty:
        render.line("no file of the template's changed" if done.before != done.after else "nothing to do")
        if done.before == done.after:
            return
    render.line("\nnext:")
    if done.conflicts:
        render.line("  settle what is left to you, as said above")
    render.line("  git diff --staged           # what changed")
    if any(change.path == "dvc.yaml" for change in done.changes):
        # A hook refuses the commit as long as `dvc.lock` is of the pipeline before.
        render.line("  mlproj stage data           # and later phases: a commit wants a new `dvc.lock` too")
        render.line("  git add --all")
    if done.offers:
        render.line("  mlproj upgrade --show       # the newer forms of your own files, as a patch")
    render.line(f'  git commit -m "Upgrade to the template of mlproj {done.after}"')
    render.line("  mlproj upgrade --abort      # or undo it")


def offered(patch: str) -> None:
    if not patch:
        render.talk("the template has no newer form of a file of yours")
        return
    sys.stdout.write(patch)
    render.talk("take it in with `mlproj upgrade --show | git apply`, or from it what you like")


def _change(change: Change) -> str:
    says = _MERGED if change.is_merged and change.letter == "M" else _SAYS[change.letter]
    if change.letter != "R":
        return f"  {says:<{_WIDTH}}{change.path}"
    edits = " with your edits" if change.is_merged else ""
    return f"  {says:<{_WIDTH}}{change.former} to {change.path}{edits}"


def _left(left: Left) -> None:
    mark = render.style("left to you", "yellow")
    render.line(f"  {mark}: {left.what}: {left.why}")
    render.line(f"      {left.settle}")
