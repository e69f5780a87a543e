"""Latencies in bounded memory: quantiles to within 5 %, from a histogram with bins evenly spread by ratio."""

from __future__ import annotations

import math

# 1.05^373 µs is 80 s, longer than any deadline.
GROWTH = 1.05
LOG_GROWTH = math.log(GROWTH)
BINS = 374


class Histogram:
    """Counts of latencies in microseconds."""

    def __init__(self) -> None:
        self._counts = [0] * BINS
        self.total = 0

    def add(self, latency_us: int) -> None:
        place = int(math.log(latency_us) / LOG_GROWTH) if latency_us > 1 else 0
        self._counts[min(place, BINS - 1)] += 1
        self.total += 1

    def quantile_ms(self, share: float) -> float | None:
        """The middle (by ratio) of the bin that holds the quantile, in milliseconds; None if empty."""
        wanted, seen = share * self.total, 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return float(GROWTH ** (place + 0.5)) / 1000
        return None
