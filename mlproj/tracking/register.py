"""Register a run's model. Runs with the project's interpreter, which may know nothing of mlproj.

Waits on stdin for one JSON object, and answers with one on stdout: see `mlproj.tracking.mlflow.Registrar`.
"""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Imported before there is anything to do: that takes seconds, in which the pipeline is still running.
import mlflow


def main() -> None:
    line = sys.stdin.readline()
    if not line:
        return  # The gates stayed closed.
    asked = json.loads(line)
    follow_the_move(asked["module"])
    mlflow.set_tracking_uri(asked["store"])
    client = mlflow.MlflowClient()
    name, run_id = asked["name"], asked["run_id"]
    try:
        client.get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        json.dump({"knows_run": False}, sys.stdout)
        return
    # An earlier attempt may have been interrupted after it made the version: one run, one version.
    known = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == run_id]
    version = known[0] if known else mlflow.register_model(f"runs:/{run_id}/model", name)
    for key, value in asked["tags"].items():
        client.set_model_version_tag(name, version.version, key, value)
    client.set_registered_model_alias(name, asked["alias"], version.version)
    json.dump({"knows_run": True, "version": int(version.version), "is_new": not known}, sys.stdout)


def follow_the_move(module: str) -> None:
    """Let the project's own code correct the store's paths, if the repository was moved since."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        tracking = importlib.import_module(f"{module}.tracking")
    except ModuleNotFoundError:
        return  # The project keeps its store in its own way.
    tracking.connect()


if __name__ == "__main__":
    main()
