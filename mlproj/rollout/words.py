"""How evidence and counts are told to a stranger."""

from __future__ import annotations

import math


def to_one(log_e: float) -> str:
    """Evidence as odds: `60 to 1`."""
    if log_e > math.log(1e6):
        return "over a million to 1"
    value = math.exp(log_e)
    if value >= 10:
        return f"{value:,.0f} to 1"
    return f"{value:.1f} to 1" if value >= 1 else "less than 1 to 1"


def units(sticky: bool) -> str:
    return "customers" if sticky else "requests"


def decisions(number: int) -> str:
    return f"{number:,} decision{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """A share with the digits it deserves: `1.2 %`, `0.03 %`."""
    if share == 0:
        return "0 %"
    digits = max(0, 1 - math.floor(math.log10(abs(share) * 100)))
    return f"{share * 100:.{min(digits, 4)}f} %" if abs(share) < 0.1 else f"{share * 100:.1f} %"


def duration(seconds: float) -> str:
    """`45 s`, `30 min`, `3 h`, `2 days`, rounded."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def value(number: float) -> str:
    return f"{number:.4g}"
