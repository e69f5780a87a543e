"""How past runs, and what was found of them by words, look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlproj.cli.render import line, style

if TYPE_CHECKING:
    from mlproj.decisions.links import Links
    from mlproj.decisions.store import Page
    from mlproj.flows.runs import Asked, Row, Runs
    from mlproj.flows.search import Found
    from mlproj.project import Project

JSON_VERSION = 1

_INDENT = " " * 10
_TITLES_SHOWN = 3
_BESIDE_SHOWN = 10


def show(found: Runs, asked: Asked) -> None:
    for row in found.rows:
        _row(row)
    if not found.rows:
        line("no run fits" if asked.is_narrowed else "no run was made yet")
    if found.total > len(found.rows):
        line(f"and {found.total - len(found.rows):,} more; `--limit` shows them")
    if found.beside:
        line("\nwritten elsewhere")
    for each in found.beside[:_BESIDE_SHOWN]:
        _found(each)


def as_json(found: Runs) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "total": found.total,
        "runs": [_row_json(row) for row in found.rows],
        "found": [_found_json(each) for each in found.beside],
    }


def found(every: Iterable[Found], words: Sequence[str]) -> None:
    told = list(every)
    for each in told:
        _found(each)
    if not told:
        line(f"no decision, note or notebook has {' and '.join(f'`{word}`' for word in words)}")


def found_json(every: Iterable[Found]) -> dict[str, Any]:
    return {"version": JSON_VERSION, "found": [_found_json(each) for each in every]}


def pages_json(project: Project, pages: Iterable[Page]) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "decisions": [
            {
                "title": page.decision.title,
                "on": page.decision.on.isoformat(),
                "kind": page.decision.kind,
                "path": project.relative(page.path),
                "commit": page.decision.commit,
                "run": page.decision.run,
                "review": page.decision.review.isoformat() if page.decision.review else None,
                "about": {name: list(values) for name, values in vars(page.decision.about).items()},
            }
            for page in pages
        ],
    }


def links(about: Links) -> str:
    """What a decision is about, in a sentence; empty if it names nothing."""
    facts = [f"version {number}" for number in about.versions]
    facts += [f"run {run[:8]}" for run in about.runs]
    facts += [f"target {metric}" for metric in about.targets]
    facts += [f"commit {commit[:12]}" for commit in about.commits]
    return ", ".join(facts)


def _row(row: Row) -> None:
    run = row.run
    value = "not measured"
    if row.value is not None:
        ends = f" [{row.low:.3g}, {row.high:.3g}]" if row.low is not None and row.high is not None else ""
        value = f"{row.metric} {row.value:.3g}{ends} on {row.split}"
    became = " ".join(filter(None, [f"v{run.version}" if run.version is not None else "", run.state]))
    when = run.at[:16].replace("T", " ")
    facts = [when, run.by, str(run.params.get("train.model") or ""), value]
    line(f"{style(run.short, 'bold')}  {', '.join(filter(None, facts))}  {style(became, 'cyan')}".rstrip())
    if run.source == "MLflow store":
        line(style(f"{_INDENT}in the MLflow store only: it was never kept", "dim"))
    for title in row.decisions[:_TITLES_SHOWN]:
        line(style(f"{_INDENT}decided: {title}", "dim"))
    if len(row.decisions) > _TITLES_SHOWN:
        line(style(f"{_INDENT}and {len(row.decisions) - _TITLES_SHOWN} more decisions", "dim"))
    if row.excerpt and row.excerpt.strip("“”") not in row.decisions:
        line(style(f"{_INDENT}{row.excerpt}", "dim"))


def _row_json(row: Row) -> dict[str, Any]:
    run = row.run
    return {
        "run": run.run,
        "source": str(run.source),
        "model_version": run.version,
        "state": run.state,
        "by": run.by,
        "at": run.at,
        "metric": row.metric,
        "split": row.split,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "params": run.params,
        "data": run.digests,
        "note": run.note,
        "decisions": list(row.decisions),
    }


def _found(each: Found) -> None:
    name = each.where[:8] if each.kind == "run" else each.where
    line(f"{each.on or each.kind}  {each.title}")
    facts = [name if each.kind != "run" else f"note of run {name}"]
    facts += [f"run {run[:8]}" for run in each.runs[:_TITLES_SHOWN] if each.kind != "run"]
    line(style(f"            {', '.join(facts)}", "dim"))
    if each.excerpt:
        line(style(f"            {each.excerpt}", "dim"))


def _found_json(each: Found) -> dict[str, Any]:
    return {**vars(each), "kind": str(each.kind), "runs": list(each.runs)}
