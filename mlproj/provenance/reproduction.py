"""What came of rebuilding a run, as values: what was compared, how near it came, and why no nearer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.provenance.installed import Graded, platform_of
from mlproj.provenance.ladder import Level, Paired, Rung
from mlproj.provenance.objects import Objects
from mlproj.provenance.rebuild import MODEL
from mlproj.provenance.things import File
from mlproj.provenance.trace import Break


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A file by its digests: as it was recorded, and as it was brought or made again."""

    path: str
    recorded: str | None
    rebuilt: str | None

    @property
    def is_same(self) -> bool:
        return self.recorded is not None and self.recorded == self.rebuilt


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric on a split, twice; `low` and `high` are the recorded interval."""

    split: str
    name: str
    recorded: float | None
    rebuilt: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_same(self) -> bool:
        return self.recorded == self.rebuilt

    @property
    def is_within(self) -> bool:
        """Whether the rebuilt value lies in the interval of the recorded one; one without, only if equal."""
        if self.low is None or self.high is None or self.rebuilt is None:
            return self.is_same
        return self.low <= self.rebuilt <= self.high


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A run that was built again, or what kept it from that: then `breaks` is not empty.

    `subject` is what was asked for, `code` the commit that ran, `level` how near the rebuilt model came (None
    where nothing could be compared), `sources` what is known to make runs differ and did differ. `report` is
    the path of the report, `folder` that of the rebuilt repository where it was kept, `tracked` the MLflow
    run that holds the result.
    """

    subject: str
    run: str | None = None
    read_from: str | None = None
    code: str | None = None
    rebuilt_run: str | None = None
    environment: Graded | None = None
    inputs: tuple[Compared, ...] = ()
    data: tuple[Compared, ...] = ()
    metrics: tuple[Metric, ...] = ()
    predictions: Paired | None = None
    model_files: tuple[Compared, ...] = ()
    rungs: tuple[Rung, ...] = ()
    level: Level | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    breaks: tuple[Break, ...] = ()
    report: str | None = None
    folder: str | None = None
    tracked: str | None = None
    seconds: float = 0.0

    @property
    def answers_yes(self) -> bool:
        return not self.breaks and self.level is not None and self.level.is_reproduced


def as_json(found: Reproduction) -> dict[str, Any]:
    """Plain values, the same in the report and on stdout; docs/reference/json.md has the keys."""
    said = dataclasses.asdict(found)
    said["level"] = None if found.level is None else {"number": int(found.level), "name": found.level.said}
    said["reproduced"] = found.answers_yes
    return said


def metrics(
    recorded: Mapping[str, Any], rebuilt: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> tuple[Metric, ...]:
    """Every metric of `reports/metrics.json`, with its interval from `reports/evaluation.json`."""
    splits = evaluation.get("splits")
    found = []
    for split, values in recorded.items():
        of_split = splits.get(split) if isinstance(splits, dict) else None
        intervals = of_split.get("metrics") if isinstance(of_split, dict) else None
        again = rebuilt.get(split)
        for name, value in values.items() if isinstance(values, dict) else ():
            interval = intervals.get(name) if isinstance(intervals, dict) else None
            known = interval if isinstance(interval, dict) else {}
            found.append(
                Metric(
                    split=split,
                    name=name,
                    recorded=value,
                    rebuilt=again.get(name) if isinstance(again, dict) else None,
                    low=known.get("low"),
                    high=known.get("high"),
                )
            )
    return tuple(found)


def sources(recorded: Mapping[str, Any], rebuilt: Mapping[str, Any], found: Reproduction) -> tuple[str, ...]:
    """What makes runs of one recipe differ, as far as the manifests of the two say that it did differ."""
    said = list(_sources(recorded, rebuilt, found))
    if not said:
        said.append(
            "nothing that was recorded differs, so it is in the code: a source of chance without a seed, the "
            "clock, the order of a set or of files, or threads that race"
        )
    return tuple(said)


def _sources(recorded: Mapping[str, Any], rebuilt: Mapping[str, Any], found: Reproduction) -> Iterator[str]:
    for each in found.data:
        if not each.is_same:
            yield f"data: `{each.path}` was made again with another content, or its rows in another order"
    before, now = (said.get("environment") or {} for said in (recorded, rebuilt))
    if before.get("python") != now.get("python"):
        yield f"Python: {now.get('python')} instead of {before.get('python')}"
    if found.environment is not None and found.environment.differs:
        yield f"packages: {', '.join(found.environment.differs)}"
    platforms = [platform_of(str(said.get("platform"))) for said in (before, now)]
    if platforms[0] != platforms[1]:
        yield f"platform: {platforms[1]} instead of {platforms[0]}"
    for key, name in (("cpu", "processor"), ("blas", "linear algebra (BLAS)")):
        if key not in before:
            yield f"{name}: the run did not record which it had"
        elif before.get(key) != now.get(key):
            yield f"{name}: {_shown(now.get(key))} instead of {_shown(before.get(key))}"
    if recorded.get("threads") != rebuilt.get("threads"):
        yield f"threads: {rebuilt.get('threads')} instead of {recorded.get('threads')}"
    if recorded.get("seed") != rebuilt.get("seed"):
        yield f"seed: {rebuilt.get('seed')} instead of {recorded.get('seed')}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values() if each is not None)
    return str(value)


def model_files(
    objects: Objects, recorded: File | None, here: Path | None, tree: Path
) -> tuple[Compared, ...]:
    """The files of the two model folders, by digest; none where the recorded folder's listing is not here.

    `here` is a copy of the recorded folder, where one was brought.
    """
    folder = tree / MODEL
    if recorded is None or recorded.md5 is None or not folder.is_dir():
        return ()
    before = objects.listing(recorded.md5) if here is None else _digests(here)
    now = _digests(folder)
    return tuple(
        Compared(path=f"{MODEL}/{name}", recorded=before.get(name), rebuilt=now.get(name))
        for name in sorted({*before, *now} if before else ())
    )


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): files.digest(path, "md5")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
