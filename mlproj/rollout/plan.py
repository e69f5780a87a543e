"""The steps of a canary: the shares it gets in turn, and how long it stays at each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mlproj.base.errors import ConfigError
from mlproj.rollout.verdict import Rules
from mlproj.rollout.words import duration

SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
DEFAULT_SHARES = (0.05, 0.25, 0.5)
STEPS_HINT = "give rising percentages, the promotion last: --steps 5,25,50,100"
HOLD_HINT = "give a number with s, m, h or d: --hold 30m"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The canary's shares in turn (0 to 1, both excluded). After the last one comes the promotion.

    `maturity_s` is how old an answer must be before its label counts.

    There is no step of 100 %: with nobody left to compare with, that is the promotion itself.
    """

    shares: tuple[float, ...] = DEFAULT_SHARES
    rules: Rules = field(default_factory=Rules)
    maturity_s: float = 0.0

    def is_last(self, step: int) -> bool:
        """Whether Advance at this step (from 0) means the promotion."""
        return step >= len(self.shares) - 1

    @property
    def sentence(self) -> str:
        """For example `5 %, 25 %, 50 %, then all; at least 30 min each, 14 days at most`."""
        steps = ", ".join(f"{share * 100:g} %" for share in self.shares)
        rules = self.rules
        return (
            f"{steps}, then all; at least {duration(rules.hold_s)} each, {duration(rules.deadline_s)} at most"
        )


def steps(text: str) -> tuple[float, ...]:
    """`5,25,50,100` as shares below 1; the final 100 may be left out. Raises ConfigError."""
    shares: list[float] = []
    for word in text.split(","):
        name = word.strip().removesuffix("%").strip()
        try:
            percentage = float(name)
        except ValueError:
            raise ConfigError(
                f"`{word.strip()}` in `--steps {text}` is not a percentage", hint=STEPS_HINT
            ) from None
        if not 0.0 < percentage <= 100.0:
            raise ConfigError(f"`{name}` in `--steps {text}` is not between 0 and 100", hint=STEPS_HINT)
        if shares and percentage / 100.0 <= shares[-1]:
            raise ConfigError(
                f"`{name}` in `--steps {text}` is no more than the step before", hint=STEPS_HINT
            )
        shares.append(percentage / 100.0)
    if shares[-1] == 1.0:
        shares.pop()
    if not shares:
        raise ConfigError(
            f"`--steps {text}` gives the canary everything at once",
            hint="mlproj deploy --mode blue-green switches without a canary",
        )
    return tuple(shares)


def seconds(text: str, option: str = "--hold") -> float:
    """`30m`, `90s`, `2h`, `1d` in seconds. Raises ConfigError."""
    found = DURATION.fullmatch(text.strip().lower())
    if found is None or found[2] not in SECONDS:
        why = "has no unit" if found is not None and not found[2] else "is not a duration"
        raise ConfigError(f"`{option} {text}` {why}", hint=HOLD_HINT.replace("--hold", option))
    return float(found[1]) * SECONDS[found[2]]
