"""The part of the model card that evidence fills: what it was made from, and what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.lifecycle.check import number
from mlproj.lifecycle.evidence import Evidence

PATH = "docs/model_card.md"
_BEGIN, _END = "<!-- evidence: begin -->", "<!-- evidence: end -->"
_BLOCK = re.compile(re.escape(_BEGIN) + r"(.*?)" + re.escape(_END), re.DOTALL)
_RUN = re.compile(r"Run `([0-9a-f]+)`")


def run_of(path: Path) -> str | None:
    """The run whose evidence the card holds; None where it holds none."""
    if not path.is_file():
        return None
    block = _BLOCK.search(path.read_text(encoding="utf-8", errors="replace"))
    found = _RUN.search(block[1]) if block else None
    return found[1] if found else None


def fill(path: Path, evidence: Evidence, raw: Mapping[str, Any]) -> bool:
    """Write the evidence between the card's marks; the rest is people's. False where it has no marks.

    `raw` is `models/run.json` as it stands.
    """
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    if not _BLOCK.search(text):
        return False
    block = "\n".join([_BEGIN, "", *_lines(evidence, raw), "", _END])
    filled = _BLOCK.sub(lambda _: block, text, count=1)
    if filled != text:
        files.write_text(path, filled)
    return True


def _lines(evidence: Evidence, raw: Mapping[str, Any]) -> Iterator[str]:
    yield from _origin(raw)
    yield from _measured(evidence.report("evaluation") or {})
    yield from _slices(evidence.report("evaluation") or {})
    yield from _served(evidence)


def _origin(raw: Mapping[str, Any]) -> Iterator[str]:
    code, environment, data = (raw.get(key) or {} for key in ("code", "environment", "data"))
    commit = code.get("snapshot") or code.get("commit") or ""
    yield f"Run `{raw.get('run_id')}`, finished {raw.get('finished')}, from commit `{str(commit)[:12]}`."
    yield ""
    yield "| made from | digest | rows |"
    yield "|---|---|---:|"
    for name in ("raw", "train", "dev", "test"):
        entry = data.get(name) or {}
        rows = f"{entry['rows']:,}" if isinstance(entry.get("rows"), int) else ""
        yield f"| {name}: `{entry.get('path')}` | md5 `{entry.get('md5')}` | {rows} |"
    packages = ", ".join(f"{name} {version}" for name, version in (environment.get("packages") or {}).items())
    yield f"| `{environment.get('lock')}`, Python {environment.get('python')} | sha256 " + (
        f"`{str(environment.get('lock_sha256'))[:16]}…` | |"
    )
    if packages:
        yield ""
        yield f"With {packages}; seed {raw.get('seed')}."


def _measured(report: Mapping[str, Any]) -> Iterator[str]:
    splits = report.get("splits") or {}
    if not splits:
        return
    names = list(splits)
    yield ""
    yield "| metric | " + " | ".join(names) + " |"
    yield "|---|" + "---:|" * len(names)
    metrics = list(dict.fromkeys(name for split in splits.values() for name in split.get("metrics") or {}))
    for metric in metrics:
        cells = [_interval((splits[name].get("metrics") or {}).get(metric)) for name in names]
        yield f"| {metric} | " + " | ".join(cells) + " |"
    yield ""
    yield f"Intervals: {float(report.get('confidence') or 0.95):.0%}, {report.get('method')}."


def _interval(found: Any) -> str:
    if not isinstance(found, Mapping) or found.get("value") is None:
        return "not measured"
    if found.get("low") is None or found.get("high") is None:
        return number(found["value"])
    return f"{number(found['value'])} ({number(found['low'])} to {number(found['high'])})"


def _slices(report: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (target, entry)
        for target in report.get("targets") or ()
        for entry in target.get("slices") or ()
        if entry.get("value") is not None
    ]
    if not rows:
        return
    yield ""
    yield "| promised metric | slice | rows | value |"
    yield "|---|---|---:|---:|"
    for target, entry in rows:
        level = f"{entry.get('column')} = {entry.get('level')}"
        yield f"| {target.get('metric')} | {level} | {entry.get('rows'):,} | {number(entry['value'])} |"


def _served(evidence: Evidence) -> Iterator[str]:
    package, load = evidence.package, evidence.load
    if package is not None:
        yield ""
        yield f"Served by the engine `{package.get('engine')}`."
        for engine, report in (package.get("engines") or {}).items():
            if report.get("reason"):
                yield f"`{engine}`: {str(report['reason']).rstrip('.')}."
    if load is not None:
        yield ""
        yield f"Under a load of some seconds ({load.get('machine')}):"
        yield ""
        yield "| | measured |"
        yield "|---|---:|"
        for metric, found in (load.get("metrics") or {}).items():
            with_ = f", {found['connections']} connections" if found.get("connections") else ""
            yield f"| {metric}{with_} | {number(found.get('value'))} |"
