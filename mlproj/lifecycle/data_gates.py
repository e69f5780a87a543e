"""The gates of the data phase."""

from __future__ import annotations

from collections.abc import Iterator

from mlproj.lifecycle import pipeline_gate
from mlproj.lifecycle.check import Check, count, failed, listed, passed, unknown
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.phases import Phase

# As many names as fit on a line or two.
_NAMED = 12
_AGAIN = "run `mlproj stage data`"


def gates(evidence: Evidence) -> Iterator[Check]:
    if not evidence.has_pipeline:
        yield unknown("pipeline", "there is no `dvc.yaml`", "run `dvc stage add`, or `mlproj data add FILE`")
    yield _raw_data(evidence)
    yield from _documented(evidence)
    yield _validated(evidence)
    yield _split(evidence)
    if evidence.large_files:
        shown = [f"{name} ({size / 1e6:.1f} MB)" for name, size in evidence.large_files]
        first = evidence.large_files[0][0]
        yield failed(
            "large files",
            f"{count(len(shown), 'large file')} in git",
            f"run `git rm --cached {first}`, then `dvc add {first}`",
            *shown,
        )
    else:
        yield passed("large files", "none in git")
    if evidence.has_pipeline:
        yield pipeline_gate.fresh(evidence, Phase.DATA)


def _raw_data(evidence: Evidence) -> Check:
    name, raw = "raw data", evidence.raw_data
    if not raw:
        return failed(
            name, f"there is none in `{evidence.raw_folder}`", "run `mlproj data add FILE --target COLUMN`"
        )
    loose = [file.path for file in raw if not file.kept]
    if loose:
        return failed(name, f"DVC does not keep {listed(loose)}", f"run `dvc add {loose[0]}`")
    absent = [file.path for file in raw if not file.present and not file.is_made]
    if absent:
        hint = "run `make sync_data_down`, which is `dvc pull --allow-missing`"
        return failed(name, f"{listed(absent)} is recorded but not here", hint)
    unmade = [file.path for file in raw if not file.present]
    if unmade:
        return failed(name, f"{listed(unmade)} has not been made yet", "run `mlproj stage data`")
    changed = [file.path for file in raw if not file.unchanged]
    if changed:
        return failed(
            name,
            f"{listed(changed)} differs from what DVC recorded",
            f"run `dvc checkout {changed[0]}.dvc` to go back, or `dvc add {changed[0]}` to accept it",
        )
    return passed(name, f"{listed([file.path for file in raw])} under DVC, unchanged")


def _documented(evidence: Evidence) -> Iterator[Check]:
    sheet, edit = evidence.datasheet, f"edit `{evidence.datasheet_path}`"
    if not sheet.exists:
        yield failed(
            "datasheet", f"`{evidence.datasheet_path}` is missing", f"write `{evidence.datasheet_path}`"
        )
        return
    if sheet.unanswered:
        shown = [f"line {line}: {text}" for line, text in sheet.unanswered]
        yield failed("datasheet", f"{count(len(shown), 'question')} not answered yet", edit, *shown)
    else:
        yield passed("datasheet", "every question is answered")
    yield _dictionary(evidence, edit)


def _dictionary(evidence: Evidence, edit: str) -> Check:
    name, sheet = "dictionary", evidence.datasheet
    report = evidence.report("ingest")
    if report is None:
        reason = "the data have not been read yet"
        return pipeline_gate.not_made(name, evidence, "reports/ingest.json", reason, _AGAIN)
    if evidence.is_behind("ingest"):
        return unknown(name, "the data have not been read since the last change", "run `mlproj stage data`")
    columns = [str(column) for column in report.get("columns") or ()]
    undescribed = [column for column in columns if column not in sheet.columns]
    gone = [column for column in sheet.columns if column not in columns]
    if undescribed or gone:
        shown = [f"not in the dictionary: {column}" for column in undescribed]
        shown += [f"in the dictionary, but not in the data: {column}" for column in gone]
        return failed(name, "it is not in step with the data's columns", edit, *shown)
    if sheet.undescribed:
        named, more = sheet.undescribed[:_NAMED], len(sheet.undescribed) - _NAMED
        shown = [f"no meaning yet: {', '.join(named)}" + (f" and {more} more" if more > 0 else "")]
        return failed(name, f"{count(len(sheet.undescribed), 'column')} not described yet", edit, *shown)
    return passed(name, f"{count(len(columns), 'column')} described")


def _validated(evidence: Evidence) -> Check:
    report = evidence.report("validation")
    if report is None:
        reason = "the data have not been validated yet"
        return pipeline_gate.not_made("validation", evidence, "reports/validation.json", reason, _AGAIN)
    if report.get("passed"):
        return passed("validation", f"{report.get('rows', 0):,} rows satisfy the schema")
    failures = [
        f"{failure.get('column')}: {failure.get('check')} ({count(int(failure.get('rows') or 0), 'row')})"
        for failure in report.get("failures") or ()
    ]
    return failed(
        "validation",
        f"{count(len(failures), 'check')} of the schema failed",
        "mend the data, or the schema in the package, then run `mlproj stage data`",
        *failures,
    )


def _split(evidence: Evidence) -> Check:
    report = evidence.report("split")
    if report is None:
        reason = "the data have not been split yet"
        return pipeline_gate.not_made("splits", evidence, "reports/split.json", reason, _AGAIN)
    overlap, rows = report.get("overlap"), report.get("rows")
    if not isinstance(overlap, int) or not isinstance(rows, dict) or not rows:
        reason = "`reports/split.json` does not say how many rows there are and how many stand in two splits"
        return unknown("splits", reason, "let the split stage write `rows` and `overlap`")
    mend = "edit `split` in `params.yaml`, then run `mlproj stage data`"
    if overlap:
        return failed("splits", f"{count(overlap, 'row')} stand in two splits", mend)
    empty = [name for name, number in rows.items() if not number]
    if empty:
        return failed("splits", f"{listed(empty)} has no rows", mend)
    lacking = report.get("missing_classes") or ()
    if lacking:
        shown = [f"{entry.get('split')} has no row of class {entry.get('class')}" for entry in lacking]
        return failed("splits", "a class is missing from a split", mend, *shown)
    sizes = ", ".join(f"{name} {number:,}" for name, number in rows.items())
    return passed("splits", f"{report.get('kind')}: {sizes} rows; no row in two")
