"""DVC, run from the project's own environment through its command line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlproj.base import process
from mlproj.base.errors import MissingToolError, ToolError
from mlproj.pipeline import stages
from mlproj.pipeline.stages import Freshness, Pipeline, StageStatus
from mlproj.project import MARKER, Project

_QUIET = {"DVC_NO_ANALYTICS": "true", "DVC_CHECK_UPDATE": "false"}
# What DVC says after every run, whatever happened: mlproj says itself what to do next.
_CHATTER = re.compile(
    r"$|Stage '.*' didn't change, skipping|'.*\.dvc' didn't change, skipping|(Generating|Updating) lock file"
    r"|To track the changes with git, run:|\tgit add |To enable auto staging, run:|\tdvc config core.auto"
    r"|Use `dvc push` to send your updates|Data and pipelines are up to date\."
)


def repro(project: Project, targets: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run the stages named and what they need, showing what they say as they say it; DVC's exit code.

    Raises MissingToolError if the project's environment has no DVC.
    """
    return process.stream(
        "dvc",
        "repro",
        *targets,
        cwd=project.root,
        env={**_QUIET, "PYTHONUNBUFFERED": "1", **env},
        path_first=_programs(project),
        shows=lambda line: _CHATTER.match(line) is None,
    )


def push(project: Project, paths: Sequence[str]) -> str:
    """Send files that DVC keeps to the default remote; what DVC said where it could not, else empty.

    Raises MissingToolError if the project's environment has no DVC.
    """
    programs = _programs(project)
    done = process.run(
        "dvc", "push", "--quiet", *paths, cwd=project.root, env=_QUIET, path_first=programs, check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    if done.returncode == 0:
        return ""
    return lines[0].removeprefix("ERROR: ") if lines else (done.stderr.strip() or "it said nothing")


def status(project: Project, pipeline: Pipeline) -> tuple[StageStatus, ...]:
    """What DVC itself says is fresh; slower than `pipeline.status`, but it understands everything."""
    programs = _programs(project)
    done = process.run(
        "dvc", "status", "--json", cwd=project.root, env=_QUIET, path_first=programs, check=False
    )
    try:
        said: Mapping[str, Any] = json.loads(done.stdout or "{}")
    except json.JSONDecodeError:
        said = {}
    if done.returncode != 0:
        raise ToolError(
            "`dvc status` failed:\n" + (done.stderr or done.stdout).strip(),
            hint="mend what DVC names, then run the command again",
            returncode=done.returncode,
            output=done.stderr,
        )
    locked = stages.locked(project.root).keys()
    return tuple(
        StageStatus(
            stage=stage,
            freshness=_freshness(stage.name, said, locked),
            reasons=tuple(_reasons(said, stage.name)),
        )
        for stage in pipeline.stages
    )


def _programs(project: Project) -> Path:
    """The folder of the project's programs. Raises MissingToolError if DVC is neither there nor on PATH."""
    folder = project.bin
    if shutil.which("dvc", path=process.environment(None, folder)["PATH"]) is None:
        raise MissingToolError(
            f"`{project.python}` has no DVC, and there is none on PATH; "
            f"it is the project's interpreter because {project.python_because}",
            hint="run `mlproj doctor`: it lists what is missing and what installs it; "
            f"another interpreter is named in `{MARKER}`, by `python` below `[project]`",
        )
    return folder


def _freshness(name: str, said: Mapping[str, Any], locked: Iterable[str]) -> Freshness:
    if not any(key == name or key.startswith(f"{name}@") for key in locked):
        return Freshness.NEVER_RUN
    changed = any(key == name or key.startswith(f"{name}@") for key in said)
    return Freshness.STALE if changed else Freshness.FRESH


def _reasons(said: Mapping[str, Any], name: str) -> list[str]:
    reasons = []
    for key, changes in said.items():
        if key != name and not key.startswith(f"{name}@"):
            continue
        for change in changes:
            if isinstance(change, str):
                reasons.append(change)
            else:
                reasons += [f"{what}: {', '.join(map(str, paths))}" for what, paths in change.items()]
    return reasons
