"""What time it is, in one place, so that a test can say."""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime


def now() -> datetime:
    """The current time in UTC; SOURCE_DATE_EPOCH (seconds) stands in for it where it is set."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(fixed) if fixed else time.time(), tz=UTC)


def today() -> date:
    return now().astimezone().date()
