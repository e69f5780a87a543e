#!/usr/bin/env python3
"""Refuse a commit whose `dvc.lock` is not of the `dvc.yaml`, parameters and code that it holds.

    dvc_lock.py FILE...

Each file is a `dvc.lock` or a `dvc.yaml`. A `dvc.yaml` alone is held to the commands, dependencies and
outputs that were last run. A `dvc.lock` in the commit says that a run belongs to it: for the stages that were
run, parameters, code and reports that git keeps then have to be those of the run. Data are DVC's to compare (`dvc status`). A stage that
has never run, is frozen, or is written with `${...}`, `foreach` or `matrix` is not judged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

# As a type checker sees it: to import `typing` would be a twentieth of what a start takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import yaml
except ImportError:
    sys.exit(
        f"PyYAML is not installed for `{sys.executable}`: install it (`python3 -m pip install pyyaml`), "
        "or commit where the environment that has DVC is active"
    )

Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(Base):  # type: ignore[misc]
    """YAML 1.2, as DVC reads and writes it: there `yes` is a word and `1e-05` a number."""


# The core schema of YAML 1.2.2, section 10.3.2, and time stamps, which DVC's reader keeps from 1.1.
CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
}
STAMP = "tag:yaml.org,2002:timestamp"
Loader.yaml_implicit_resolvers = {
    first: kept
    for first, known in Base.yaml_implicit_resolvers.items()
    if (kept := [(tag, pattern) for tag, pattern in known if tag == STAMP])
}
for tag, (pattern, first) in CORE.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))

MISSING = object()
Problem = tuple[Path, int, str]


def main(argv: Sequence[str] | None = None) -> int:
    files = [Path(name) for name in (sys.argv[1:] if argv is None else argv)]
    failed = False
    for folder in sorted({path.parent for path in files}):
        whole = folder / "dvc.lock" in files
        try:
            found = list(problems(folder, whole))
        except NotRead as error:
            found = [error.problem]
        for path, line, message in found:
            failed = True
            print(f"{path}:{line}: {message}")
    return int(failed)


def problems(folder: Path, whole: bool) -> Iterator[Problem]:
    """What does not belong together in the `dvc.yaml` and `dvc.lock` of a folder."""
    pipeline, lock = folder / "dvc.yaml", folder / "dvc.lock"
    if not lock.is_file() or not pipeline.is_file():
        return
    stages, locked = mapping(read(pipeline), "stages"), mapping(read(lock), "stages")
    run = claimed(lock, locked) if whole else set()
    kept = tracked() if run else set()
    for name, stage in stages.items():
        ran = locked.get(name)
        if not isinstance(stage, dict) or not isinstance(ran, dict) or not is_plain(stage):
            continue
        again = f"run {repro(name)} and add `{lock}`, or take the change back"
        for what in unlike(stage, ran):
            yield (
                pipeline,
                stage_line(pipeline, name),
                f"`{name}` was last run with other {what}: {again}",
            )
        if name in run:
            place = folder / str(stage.get("wdir", ""))
            yield from parameters(name, ran, place)
            yield from digests(name, ran, place, kept)


def claimed(lock: Path, locked: dict[str, Any]) -> set[str]:
    """The stages that were run for this commit: those whose entry is not what the last commit has.

    Where none differs, as in CI, those that the lock itself does not show to be out of date.
    """
    before = git("show", f"HEAD:./{lock.as_posix()}")
    if before != lock.read_text(encoding="utf-8"):
        stages = mapping(parse_yaml(before), "stages")
        if changed := {name for name, ran in locked.items() if stages.get(name) != ran}:
            return changed
    made = {
        out["path"]: out.get("md5")
        for ran in locked.values()
        for out in mapping(ran).get("outs", ())
    }
    return {
        name
        for name, ran in locked.items()
        if all(
            made.get(dep["path"], dep.get("md5")) == dep.get("md5")
            for dep in mapping(ran).get("deps", ())
        )
    }


def is_plain(stage: dict[str, Any]) -> bool:
    """Whether the stage says itself what is run, without anything that DVC fills in."""
    filled = {"foreach", "matrix", "do", "<<"} & stage.keys()
    return not filled and not stage.get("frozen") and "${" not in str(stage)


def unlike(stage: dict[str, Any], ran: dict[str, Any]) -> Iterator[str]:
    if stage.get("cmd") != ran.get("cmd"):
        yield "commands"
    if named(stage.get("deps")) != paths(ran.get("deps")):
        yield "dependencies"
    outs = [named(stage.get(kind)) for kind in ("outs", "metrics", "plots")]
    if set().union(*outs) != paths(ran.get("outs")):
        yield "outputs"
    wanted = wanted_parameters(stage.get("params"))
    for file, keys in wanted.items():
        if keys is not None and keys != mapping(ran, "params", file).keys():
            yield f"parameters of `{file}`"


def named(entries: Any) -> set[str]:
    """The paths in a list of paths, some of them with options."""
    found = entries if isinstance(entries, list) else []
    return {str(next(iter(each))) if isinstance(each, dict) else str(each) for each in found}


def paths(entries: Any) -> set[str]:
    found = entries if isinstance(entries, list) else []
    return {str(each.get("path")) for each in found if isinstance(each, dict)}


def wanted_parameters(entries: Any) -> dict[str, set[str] | None]:
    """The keys asked for in each file; None where all of it is."""
    wanted: dict[str, set[str] | None] = {}
    for entry in entries if isinstance(entries, list) else ():
        for file, keys in entry.items() if isinstance(entry, dict) else [("params.yaml", [entry])]:
            if not keys:
                wanted[file] = None
            elif (so_far := wanted.setdefault(file, set())) is not None:
                so_far.update(map(str, keys))
    return wanted


def parameters(name: str, ran: dict[str, Any], place: Path) -> Iterator[Problem]:
    for file, values in mapping(ran, "params").items():
        path = place / file
        parse = PARSERS.get(path.suffix)
        if parse is None or not path.is_file() or not isinstance(values, dict):
            continue
        now = read(path, parse)
        for key, value in values.items():
            current = value_of(now, key)
            if current is not MISSING and current != value:
                line = line_of(path, key)
                yield (
                    path,
                    line,
                    f"`{key}` is not what stage `{name}` was run with: add `{path}` as it was then, "
                    f"or run {repro(name)}",
                )


def value_of(said: Any, key: str) -> Any:
    """What stands under `a.b.c`; MISSING where DVC may find it in another way."""
    if isinstance(said, dict) and key in said:
        return said[key]
    for part in key.split("."):
        if not isinstance(said, dict) or part not in said:
            return MISSING
        said = said[part]
    return said


def line_of(path: Path, key: str) -> int:
    """The line of the key's first part."""
    begins = re.compile(rf"""["']?{re.escape(key.partition(".")[0])}["']?\s*[:=\]]""")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if begins.match(line.lstrip(" [")):
            return number
    return 1


def digests(name: str, ran: dict[str, Any], place: Path, kept: set[str]) -> Iterator[Problem]:
    """Files that git keeps, and files whose digest is in a `.dvc` file that git keeps."""
    entries = [
        (kind, each)
        for kind in ("deps", "outs")
        for each in ran.get(kind) or ()
        # Without `hash`, a digest is of DVC 2, which took line ends out first.
        if isinstance(each, dict) and each.get("hash") == "md5" and "md5" in each
    ]
    for kind, each in entries:
        path, pointer = place / str(each["path"]), place / f"{each['path']}.dvc"
        if path.as_posix() in kept and path.is_file():
            if md5(path) != each["md5"]:
                did = "read" if kind == "deps" else "wrote"
                yield (
                    path,
                    1,
                    f"this is not what stage `{name}` {did}: add it as it was then, "
                    f"or run {repro(name)}",
                )
        elif kind == "deps" and pointer.is_file():
            outs = read(pointer).get("outs") or [{}]
            if outs[0].get("md5") != each["md5"]:
                yield pointer, 1, f"stage `{name}` read other data: run {repro(name)}"


def repro(name: str) -> str:
    runner = "hooks/run " if Path("hooks/run").is_file() else ""
    return f"`{runner}dvc repro {name}`"


def tracked() -> set[str]:
    """What git keeps, relative to here."""
    return set(git("ls-files", "-z").split("\0"))


def git(*words: str) -> str:
    """What git answers; nothing where it has none, as before the first commit."""
    import subprocess  # here and below: what a `dvc.yaml` alone does not need costs a third of the start

    done = subprocess.run(["git", *words], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "surrogateescape")


@cache
def md5(path: Path) -> str:
    import hashlib

    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


class NotRead(Exception):
    def __init__(self, path: Path, line: int, message: str) -> None:
        self.problem = (path, line, message)


def parse_yaml(text: str) -> Any:
    return yaml.load(text, Loader=Loader)


def parse_toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


# JSON is YAML 1.2.
PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".json": parse_yaml,
    ".toml": parse_toml,
}


@cache
def read(path: Path, parse: Callable[[str], Any] = parse_yaml) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else getattr(error, "lineno", 1)
        raise NotRead(path, line, "it cannot be read: mend it first") from None


def stage_line(pipeline: Path, stage: str) -> int:
    root: Any = yaml.compose(pipeline.read_text(encoding="utf-8"), Loader=Base)
    for key, stages in root.value:
        for name, _ in stages.value if key.value == "stages" else ():
            if name.value == stage:
                return int(name.start_mark.line) + 1
    return 1


def mapping(said: Any, *keys: str) -> dict[str, Any]:
    """What stands under the keys, one below the other; empty where that is no mapping."""
    for key in keys:
        said = said.get(key) if isinstance(said, dict) else None
    return said if isinstance(said, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
