"""The id of a prediction: 63 bits that sort by time, name their segment, and never go back.

    41 bits  milliseconds since 2020-01-01 00:00 UTC (until 2089)
    10 bits  node, so that several gateways never give the same id
    12 bits  sequence within the millisecond

Shown as 13 characters of Crockford's base32 in lower case (no i, l, o, u), which sort as the number does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from mlproj.base.errors import ConfigError, MlprojError

EPOCH_MS = 1_577_836_800_000
DAY_MS = 86_400_000
NODES = 1 << 10
LARGEST = (1 << 63) - 1

_SEQUENCE_BITS = 12
_SHIFT = 22
_LAST_SEQUENCE = (1 << _SEQUENCE_BITS) - 1
_FIRST_DAY = date(2020, 1, 1)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LENGTH = 13
# Crockford's own reading: what people mistake for a digit is that digit.
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)} | {"o": 0, "i": 1, "l": 1}


class Generator:
    """Gives ids one after the other, each larger than the one before, whatever the clock does.

    `after` is the largest id already in the log. When the clock stands or has gone back, the sequence goes
    on; when its 4,096 numbers are used up, it borrows the next millisecond. Not safe across threads.
    """

    def __init__(self, node: int, *, after: int = 0, clock_ns: Callable[[], int] = time.time_ns) -> None:
        if not 0 <= node < NODES:
            raise ConfigError(f"node `{node}` is out of range", hint=f"give a number from 0 to {NODES - 1}")
        self._node = node << _SEQUENCE_BITS
        self._clock_ns = clock_ns
        # Milliseconds and sequence as one number. The whole millisecond of `after` counts as used, since
        # it may be of a node with a larger number.
        self._last = ((after >> _SHIFT) << _SEQUENCE_BITS) | (_LAST_SEQUENCE if after else 0)

    def new(self) -> int:
        now = (self._clock_ns() // 1_000_000 - EPOCH_MS) << _SEQUENCE_BITS
        # A call of `max` would take as long as all the rest.
        self._last = last = now if now > self._last else self._last + 1
        number = (last >> _SEQUENCE_BITS << _SHIFT) | self._node | (last & _LAST_SEQUENCE)
        if number > LARGEST:
            raise MlprojError("the clock is past 2089, where prediction ids end", hint="set the clock")
        return number


def text(number: int) -> str:
    """The 13 characters of an id."""
    return _millisecond(number >> 20) + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]


@lru_cache(maxsize=64)  # ids come in bursts, whose members differ at their ends only
def _millisecond(number: int) -> str:
    """The first 9 characters."""
    pairs = _PAIRS
    return (
        _ALPHABET[number >> 40]
        + pairs[number >> 30 & 1023]
        + pairs[number >> 20 & 1023]
        + pairs[number >> 10 & 1023]
        + pairs[number & 1023]
    )


def parse(shown: str) -> int:
    """The number of an id as it is shown; upper case is read too. Raises ConfigError if it is none."""
    number = 0
    folded = shown.strip().lower()
    try:
        for letter in folded:
            number = number << 5 | _VALUES[letter]
    except KeyError:
        number = -1
    if len(folded) != _LENGTH or not 0 <= number <= LARGEST:
        raise ConfigError(
            f"`{shown[:40]}` is not the id of a prediction",
            hint="an id is 13 letters and digits, such as `06awk8s1c0400`, as in the field `prediction_id` "
            "or the header `X-Prediction-Id` of an answer",
        )
    return number


def at(moment: datetime) -> int:
    """The smallest id that a prediction of that moment can have, within what an id can be."""
    return at_us((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


def at_us(moment_us: int) -> int:
    """The same of microseconds since 1970."""
    return min(max(0, moment_us // 1000 - EPOCH_MS) << _SHIFT, LARGEST)


def moment(number: int) -> datetime:
    """When the id was given, in UTC, to the millisecond."""
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number >> _SHIFT)


def day(number: int) -> date:
    """The day (UTC) in whose segment the record lies."""
    return _FIRST_DAY + timedelta(days=(number >> _SHIFT) // DAY_MS)


def bounds(of: date) -> tuple[int, int]:
    """The smallest id of a day, and of the day after it."""
    days = (of - _FIRST_DAY).days
    return days * DAY_MS << _SHIFT, (days + 1) * DAY_MS << _SHIFT
