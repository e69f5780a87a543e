"""Register a run's model. Runs with the project's interpreter, which may know nothing of mlproj.

Waits on stdin for one JSON object, and answers with one on stdout: see `mlproj.tracking.mlflow.Registrar`.
"""

import json
import os
import sys

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Imported before there is anything to do: that takes seconds, in which the pipeline is still running.
import mlflow


def main() -> None:
    line = sys.stdin.readline()
    if not line:
        return  # The gates stayed closed.
    asked = json.loads(line)
    mlflow.set_tracking_uri(asked["store"])
    client = mlflow.MlflowClient()
    name, run_id = asked["name"], asked["run_id"]
    # An earlier attempt may have been interrupted after it made the version: one run, one version.
    known = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == run_id]
    version = known[0] if known else mlflow.register_model(f"runs:/{run_id}/model", name)
    for key, value in asked["tags"].items():
        client.set_model_version_tag(name, version.version, key, value)
    client.set_registered_model_alias(name, asked["alias"], version.version)
    json.dump({"version": int(version.version), "is_new": not known}, sys.stdout)


if __name__ == "__main__":
    main()
