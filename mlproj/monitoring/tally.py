"""Outcomes being counted: one value a unit, revised as the unit comes again."""

from __future__ import annotations

from mlproj.monitoring.windows import Moments, Outcome, Stratum, UnitCount

Counts = dict[float, list[int]]


class Tally:
    """An `Outcome` in the making. A unit's value is the mean of its trials, its event the first bad one."""

    def __init__(self) -> None:
        # By chance and arm (1 is the canary): units, sum, sum of squares, units with a bad event.
        self._cells: dict[tuple[float, bool], list[float]] = {}
        self._first = [[0, 0], [0, 0]]

    def add(self, chance: float, canary: bool, trials: int, total: float, value: float) -> None:
        """One more trial of a unit that has had `trials` of them, adding up to `total`."""
        cell = self._cells.get((chance, canary))
        if cell is None:
            cell = self._cells[chance, canary] = [0, 0.0, 0.0, 0]
        if trials:
            # Nothing changes for a unit that goes on as it was, which is nearly always.
            if value * trials == total:
                return
            old, new = total / trials, (total + value) / (trials + 1)
            cell[1] += new - old
            cell[2] += new * new - old * old
        else:
            cell[0] += 1
            cell[1] += value
            cell[2] += value * value
        if value and not total:
            cell[3] += 1

    def first(self, canary: bool, value: float) -> None:
        """A unit's first trial in this arm."""
        counts = self._first[canary]
        counts[0] += 1
        counts[1] += value > 0

    def outcome(self) -> Outcome:
        strata = []
        for chance in sorted({chance for chance, _ in self._cells}):
            canary = self._cells.get((chance, True), (0, 0.0, 0.0, 0))
            primary = self._cells.get((chance, False), (0, 0.0, 0.0, 0))
            strata.append(
                Stratum(chance, _moments(canary), _moments(primary), int(canary[3]), int(primary[3]))
            )
        (primary_units, primary_bad), (units, bad) = self._first
        return Outcome(tuple(strata), units, bad, primary_units, primary_bad)


def count(counts: Counts, chance: float, canary: bool) -> None:
    counts.setdefault(chance, [0, 0])[canary] += 1


def unit_counts(counts: Counts) -> tuple[UnitCount, ...]:
    return tuple(UnitCount(chance, canary, primary) for chance, (primary, canary) in sorted(counts.items()))


def _moments(cell: list[float] | tuple[float, ...]) -> Moments:
    return Moments(int(cell[0]), cell[1], cell[2])
