"""How an adoption looks."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlproj.cli import render

if TYPE_CHECKING:
    from mlproj.flows.adopt import Found, Plan

_WIDTH = 13
_SHOWN = 3
_SAYS = {
    "mlproj.toml": "marks the root; names and places",
    "docs/scoping.md": "what is promised: targets, milestones, sign-offs",
    "docs/data.md": "datasheet and data dictionary",
    "docs/labeling.md": "what a label means, and how one is given",
    "docs/model_card.md": "what the model is for, and how good it is",
    ".pre-commit-config.yaml": "checks on every commit",
    "dvc.yaml": "the pipeline",
    "params.yaml": "what it does, and why",
}


def found(seen: Found) -> None:
    """What is there."""
    survey = seen.survey
    render.line(f"found in {seen.root.name}/: {survey.layout}")
    _row("git", _git(seen))
    _row("package", survey.module or "none")
    lock = f", locked by {survey.lock}" if survey.lock else ", no lock file"
    _row("environment", f"{survey.env_manager}{lock}")
    count = len(seen.stages)
    says = f"dvc.yaml, {count} stage{'' if count == 1 else 's'}" if seen.has_pipeline else "no dvc.yaml"
    _row("pipeline", says)
    _row("MLflow store", survey.store or "none")
    tables = list(survey.tables[:_SHOWN])
    more = len(survey.tables) - len(tables)
    _row("tables", ", ".join(tables) + (f" and {more} more" if more else "") if tables else "none")
    _row("notebooks", str(survey.notebooks))


def plan(made: Plan) -> None:
    """What would be added and edited."""
    if made.found.top is None:
        render.line("\nto do: `git init`")
    render.line("\nto add:")
    folders = {
        f"{made.answers.module_name}/": "the pipeline's modules",
        "hooks/": "what these checks run",
        ".dvc/": "DVC's settings",
        ".mlproj/": "what was added, so that `mlproj upgrade` can tell it from your edits",
    }
    for path in made.added:
        if not path.startswith(tuple(folders)):
            render.line(f"  {path:<24}{_SAYS.get(path, '')}".rstrip())
    for folder, says in folders.items():
        if any(path.startswith(folder) for path in made.added):
            render.line(f"  {folder:<24}{says}")
    kept = [path for path in made.own if path in _SAYS]
    if kept:
        render.line(f"yours, and left as they are: {', '.join(kept)}")
    for path, text in _diffs(made):
        render.line(f"\nto edit: {path}")
        for name, phase in made.phases.items():
            guess = made.found.guesses[name]
            because = f", a guess: {guess.because}" if guess.phase == phase else ""
            render.line(f"  {name}: {phase}{because}")
        for each in text:
            render.line(f"    {each}")
    survey = made.found.survey
    if survey.tables and not made.found.has_pipeline and not made.raw and survey.layout.name != "KEDRO":
        table = shlex.quote(survey.tables[0])
        render.line(
            f"\nnot to add: a pipeline; `mlproj adopt --data {table} --target COLUMN` makes one as well"
        )


def done(made: Plan, *, is_dry_run: bool) -> None:
    for note in made.notes:
        render.line(f"\nnote: {note}")
    if is_dry_run:
        render.line("\nnothing was touched; `mlproj adopt` does this")
        return
    render.line(f"\nadded {len(made.added)} files; they are staged, nothing is committed")
    render.line("\nnext:")
    render.line("  git diff --staged           # read it")
    render.line(f"  git commit -m {shlex.quote('Adopt mlproj')}")
    if ".pre-commit-config.yaml" in made.new:
        render.line("  pre-commit install          # the checks, on every commit")
    render.line("  $EDITOR docs/scoping.md     # what is promised")
    render.line("  mlproj                      # where the project stands")


def as_json(made: Plan, *, is_dry_run: bool) -> dict[str, Any]:
    survey = made.found.survey
    return {
        "version": 1,
        "dry_run": is_dry_run,
        "root": str(made.found.root),
        "found": {
            "layout": survey.layout.name.lower(),
            "git": made.found.top is not None,
            "package": survey.module,
            "env_manager": str(survey.env_manager),
            "lock": survey.lock,
            "store": survey.store,
            "tables": list(survey.tables),
            "notebooks": survey.notebooks,
            "stages": [
                {
                    "name": stage.name,
                    "phase": stage.phase,
                    "guess": made.found.guesses[stage.name].phase,
                    "because": made.found.guesses[stage.name].because,
                }
                for stage in made.found.stages
            ],
        },
        "added": list(made.added),
        "edited": {path: "\n".join(text) for path, text in _diffs(made)},
        "phases": dict(made.phases),
        "kept": list(made.own),
        "notes": list(made.notes),
    }


def _diffs(made: Plan) -> Iterator[tuple[str, list[str]]]:
    for path, (before, after) in made.edited.items():
        old, new = (side.decode("utf-8").splitlines() for side in (before, after))
        yield path, list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]


def _git(seen: Found) -> str:
    if seen.top is None:
        return "not in git yet"
    return "yes" if seen.top == seen.root.resolve() else f"yes, in {seen.top.name}/"


def _row(name: str, says: str) -> None:
    render.line(f"  {name:<{_WIDTH}}{says}")
