"""A package made by hand, around a linear model in numpy: what a worker is given in these tests."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from pathlib import Path
from typing import Any

ENGINES = '''\
"""A linear model of two numbers and a category, and ways to fail that tests can ask for."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

if "TOY_IMPORTED" in os.environ:
    Path(os.environ["TOY_IMPORTED"]).touch()
print("a line of the model's own on standard output")


class Linear:
    def __init__(self, table):
        self.classes = table["classes"]
        self.weights = table["weights"]

    def predict(self, columns):
        if "poison" in columns["plan"]:
            raise ValueError("the model cannot stand this")
        if "slow" in columns["plan"]:
            Path(os.environ["TOY_STARTED"]).touch()
            time.sleep(1)
        if "huge" in columns["plan"]:
            np.ones(1 << 30)
        if "nan" in columns["plan"]:
            return ["Yes"] * len(columns["plan"]), [[0.5, float("nan")]] * len(columns["plan"])
        if "short" in columns["plan"]:
            return [], []
        log(len(columns["plan"]))
        score = np.full(len(columns["plan"]), self.weights["bias"])
        for name in ("age", "charge"):
            values = np.array([np.nan if v is None else v for v in columns[name]], dtype=float)
            score += self.weights[name] * np.where(np.isnan(values), self.weights["filled"], values)
        score += [self.weights["plan"].get(value or "missing", 0.0) for value in columns["plan"]]
        if self.classes is None:
            return score.tolist(), None
        second = 1 / (1 + np.exp(-score))
        if len(self.classes) == 3:
            chances = np.column_stack([(1 - second) / 2, second, (1 - second) / 2])
        else:
            chances = np.column_stack([1 - second, second])
        return [self.classes[i] for i in chances.argmax(axis=1)], chances.tolist()


class Nothing:
    """Does no work: what is left is the worker's own."""

    def __init__(self, table):
        self.classes = table["classes"]

    def predict(self, columns):
        n = len(next(iter(columns.values())))
        return [self.classes[0]] * n, [[0.8371233434, 0.1628766566]] * n


def log(rows):
    if "TOY_BATCHES" in os.environ:
        with open(os.environ["TOY_BATCHES"], "a") as file:
            file.write(f"{rows}\\n")


def load(package, name):
    table = json.loads((package / "engines" / "linear.json").read_text())
    return {"numpy": Linear, "nothing": Nothing}[name](table)
'''
WEIGHTS = {"bias": -0.5, "age": 0.03, "charge": -0.2, "filled": 1.0, "plan": {"gold": 1.5, "basic": -0.7}}
ROW = {"age": 40, "charge": 1.25, "plan": "gold", "since": "2024-03-01"}
INPUTS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "integer": True, "nullable": False, "example": 40},
    {"name": "charge", "kind": "number", "integer": False, "nullable": True, "example": 1.25},
    {"name": "plan", "kind": "text", "categories": ["basic", "gold"], "nullable": True, "example": "gold"},
    {"name": "since", "kind": "datetime", "format": "%Y-%m-%d", "nullable": True, "example": "2024-03-01"},
]


def probability(row: dict[str, Any], weights: dict[str, Any] = WEIGHTS) -> float:
    """Of the second class, counted by hand."""
    return 1 / (1 + math.exp(-score(row, weights)))


def score(row: dict[str, Any], weights: dict[str, Any] = WEIGHTS) -> float:
    total = float(weights["bias"]) + weights["plan"].get(row["plan"], 0.0)
    for name in ("age", "charge"):
        total += weights[name] * (weights["filled"] if row[name] is None else row[name])
    return float(total)


def make(
    folder: Path,
    *,
    classes: list[Any] | None = ["No", "Yes"],  # noqa: B006
    inputs: list[dict[str, Any]] = INPUTS,
    example: dict[str, Any] = ROW,
    engine: str = "numpy",
    weights: dict[str, Any] = WEIGHTS,
    recorded: dict[str, Any] | None = None,
    engines: str = ENGINES,
    **more: Any,
) -> Path:
    """A whole package in `folder`, which is returned."""
    code = folder / "code" / "toy_model" / "deployment"
    code.mkdir(parents=True)
    (folder / "code" / "toy_model" / "__init__.py").touch()
    (code / "__init__.py").touch()
    (code / "engines.py").write_text(textwrap.dedent(engines), encoding="utf-8")
    (folder / "engines").mkdir()
    table = json.dumps({"classes": classes, "weights": weights})
    (folder / "engines" / "linear.json").write_text(table, encoding="utf-8")
    if recorded is None:
        recorded = {"rows": [], "labels": [], "probabilities": None, "tolerance": 1e-6}
    outputs: dict[str, Any] = {"kind": "number"}
    if classes is not None:
        outputs = {"kind": "classes", "classes": classes, "positive": classes[1]}
    package = {
        "format": 1,
        "model": "toy-model",
        "run_id": "0" * 32,
        "task": "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass",
        "module": "toy_model",
        "engine": engine,
        "engines": {engine: {"passes": True, "reason": "", "rows": 10, "ms_per_row": 0.1}},
        "files": digests(folder),
        "environment": {"lock": "uv.lock", "lock_sha256": "0" * 64, "python": "3.11.7"},
        "entity": "customer",
        "inputs": inputs,
        "outputs": outputs,
        "example": example,
        "recorded": recorded,
        **more,
    }
    (folder / "package.json").write_text(json.dumps(package), encoding="utf-8")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "package.json"
    }
