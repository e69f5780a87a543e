"""Ray Serve: `python on_ray.py PACKAGE PORT`, batches of up to 64 rows that wait 5 ms for more."""

# mypy: ignore-errors

import signal
import sys
from typing import Any

from pipeline import Pipeline
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256)
class Model:
    def __init__(self, package: str) -> None:
        self.model = Pipeline(package)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.model.rows(rows)

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await self.predict(await request.json())


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Model.bind(sys.argv[1]), route_prefix="/predict")
    signal.pause()
