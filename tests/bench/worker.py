"""What the worker itself costs a row: reading, checking, answering, with an engine that does nothing."""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.serving.worker import toy
from tests.serving.worker.conversation import PREDICT, WORKER, frame

NUMBERS = {f"number_{at}": at * 12.345 if at % 2 else at for at in range(12)}
TEXTS = {f"text_{at}": "Month-to-month" for at in range(8)}
INPUTS: list[dict[str, Any]] = [
    *({"name": name, "kind": "number"} for name in NUMBERS),
    *({"name": name, "kind": "text", "categories": ["Month-to-month", "Two years"]} for name in TEXTS),
]
ROWS = 32


class Nothing:
    def predict(self, columns: dict[str, list[Any]]) -> tuple[list[Any], list[list[float]]]:
        rows = len(columns["text_0"])
        return ["No"] * rows, [[0.8371233434, 0.1628766566]] * rows


def run(scratch: Path) -> None:
    module = worker_module()
    example = {**NUMBERS, **TEXTS}
    folder = toy.make(scratch / "package", inputs=INPUTS, example=example)
    server = module.Server(module.read_package(folder, None), Nothing(), 1000)
    items = frame([(PREDICT, 0, json.dumps(example).encode())] * ROWS)[10:]
    costs = []
    for _ in range(50):
        started = time.process_time()
        for _ in range(20):
            server.answer(0, ROWS, items)
        costs.append((time.process_time() - started) / 20 / ROWS * 1e6)
    print(f"\na worker's own cost, frames of {ROWS} requests with {len(example)} columns each")
    print(f"CPU a request: median {statistics.median(costs):.1f} µs, least {min(costs):.1f} µs")


def worker_module() -> ModuleType:
    """The file itself, which no package is needed to import."""
    spec = importlib.util.spec_from_file_location("worker_by_path", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
