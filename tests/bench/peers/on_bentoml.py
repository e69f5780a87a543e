"""BentoML: `bentoml serve on_bentoml:Model`, with PACKAGE in the environment; batches of up to 64 rows."""

# mypy: ignore-errors

import os
from typing import Any

import bentoml
from pipeline import Pipeline


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 256})
class Model:
    def __init__(self) -> None:
        self.model = Pipeline(os.environ["PACKAGE"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.model.rows(rows)
