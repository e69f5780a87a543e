"""The benchmark of canaries, reduced: few false alarms at looks after every 50 requests, and faults found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench import canary


@pytest.mark.slow
@pytest.mark.parametrize("scenario", canary.nulls(3_000), ids=lambda scenario: scenario.name)
def test_a_canary_that_changed_nothing_is_hardly_ever_rolled_back(scenario: canary.Scenario) -> None:
    found = canary.measure(scenario, 40)
    assert canary.share(found["mlproj"]) <= 0.05
    assert canary.share(found["z-test at every look"]) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "requests"), [(1, 12_000), (3, 12_000), (4, 14_000)], ids=["errors", "latency", "recall"]
)
def test_a_canary_that_is_worse_is_rolled_back(place: int, requests: int) -> None:
    scenario = replace(canary.regressions(requests)[place], requests=requests)
    found = canary.measure(scenario, 6, first_seed=1000)
    assert canary.share(found["mlproj"]) >= 0.8
