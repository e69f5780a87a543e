"""What `dvc.lock` says of a run, as stages and files: which lead to the model, and which it led to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from mlproj.provenance.things import File, Stage

MANIFEST = "models/run.json"
_SAME_RUN = ("evaluate", "package")


def stages(locked: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages of a parsed `dvc.lock`; what it says in another form than DVC's is left out."""
    table = locked.get("stages")
    found = []
    for name, body in table.items() if isinstance(table, dict) else ():
        if isinstance(body, dict):
            command = body.get("cmd", "")
            params = body.get("params")
            found.append(
                Stage(
                    name=str(name),
                    command=command if isinstance(command, str) else "; ".join(map(str, command)),
                    reads=tuple(file.path for file in _files(body.get("deps"))),
                    writes=tuple(file.path for file in _files(body.get("outs"))),
                    params=tuple(
                        str(key)
                        for of_file in (params.values() if isinstance(params, dict) else ())
                        for key in (of_file if isinstance(of_file, dict) else ())
                    ),
                )
            )
    return tuple(found)


def locked_files(locked: Mapping[str, Any], names: Iterable[str]) -> dict[str, File]:
    """Every file that these stages read or wrote, by its path, with its digest.

    Of a file that one stage wrote and another read at another time, what was read counts: that is what went
    into the model.
    """
    table = locked.get("stages")
    chosen = set(names)
    found: dict[str, File] = {}
    for kind in ("outs", "deps"):
        for name, body in table.items() if isinstance(table, dict) else ():
            if name in chosen and isinstance(body, dict):
                found |= {file.path: file for file in _files(body.get(kind))}
    return found


def leading_to(found: Iterable[Stage], path: str) -> tuple[Stage, ...]:
    """The stages by which a file came to be, each after those that it needs; empty if no stage writes it."""
    every = list(found)
    order: list[Stage] = []

    def visit(wanted: str, below: tuple[str, ...]) -> None:
        for stage in every:
            if stage.name in below or stage in order or not any(_meet(wanted, out) for out in stage.writes):
                continue
            for read in stage.reads:
                visit(read, (*below, stage.name))
            order.append(stage)

    visit(path, ())
    return tuple(order)


def of_run(found: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages that made the model, then those that judged and packaged it."""
    every = tuple(found)
    made = leading_to(every, MANIFEST)
    after = [stage for stage in every if stage.name in _SAME_RUN and stage not in made]
    return (*made, *after)


def trained_by(found: Iterable[Stage]) -> Stage | None:
    """The stage that wrote the run's manifest: the training itself."""
    return next((stage for stage in found if MANIFEST in stage.writes), None)


def is_aside(found: Iterable[Stage], path: str) -> bool:
    """Whether a file was only drawn for people after training (a plot, a figure): nothing hangs on it."""
    every = tuple(found)
    made = leading_to(every, MANIFEST)
    reads = any(_meet(path, read) for stage in every for read in stage.reads)
    writes = any(_meet(path, out) for stage in made for out in stage.writes)
    return not reads and not writes and not path.startswith("models/")


def _files(entries: Any) -> list[File]:
    return [
        File(
            path=PurePosixPath(str(entry["path"])).as_posix(),
            md5=str(entry["md5"]) if entry.get("md5") is not None else None,
            size=entry.get("size"),
            files=entry.get("nfiles"),
        )
        for entry in entries or ()
        if isinstance(entry, dict) and "path" in entry
    ]


def _meet(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
