"""MLflow, opened by the project's own interpreter: two versions of MLflow would fight over the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mlproj.base import process
from mlproj.base.errors import ToolError
from mlproj.project import Project
from mlproj.tracking.models import ModelVersion


def register(project: Project, run_id: str, *, alias: str, tags: Mapping[str, str]) -> ModelVersion:
    """Make a version of a run's model, unless there is one, and give it `alias`.

    Raises ToolError with MLflow's own words if it refuses.
    """
    asked = {
        "store": store_uri(project),
        "name": project.model,
        "description": f"Trained in {project.name}",
        "run_id": run_id,
        "source": f"runs:/{run_id}/model",
        "alias": alias,
        "tags": dict(tags),
    }
    done = process.run(
        project.python,
        "-P",  # this folder has a module named `mlflow` too; theirs is meant
        Path(__file__).with_name("register.py"),
        cwd=project.root,
        path_first=project.bin,
        stdin=json.dumps(asked),
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ToolError(
            f"MLflow could not register the model of run `{run_id}`: {last[0]}",
            hint="run `mlproj stage modeling` again; `mlproj doctor` looks at the environment",
            returncode=done.returncode,
            output=done.stderr,
        )
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return ModelVersion(
        name=project.model, version=said["version"], run_id=run_id, alias=alias, is_new=said["is_new"]
    )


def store_uri(project: Project) -> str:
    return f"sqlite:///{project.store}"
