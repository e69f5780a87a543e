"""Customers for the demo: the rows of a file as requests, and the truth about them some moments later.

    python traffic.py URL FILE PACKAGE --target COLUMN --seconds N [--unknown COLUMN] [--truth]
        [--until-decided]

Standard library only. `--unknown` is a column whose value nobody has yet when the prediction is asked for;
`--truth` tells what became of each customer; `--until-decided` ends when no rollout is under way any more.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import itertools
import json
import random
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENTS = 8
MISSING = {"", " ", "NA", "?", "unknown"}
TOLD_AT_ONCE = 500


def rows(file: Path, package: dict[str, Any], target: str, unknown: str | None) -> list[tuple[str, str]]:
    """Every row whose truth is known: the request's body, and the truth."""
    kinds = {entry["name"]: entry["kind"] for entry in package["inputs"]}
    found = []
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            truth = row.pop(target)
            if truth in MISSING:
                continue
            asked: dict[str, str | float | None] = {
                name: None if value in MISSING or name == unknown else value for name, value in row.items()
            }
            for name, value in asked.items():
                if value is not None and kinds.get(name) == "number":
                    asked[name] = float(value)
            found.append((json.dumps(asked), truth))
    return found


class Customers:
    """Clients that ask in turn, each as soon as it has its answer."""

    def __init__(self, url: str, asked: list[tuple[str, str]], *, seconds: float, truth: bool) -> None:
        self.statuses: Counter[int] = Counter()
        self.told = 0
        where = urlsplit(url)
        self._address = (str(where.hostname), where.port or 80)
        self._asked = asked
        self._turns = itertools.count()
        self._ends = time.monotonic() + seconds
        self._truth = truth
        self._count = threading.Lock()

    def run(self, *, until_decided: bool) -> None:
        clients = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        while until_decided and any(client.is_alive() for client in clients):
            time.sleep(2)
            if not under_way():
                self._ends = 0.0
        for client in clients:
            client.join()

    def _client(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        known: list[dict[str, str]] = []
        while time.monotonic() < self._ends:
            body, truth = self._asked[next(self._turns) % len(self._asked)]
            status, said = post(connection, "/predict", body)
            with self._count:
                self.statuses[status] += 1
            if status == 200 and self._truth:
                known.append({"prediction_id": said["prediction_id"], "label": truth})
            if len(known) == TOLD_AT_ONCE:
                self._tell(connection, known)
        self._tell(connection, known)
        connection.close()

    def _tell(self, connection: http.client.HTTPConnection, known: list[dict[str, str]]) -> None:
        if known and post(connection, "/feedback", json.dumps(known))[0] == 200:
            with self._count:
                self.told += len(known)
        known.clear()


def post(connection: http.client.HTTPConnection, path: str, body: str) -> tuple[int, Any]:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def under_way() -> bool:
    """Whether a rollout is still running, as `mlproj deployments` says."""
    said = subprocess.run(["mlproj", "deployments", "--json"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)["deployments"][0]["state"] in ("starting", "running")


def main() -> None:
    parser = argparse.ArgumentParser(description="Send a file's rows to a gateway, as customers would.")
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("package", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--unknown")
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--until-decided", action="store_true")
    parser.add_argument("--seconds", type=float, default=10)
    said = parser.parse_args()

    package = json.loads((said.package / "package.json").read_text(encoding="utf-8"))
    asked = rows(said.file, package, said.target, said.unknown)
    random.Random(20).shuffle(asked)
    customers = Customers(said.url, asked, seconds=said.seconds, truth=said.truth)
    customers.run(until_decided=said.until_decided)
    answers = ", ".join(
        f"{count:,} answered {status}" for status, count in sorted(customers.statuses.items())
    )
    told = f"; the truth about {customers.told:,} of them was told" if said.truth else ""
    print(f"{customers.statuses.total():,} requests: {answers}{told}")


if __name__ == "__main__":
    main()
