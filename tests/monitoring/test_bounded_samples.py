"""Samples in bounded memory."""

from __future__ import annotations

import pytest

from mlproj.monitoring.sampling import Distinct, Reservoir


def test_a_reservoir_keeps_all_of_a_few_and_a_fair_sample_of_many() -> None:
    few, many = Reservoir(1000), Reservoir(1000)
    for value in range(1000):
        few.add(float(value))
    assert few.kept == [float(value) for value in range(1000)]
    for value in range(50_000):
        many.add(float(value))
    assert len(many.kept) == 1000
    assert sum(many.kept) / 1000 == pytest.approx(25_000, rel=0.1)


def test_different_names_are_counted_exactly_while_few_and_nearly_when_many() -> None:
    names = Distinct(1000)
    for place in range(2000):
        names.add(str(place % 1000))
    assert names.count == 1000
    for place in range(100_000):
        names.add(str(place % 50_000))
    assert names.count == pytest.approx(50_000, rel=0.15)
    assert len(names._names) <= 1000
