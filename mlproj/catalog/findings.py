"""What was found in a table: the one file that rendering reads, so that nothing is inferred twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from mlproj.base.errors import ConfigError

VERSION = 1


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Kind(StrEnum):
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


class Role(StrEnum):
    FEATURE = "feature"
    TARGET = "target"
    DROP = "drop"
    LEAK = "leak"
    GROUP = "group"
    TIME = "time"


class Storage(StrEnum):
    """What the values parse as, missing spellings aside."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    STRING = "string"


class SplitKind(StrEnum):
    STRATIFIED = "stratified"
    RANDOM = "random"
    GROUPED = "grouped"
    TIME = "time"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the table came from, and how to read it; delimiter and encoding are empty for Parquet."""

    name: str
    format: str
    delimiter: str
    encoding: str
    quote: str
    bytes: int
    md5: str
    sha256: str
    guessed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Label:
    label: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """Classes are empty for a regression; the numbers are None for a classification."""

    name: str
    task: Task
    reason: str
    classes: tuple[Label, ...]
    positive: str | None
    missing_rows: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    median: float | None
    std: float | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """Minimum and maximum are numbers, or ISO text for a date; categories stop at 50."""

    name: str
    kind: Kind
    role: Role
    reason: str
    storage: Storage
    missing: int
    distinct: int
    examples: tuple[str, ...]
    categories: tuple[str, ...]
    minimum: float | str | None
    maximum: float | str | None
    mean: float | None
    format: str | None


@dataclass(frozen=True, kw_only=True)
class Leak:
    column: str
    measure: str
    score: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Split:
    kind: SplitKind
    by: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    source: Source
    rows: int
    target: Target
    missing_values: tuple[str, ...]
    duplicates: int
    columns: tuple[Column, ...]
    leaks: tuple[Leak, ...]
    split: Split
    notes: tuple[str, ...]
    simulated: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, text and numbers, in the order in which they are kept."""
        kept = asdict(self)
        simulated = kept.pop("simulated")
        plain: dict[str, Any] = _plain({"version": VERSION, "simulated": simulated, **kept})
        return plain

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """The findings that `to_json` wrote; raises ConfigError if it was not this version that did."""
        if kept.get("version") != VERSION:
            raise ConfigError(
                f"the findings are of version `{kept.get('version')}`, and this mlproj reads {VERSION}",
                hint="infer them again with this mlproj: `mlproj data add FILE --target COL`",
            )
        try:
            target = kept["target"]
            return cls(
                source=Source(**{**kept["source"], "guessed": tuple(kept["source"]["guessed"])}),
                rows=kept["rows"],
                target=Target(
                    **{
                        **target,
                        "task": Task(target["task"]),
                        "classes": tuple(Label(**label) for label in target["classes"]),
                    }
                ),
                missing_values=tuple(kept["missing_values"]),
                duplicates=kept["duplicates"],
                columns=tuple(_column(column) for column in kept["columns"]),
                leaks=tuple(Leak(**leak) for leak in kept["leaks"]),
                split=Split(**{**kept["split"], "kind": SplitKind(kept["split"]["kind"])}),
                notes=tuple(kept["notes"]),
                simulated=kept["simulated"],
            )
        except (KeyError, TypeError, ValueError) as error:
            known = ", ".join(f"`{field.name}`" for field in fields(cls))
            raise ConfigError(
                f"the findings are not what mlproj writes: {type(error).__name__} {error}",
                hint=f"they hold {known}; infer them again with `mlproj data add FILE --target COL`",
            ) from error


def _column(kept: dict[str, Any]) -> Column:
    return Column(
        **{
            **kept,
            "kind": Kind(kept["kind"]),
            "role": Role(kept["role"]),
            "storage": Storage(kept["storage"]),
            "examples": tuple(kept["examples"]),
            "categories": tuple(kept["categories"]),
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, StrEnum) else value
