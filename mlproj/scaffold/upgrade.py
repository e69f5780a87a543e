"""What an upgrade merges: each rendered file's part in it, by its class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.scaffold import keyed
from mlproj.scaffold.answers import Answers
from mlproj.scaffold.lock import File, FileClass, classify
from mlproj.scaffold.merge import three_way


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The files of three trees, and what is not merged.

    A file that was seeded is the same in `base` and `theirs`, so that nothing the template has done to it
    since reaches the user's; `seeded` has its former and its newer form, for who wants it.
    """

    base: Mapping[str, File]
    yours: Mapping[str, File]  # in place of the last commit's, where a file is merged by key
    theirs: Mapping[str, File]
    generated: Mapping[str, File]  # put over the outcome
    recorded: Mapping[str, File]  # the pristine rendering from now on
    seeded: Mapping[str, tuple[File, File]]


def sides(
    before: Mapping[str, File],
    after: Mapping[str, File],
    *,
    yours: Collection[str],
    ignored: Collection[str],
    module: str,
) -> Sides:
    """Part the renderings `before` and `after`, given the paths that the user's last commit has.

    What the user's repository ignores is left out: it is theirs, and may be a secret.
    """
    base: dict[str, File] = {}
    theirs: dict[str, File] = {}
    generated: dict[str, File] = {}
    recorded: dict[str, File] = {}
    seeded: dict[str, tuple[File, File]] = {}
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        kind = classify(path, module=module)
        if kind is FileClass.GENERATED:
            if new:
                generated[path] = new
            continue
        is_kept = kind is FileClass.SEEDED and old is not None
        is_own = kind is FileClass.SEEDED and old is None and path in yours
        if new and not is_own:
            recorded[path] = old if is_kept and old else new
        if path in ignored or is_own:
            continue
        if old:
            base[path] = old
        if is_kept and old:
            theirs[path] = old
            if new and new != old:
                seeded[path] = (old, new)
        elif new:
            theirs[path] = new
    return Sides(base=base, yours={}, theirs=theirs, generated=generated, recorded=recorded, seeded=seeded)


def by_key(found: Sides, yours: Mapping[str, File]) -> Sides:
    """The same with the files that are merged by key so far merged that only what is in dispute differs."""
    base, theirs, mine = {**found.base}, {**found.theirs}, {**found.yours}
    for path, own in yours.items():
        old, new = base.get(path), theirs.get(path)
        if new is None or new == old or own in (old, new):
            continue
        lines = three_way(own, old, new) if old else None
        if lines is not None and keyed.is_sound(Path(path).suffix, lines.content):
            continue
        merged = keyed.merge(
            Path(path).suffix,
            base=old.content if old else b"",
            yours=own.content,
            theirs=new.content,
        )
        if merged is not None:
            mode = own.executable
            base[path] = File(content=merged.base, executable=old.executable if old else mode)
            mine[path] = File(content=merged.yours, executable=mode)
            theirs[path] = File(content=merged.theirs, executable=new.executable)
        elif lines is not None:
            # Side by side the lines are no settings any more. With nothing in common, git has a person look.
            del base[path]
    return Sides(
        base=base,
        yours=mine,
        theirs=theirs,
        generated=found.generated,
        recorded=found.recorded,
        seeded=found.seeded,
    )


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of the template, as it asks it."""

    name: str
    help: str
    choices: tuple[str, ...]
    default: str


def unanswered(template: Path, recorded: Mapping[str, str]) -> tuple[Question, ...]:
    """What today's template asks and the repository has no answer to, in the template's order."""
    import yaml

    said: dict[str, Any] = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
    asked = Answers.__dataclass_fields__
    return tuple(
        Question(
            name=name,
            help=str(about.get("help", name)),
            choices=tuple(map(str, about.get("choices", ()))),
            default=str(about.get("default", "")),
        )
        for name, about in said.items()
        if name in asked and name not in recorded
    )
