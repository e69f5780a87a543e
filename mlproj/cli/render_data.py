"""How the data of a past moment look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlproj.cli.render import JSON_VERSION, line, style, talk
from mlproj.cli.render_trace import size_of
from mlproj.provenance.things import plural
from mlproj.provenance.trace import moment

if TYPE_CHECKING:
    from mlproj.flows.data_at import Data, DataAt
    from mlproj.provenance.things import Commit, File


def show(found: DataAt) -> None:
    line(f"{style(found.asked, 'bold')}{_which(found)}")
    if found.nothing:
        line(f"  {style('✗', 'red')} {found.nothing}")
    for data in found.files:
        _data(data)
    for note in found.notes:
        talk(f"note: {note}")
    pointed = [data.file.path for data in found.files if data.made_by is None and not data.problem]
    if found.folder is not None and found.commit is not None and pointed:
        names = " ".join(f"{path}.dvc" for path in pointed)
        line("\nto work on them again, instead of on those of now:")
        line(f"  git checkout {found.commit.id[:12]} -- {names} && dvc checkout {names}")


def _which(found: DataAt) -> str:
    until = f" (until {found.until:%Y-%m-%d %H:%M:%S%z})" if found.until else ""
    if found.commit is None:
        return until
    run = f": run {found.run}, kept in" if found.run else ":"
    when = moment(found.committed)
    return f"{until}{run} commit {found.commit.id[:12]} of {when}, {found.commit.title}"


def _data(data: Data) -> None:
    file = data.file
    mark, colour = ("✗", "red") if data.problem else ("✓", "green")
    facts = [f"MD5 {file.md5}" if file.md5 else "", _rows(file), f"{size_of(file.size)}" if file.size else ""]
    facts.append(f"in {plural(file.files, 'file')}" if file.files else "")
    line(f"  {style(mark, colour)} {file.path}: {', '.join(filter(None, facts))}")
    if data.made_by:
        line(f"      made by stage `{data.made_by}`")
    if (by := file.brought) is not None:
        word = "recorded" if data.made_by else "brought"
        line(f"      {word} by {by.by} at {moment(by.at)} (commit {by.id[:12]}, {by.title})")
    if file.source:
        line(f"      imported from {file.source}")
    if data.problem:
        line(f"      {data.problem}")
    elif data.placed:
        line(f"      now in {data.placed}")


def _rows(file: File) -> str:
    return plural(file.rows, "row") if file.rows is not None else "rows not recorded"


def as_json(found: DataAt) -> dict[str, Any]:
    """The versioned shape of `mlproj data at --json`."""
    return {
        "version": JSON_VERSION,
        "asked": found.asked,
        "subject": str(found.subject),
        "until": found.until.isoformat() if found.until else None,
        "run": found.run,
        "commit": _commit(found.commit),
        "committed": found.committed,
        "folder": found.folder,
        "files": [
            {
                "path": data.file.path,
                "md5": data.file.md5,
                "size": data.file.size,
                "files": data.file.files,
                "rows": data.file.rows,
                "made_by": data.made_by,
                "brought": _commit(data.file.brought),
                "source": data.file.source,
                "kept": str(data.file.kept),
                "placed": data.placed,
                "problem": data.problem,
            }
            for data in found.files
        ],
        "notes": list(found.notes),
        "nothing": found.nothing,
    }


def _commit(commit: Commit | None) -> dict[str, str] | None:
    if commit is None:
        return None
    return {"id": commit.id, "by": commit.by, "at": commit.at, "title": commit.title}
