"""Dates as people write them: which one format a whole column keeps to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

ISO = "ISO8601"
FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%m-%Y %H:%M:%S",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %Y",
    "%B %Y",
    "%Y-%m",
    "%Y%m%d",
)
ISO_PATTERN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
_ISO = re.compile(ISO_PATTERN, re.ASCII)
_PARTS = {
    "%Y": r"\d{4}",
    "%m": r"\d{1,2}",
    "%d": r"\d{1,2}",
    "%H": r"\d{1,2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%f": r"\d{1,6}",
    "%b": r"[A-Za-z]{3}",
    "%B": r"[A-Za-z]{3,9}",
}


def _shape(form: str) -> str:
    return re.sub(r"%[a-zA-Z]", lambda part: _PARTS[part.group()], form.replace(".", r"\."))


_SHAPES = {form: re.compile(_shape(form), re.ASCII) for form in FORMATS}
_ANY_SHAPE = re.compile("|".join([ISO_PATTERN, *map(_shape, FORMATS)]), re.ASCII)
# Day and month change places between these two, and only a day past the 12th tells.
_SWAPPED = {
    "%m/%d/%Y": "%d/%m/%Y",
    "%d/%m/%Y": "%m/%d/%Y",
    "%m/%d/%Y %H:%M:%S": "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S": "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M": "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M": "%m/%d/%Y %H:%M",
    "%d-%m-%Y": "%m-%d-%Y",
    "%m-%d-%Y": "%d-%m-%Y",
}


def candidates(values: Sequence[str]) -> tuple[str, ...]:
    """The formats that nine in ten of these values keep to, likeliest first; none for no values."""
    if not values:
        return ()
    allowed = len(values) // 10
    misses = dict.fromkeys((*FORMATS, ISO), 0)
    shapeless = 0
    for value in values:
        if not _ANY_SHAPE.fullmatch(value):
            shapeless += 1
            if shapeless > allowed:
                return ()
            continue
        for form in [form for form, missed in misses.items() if missed + shapeless <= allowed]:
            misses[form] += not keeps_to(value, form)
    return tuple(form for form, missed in misses.items() if missed + shapeless <= allowed)


def keeps_to(value: str, form: str) -> bool:
    """Whether the value is a date of this format, and one that exists."""
    if form == "%Y%m%d" and not value.startswith(("19", "20")):
        # Any eight digits would do otherwise, and most eight-digit numbers are not dates.
        return False
    shape = _ISO if form == ISO else _SHAPES[form]
    return bool(shape.fullmatch(value)) and moment(value, form) is not None


def swapped(form: str) -> str | None:
    """The format that reads day and month the other way round, if there is one."""
    return _SWAPPED.get(form)


def has_time(form: str) -> bool:
    return "%H" in form or form == ISO


def moment(value: str, form: str) -> float | None:
    """Seconds since 1970, for comparing dates of one column; None if it is not one after all."""
    try:
        read = datetime.fromisoformat(value) if form == ISO else datetime.strptime(value, form)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
