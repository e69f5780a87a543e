"""How answers look: text, colour and JSON. Results go to stdout, talk about them to stderr."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from mlproj.base.errors import Exit, MlprojError

if TYPE_CHECKING:
    from mlproj.decisions.store import Page
    from mlproj.flows.check import Judged
    from mlproj.flows.doctor import Finding
    from mlproj.flows.stage import Worked
    from mlproj.flows.status import Status
    from mlproj.lifecycle.check import Check
    from mlproj.lifecycle.gates import Verdict
    from mlproj.lifecycle.milestones import MilestoneStatus
    from mlproj.project import Project
    from mlproj.scoping.approval import Signed

# The shape of `--json`; a change that would break a reader raises it. See docs/reference/json.md.
JSON_VERSION = 1

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "unknown": ("?", "yellow")}
_KINDS = {
    Exit.FAILED: "failed",
    Exit.USAGE: "usage",
    Exit.TOOL_FAILED: "tool_failed",
    Exit.TOOL_MISSING: "tool_missing",
}
_DETAILS_SHOWN = 12


def line(text: str = "") -> None:
    print(text)


def talk(text: str) -> None:
    """Say what is going on, where it does not get into a pipe."""
    print(text, file=sys.stderr, flush=True)


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def warning(text: str) -> None:
    talk(f"{style('warning', 'yellow', sys.stderr)}: {text}")


def error(problem: MlprojError) -> None:
    talk(f"{style('error', 'red', sys.stderr)}: {problem.message}")
    if problem.hint:
        talk(f"\n{style('hint', 'cyan', sys.stderr)}: {problem.hint}")


def error_json(problem: MlprojError) -> dict[str, Any]:
    """The versioned shape of what `--json` prints instead of an answer."""
    return {
        "version": JSON_VERSION,
        "error": {
            "kind": _KINDS[problem.exit_code],
            "message": problem.message,
            "hint": problem.hint,
        },
    }


def user() -> str:
    """Who is at the keyboard, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def style(text: str, name: str, stream: TextIO | None = None) -> str:
    """Coloured where a person looks at it: not in a pipe, and not where NO_COLOR is set."""
    stream = stream or sys.stdout
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\033[{_CODES[name]}m{text}\033[0m"


def verdict(judged: Verdict, *, only_closed: bool = False) -> None:
    """One line a gate; below a closed one, what it names and what would open it."""
    for check in judged.closed_by if only_closed else judged.checks:
        _check(check)


def _check(check: Check) -> None:
    mark, colour = _MARKS[check.outcome]
    line(f"  {style(mark, colour)} {check.name}: {check.reason}")
    for detail in check.details[:_DETAILS_SHOWN]:
        line(f"      {detail}")
    if len(check.details) > _DETAILS_SHOWN:
        line(f"      and {len(check.details) - _DETAILS_SHOWN} more")


def worked(result: Worked) -> None:
    if result.refused is not None:
        line(f"{result.refused.phase} is not done, so {result.phase} does not begin:")
        verdict(result.refused, only_closed=True)
        line(f"\nnext: {result.next}")
        line(f'or:   run `mlproj stage {result.phase} --force "why"` to go on all the same, on the record')
        return
    assert result.verdict is not None
    if result.decision is not None:
        line(f"going on all the same is on the record: `{result.decision}`")
    for name in result.left_out:
        line(f"not in the snapshot, too large for git: `{name}`; put it under DVC or ignore it")
    word = style("done", "green") if result.verdict.open else style("not done", "red")
    line(f"{style(str(result.phase), 'bold')}: {word}")
    verdict(result.verdict)
    if result.version is not None:
        made = result.version
        word = "registered" if made.is_new else "registered already"
        line(f"\n{word}: {made.name} version {made.version}, alias `{made.alias}`")
    line(f"\nnext: {result.next}")


def status(found: Status) -> None:
    line(style(found.project.name, "bold"))
    width = max(len(judged.phase) for judged in found.verdicts)
    for judged in found.verdicts:
        line(f"  {_phase(judged)} {judged.phase:<{width}}  {_summary(judged)}")
        if not judged.open and judged.phase != "deployment":
            for check in judged.closed_by[:3]:
                line(f"      {check.name}: {check.reason}")
            if len(judged.closed_by) > 3:
                line(f"      and {len(judged.closed_by) - 3} more; `mlproj check {judged.phase}` lists them")
            break
    if found.milestones:
        line("\nmilestones")
        for milestone in found.milestones:
            _milestone(milestone)
    if found.run_id is not None:
        registered = ", registered as `candidate`" if found.is_registered else ""
        line(f"\nrun {found.run_id[:8]}{registered}")
    if found.live is not None and found.live.primary is not None:
        beside = (
            f", version {found.live.newcomer} is a {found.live.newcomer_mode}" if found.live.newcomer else ""
        )
        line(f"live: version {found.live.primary} since {found.live.since}{beside}")
    line(f"\n{style('next', 'cyan')}: {found.next}")


def _phase(judged: Verdict) -> str:
    outcomes = {check.outcome for check in judged.checks}
    mark, colour = _MARKS["pass" if judged.open else "fail" if "fail" in outcomes else "unknown"]
    return style(mark, colour)


def _summary(judged: Verdict) -> str:
    total, passed = len(judged.checks), sum(check.passed for check in judged.checks)
    return "done" if judged.open else f"{passed} of {total} gates open"


def _milestone(found: MilestoneStatus) -> None:
    colour = {"reached": "green", "overdue": "red"}.get(found.state, "yellow")
    due = f", {found.milestone.due}" if found.milestone.due else ""
    left = f" ({_days(found.days_left)})" if found.days_left is not None and found.waits_for else ""
    waits = f": waits for {', '.join(found.waits_for)}" if found.waits_for else ""
    line(f"  {style(f'{found.state:<8}', colour)} {found.milestone.name}{due}{left}{waits}")


def _days(left: int) -> str:
    days = f"{abs(left)} day{'' if abs(left) == 1 else 's'}"
    return f"{days} left" if left >= 0 else f"{days} late"


def status_json(found: Status) -> dict[str, Any]:
    """The versioned shape of `mlproj status --json`."""
    return {
        **checks_json(found.verdicts),
        "project": found.project.name,
        "run": found.run_id,
        "registered": found.is_registered,
        "live": None if found.live is None else dataclasses.asdict(found.live),
        "milestones": [
            {
                "name": entry.milestone.name,
                "due": entry.milestone.due.isoformat() if entry.milestone.due else None,
                "state": str(entry.state),
                "days_left": entry.days_left,
                "waits_for": list(entry.waits_for),
            }
            for entry in found.milestones
        ],
        "next": found.next,
    }


def checks_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The versioned shape of `mlproj check --json`."""
    return {
        "version": JSON_VERSION,
        "phases": [
            {
                "phase": str(judged.phase),
                "open": judged.open,
                "checks": [
                    {
                        "name": check.name,
                        "outcome": str(check.outcome),
                        "reason": check.reason,
                        "hint": check.hint,
                        "details": list(check.details),
                        "metric": check.metric,
                    }
                    for check in judged.checks
                ],
            }
            for judged in verdicts
        ],
    }


def findings(found: Iterable[Finding]) -> None:
    for finding in found:
        mark, colour = _MARKS["pass" if finding.is_fine else "fail" if finding.needed else "unknown"]
        line(f"  {style(mark, colour)} {finding.name}: {finding.said}")
        if finding.hint:
            line(f"      {finding.hint}")


def signed(result: Signed) -> None:
    approval = result.approval
    by = f"{approval.name} ({approval.role}) on {approval.date}"
    if result.added:
        line(f"signed off by {by}; it holds for the targets as they are now ({approval.of[:12]})")
    else:
        line(f"signed off already by {by}, for these very targets; nothing was written")
    line("\nnext: run `mlproj stage scoping`")


def decisions(project: Project, pages: Sequence[Page]) -> None:
    for page in pages:
        forced = "  (forced)" if page.decision.kind == "forced" else ""
        line(f"{page.decision.on}  {page.decision.title}{forced}")
        facts = [project.relative(page.path)]
        facts += [f"commit {page.decision.commit[:12]}"] if page.decision.commit else []
        facts += [f"run {page.decision.run[:8]}"] if page.decision.run else []
        line(style(f"            {', '.join(facts)}", "dim"))
    if not pages:
        folder = project.relative(project.decisions)
        line(f'no decision in `{folder}` yet; `mlproj decide "..." --why "..."` writes one')


def checked(judged: Judged) -> None:
    for problem in judged.warnings:
        talk(f"{judged.project.relative(problem.path)}:{problem.line}: warning: {problem.message}")
    for number, found in enumerate(judged.verdicts):
        if number:
            line()
        word = style("done", "green") if found.open else "not done"
        line(f"{style(str(found.phase), 'bold')}: {word}")
        verdict(found)
    closed = next((found for found in judged.verdicts if not found.open), None)
    hint = next((check.hint for check in closed.closed_by if check.hint), "") if closed else ""
    if hint:
        line(f"\nnext: {hint}")
