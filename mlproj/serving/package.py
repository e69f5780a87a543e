"""What a version is served from: the folder that the `package` stage made, read and verified."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from mlproj.base.errors import ConfigError

NAME = "package.json"
FORMAT = 1
_REPACKAGE = "run `mlproj stage deployment` to package the model again"
_KINDS = ("number", "text", "datetime")


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of the model; `minimum` and `maximum` are those of the training rows, `format` a date's."""

    name: str
    kind: str
    integer: bool = False
    format: str | None = None
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = True
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """`classes`: one of the labels `classes`, of which `positive` is the one scored when there are two;
    `number`: a number."""

    kind: str
    classes: tuple[Any, ...] = ()
    positive: Any = None


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """How an engine compared with the original model at packaging, and how fast it was (milliseconds)."""

    passes: bool
    reason: str = ""
    rows: int = 0
    rows_different: int = 0
    largest_difference: float | None = None
    labels_different: int = 0
    ms_per_row: float | None = None
    ms_per_64_rows: float | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    lock: str | None = None
    lock_sha256: str | None = None
    python: str | None = None


@dataclass(frozen=True, kw_only=True)
class Package:
    """A packaged version. `ignored` are columns of the data that requests may carry and this model does not
    use; `files` are the SHA-256 of all other files, by their path in the folder."""

    folder: Path
    model: str
    run_id: str
    task: str
    module: str
    engine: str
    engines: dict[str, EngineReport]
    files: dict[str, str]
    environment: Environment
    entity: str | None
    ignored: tuple[str, ...]
    inputs: tuple[Input, ...]
    outputs: Outputs
    example: dict[str, Any]
    tolerance: float = field(default=0.0)


def load(folder: Path) -> Package:
    """What package.json says. Raises ConfigError that names all that is wrong in it; reads no other file."""
    path = folder / NAME
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"`{path}` is missing", hint=_REPACKAGE) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"`{path}` cannot be read: {error}", hint=_REPACKAGE) from None
    if not isinstance(said, dict):
        raise ConfigError(f"`{path}` holds no JSON object", hint=_REPACKAGE)
    if said.get("format") != FORMAT:
        hint = "package the model again, or use the mlproj that packaged it"
        raise ConfigError(f"`{path}` has format {said.get('format')!r}, {FORMAT} is wanted", hint=hint)
    wrong: list[str] = []
    package = _package(folder, _Entry(said, "", wrong))
    wrong += _contradictions(package) if not wrong else []
    if wrong:
        raise ConfigError(f"`{path}`: {'; '.join(wrong)}", hint=_REPACKAGE)
    return package


def verify(folder: Path) -> None:
    """Raises ConfigError naming the first file that is missing, extra or not as it was packaged."""
    files = load(folder).files
    found = set(_walk(folder)) - {NAME}
    for name in sorted(files.keys() - found):
        raise ConfigError(f"`{name}` is missing from the package `{folder}`", hint=_REPACKAGE)
    for name in sorted(found - files.keys()):
        raise ConfigError(f"`{name}` is not part of the package `{folder}`", hint=_REPACKAGE)
    for name, expected in sorted(files.items()):
        if _sha256(folder / name) != expected:
            message = f"`{name}` in `{folder}` is not the file that was packaged: its SHA-256 differs"
            raise ConfigError(message, hint=_REPACKAGE)


def digest(folder: Path) -> str:
    """SHA-256 of package.json in hexadecimal; it holds the digests of all others, so it stands for all."""
    try:
        return _sha256(folder / NAME)
    except OSError as error:
        raise ConfigError(f"`{folder / NAME}` cannot be read: {error.strerror}", hint=_REPACKAGE) from None


class _Entry:
    """An object in package.json; what is wrong in it is noted with its place, and read on."""

    def __init__(self, said: dict[str, Any], place: str, wrong: list[str]) -> None:
        self.said = said
        self.place = place
        self.wrong = wrong

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        """The value under a name; a default makes it optional, and null stands for the default then."""
        value = self.said.get(name)
        if value is None and default is not ...:
            return default
        if not _is(value, kind):
            found = "is missing" if name not in self.said else f"is {json.dumps(value)[:60]}"
            self.wrong.append(f"`{self.place}{name}` {found}, {_WORDS[_plain(kind)]} is wanted")
            return _EMPTY[_plain(kind)]
        return value

    def entry(self, name: str) -> _Entry:
        return _Entry(self.get(name, dict[str, Any]), f"{self.place}{name}.", self.wrong)

    def entries(self, name: str) -> Iterator[_Entry]:
        for at, said in enumerate(self.get(name, list[dict[str, Any]])):
            yield _Entry(said, f"{self.place}{name}[{at}].", self.wrong)


_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
_WORDS |= {list: "a list", dict: "an object"}
_EMPTY: dict[type, Any] = {str: "", bool: False, int: 0, float: 0.0, list: [], dict: {}}


def _plain(kind: Any) -> Any:
    """`list` for `list[str]`, and a type without parameters itself."""
    origin: Any = get_origin(kind)
    return origin or kind


def _is(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    origin = get_origin(kind)
    if origin is list:
        return isinstance(value, list) and all(_is(item, get_args(kind)[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(item, get_args(kind)[1]) for item in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, cast("type", kind))


def _package(folder: Path, said: _Entry) -> Package:
    environment, outputs = said.entry("environment"), said.entry("outputs")
    engines = said.entry("engines")
    return Package(
        folder=folder,
        model=said.get("model", str),
        run_id=said.get("run_id", str),
        task=said.get("task", str),
        module=said.get("module", str),
        engine=said.get("engine", str),
        engines={name: _report(engines.entry(name)) for name in engines.said},
        files=said.get("files", dict[str, str]),
        environment=Environment(
            lock=environment.get("lock", str, None),
            lock_sha256=environment.get("lock_sha256", str, None),
            python=environment.get("python", str, None),
        ),
        entity=said.get("entity", str, None),
        ignored=tuple(said.get("ignored", list[str], [])),
        inputs=tuple(map(_input, said.entries("inputs"))),
        outputs=Outputs(
            kind=outputs.get("kind", str),
            classes=tuple(outputs.get("classes", list[Any], [])),
            positive=outputs.said.get("positive"),
        ),
        example=said.get("example", dict[str, Any]),
        tolerance=said.entry("recorded").get("tolerance", float),
    )


def _report(said: _Entry) -> EngineReport:
    return EngineReport(
        passes=said.get("passes", bool),
        reason=said.get("reason", str, ""),
        rows=said.get("rows", int, 0),
        rows_different=said.get("rows_different", int, 0),
        largest_difference=said.get("largest_difference", float, None),
        labels_different=said.get("labels_different", int, 0),
        ms_per_row=said.get("ms_per_row", float, None),
        ms_per_64_rows=said.get("ms_per_64_rows", float, None),
    )


def _input(said: _Entry) -> Input:
    categories = said.get("categories", list[str], None)
    return Input(
        name=said.get("name", str),
        kind=said.get("kind", str),
        integer=said.get("integer", bool, False),
        format=said.get("format", str, None),
        categories=None if categories is None else tuple(categories),
        minimum=said.get("minimum", float, None),
        maximum=said.get("maximum", float, None),
        nullable=said.get("nullable", bool, True),
        example=said.said.get("example"),
    )


def _contradictions(package: Package) -> Iterator[str]:
    """What is well formed and still cannot be served."""
    names = [entry.name for entry in package.inputs]
    if not names:
        yield "`inputs` is empty, so the model could be asked nothing"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"`inputs` names `{name}` twice"
    for entry in package.inputs:
        if entry.kind not in _KINDS:
            yield f"the input `{entry.name}` is of kind `{entry.kind}`, one of {', '.join(_KINDS)} is wanted"
    if package.outputs.kind not in ("classes", "number"):
        yield f"`outputs.kind` is `{package.outputs.kind}`, `classes` or `number` is wanted"
    if package.outputs.kind == "classes" and len(package.outputs.classes) < 2:
        yield "`outputs.classes` names fewer than two classes"
    report = package.engines.get(package.engine)
    if report is None:
        yield f"`engine` is `{package.engine}`, of which `engines` says nothing"
    elif not report.passes:
        yield f"the engine `{package.engine}` did not pass its comparison: {report.reason}"


def _walk(folder: Path) -> Iterator[str]:
    """All files by their path in the folder. A link could lead out of it: ConfigError."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISREG(mode):
            yield name
        elif not stat.S_ISDIR(mode):
            raise ConfigError(
                f"`{name}` in the package `{folder}` is neither a file nor a folder", hint=_REPACKAGE
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
