"""Register a run's model. Runs with the project's interpreter, which may know nothing of mlproj.

Reads one JSON object from stdin, writes one to stdout: see `mlproj.tracking.mlflow.register`.
"""

import json
import os
import sys

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def main() -> None:
    asked = json.load(sys.stdin)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=asked["store"], registry_uri=asked["store"])
    name, run_id = asked["name"], asked["run_id"]
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name, description=asked["description"])
    # An earlier attempt may have been interrupted after it made the version: one run, one version.
    known = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == run_id]
    version = known[0] if known else client.create_model_version(name, asked["source"], run_id=run_id)
    for key, value in asked["tags"].items():
        client.set_model_version_tag(name, version.version, key, value)
    client.set_registered_model_alias(name, asked["alias"], version.version)
    json.dump({"version": int(version.version), "is_new": not known}, sys.stdout)


if __name__ == "__main__":
    main()
