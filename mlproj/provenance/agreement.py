"""Whether an answer given again is the one that was given, by how much it is not, and what may be to blame.

Bit equality is not what is asked: a linear model answers a single row and a batch 1e-8 apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

TOLERANCE = 1e-6


class Verdict(StrEnum):
    """How an answer agrees with the one before, from best to worst."""

    IDENTICAL = "identical"
    TOLERATED = "equal within tolerance"
    DECIDED = "same decision"
    DIFFERENT = "DIFFERENT"

    @property
    def agrees(self) -> bool:
        """Whether nobody would have been told anything else."""
        return self is not Verdict.DIFFERENT


class Grade(StrEnum):
    """How near the environment of a replay is to the recorded one."""

    EXACT = "exact"
    COMPATIBLE = "compatible"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said of one row, and what was decided on it; None where that was not the model's to
    decide. `probabilities` are by label; None for a number, and for a model that gives none."""

    prediction: Any
    probabilities: Mapping[str, float] | None = None
    decision: str | None = None

    @classmethod
    def of(cls, output: str, decision: str | None = None) -> Answer:
        """From an output as the log keeps it, JSON without its braces. Raises ValueError if it is none."""
        said = json.loads(f"{{{output}}}")
        if "prediction" not in said:
            raise ValueError("an output without a prediction")
        return cls(prediction=said["prediction"], probabilities=said.get("probabilities"), decision=decision)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """`difference` is the largest one between two probabilities, or of two numbers relative to the one
    before where that is above 1; None where there is nothing to subtract. `said` tells what differs."""

    verdict: Verdict
    difference: float | None = None
    said: str = ""


def compare(before: Answer, again: Answer, *, is_number: bool, tolerance: float = TOLERANCE) -> Agreement:
    """How the answer given `again` agrees with the one `before`; a number has no decision but itself."""
    difference = _number(before, again) if is_number else _chances(before, again)
    if is_number:
        said = "" if difference == 0.0 else f"{again.prediction} instead of {before.prediction}"
        if difference == 0.0:
            return Agreement(verdict=Verdict.IDENTICAL, difference=0.0)
        near = difference is not None and difference <= tolerance
        return Agreement(
            verdict=Verdict.TOLERATED if near else Verdict.DIFFERENT, difference=difference, said=said
        )
    # 1 and true are different labels, though Python finds them equal.
    if json.dumps(before.prediction) != json.dumps(again.prediction):
        said = f"`{_plain(again.prediction)}` instead of `{_plain(before.prediction)}`"
        return Agreement(verdict=Verdict.DIFFERENT, difference=difference, said=said)
    if before.decision is not None and before.decision != again.decision:
        said = f"decision `{again.decision}` instead of `{before.decision}`"
        return Agreement(verdict=Verdict.DIFFERENT, difference=difference, said=said)
    if before.probabilities == again.probabilities:
        return Agreement(verdict=Verdict.IDENTICAL, difference=difference)
    near = difference is not None and difference <= tolerance
    return Agreement(verdict=Verdict.TOLERATED if near else Verdict.DECIDED, difference=difference)


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The one that agrees least; None of none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=None)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where something ran. None is what was not recorded, or is unknown; `packages` are versions by name."""

    lock_sha256: str | None = None
    python: str | None = None
    platform: str | None = None
    cpu: str | None = None
    blas: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What nobody wrote down, so that it cannot be compared."""
        return tuple(_NAMES[each.name] for each in fields(self) if not getattr(self, each.name))


@dataclass(frozen=True, kw_only=True)
class Differs:
    """One thing that is not as it was recorded. `part` is `environment` (what a lock file fixes) or
    `platform` (what it does not)."""

    part: str
    said: str


_NAMES = {
    "lock_sha256": "lock file",
    "python": "Python",
    "platform": "platform",
    "cpu": "CPU",
    "blas": "BLAS",
    "packages": "packages",
}
_OF_THE_LOCK = ("lock_sha256", "python")


def differences(before: Surroundings, now: Surroundings) -> tuple[Differs, ...]:
    """What differs of all that both know."""
    return tuple(_differences(before, now))


def _differences(before: Surroundings, now: Surroundings) -> Iterator[Differs]:
    for name, shown in _NAMES.items():
        was, is_now = getattr(before, name), getattr(now, name)
        if name == "packages" or was is None or is_now is None or was == is_now:
            continue
        if name == "lock_sha256":
            was, is_now = was[:12], is_now[:12]
        part = "environment" if name in _OF_THE_LOCK else "platform"
        yield Differs(part=part, said=f"{shown} {is_now}, recorded {was}")
    for name, was in before.packages.items():
        is_now = now.packages.get(name)
        if now.packages and is_now != was:
            yield Differs(part="environment", said=f"{name} {is_now or 'missing'}, recorded {was}")


def blame(
    *, package: str | None, expected: str | None, differs: Sequence[Differs], starts_otherwise: str = ""
) -> tuple[str, ...]:
    """Where to look when answers do not agree: sentences, each led by `model`, `environment` or `platform`.

    `package` is the digest of the package asked, `expected` the one deployed; `starts_otherwise` is what the
    worker said where even the rows that travel with the package are not answered as they were at packaging.
    """
    found = []
    if package is not None and expected is not None and package != expected:
        found.append(f"model: package {package[:12]} was asked, {expected[:12]} was deployed")
    elif expected is None:
        found.append("model: which package was deployed is not recorded, so another may have answered")
    for part in ("environment", "platform"):
        of_part = [each.said for each in differs if each.part == part]
        if of_part:
            found.append(f"{part}: {'; '.join(of_part)}")
    if starts_otherwise:
        found.append(
            f"environment or platform: rows packaged with the model get other answers: {starts_otherwise}"
        )
    if not found:
        found.append(
            "model: package, environment and platform are those recorded, so it does not depend on the row"
            " alone (chance, the clock, a file, the rows beside it), or the record was changed"
        )
    return tuple(found)


def _number(before: Answer, again: Answer) -> float | None:
    try:
        was, is_now = float(before.prediction), float(again.prediction)
    except (TypeError, ValueError):
        return None
    return abs(was - is_now) / max(1.0, abs(was))


def _chances(before: Answer, again: Answer) -> float | None:
    """The largest difference of a label's probability; one that is missing on one side counts whole."""
    was, is_now = before.probabilities, again.probabilities
    if was is None or is_now is None:
        return None
    return max((abs(was.get(label, 0.0) - is_now.get(label, 0.0)) for label in {*was, *is_now}), default=0.0)


def _plain(label: Any) -> str:
    return label if isinstance(label, str) else json.dumps(label)
