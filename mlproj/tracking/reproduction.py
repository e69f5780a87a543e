"""Log what came of a reproduction. Runs with the project's interpreter, which may know nothing of mlproj.

Takes one JSON object on stdin, answers with one on stdout: see `mlproj.tracking.mlflow.log_reproduction`.
"""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow


def main() -> None:
    asked = json.load(sys.stdin)
    mlflow.set_tracking_uri(asked["store"])
    experiment = experiment_of(asked["module"], asked["name"])
    found = asked["found"]
    tags = {
        "reproduction.of": found["run"],
        "reproduction.level": found["level"]["name"],
        "reproduction.reproduced": str(found["reproduced"]).lower(),
        "reproduction.environment": found["environment"]["grade"],
        "origin.commit": found["code"],
        "mlflow.parentRunId": found["run"],
    }
    with mlflow.start_run(experiment_id=experiment, run_name="reproduction", tags=tags) as run:
        numbers = {
            f"{each['split']}_{each['name']}": each["rebuilt"]
            for each in found["metrics"]
            if each["rebuilt"] is not None
        }
        paired = found["predictions"]
        if paired is not None:
            numbers |= {f"reproduction_{key}": paired[key] for key in ("rows", "differ", "largest")}
        mlflow.log_metrics(numbers, model_id=None)
        mlflow.log_dict(found, "reproduction.json")
    json.dump({"run_id": run.info.run_id}, sys.stdout)


def experiment_of(module: str, name: str) -> str:
    """The project's experiment, its paths corrected by the project's own code if the repository was moved."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        tracking = importlib.import_module(f"{module}.tracking")
    except ModuleNotFoundError:  # the project keeps its store in its own way
        return str(mlflow.set_experiment(name).experiment_id)
    return str(tracking.connect())


if __name__ == "__main__":
    main()
