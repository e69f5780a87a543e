"""MLflow, opened by the project's own interpreter: two versions of MLflow would fight over the store."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlproj.base import process
from mlproj.base.errors import ToolError
from mlproj.project import Project
from mlproj.tracking.models import ModelVersion


class Registrar:
    """A process that has imported MLflow already, for the moment when there is a model to register."""

    def __init__(self, project: Project, child: subprocess.Popen[str]) -> None:
        self._project = project
        self._child = child

    def register(self, run_id: str, *, alias: str, tags: Mapping[str, str]) -> ModelVersion | None:
        """Make a version of a run's model, unless there is one, and give it `alias`; can be called once.

        None where the store does not know the run: in a clone, or after the store was lost. Raises ToolError
        with MLflow's own words if it refuses.
        """
        asked = {
            "store": store_uri(self._project),
            "module": self._project.module,
            "name": self._project.model,
            "run_id": run_id,
            "alias": alias,
            "tags": dict(tags),
        }
        said, talk = self._child.communicate(json.dumps(asked) + "\n")
        if self._child.returncode != 0:
            last = talk.strip().splitlines()[-1:] or ["it said nothing"]
            raise ToolError(
                f"MLflow could not register the model of run `{run_id}`: {last[0]}",
                hint="run `mlproj stage modeling` again; `mlproj doctor` looks at the environment",
                returncode=self._child.returncode,
                output=talk,
            )
        answer = json.loads(said.strip().splitlines()[-1])
        if not answer["knows_run"]:
            return None
        return ModelVersion(
            name=self._project.model,
            version=answer["version"],
            run_id=run_id,
            alias=alias,
            is_new=answer["is_new"],
        )


@contextlib.contextmanager
def registrar(project: Project) -> Iterator[Registrar]:
    """Start importing MLflow now, beside whatever the block does first; end the process with the block."""
    child = process.start(
        project.python,
        "-P",  # the script's folder has a module named `mlflow` too, and theirs is meant
        Path(__file__).with_name("register.py"),
        cwd=project.root,
        path_first=project.bin,
    )
    with child:
        try:
            yield Registrar(project, child)
        finally:
            if child.poll() is None:
                child.kill()


def log_reproduction(project: Project, found: Mapping[str, Any]) -> str | None:
    """Log the result of a reproduction as a run below the one it is of; the id of that run.

    None where the store is a file that is gone: nobody wants a new one for that. Raises ToolError with
    MLflow's own words if it refuses.
    """
    store = store_uri(project)
    if "MLFLOW_TRACKING_URI" not in os.environ and not project.store.is_file():
        return None
    asked = {"store": store, "module": project.module, "name": project.name, "found": found}
    done = process.run(
        project.python,
        "-P",
        Path(__file__).with_name("reproduction.py"),
        cwd=project.root,
        path_first=project.bin,
        stdin=json.dumps(asked),
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ToolError(last[0], returncode=done.returncode, output=done.stderr)
    return str(json.loads(done.stdout.strip().splitlines()[-1])["run_id"])


def store_uri(project: Project) -> str:
    """The store that the project's own code uses: a server's, where MLflow has been told of one."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    # A repository that was adopted may keep its runs in files, as MLflow did before it had a database.
    return project.store.as_uri() if project.store.is_dir() else f"sqlite:///{project.store}"
