"""Customers for the demo: sends the rows of a file as requests, then tells the truth about them.

    python traffic.py URL FILE PACKAGE --target COLUMN --entity COLUMN --seconds N [--labels FILE]

Standard library only. Every row is a request of its entity; with --labels, the truth is written down for
`mlproj feedback`.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import itertools
import json
import random
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENTS = 8


def rows(file: Path, package: dict[str, Any], target: str) -> list[tuple[dict[str, Any], str]]:
    """Every row as the model takes it, with the truth."""
    kinds = {entry["name"]: entry["kind"] for entry in package["inputs"]}
    missing = {"", " ", "NA", "?"}
    found = []
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            values = {name: None if row[name] in missing else row[name] for name in kinds}
            asked = {
                name: float(value) if value is not None and kinds[name] == "number" else value
                for name, value in values.items()
            }
            found.append((asked, row[target]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("package", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--labels", type=Path)
    said = parser.parse_args()

    package = json.loads((said.package / "package.json").read_text(encoding="utf-8"))
    asked = rows(said.file, package, said.target)
    random.Random(20).shuffle(asked)
    where = urlsplit(said.url)
    turns = itertools.count()
    ends = time.monotonic() + said.seconds
    labels: list[tuple[str, str]] = []
    statuses: dict[int, int] = {}

    def client() -> None:
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
        while time.monotonic() < ends:
            turn = next(turns)
            body, truth = asked[turn % len(asked)]
            headers = {"Content-Type": "application/json", "X-Entity-Id": f"customer-{turn}"}
            connection.request("POST", "/predict", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            if answer.status == 200:
                labels.append((json.loads(text)["prediction_id"], truth))

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    answered = ", ".join(f"{count:,} with {status}" for status, count in sorted(statuses.items()))
    print(f"{sum(statuses.values()):,} requests in {said.seconds:.0f} s: {answered}")
    if said.labels:
        with said.labels.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("prediction_id", "label"))
            writer.writerows(labels)


if __name__ == "__main__":
    main()
