"""The trained pipeline, as every peer is given it: the package's own original engine, rows in, answers out.

It stands for what its owner would write, and costs the peers what it costs us: one data frame a batch of the
types that the model was trained on, one prediction.
"""

# mypy: ignore-errors
# Runs in the environments of the peers, which hold what this repository's does not.

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


class Pipeline:
    def __init__(self, package: str) -> None:
        folder = Path(package)
        said = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        sys.path.insert(0, str(folder / "code"))
        # A package with a file that was not packaged is refused by our worker.
        sys.dont_write_bytecode = True
        engines = importlib.import_module(f"{said['module']}.deployment.engines")
        self.names = [column["name"] for column in said["inputs"]]
        self.engine = engines.load(folder, "original")

    def columns(self, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """One answer a row; `columns` holds a list of values per input."""
        labels, probabilities = self.engine.predict(columns)
        if probabilities is None:
            return [{"prediction": label} for label in labels]
        return [
            {"prediction": label, "probabilities": dict(zip(self.engine.classes, row, strict=True))}
            for label, row in zip(labels, probabilities, strict=True)
        ]

    def rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.columns({name: [row[name] for row in rows] for name in self.names})
