"""The report of a reproduction, in Markdown: for the person who asked, and for whoever asks later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlproj.provenance.reproduction import Compared, Metric, Reproduction

_MARKS = {True: "yes", False: "no", None: "unknown"}


def markdown(found: Reproduction, project: str) -> str:
    """The whole report."""
    return "\n".join(_lines(found, project)) + "\n"


def verdict(found: Reproduction) -> str:
    """One line: how near the rebuilt model came."""
    if found.breaks:
        return "it could not be rebuilt"
    if found.level is None:
        return "it was rebuilt, but nothing of the recorded model is left to hold it against"
    word = "reproduced" if found.level.is_reproduced else "not reproduced"
    return f"{word}: {found.level.said}"


def _lines(found: Reproduction, project: str) -> Iterator[str]:
    yield f"# Reproduction of run {found.run} of {project}"
    yield ""
    yield f"**{verdict(found)[:1].upper()}{verdict(found)[1:]}.**"
    yield ""
    yield f"- read from: {found.read_from or 'nothing'}"
    if found.code is not None:
        yield f"- code: commit {found.code}"
    if found.rebuilt_run is not None:
        yield f"- rebuilt as run {found.rebuilt_run}, in {found.seconds:g} s"
    if found.environment is not None:
        differs = f": {', '.join(found.environment.differs)}" if found.environment.differs else ""
        yield f"- environment: {found.environment.grade}{differs}"
    for each in found.breaks:
        yield f"- broken link ({each.link}): {each.said}"
        if each.hint:
            yield f"  - to mend it: {each.hint}"
    yield from _table("How near it came", ("rung", "holds", "because"), _rungs(found))
    yield from _table("Data", ("file", "recorded", "now", "same"), _files([*found.inputs, *found.data]))
    yield from _table("Metrics", ("metric", "recorded", "interval", "now", "same"), _metrics(found.metrics))
    yield from _table("Files of the model", ("file", "recorded", "now", "same"), _files(found.model_files))
    if found.model_files:
        yield ""
        yield "The digest of a pickle is not the identity of a model: it holds times, ids and thread counts."
    yield from _list("What may make the difference", found.sources)
    yield from _list("Notes", found.notes)


def _rungs(found: Reproduction) -> list[tuple[str, ...]]:
    return [(rung.name, _MARKS[rung.holds], rung.said) for rung in found.rungs]


def _files(found: Sequence[Compared]) -> list[tuple[str, ...]]:
    return [
        (f"`{each.path}`", each.recorded or "none", each.rebuilt or "none", _MARKS[each.is_same])
        for each in found
    ]


def _metrics(found: Sequence[Metric]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for each in found:
        interval = "" if each.low is None or each.high is None else f"{each.low:g} to {each.high:g}"
        same = "yes" if each.is_same else "within its interval" if each.is_within else "no"
        rows.append((f"{each.name} on {each.split}", str(each.recorded), interval, str(each.rebuilt), same))
    return rows


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def _list(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield ""
        yield f"## {title}"
        yield ""
        yield from (f"- {entry}" for entry in entries)
