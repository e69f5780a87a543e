"""What is to be predicted: classes or a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlproj.base.errors import ConfigError
from mlproj.catalog.columns import Facts, Judgement, is_number
from mlproj.catalog.findings import Kind, Task

MOST_CLASSES = 100
FEWEST_ROWS = 10
_MOST_CODED_CLASSES = 10
_POSITIVE = frozenset({"yes", "y", "true", "t", "1", "1.0", "positive", "pos"})


@dataclass(frozen=True, kw_only=True)
class Decision:
    task: Task
    reason: str


def decide(facts: Facts, judgement: Judgement, told: Task | None = None) -> Decision:
    """Which task a target column asks for; raises ConfigError for a column that cannot be one."""
    name = f"`{facts.name}`"
    if facts.present == 0:
        raise ConfigError(
            f"the target {name} has no value in any of the {facts.rows:,} rows",
            hint="give the column that holds the labels: `--target COLUMN`",
        )
    if facts.distinct == 1:
        raise ConfigError(
            f"the target {name} is the same in all {facts.present:,} labelled rows: nothing to predict",
            hint="give another column, or a table that holds the other outcomes too",
        )
    if facts.present < FEWEST_ROWS:
        raise ConfigError(
            f"only {facts.present:,} rows have a label in {name}: too few to train and to test on",
            hint=f"give a table with at least {FEWEST_ROWS} labelled rows; a few hundred are a start",
        )
    if judgement.kind is Kind.DATETIME:
        raise ConfigError(
            f"the target {name} is a date ({facts.date_format}), which is neither a class nor a number",
            hint="put the number of days, or the class, into a column of its own and give that",
        )
    if told is not None:
        return _told(facts, told)
    if facts.distinct == 2:
        return Decision(task=Task.BINARY, reason="2 different values")
    if is_number(facts) and not facts.padded:
        if judgement.kind is Kind.IDENTIFIER and facts.running >= 0.95:
            raise ConfigError(
                f"the target {name} counts the rows: each value is the one before plus one",
                hint="give the column that holds the outcome",
            )
        if (
            facts.whole == facts.present
            and facts.distinct <= _MOST_CODED_CLASSES
            and facts.present >= 10 * facts.distinct
        ):
            return Decision(
                task=Task.MULTICLASS, reason=f"{facts.distinct} different whole numbers, read as classes"
            )
        return Decision(task=Task.REGRESSION, reason=f"{facts.distinct:,} different numbers")
    _must_have_few_classes(facts, judgement)
    return Decision(task=Task.MULTICLASS, reason=f"{facts.distinct} different values")


def positive_class(classes: Mapping[str, int]) -> str:
    """The class that is looked for: the one spelt like a yes, else the rarer, else the later by name."""
    conventional = [label for label in classes if label.strip().casefold() in _POSITIVE]
    if len(conventional) == 1:
        return conventional[0]
    rarest = min(classes.values())
    return max(label for label, rows in classes.items() if rows == rarest)


def _told(facts: Facts, told: Task) -> Decision:
    name = f"`{facts.name}`"
    if told is Task.REGRESSION:
        if not is_number(facts):
            raise ConfigError(
                f"the target {name} cannot be a regression's: not all of its values are numbers",
                hint="say `multiclass` or `binary`, or give another column",
            )
        return Decision(task=told, reason="as told")
    if told is Task.BINARY and facts.distinct != 2:
        raise ConfigError(
            f"the target {name} has {facts.distinct:,} different values, and a binary task has 2",
            hint="say `multiclass`, or give another column",
        )
    if facts.distinct > MOST_CLASSES:
        raise ConfigError(
            f"the target {name} has {facts.distinct:,} different values: more than {MOST_CLASSES} classes",
            hint="bring them together into fewer classes, or say `regression` if they are numbers",
        )
    return Decision(task=Task.BINARY if facts.distinct == 2 else Task.MULTICLASS, reason="as told")


def _must_have_few_classes(facts: Facts, judgement: Judgement) -> None:
    if facts.distinct <= MOST_CLASSES:
        return
    looks = {
        Kind.IDENTIFIER: "it looks like an identifier",
        Kind.TEXT: "it looks like free text",
    }.get(judgement.kind, "it looks like an identifier or free text")
    numbers = f" ({facts.numbers:,} of {facts.present:,} are numbers)" if facts.numbers else ""
    raise ConfigError(
        f"the target `{facts.name}` has {facts.distinct:,} different values{numbers}: {looks}, "
        f"and classes are at most {MOST_CLASSES}",
        hint="give another column, or bring its values together into fewer classes first",
    )
