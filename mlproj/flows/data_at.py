"""`mlproj data at`: which data were current at a moment, in a commit, for a run; brought back read-only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from mlproj.base import clock, git
from mlproj.base import lock as locking
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows import origins, words
from mlproj.flows.reading import LOCK, World, parsed, table
from mlproj.project import Project
from mlproj.provenance import bring, history, lineage, objects
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import Commit, File, Kept, Stage
from mlproj.provenance.trace import Link

FOLDER = "data/at"
_RAW = "data/raw/"
_MADE = "data/"
_INGEST = "reports/ingest.json"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONE_RUN = re.compile(r"[0-9a-f]{32}")


class Subject(StrEnum):
    """What a past state of the data can be named by."""

    TIME = "time"
    COMMIT = "commit"
    RUN = "run"


@dataclass(frozen=True, kw_only=True)
class Data:
    """A file or folder as it was: `made_by` is the stage that made it, `placed` where it is now in the work
    tree, `problem` why it is not there."""

    file: File
    made_by: str | None = None
    placed: str | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class DataAt:
    """The data of a moment. `until` is the last second that counts, `nothing` says why there are none."""

    subject: Subject
    asked: str
    until: datetime | None = None
    run: str | None = None
    commit: Commit | None = None
    committed: str | None = None
    folder: str | None = None
    files: tuple[Data, ...] = ()
    notes: tuple[str, ...] = ()
    nothing: str = ""

    @property
    def answers_yes(self) -> bool:
        return not self.nothing and not any(each.problem for each in self.files)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for beside the moment. `everything` is the tables made of the raw data as well."""

    out: Path | None = None
    everything: bool = False
    only_list: bool = False


def at(project: Project, word: str, wish: Wish) -> DataAt:
    """Find the data and, unless `wish.only_list`, put them below `data/at/` or into `wish.out`.

    Data that is lost, or a moment before there was any, is told in the answer. Raises ConfigError if the word
    names no time, commit or run, or if other content is in the way.
    """
    root = project.root
    if git.toplevel(root) is None:
        raise ConfigError(
            f"`{root}` is not in a git repository, so nothing of the past is kept",
            hint="run `git init`, then `git add -A` and `git commit -m start`",
        )
    # What is put into the work tree is to be what is said: a damaged object counts as missing.
    world = World(project=project, objects=Objects(root, verify=not wish.only_list))
    found = _find(world, word.strip(), everything=wish.everything)
    found = replace(found, notes=(*found.notes, *world.notes))
    if wish.only_list or not found.files:
        return found
    with locking.held(project.cache / "lock", doing="mlproj data at"):
        return _brought(world, found, wish.out)


def _find(world: World, word: str, *, everything: bool) -> DataAt:
    """The first reading of the word that fits; a run comes before a commit whose id begins alike."""
    if _TIME.match(word):
        return _of_time(world, word, everything=everything)
    run = _run(world, word.lower())
    if run is not None:
        return _of_run(world, word, run, everything=everything)
    commit = history.commit(world.project.root, word)
    if commit is not None:
        found = DataAt(subject=Subject.COMMIT, asked=word)
        return _of_commit(world, found, commit, everything=everything)
    raise ConfigError(
        f"`{word}` is no time, and names no commit, run or version of this repository",
        hint="write a day (`2026-10-01`), a time (`2026-10-01T12:00`), a commit, a run or a version; "
        "`git fetch --all --tags` brings those that were pushed elsewhere",
    )


def _of_time(world: World, word: str, *, everything: bool) -> DataAt:
    root, until = world.project.root, last_second(word)
    found = DataAt(subject=Subject.TIME, asked=word, until=until)
    commit = history.as_of(root, int(until.timestamp()))
    known = history.commit(root, commit) if commit else None
    if known is None:
        begins = history.first(root, ".")
        said = "this branch has no commit yet"
        if begins is not None:
            said = f"this branch begins later, with commit {begins.id[:12]} of {_when(root, begins)}"
            if history.is_cut_off(root, begins.id):
                said += "; this clone is shallow, and `git fetch --unshallow` brings what was before"
        return replace(found, nothing=said)
    return _of_commit(world, found, known, everything=everything)


def last_second(word: str) -> datetime:
    """The last second that a date or time includes: of a day the whole day; without a zone, local time.

    Raises ConfigError for what is no time, or has not come.
    """
    try:
        if len(word) == len("2026-10-01"):
            moment = datetime.combine(date.fromisoformat(word), datetime.min.time())
            begins, ends = moment.astimezone(), (moment + timedelta(days=1)).astimezone()
            until = ends - timedelta(seconds=1)
        else:
            begins = until = datetime.fromisoformat(word).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"`{word}` is not a date or time", hint="write it as `2026-10-01` or `2026-10-01T12:00+02:00`"
        ) from None
    if begins > clock.now():
        raise ConfigError(f"`{word}` has not come yet", hint="`mlproj data at HEAD` has the data of now")
    return until


def _of_commit(world: World, found: DataAt, commit: Commit, *, everything: bool) -> DataAt:
    root = world.project.root
    pointers = sorted(name for name in history.names(root, commit.id) if name.endswith(".dvc"))
    texts = history.read(root, [(commit.id, name) for name in (LOCK, *pointers)])
    locked = parsed(texts[0])
    stages = lineage.stages(locked)
    made = lineage.locked_files(locked, [stage.name for stage in stages])
    data: dict[str, Data] = {}
    for path, stage in _made(stages, everything=everything):
        if (file := made.get(path)) is not None:
            by = history.brought(root, commit.id, LOCK, str(file.md5))
            data[path] = Data(file=replace(file, brought=by), made_by=stage)
    for pointer, text in zip(pointers, texts[1:], strict=True):
        for file in _pointed(pointer, text):
            by = history.brought(root, commit.id, pointer, str(file.md5)) if file.md5 else None
            data[file.path] = Data(file=replace(file, brought=by))
            read = made.get(file.path)
            if read is not None and read.md5 != file.md5:
                world.note(f"`{file.path}` was new: the pipeline had last run on MD5 {read.md5}")
    if commit.id == git.head(root) and git.output(root, "status", "--porcelain", "--", "*.dvc"):
        world.note("the work tree has other data, of which no commit knows yet: `git status` names them")
    found = replace(found, commit=commit, committed=history.committed(root, commit.id))
    if not data:
        return replace(found, nothing=_no_data(root, commit))
    return replace(found, files=tuple(_told(world, data[path]) for path in sorted(data)))


def _no_data(root: Path, commit: Commit) -> str:
    said = f"no data were under DVC in commit {commit.id[:12]}"
    begins = history.first(root, "*.dvc", LOCK)
    return f"{said}; the first came with commit {begins.id[:12]} of {_when(root, begins)}" if begins else said


def _when(root: Path, commit: Commit) -> str:
    return history.committed(root, commit.id).replace("T", " ")


def _of_run(world: World, word: str, run: str, *, everything: bool) -> DataAt:
    """What a run read counts, whatever was committed around it."""
    origin = origins.origin(world, run, ())
    written = dict(_made(origin.stages, everything=True))
    shown = dict(_made(origin.stages, everything=everything))
    every = {path for stage in origin.stages for path in stage.writes}
    data = [
        Data(file=file, made_by=written.get(path))
        for path, file in sorted(origin.files.items())
        if file.kept is not Kept.GIT and (path in shown or path not in every)
    ]
    found = DataAt(subject=Subject.RUN, asked=word, run=run)
    if origin.outcome is not None:
        commit = history.commit(world.project.root, origin.outcome)
        found = replace(found, commit=commit, committed=commit.at if commit else None)
    if not data:
        breaks = [each for each in world.breaks if each.link in (Link.RUN, Link.SNAPSHOT, Link.PIPELINE)]
        said = "; ".join(each.said for each in breaks) or "its manifest names no data"
        return replace(found, nothing=said)
    return replace(found, files=tuple(_told(world, each) for each in data))


def _run(world: World, word: str) -> str | None:
    """A run by its id or the beginning of it, or by a version's number.

    Raises ConfigError if several begin so.
    """
    run = words.run(word, (*world.manifests, *world.kept))
    if run is None and _LONE_RUN.fullmatch(word):
        # A run that has no snapshot here may still stand in a commit.
        return word if history.mentions(world.project.root, word, lineage.MANIFEST) else None
    number = words.version(word) if run is None else None
    return words.versions(world).get(number) if number is not None else run


def _made(stages: Iterable[Stage], *, everything: bool) -> Iterator[tuple[str, str]]:
    """The data that stages made, and which: raw ones (of a simulator, say), or all."""
    for stage in stages:
        for path in stage.writes:
            if path.startswith(_MADE if everything else _RAW):
                yield path, stage.name


def _pointed(pointer: str, text: bytes | None) -> Iterator[File]:
    """The files that a `.dvc` file speaks of, by their paths from the project's root."""
    said = parsed(text)
    base = PurePosixPath(pointer).parent / str(said.get("wdir", "."))
    sources = [origins.source(entry) for entry in _entries(said.get("deps"))]
    for out in _entries(said.get("outs")):
        path = os.path.normpath(base / str(out.get("path")))
        if out.get("path") is None or path.startswith(("..", "/")):
            continue  # outside of the repository, where nothing is put
        yield File(
            path=path,
            md5=str(out["md5"]) if out.get("md5") else None,
            size=out.get("size"),
            files=out.get("nfiles"),
            source=", ".join(sources) or None,
        )


def _entries(said: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in said if isinstance(entry, dict)] if isinstance(said, list) else []


def _told(world: World, data: Data) -> Data:
    """With the rows, where a run or a report counted them, and where the content is now."""
    root, file = world.project.root, world.objects.look(data.file)
    if file.rows is None and file.md5 is not None and data.made_by in (None, "simulate"):
        file = replace(file, rows=_rows(root, file.md5))
    if file.brought is not None and history.is_cut_off(root, file.brought.id):
        world.note("this clone is shallow: who brought the data is told by `git fetch --unshallow`")
        file = replace(file, brought=None)
    problem = ""
    if file.md5 is None:
        problem = "its `.dvc` file records no digest"
    elif file.kept is Kept.LOST:
        problem = "it is lost: neither in the cache nor on the remote"
        problem += f" ({file.remark})" if file.remark else ""
    return replace(data, file=file, problem=problem)


def _rows(root: Path, md5: str) -> int | None:
    """What `ingest` counted when it read this content, in whichever commit says so."""
    commit = history.mentions(root, md5, _INGEST)
    places = [(commit, _INGEST), (f"{commit}^", _INGEST)] if commit else []
    for text in history.read(root, places):
        said = table(text)
        if said.get("raw_md5") == md5 and isinstance(said.get("rows_read"), int):
            return int(said["rows_read"])
    return None


def _brought(world: World, found: DataAt, out: Path | None) -> DataAt:
    """The same, with what can be had in its place."""
    project = world.project
    folder = out.expanduser().absolute() if out is not None else project.root / FOLDER / _name(found)
    fetched = _fetched(world, found.files)
    had = [each for each in fetched if not each.problem]
    if out is None:
        bring.hide(project.root / FOLDER)
        bring.clear(folder, [folder / each.file.path for each in had])
    else:
        for each in had:
            bring.refuse_other(world.objects, each.file, folder / each.file.path)
    if (
        out is not None
        and folder.is_relative_to(project.root)
        and (not folder.exists() or not any(folder.iterdir()))
    ):
        bring.hide(folder)
    placed = []
    for data in fetched:
        target = folder / data.file.path
        if data.problem:
            placed.append(data)
            continue
        bring.place(world.objects, data.file, target)
        placed.append(replace(data, placed=os.path.relpath(target, project.root)))
    return replace(found, folder=os.path.relpath(folder, project.root), files=tuple(placed))


def _name(found: DataAt) -> str:
    """The folder's name, by which it is known what is in it."""
    if found.subject is Subject.RUN:
        return f"run-{str(found.run)[:12]}"
    if found.subject is Subject.COMMIT and found.commit is not None:
        return f"commit-{found.commit.id[:12]}"
    return re.sub(r"[^0-9T+-]", "", found.asked.replace(" ", "T"))


def _fetched(world: World, wanted: tuple[Data, ...]) -> tuple[Data, ...]:
    """What is not in the cache comes from the remote; what does not come has the reason in `problem`."""
    project, remote = world.project, world.objects.remote
    missing = [each for each in wanted if not each.problem and not each.file.kept.is_here]
    if not missing or remote is None:
        return wanted
    said = ""
    digests = [str(each.file.md5) for each in missing]
    for each in missing:
        # DVC does not fetch what it takes to be there: a damaged object gives way to the remote's whole one.
        if each.file.kept is Kept.REMOTE and "damaged" in each.file.remark:
            world.objects.cached(str(each.file.md5)).unlink(missing_ok=True)
    try:
        objects.fetch(project.root, project.python, remote.name, digests)
    except MlprojError as error:
        said = error.message
    world.objects.again()
    after = []
    for each in wanted:
        file = world.objects.look(each.file)
        problem = each.problem
        if each in missing and not file.kept.is_here:
            problem = said or f"it is lost: neither in the cache nor on the remote `{remote.name}`"
        after.append(replace(each, file=replace(file, kept=each.file.kept), problem=problem))
    return tuple(after)
