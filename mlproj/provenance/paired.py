"""Two models' scores on the same rows, with intervals of their differences.

Runs with the interpreter of the project. Takes one JSON object on stdin: `module`, whose metrics
are taken; `before` and `after`, files of answers; `split`; `task` and `positive`; `groups`, null or {"path",
"column"}: rows to draw together; `confidence`, `bootstrap`, `seed`. Answers on stdout with
{metric: {"before", "after", "difference", "low", "high"}}.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_PROBABILITY = "probability "


def main() -> None:
    asked = json.load(sys.stdin)
    sys.path.insert(0, str(Path.cwd()))
    metrics = importlib.import_module(f"{asked['module']}.metrics")
    both = beside_each_other(asked)
    models = [answers(metrics, both, side, asked) for side in ("before", "after")]
    every = np.ones((1, len(both)))
    points = [model.score(every)[0] for model in models]
    drawn = pd.factorize(both["group"], use_na_sentinel=False)[0]
    differences: dict[str, list[Any]] = {name: [] for name in points[0]}
    # The same rows are drawn for both: what makes a draw easy for the one makes it easy for the other.
    for weights in metrics.resamples(drawn, asked["bootstrap"], asked["seed"]):
        before, after = (model.score(weights)[0] for model in models)
        for name, found in differences.items():
            found.append(after[name] - before[name])
    told = {}
    for name, found in differences.items():
        before, after = (metrics.rounded(point[name][0]) for point in points)
        low, high = metrics.interval(np.concatenate(found), asked["confidence"])
        known = before is not None and after is not None
        told[name] = {
            "before": before,
            "after": after,
            "difference": metrics.rounded(points[1][name][0] - points[0][name][0]) if known else None,
            "low": low if known else None,
            "high": high if known else None,
        }
    json.dump(told, sys.stdout)


def beside_each_other(asked: dict[str, Any]) -> pd.DataFrame:
    """The rows of the split that are in both files, in the order of the newer."""
    tables = []
    for side in ("before", "after"):
        table = pd.read_parquet(asked[side])
        table = table[table["split"] == asked["split"]].reset_index(drop=True)
        table["nth"] = table.groupby("key").cumcount()
        table["place"] = table.index
        tables.append(table.set_index(["key", "nth"]).add_suffix(f" {side}"))
    both = tables[1].join(tables[0], how="inner")
    groups = asked["groups"]
    if groups is None:
        both["group"] = range(len(both))
    else:
        column = pd.read_parquet(groups["path"], columns=[groups["column"]])[groups["column"]]
        both["group"] = column.to_numpy()[both["place after"].to_numpy()]
    return both


def answers(metrics: Any, both: pd.DataFrame, side: str, asked: dict[str, Any]) -> Any:
    """What `evaluate` had of a model, made again from the answers it kept."""
    truth = both["actual after"]
    if asked["task"] == "regression":
        return metrics.Answers(truth.to_numpy(), both[f"predicted {side}"].to_numpy())
    columns = [name.rpartition(" ")[0] for name in both if name.startswith(_PROBABILITY)]
    labels = sorted({name.removeprefix(_PROBABILITY) for name in columns})
    given = both.reindex(columns=[f"{_PROBABILITY}{label} {side}" for label in labels]).fillna(0.0)
    numbers = truth.map({label: number for number, label in enumerate(labels)}).to_numpy()
    positive = labels.index(asked["positive"]) if asked["task"] == "binary" else None
    return metrics.Answers(numbers, given.to_numpy(), tuple(labels), positive)


if __name__ == "__main__":
    main()
