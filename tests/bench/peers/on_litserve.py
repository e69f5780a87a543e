"""LitServe: `python on_litserve.py PACKAGE PORT BATCH`, where a batch waits 5 ms for more rows."""

# mypy: ignore-errors

import sys
from typing import Any

import litserve
from pipeline import Pipeline


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = Pipeline(sys.argv[1])

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return inputs

    def predict(self, rows: Any) -> Any:
        return self.model.rows(rows) if isinstance(rows, list) else self.model.rows([rows])[0]

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    size = int(sys.argv[3])
    api = Api(max_batch_size=size, batch_timeout=0.005) if size > 1 else Api()
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
