"""`mlproj runs`: past runs, by words and by what they measured, were given, and read."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlproj.base.errors import ConfigError, nearest
from mlproj.flows import search
from mlproj.flows.past import Past, PastRun
from mlproj.flows.search import Found, Kind
from mlproj.project import Project

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BOUND = re.compile(
    r"(?:(?P<split>dev|test)\.)?(?P<metric>\w+)\s*(?P<by>>=|<=|>|<|=)\s*(?P<value>[-+.\deE]+)"
)
_MD5 = re.compile(r"[0-9a-f]{4,32}(\.dir)?")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the runs have to have, as it was typed."""

    words: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    data: str | None = None
    by: str | None = None

    @property
    def is_narrowed(self) -> bool:
        return self != Asked()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run with its main metric on `split`, and the titles of the decisions that speak of it."""

    run: PastRun
    metric: str | None
    split: str
    value: float | None
    low: float | None
    high: float | None
    decisions: tuple[str, ...]
    excerpt: str = ""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Those shown, out of `total` that fit; `beside` are other texts that have the words."""

    rows: tuple[Row, ...]
    total: int
    beside: tuple[Found, ...]

    @property
    def answers_yes(self) -> bool:
        return bool(self.rows or self.beside)


def find(project: Project, asked: Asked, *, limit: int) -> Runs:
    """The runs that fit all that was asked, newest first; with words, best first.

    Raises ConfigError for a filter that cannot be read, or names what no run has.
    """
    past = Past(project)
    fits = [*_filters(past.runs, asked)]
    chosen = [run for run in past.runs if all(fit(run) for fit in fits)]
    excerpts: dict[str, str] = {}
    beside: tuple[Found, ...] = ()
    if asked.words:
        found = search.search(past, asked.words)
        for each in found:
            for run in each.runs:
                excerpts.setdefault(run, each.excerpt if each.kind is Kind.RUN else f"“{each.title}”")
        order = {run: place for place, run in enumerate(excerpts)}
        chosen = sorted((run for run in chosen if run.run in order), key=lambda run: order[run.run])
        beside = tuple(each for each in found if each.kind is not Kind.RUN)
    spoken = search.spoken_of(past)
    titles = {page.path: page.decision.title for page in past.world.pages}
    rows = [
        _row(run, tuple(titles[path] for path, runs in spoken.items() if run.run in runs), excerpts)
        for run in chosen[:limit]
    ]
    return Runs(rows=tuple(rows), total=len(chosen), beside=beside)


def _row(run: PastRun, decisions: tuple[str, ...], excerpts: dict[str, str]) -> Row:
    metric = run.main_metric
    # On dev, by which one works: a column of test scores would make choosing by them easy.
    split = "dev" if run.measured("dev") else "test"
    entry = run.measured(split).get(metric or "") or {}
    return Row(
        run=run,
        metric=metric,
        split=split,
        value=entry.get("value"),
        low=entry.get("low"),
        high=entry.get("high"),
        decisions=decisions,
        excerpt=excerpts.get(run.run, ""),
    )


def _filters(runs: Sequence[PastRun], asked: Asked) -> Iterable[Callable[[PastRun], bool]]:
    for text in asked.metrics:
        yield _of_metric(runs, text)
    for text in asked.params:
        yield _of_param(runs, text)
    if asked.data is not None:
        yield _of_data(asked.data)
    if asked.by is not None:
        name = asked.by.casefold()
        yield lambda run: name in run.by.casefold()


def _of_metric(runs: Sequence[PastRun], text: str) -> Callable[[PastRun], bool]:
    matched = _BOUND.fullmatch(text.strip())
    try:
        bound = float(matched["value"]) if matched else None
    except ValueError:
        bound = None
    if matched is None or bound is None:
        raise ConfigError(
            f"`--metric {text}` is no bound of a metric",
            hint="write it as `recall>0.7`, or `test.recall>=0.7` for one split; quote it for the shell",
        )
    split, metric, compare = matched["split"] or "dev", matched["metric"], _COMPARED[matched["by"]]
    known = {name for run in runs for of in ("dev", "test") for name in run.measured(of)}
    if runs and metric not in known:
        near = nearest(metric, known)
        raise ConfigError(
            f"`{metric}` was measured of no run",
            hint=f"did you mean `{near}`?" if near else f"known are {', '.join(sorted(known)) or 'none'}",
        )

    def fits(run: PastRun) -> bool:
        value = run.value(metric, split)
        return value is not None and compare(value, bound)

    return fits


def _of_param(runs: Sequence[PastRun], text: str) -> Callable[[PastRun], bool]:
    name, equals, wanted = (part.strip() for part in text.partition("="))
    if not name or not equals:
        raise ConfigError(
            f"`--param {text}` gives a parameter no value", hint="write it as `train.model=random_forest`"
        )
    known = {key for run in runs for key in run.params}
    if runs and name not in known:
        near = next((key for key in sorted(known) if key.endswith(f".{name}")), None) or nearest(name, known)
        raise ConfigError(
            f"no run has a parameter `{name}`",
            hint=f"did you mean `{near}`?" if near else "names are those of `params.yaml`, joined by dots",
        )
    return lambda run: name in run.params and _same(run.params[name], wanted)


def _same(value: Any, wanted: str) -> bool:
    """Whether a parameter is what was typed: `0.10` is 0.1, `none` and `null` are nothing."""
    if value is None:
        return wanted.lower() in ("none", "null", "")
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return str(value) == wanted


def _of_data(text: str) -> Callable[[PastRun], bool]:
    digest = text.strip().lower().removeprefix("md5:")
    if not _MD5.fullmatch(digest):
        raise ConfigError(
            f"`--data {text}` is no digest", hint="give an MD5 or its beginning; `mlproj trace FILE` shows it"
        )
    return lambda run: any(each.startswith(digest) for each in run.digests.values())
