"""A split by time in a generated repository: the past is learnt from, the future is judged on."""

from __future__ import annotations

import csv
import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlproj.catalog.infer import infer
from tests.template.rendered import Rendered, render

SPLITS = ("train", "dev", "test")
SCRIPT = """\
import json
import pandas as pd
from shop import config, dataset, split

dataset.main()
split.main()
parts = {name: pd.read_parquet(config.split_path(name)) for name in split.SPLITS}
print(json.dumps({name: part.astype(str).to_numpy().tolist() for name, part in parts.items()}))
"""


def sales() -> list[list[str]]:
    """Some rows of each of 60 days, many of them alike but for the day, and some of them twice."""
    chance = random.Random(7)
    rows = []
    for day in range(60):
        when = (date(2026, 1, 20) + timedelta(days=day)).strftime("%d.%m.%Y")  # as text, not in order
        rows += [
            [when, str(chance.randrange(3)), chance.choice("ab"), chance.choice(["yes", "no"])]
            for _ in range(6)
        ]
    return [*rows, *rows[::9]]


def test_a_split_by_time_keeps_the_future_out_of_the_past(tmp_path: Path, project_python: Path) -> None:
    raw = tmp_path / "sales.csv"

    def write(path: Path, rows: list[list[str]]) -> None:
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["day", "amount", "kind", "returned"], *rows])

    rows = sales()
    write(raw, rows)
    findings = infer(raw, "returned").to_json()
    findings["split"] = {"kind": "time", "by": "day", "reason": "the future is to be predicted"}
    project = Rendered(render(tmp_path / "shop", findings), project_python, tmp_path / "home")

    def parts() -> dict[str, Any]:
        said = project.run("python", "-c", SCRIPT)
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found

    write(project.root / "data" / "raw" / "sales.csv", rows)
    first = parts()
    days = {
        name: [next(word for word in row if word.startswith("2026-")) for row in first[name]]
        for name in SPLITS
    }
    assert max(days["train"]) < min(days["dev"]) <= max(days["dev"]) < min(days["test"])
    together = [{tuple(row) for row in first[name]} for name in SPLITS]
    assert sum(map(len, together)) == len(set().union(*together)), "a row is in one split only"
    assert sum(map(len, days.values())) == len(set(map(tuple, rows))), "nothing is lost but repetitions"
    report = json.loads((project.root / "reports" / "split.json").read_text(encoding="utf-8"))
    assert (report["kind"], report["by"], report["overlap"]) == ("time", "day", 0)
    for name, share in (("dev", 0.2), ("test", 0.2)):
        assert report["rows"][name] / sum(report["rows"].values()) == pytest.approx(share, abs=0.03)

    random.Random(1).shuffle(rows)
    write(project.root / "data" / "raw" / "sales.csv", rows)
    assert parts() == first
