"""What an analysis says: Advance, Hold or RollBack, with one line a check; and the rules it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    ADVANCE = "advance"
    HOLD = "hold"
    ROLL_BACK = "roll-back"


class Result(StrEnum):
    """FAIL rolls back, WAIT holds, PASS and NOTE let pass; INVALID makes comparisons worthless."""

    PASS = "pass"
    WAIT = "wait"
    FAIL = "fail"
    NOTE = "note"
    INVALID = "invalid"


@dataclass(frozen=True)
class Check:
    """One line of an analysis. `numbers` are what the reason is made of, for machines."""

    name: str
    result: Result
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """The answer, why in one sentence, and the checks. `needs_person`: the deadline is over."""

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]
    needs_person: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How sure to be, and what counts as not worse.

    `alpha` is the probability that a canary which is no worse is rolled back, whatever the number of looks.
    Errors and slow answers may be `bad_margin` more frequent than the primary's (0.5: half as many again),
    or rarer than a bound: the target's or `small_error_share`. Shares on labelled rows may be
    `share_margin` lower (0.05: five points), other losses `loss_margin` higher (0.1: a tenth). `labels`:
    whether labels are expected; they are then needed for the promotion, and with `labels_each_step` for
    every step. A crash loop is `most_restarts` within `restarts_within_s`, that many more than the
    primary's worker had. Times are seconds.
    """

    alpha: float = 0.05
    bad_margin: float = 0.5
    share_margin: float = 0.05
    loss_margin: float = 0.1
    small_error_share: float = 0.01
    hard_error_share: float = 0.2
    hold_s: float = 1800.0
    deadline_s: float = 14 * 86400.0
    least_units: int = 100
    least_labels: int = 100
    labels: bool = False
    labels_each_step: bool = False
    most_restarts: int = 3
    restarts_within_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the rollout stands. Times are microseconds since 1970; `restarts` are the canary worker's within
    the rules' time, `primary_restarts` the primary's."""

    step_began_us: int
    deployment_began_us: int
    last_step: bool
    restarts: int = 0
    primary_restarts: int = 0
