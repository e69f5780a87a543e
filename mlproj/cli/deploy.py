"""`mlproj deploy`, `promote`, `rollback`, `retire` and `deployments`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit, nearest

_MODE = (
    "full: instead of what is live. shadow: beside it, nobody sees its answers. canary: for a growing share. "
    "blue-green: at once, the old one kept."
)
_STEPS = "The canary's shares in percent; 100 is the promotion."
_HOLD = "How long a canary holds each step at least, such as 30m, 2h or 1d."
_DEADLINE = "When a canary that cannot be told better or worse is left to a person."
_VERSION = "The version in the registry; the candidate unless said."
_AUTOMATION = (
    "shadow, assist, partial or full: what callers are told. As what is live unless said, or as promised."
)
_DEFER = "With partial automation: answers less sure than this go to a person."
_FORCE = "Deploy against a closed gate; the reason is kept as a decision record."
_PORT = "Where to serve, when nothing runs; kept for the next start. Else `[serving]` in mlproj.toml."
_LABELS = "Whether a canary needs labels (`mlproj feedback`) before it is promoted."
_MATURITY = "How old an answer must be before its label counts, in both arms."
_WHY = "Why, for the history."


def deploy(
    mode: Annotated[str, typer.Option(metavar="MODE", help=_MODE)] = "full",
    version: Annotated[int | None, typer.Option(metavar="NUMBER", help=_VERSION)] = None,
    steps: Annotated[str, typer.Option(metavar="PERCENT,...", help=_STEPS)] = "5,25,50,100",
    hold: Annotated[str, typer.Option(metavar="TIME", help=_HOLD)] = "30m",
    deadline: Annotated[str, typer.Option(metavar="TIME", help=_DEADLINE)] = "14d",
    labels: Annotated[bool, typer.Option("--labels/--no-labels", help=_LABELS)] = False,
    maturity: Annotated[str, typer.Option(metavar="TIME", help=_MATURITY)] = "0s",
    automation: Annotated[str | None, typer.Option(metavar="DEGREE", help=_AUTOMATION)] = None,
    defer_below: Annotated[float | None, typer.Option(metavar="CONFIDENCE", help=_DEFER)] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help=_PORT)] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=_PORT, min=0, max=65535)] = None,
    force: Annotated[str | None, typer.Option(metavar="REASON", help=_FORCE)] = None,
) -> None:
    """Put a version on live traffic, beside or instead of the current one.

    Starts the gateway where none runs. A canary is judged by itself and rolls back by itself.

    Exits 0 when the version is loaded and in its place, 3 when a gate is closed.

    Example: mlproj deploy --mode canary --steps 5,25,50,100 --hold 30m
    """
    from mlproj.cli import render, render_live
    from mlproj.flows.deploy import Wish
    from mlproj.flows.deploy import deploy as work
    from mlproj.project import Project
    from mlproj.rollout import plan
    from mlproj.rollout.plan import Plan
    from mlproj.rollout.verdict import Rules
    from mlproj.scoping.scope import Automation
    from mlproj.serving.deployment import Mode

    if force is not None and not force.strip():
        raise ConfigError(
            "`--force` wants the reason", hint='write it out: `--force "only an error of the test"`'
        )
    wish = Wish(
        mode=Mode(_one_of(mode, "mode", tuple(Mode))),
        plan=Plan(
            shares=plan.steps(steps),
            rules=Rules(
                hold_s=plan.seconds(hold),
                deadline_s=plan.seconds(deadline, "--deadline"),
                labels=labels,
            ),
        ),
        maturity_s=plan.seconds(maturity, "--maturity"),
        version=version,
        automation=Automation(_one_of(automation, "degree", tuple(Automation))) if automation else None,
        defer_below=defer_below,
        host=host,
        port=port,
        force=force,
    )
    result = work(Project.find(), wish, by=render.user(), say=render.talk)
    render_live.deployed(result)
    raise typer.Exit(Exit.DONE if result.deployment is not None else Exit.NO)


def promote() -> None:
    """Make the newcomer the primary now; the one before is kept for a rollback.

    Example: mlproj promote
    """
    from mlproj.cli import render, render_live
    from mlproj.flows.deploy import promote as work
    from mlproj.project import Project

    render_live.promoted(work(Project.find(), by=render.user()))


def rollback(
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for the history.")
    ] = "rolled back by hand",
) -> None:
    """Take the newcomer off; with none under way, go back to the version before.

    Example: mlproj rollback --reason "support reports odd answers"
    """
    from mlproj.cli import render, render_live
    from mlproj.flows.deploy import roll_back
    from mlproj.project import Project

    render_live.rolled_back(roll_back(Project.find(), by=render.user(), why=reason, say=render.talk))


def retire(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")],
) -> None:
    """Take a version off live traffic for good: primary, newcomer or kept.

    Example: mlproj retire 2
    """
    from mlproj.cli import render, render_live
    from mlproj.flows.deploy import retire as work
    from mlproj.project import Project

    render_live.retired(version, work(Project.find(), version, by=render.user()))


def deployments(
    as_json: Annotated[bool, typer.Option("--json", help="For a script.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every one there was, not the last ten.")] = False,
) -> None:
    """What is live and what has been: who, when, what, each step's verdict and why.

    Example: mlproj deployments
    """
    from mlproj.cli import render, render_live
    from mlproj.flows.deploy import overview
    from mlproj.project import Project

    found = overview(Project.find())
    if as_json:
        render.as_json(render_live.overview_json(found))
    else:
        render_live.overview(found, last=None if all_ else 10)


def _one_of(word: str, what: str, known: tuple[str, ...]) -> str:
    said = word.strip().lower()
    if said in known:
        return said
    near = nearest(said, known)
    raise ConfigError(
        f"`{word}` is not a {what}",
        hint=f"did you mean `{near}`?" if near else f"choose of {', '.join(known)}",
    )
