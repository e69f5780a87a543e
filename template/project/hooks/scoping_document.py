#!/usr/bin/env python3
"""Refuse a scoping document that cannot be read or contradicts itself.

    scoping_document.py FILE...

What nobody has answered yet (a `TODO`, a key left out) is no mistake and passes. `mlproj check scoping` knows
more; a document that is refused here does not pass there.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

try:
    import yaml
except ImportError:
    sys.exit(
        f"PyYAML is not installed for `{sys.executable}`: install it (`python3 -m pip install pyyaml`), "
        "or commit where the environment that has DVC is active"
    )

# Which direction is better, the smallest and the largest value, and whether the smallest can be reached.
METRICS: dict[str, dict[str, tuple[str, float | None, float | None, bool]]] = {
    "ml": {
        "accuracy": ("at_least", 0, 1, True),
        "balanced_accuracy": ("at_least", 0, 1, True),
        "precision": ("at_least", 0, 1, True),
        "recall": ("at_least", 0, 1, True),
        "f1": ("at_least", 0, 1, True),
        "roc_auc": ("at_least", 0, 1, True),
        "average_precision": ("at_least", 0, 1, True),
        "mcc": ("at_least", -1, 1, True),
        "log_loss": ("at_most", 0, None, True),
        "brier": ("at_most", 0, 2, True),
        "rmse": ("at_most", 0, None, True),
        "mae": ("at_most", 0, None, True),
        "median_absolute_error": ("at_most", 0, None, True),
        "mape": ("at_most", 0, None, True),
        "r2": ("at_least", None, 1, True),
        "negative_flips": ("at_most", 0, 1, True),
    },
    "software": {
        "latency_p50_ms": ("at_most", 0, None, False),
        "latency_p95_ms": ("at_most", 0, None, False),
        "latency_p99_ms": ("at_most", 0, None, False),
        "throughput_rps": ("at_least", 0, None, False),
        "error_rate": ("at_most", 0, 1, True),
        "availability": ("at_least", 0, 1, True),
        "memory_mb": ("at_most", 0, None, False),
        "model_size_mb": ("at_most", 0, None, False),
    },
    "business": {},  # any name will do
}
CHOICES = {
    "solution.approach": ("build", "buy", "adapt"),
    "feasibility.benchmark.kind": (
        "human",
        "literature",
        "competitor",
        "previous-system",
        "simple-model",
    ),
    "feasibility.verdict": ("go", "no-go", "proof-of-concept"),
    "automation": ("shadow", "assist", "partial", "full"),
}
SPLITS = ("dev", "test")
DATES = {"milestones": "due", "approvals": "date"}
SECTIONS = (
    *("problem", "solution", "feasibility", "ethics", "targets", "automation"),
    *("milestones", "resources", "approvals"),
)

MERGE = "<<"  # what a mapping takes from another one, which is not followed here

FENCE = re.compile(r"\ufeff?---[ \t]*(?:\r\n|\n|\r|\Z)")
END = re.compile(r"(?<=[\r\n])(?:---|\.\.\.)[ \t]*(?=[\r\n]|\Z)")
PLACEHOLDER = re.compile(r"\b(?:TODO|TBD)\b")
NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]\d+)?")
DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")

Problem = tuple[int, str]
Keys = dict[str, tuple[int, Any]]  # name: the line of the key, the node of its value


def main(argv: Sequence[str] | None = None) -> int:
    failed = False
    for name in sys.argv[1:] if argv is None else argv:
        try:
            text = Path(name).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            found = [(1, f"cannot be read: {error}")]
        else:
            found = sorted(problems(text))
        for line, message in found:
            failed = True
            print(f"{name}:{line}: {message}")
    return int(failed)


def problems(text: str) -> Iterator[Problem]:
    """Each line with a mistake, and what is wrong there and what to do about it."""
    end = END.search(text, 3)
    if not FENCE.match(text) or end is None:
        yield 1, "no front matter: begin with a line `---`, then the answers, then a line `---`"
        return
    try:
        root = yaml.compose(
            text[: end.start()].removeprefix("\ufeff"),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        yield (
            mark.line + 1 if mark else 1,
            f"not YAML: {error.problem}; check indentation and quotes",
        )
        return
    except (yaml.YAMLError, RecursionError) as error:
        yield 1, f"not YAML: {' '.join(str(error).split())}"
        return
    if not isinstance(root, yaml.MappingNode):
        yield 1, "the front matter holds no keys: write `problem:`, `targets:` and so on"
        return
    names = [key for key, _ in root.value if key.value in SECTIONS]
    for key in names:
        first = next(other for other in names if other.value == key.value)
        if first is not key:
            yield key.start_mark.line + 1, f"`{key.value}` is said twice: keep one of the two"
    said = keys(root)
    yield from misspelt(said)
    yield from choices(said)
    for kind, metrics in METRICS.items():
        for entry in entries(keys(said.get("targets", (0, None))[1]), kind):
            yield from target(kind, entry, metrics)
    for section, key in DATES.items():
        for entry in entries(said, section):
            yield from date(entry, key)
    yield from references(said)


def misspelt(said: Keys) -> Iterator[Problem]:
    """Sections that are not there, and a key that looks like one of them: its answers would not be read."""
    own = [name for name in said if name not in SECTIONS]
    absent = [name for name in SECTIONS if name not in said]
    if not own or MERGE in said:
        return
    import difflib  # here: few documents have a key that is not known

    for name in own:
        if meant := difflib.get_close_matches(name.lower(), absent, n=1):
            yield said[name][0], f"`{name}` is not a section: write `{meant[0]}`"


def references(said: Keys) -> Iterator[Problem]:
    """Metrics that a milestone needs or a business target is linked to, and no target promises."""
    targets = keys(said.get("targets", (0, None))[1])
    found = {kind: [*entries(targets, kind)] for kind in METRICS}
    every = [targets, *(entry for kind in found for entry in found[kind])]
    if any(MERGE in each for each in every) or any(not metric_of(each) for each in every[1:]):
        return  # not all of them can be told
    promised = {kind: {metric_of(entry) for entry in found[kind]} for kind in METRICS}
    for entry in entries(said, "milestones"):
        line, node = entry.get("needs", (0, None))
        for need in node.value if isinstance(node, yaml.SequenceNode) else ():
            yield from reference(line, need, set().union(*promised.values()))
    for entry in found["business"]:
        yield from reference(
            *entry.get("linked_to", (0, None)), promised["ml"] | promised["software"]
        )


def reference(line: int, node: Any, promised: set[str]) -> Iterator[Problem]:
    is_name = isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str") and not is_open(node)
    if is_name and promised and node.value not in promised:
        yield line, f"no target is `{node.value}`: write one of {', '.join(sorted(promised))}"


def metric_of(said: Keys) -> str:
    """The metric of a target; empty where nobody has answered yet."""
    _, node = said.get("metric", (0, None))
    return node.value if isinstance(node, yaml.ScalarNode) and not is_open(node) else ""


def choices(said: Keys) -> Iterator[Problem]:
    for path, words in CHOICES.items():
        *parents, name = path.split(".")
        here = said
        for parent in parents:
            here = keys(here.get(parent, (0, None))[1])
        yield from choice(here, name, words)


def choice(said: Keys, name: str, words: Sequence[str]) -> Iterator[Problem]:
    line, node = said.get(name, (0, None))
    if isinstance(node, yaml.ScalarNode) and not is_open(node) and node.value.strip() not in words:
        yield line, f"`{name}` cannot be `{node.value.strip()}`: write one of {', '.join(words)}"


def target(
    kind: str, said: Keys, metrics: dict[str, tuple[str, float | None, float | None, bool]]
) -> Iterator[Problem]:
    metric, line = metric_of(said), said.get("metric", (0, None))[0]
    if metric and metrics and metric not in metrics:
        yield line, f"`{metric}` is no {kind} metric: write one of {', '.join(metrics)}"
    bounds = [
        name for name in ("at_least", "at_most") if name in said and not is_empty(said[name][1])
    ]
    if len(bounds) == 2:
        line = max(said[name][0] for name in bounds)
        yield line, "`at_least` and `at_most` are both said: keep one"
        return
    for name in bounds:
        line, node = said[name]
        if is_open(node):
            continue
        value = number(node)
        if value is None:
            if not isinstance(node, yaml.ScalarNode) or node.tag.endswith((":str", ":bool")):
                yield line, f"`{name}` must be a number, such as 0.75"
            continue
        better, low, high, low_is_possible = metrics.get(metric, (name, None, None, True))
        too_low = low is not None and (value < low or (value == low and not low_is_possible))
        if too_low or (high is not None and value > high):
            yield line, f"`{metric}` can never be {node.value}: {span(low, high, low_is_possible)}"
        elif better != name:
            yield line, f"`{name}` is the wrong way round for `{metric}`: write `{better}`"
    if kind == "ml":
        yield from choice(said, "split", SPLITS)


def span(low: float | None, high: float | None, low_is_possible: bool) -> str:
    """The values that can exist, in words."""
    ends = [] if low is None else [f"{'at least' if low_is_possible else 'above'} {low}"]
    ends += [] if high is None else [f"at most {high}"]
    return f"write a number {' and '.join(ends)}"


def date(said: Keys, name: str) -> Iterator[Problem]:
    line, node = said.get(name, (0, None))
    if not isinstance(node, yaml.ScalarNode) or is_open(node):
        return
    found = DATE.fullmatch(node.value.strip())
    try:
        if found is None:
            raise ValueError("it has no year, month and day")
        datetime.date(*(int(part) for part in found.groups()))
    except ValueError as error:
        yield line, f"`{name}` is no date ({error}): write it as in 2026-12-15"


def number(node: Any) -> float | None:
    """The number, where it is written so that nobody reads another one."""
    is_number = isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float"))
    return float(node.value) if is_number and NUMBER.fullmatch(node.value) else None


def is_open(node: Any) -> bool:
    """Whether nobody has answered here yet."""
    return is_empty(node) or (
        isinstance(node, yaml.ScalarNode) and bool(PLACEHOLDER.search(node.value))
    )


def is_empty(node: Any) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return node.tag.endswith(":null") or not node.value.strip()
    return not node.value


def keys(node: Any) -> Keys:
    """The keys of a mapping; none for anything else. Of two alike, the first counts."""
    said: Keys = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            said.setdefault(key.value, (key.start_mark.line + 1, value))
    return said


def entries(said: Keys, name: str) -> Iterator[Keys]:
    """The mappings in a list."""
    node = said.get(name, (0, None))[1]
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(item, yaml.MappingNode):
            yield keys(item)


if __name__ == "__main__":
    sys.exit(main())
