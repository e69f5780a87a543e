"""
What the gateway counts, as Prometheus reads it.

Written by hand since the hot path counts several things a request: an integer in a dict costs a tenth of
what a client library's labelled counter does.
"""

from __future__ import annotations

import resource
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts of values by upper bound, with their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels = ()) -> Iterator[str]:
        seen = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield _line(f"{name}_bucket", (*labels, ("le", bound)), seen)
        yield _line(f"{name}_sum", labels, self.total)
        yield _line(f"{name}_count", labels, seen)


class Metrics:
    """Everything since the start of this process. Keys of the counters are the values of their labels."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: Counter[tuple[str, int, int, str]] = Counter()
        self.others: Counter[tuple[str, int]] = Counter()
        self.durations: dict[str, Histogram] = {}
        self.batches: dict[int, Histogram] = {}
        self.shadow_answers: Counter[tuple[int, int]] = Counter()
        self.shadow_drops: Counter[str] = Counter()
        self.unseen: Counter[str] = Counter()
        self.deferrals: Counter[int] = Counter()
        self.fallbacks: Counter[str] = Counter()
        self.commits = Histogram(SECONDS)
        self.log_failures = 0
        self.unlogged = 0
        self.in_flight = 0

    def duration(self, path: str, seconds: float) -> None:
        histogram = self.durations.get(path)
        if histogram is None:
            histogram = self.durations[path] = Histogram(SECONDS)
        histogram.add(seconds)

    def batch(self, version: int, requests: int) -> None:
        histogram = self.batches.get(version)
        if histogram is None:
            histogram = self.batches[version] = Histogram(REQUESTS)
        histogram.add(requests)

    def errors(self) -> int:
        """Requests answered with 500 or above."""
        return sum(count for (_, status, _, _), count in self.requests.items() if status >= 500)

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]) -> str:
        """The exposition; `gauges` are what is read now: name → (help, values by labels)."""
        return "\n".join([*self._lines(gauges), ""])

    def _lines(self, gauges: Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]) -> Iterator[str]:
        yield from _counter(
            "mlproj_requests_total",
            "Requests for predictions, by what was answered and who answered",
            (
                ((("route", path), ("status", str(status)), ("version", str(version)), ("role", role)), count)
                for (path, status, version, role), count in self.requests.items()
            ),
        )
        yield from _counter(
            "mlproj_http_requests_total",
            "Other requests, and those refused before they reached a model",
            (((("route", path), ("status", str(status))), n) for (path, status), n in self.others.items()),
        )
        yield from _head(
            "mlproj_request_duration_seconds", "From arrival to answer, its log included", "histogram"
        )
        for path, histogram in self.durations.items():
            yield from histogram.lines("mlproj_request_duration_seconds", (("route", path),))
        yield from _head("mlproj_batch_requests", "Requests a frame sent to a worker", "histogram")
        for version, histogram in self.batches.items():
            yield from histogram.lines("mlproj_batch_requests", (("version", str(version)),))
        yield from _counter(
            "mlproj_shadow_answers_total",
            "Copies that a shadow answered or failed, by status",
            (
                ((("version", str(version)), ("status", str(status))), count)
                for (version, status), count in self.shadow_answers.items()
            ),
        )
        for name, help_text, label, counts in (
            ("mlproj_shadow_dropped_total", "Copies that the shadow never got", "reason", self.shadow_drops),
            ("mlproj_unseen_categories_total", "Values that training never saw", "field", self.unseen),
            ("mlproj_deferrals_total", "Rows left to a person", "version", self.deferrals),
            (
                "mlproj_canary_fallbacks_total",
                "Canary requests the primary answered",
                "reason",
                self.fallbacks,
            ),
        ):
            values = (((((label, str(key)),)), count) for key, count in dict(counts).items())
            yield from _counter(name, help_text, values)
        yield from _head(
            "mlproj_log_commit_duration_seconds", "From a batch's end to its commit", "histogram"
        )
        yield from self.commits.lines("mlproj_log_commit_duration_seconds")
        yield from _counter(
            "mlproj_log_failures_total", "Batches that the log did not take", [((), self.log_failures)]
        )
        yield from _counter(
            "mlproj_unlogged_answers_total",
            "Answers given without a record (log_policy degrade)",
            [((), self.unlogged)],
        )
        for name, (help_text, gauge_values) in {**gauges, **self._process()}.items():
            yield from _head(name, help_text, "gauge")
            for labels, value in gauge_values:
                yield _line(name, labels, value)
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield from _counter(
            "process_cpu_seconds_total", "CPU time of the gateway", [((), used.ru_utime + used.ru_stime)]
        )

    def _process(self) -> dict[str, tuple[str, list[tuple[Labels, float]]]]:
        return {
            "mlproj_requests_in_flight": (
                "Requests for predictions not answered yet",
                [((), self.in_flight)],
            ),
            "process_resident_memory_bytes": ("Memory of the gateway", [((), resident_bytes())]),
            "process_start_time_seconds": ("When the gateway started, since 1970", [((), self.started)]),
        }


def resident_bytes() -> int:
    """Memory this process holds now; its peak where /proc is missing (macOS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()


def _counter(name: str, help_text: str, values: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    yield from _head(name, help_text, "counter")
    for labels, value in values:
        yield _line(name, labels, value)


def _head(name: str, help_text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}."
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
