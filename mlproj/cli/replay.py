"""`mlproj replay PREDICTION`, or of many: `mlproj replay --since DATE`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlproj.base.errors import ConfigError, Exit

_PREDICTION = "A prediction's id, from the body of an answer or the header `X-Prediction-Id`."
_SINCE = "Of all that was answered from this time on, UTC."
_UNTIL = "Before this time, UTC."
_VERSION = "Only what this version answered."
_SAMPLE = "At most so many, each answer as likely as any other."
_SEED = "Of the sample: the same one takes the same predictions of the same log."
_TOLERANCE = "Two probabilities (or numbers, relative to their size) this far apart are equal."
_NO_INDEX = "Build environments from the wheels that are kept, without any package index."
_JSON = "For a script, with every prediction that differs; docs/concepts/replay.md has the keys."


def replay(
    prediction: Annotated[
        str | None, typer.Argument(metavar="[PREDICTION]", help=_PREDICTION, show_default=False)
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=_SINCE)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=_UNTIL)] = None,
    version: Annotated[int | None, typer.Option(metavar="NUMBER", help=_VERSION)] = None,
    sample: Annotated[int, typer.Option(metavar="COUNT", help=_SAMPLE)] = 1000,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help=_SEED)] = None,
    tolerance: Annotated[float, typer.Option(metavar="SIZE", help=_TOLERANCE)] = 1e-6,
    no_index: Annotated[bool, typer.Option("--no-index", help=_NO_INDEX)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Ask a version again what it was asked: does it give the same answer?

    The package that answered, in its own environment, with the recorded inputs; the engine that answered, and
    the original model. Exits 3 when a decision is another one, or a link is broken; each is named.

    Example: mlproj replay 0safxhkj40400
    """
    from mlproj.cli import render, render_replay
    from mlproj.flows.replay import Wish
    from mlproj.flows.replay import replay as again
    from mlproj.project import Project

    if prediction is None and since is None and until is None and version is None:
        raise ConfigError(
            "nothing says which predictions to replay",
            hint="give the id of one, or `--since 2026-11-01`, or `--version 3`",
        )
    wish = Wish(
        prediction=prediction,
        since=since,
        until=until,
        version=version,
        sample=sample,
        seed=seed,
        tolerance=tolerance,
        no_index=no_index,
    )
    found = again(Project.find(), wish, say=render.talk)
    if as_json:
        render.as_json(render_replay.as_json(found))
    else:
        render_replay.show(found)
    raise typer.Exit(Exit.DONE if found.holds else Exit.NO)
