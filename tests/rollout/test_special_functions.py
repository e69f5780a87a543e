"""Logarithms of the beta function's tails and of the normal distribution, next to scipy's."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from mlproj.rollout.special import log_beta_tails, log_complement, log_mean_exp, log_normal_cdf

REFERENCE = """
import json, sys
from scipy import special, stats
xs, shapes, zs = json.loads(sys.stdin.read())
print(json.dumps({
    "tails": [
        [x, a, b, stats.beta.logcdf(x, a, b), stats.beta.logsf(x, a, b)] for x in xs for a, b in shapes
    ],
    "normal": [[z, special.log_ndtr(z)] for z in zs],
}))
"""
XS = (1e-4, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 0.99)
SHAPES = ((0.5, 0.5), (0.5, 40.0), (3.0, 2.0), (50.5, 950.5), (1000.5, 0.5), (5e3, 5e4), (1e5, 1e5))
ZS = (-60.0, -26.0, -25.0, -24.0, -8.0, -1.0, 0.0, 2.0, 9.0)


@pytest.mark.slow
def test_tails_of_the_beta_distribution_and_the_normal_are_those_of_scipy(project_python: Path) -> None:
    asked = json.dumps([XS, SHAPES, ZS])
    said = subprocess.run(
        [project_python, "-c", REFERENCE], input=asked, capture_output=True, text=True, check=True
    ).stdout
    reference = json.loads(said)
    compared = 0
    for x, a, b, below, above in reference["tails"]:
        for ours, theirs in zip(log_beta_tails(x, a, b), (below, above), strict=True):
            # Beyond that scipy's own logarithm is one of an underflow.
            if theirs > -700:
                compared += 1
                assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9), (x, a, b)
    assert compared > 70
    for z, theirs in reference["normal"]:
        assert log_normal_cdf(z) == pytest.approx(theirs, rel=1e-8, abs=1e-15)


# scipy 1.17.1: special.betainc(a, b, x).
@pytest.mark.parametrize(
    ("x", "a", "b", "share"),
    [(0.5, 0.5, 0.5, 0.5), (0.3, 3.0, 2.0, 0.0837), (0.1, 1.0, 10.0, 1 - 0.9**10), (0.9, 2.0, 1.0, 0.81)],
)
def test_tails_in_closed_form(x: float, a: float, b: float, share: float) -> None:
    below, above = log_beta_tails(x, a, b)
    assert math.exp(below) == pytest.approx(share)
    assert math.exp(above) == pytest.approx(1 - share)


def test_the_ends_are_certain() -> None:
    assert log_beta_tails(0.0, 2, 3) == (-math.inf, 0.0)
    assert log_beta_tails(1.0, 2, 3) == (0.0, -math.inf)
    assert log_complement(0.0) == -math.inf


def test_a_mean_of_logarithms_neither_overflows_nor_underflows() -> None:
    assert log_mean_exp([1e4, 1e4]) == 1e4
    assert log_mean_exp([-1e4, -1e4 + math.log(3)]) == pytest.approx(-1e4 + math.log(2))
    assert log_mean_exp([-math.inf]) == -math.inf
