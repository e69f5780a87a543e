"""What makes evidence valid at every look, and that it grows when it should."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from mlproj.rollout.sequential import (
    Split,
    log_e_arm,
    log_e_bins,
    log_e_discordant,
    log_e_mean,
    log_e_other_arm,
    log_e_ratio,
    log_e_share_above,
    log_e_share_below,
    radius,
    tuned,
)


@pytest.mark.parametrize("chance", [0.05, 0.5])
@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_the_expected_evidence_of_which_arm_is_1_at_the_null_and_less_below_it(
    chance: float, ratio: float
) -> None:
    for true_ratio in (ratio, 0.8 * ratio, 0.1):
        p = chance * true_ratio / (chance * true_ratio + 1 - chance)
        mean = math.fsum(
            math.comb(12, s)
            * p**s
            * (1 - p) ** (12 - s)
            * math.exp(log_e_arm((Split(chance, s, 12 - s),), ratio))
            for s in range(13)
        )
        assert mean == pytest.approx(1.0) if true_ratio == ratio else mean < 1.0


def test_the_expected_evidence_over_steps_with_several_shares_is_1() -> None:
    mean = 0.0
    for first, second in product(range(6), range(8)):
        weight = math.comb(5, first) * 0.05**first * 0.95 ** (5 - first)
        weight *= math.comb(7, second) * 0.25**second * 0.75 ** (7 - second)
        mean += weight * math.exp(log_e_arm((Split(0.05, first, 5 - first), Split(0.25, second, 7 - second))))
    assert mean == pytest.approx(1.0)


def test_not_worse_is_the_mirror_image_of_worse() -> None:
    assert log_e_other_arm((Split(0.3, 5, 60),), 1.5) == pytest.approx(
        log_e_arm((Split(0.7, 60, 5),), 1 / 1.5)
    )
    # The primary has the errors, so the canary is not worse by half.
    assert log_e_other_arm((Split(0.3, 5, 60),), 1.5) > math.log(20)
    assert log_e_arm((Split(0.3, 5, 60),)) < 0


@pytest.mark.parametrize(("chance", "ratio"), [(0.05, 10), (0.5, 2)])
def test_twice_and_ten_times_the_errors_become_evident(chance: float, ratio: float) -> None:
    p = chance * ratio / (chance * ratio + 1 - chance)
    assert log_e_arm((Split(chance, 400 * p, 400 * (1 - p)),)) > math.log(1000)


def test_evidence_stays_finite_for_millions_of_events() -> None:
    assert log_e_arm((Split(0.5, 4_000_000, 1_000_000),)) > 1e5
    assert log_e_arm((Split(0.5, 1_000_000, 4_000_000),)) < 0
    assert math.isfinite(log_e_ratio((Split(0.5, 4_000_000, 1_000_000),)))
    assert math.isfinite(log_e_share_above(10, 5_000_000, 0.5))
    assert math.isfinite(log_e_mean(-5.0, 0.01, 10**7, 0.05))


@pytest.mark.parametrize("bound", [0.01, 0.2])
def test_the_expected_evidence_against_a_bound_is_at_most_1_on_the_wrong_side(bound: float) -> None:
    for true in (bound, bound / 2):
        mean = math.fsum(
            math.comb(30, s) * true**s * (1 - true) ** (30 - s) * math.exp(log_e_share_above(s, 30, bound))
            for s in range(31)
        )
        assert mean == pytest.approx(1.0) if true == bound else mean < 1.0


def test_a_canary_without_an_error_is_below_a_percent_after_some_hundred_requests() -> None:
    assert log_e_share_below(0, 100, 0.01) < math.log(20)
    assert log_e_share_below(0, 600, 0.01) > math.log(20)


def test_the_expected_evidence_of_a_wrong_split_is_1_when_it_is_right() -> None:
    mean = math.fsum(
        math.comb(20, s) * 0.1**s * 0.9 ** (20 - s) * math.exp(log_e_ratio((Split(0.1, s, 20 - s),)))
        for s in range(21)
    )
    assert mean == pytest.approx(1.0)


def test_a_wrong_split_shows_in_both_directions() -> None:
    assert log_e_ratio((Split(0.1, 100, 900),)) < 0
    assert log_e_ratio((Split(0.1, 170, 830),)) > math.log(1000)
    assert log_e_ratio((Split(0.1, 40, 960),)) > math.log(1000)


def test_shifted_scores_show_bin_by_bin() -> None:
    same = [(Split(0.25, 25, 75),)] * 10
    shifted = [(Split(0.25, 5 + 5 * place, 75),) for place in range(10)]
    assert log_e_bins(same) < 0 < math.log(20) < log_e_bins(shifted)


def test_discordant_pairs_say_which_answer_is_worse() -> None:
    assert log_e_discordant(30, 30) < 0
    assert log_e_discordant(60, 30) > math.log(20)
    assert log_e_discordant(30, 60) < 0


def test_the_confidence_sequence_is_the_published_formula() -> None:
    rho, t, alpha, sigma = 0.1, 400, 0.05, 2.0
    published = sigma * math.sqrt(
        2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / alpha)
    )
    assert radius(sigma / math.sqrt(t), t, alpha=alpha, rho=rho) == pytest.approx(published)


def test_the_confidence_sequence_is_narrowest_for_its_time_where_it_is_tuned() -> None:
    best, *others = (
        radius(1 / math.sqrt(500), 500, alpha=0.05, rho=tuned(0.05, at)) for at in (500, 250, 1000)
    )
    assert best < min(others)


def test_the_evidence_of_a_mean_has_expectation_1_for_normal_values() -> None:
    # By the trapezium rule over the standard normal score of 200 values.
    step, rho = 0.01, 0.1
    mean = sum(
        step * math.exp(log_e_mean(z, 1.0, 200, rho) - z * z / 2) / math.sqrt(2 * math.pi)
        for z in (step * place for place in range(-1500, 1500))
    )
    assert mean == pytest.approx(1.0, abs=1e-3)


def test_a_mean_looked_at_always_raises_few_false_alarms() -> None:
    rho, alarms = tuned(0.05, 500), 0
    for seed in range(400):
        chance = random.Random(seed)
        total = 0.0
        for n in range(1, 1001):
            total += chance.gauss(0, 1)
            if n >= 50 and log_e_mean(total / n, 1 / math.sqrt(n), n, rho) >= math.log(20):
                alarms += 1
                break
    assert alarms <= 0.05 * 400
