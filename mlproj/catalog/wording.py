"""How notes and reasons name things: one line each, whatever a name holds."""

from __future__ import annotations

from collections.abc import Sequence


def tick(name: str) -> str:
    """The name in backticks, line breaks in it shown as spaces."""
    return f"`{' '.join(name.split())}`"


def listing(names: Sequence[str], *, most: int = 4) -> str:
    shown = ", ".join(tick(name) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def count(number: int, thing: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
