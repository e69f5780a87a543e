from __future__ import annotations

import pytest

from mlproj.base.errors import ConfigError
from mlproj.rollout.plan import Plan, seconds, steps
from mlproj.rollout.verdict import Rules


def test_steps_are_shares_and_a_hundred_is_the_promotion() -> None:
    assert steps("5,25,50,100") == (0.05, 0.25, 0.5)
    assert steps(" 10 %, 50% ") == (0.1, 0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5,ten", "`ten` in `--steps 5,ten` is not a percentage"),
        ("0,5", "`0` in `--steps 0,5` is not between 0 and 100"),
        ("5,120", "`120`"),
        ("nan", "`nan`"),
        ("25,5", "no more than the step before"),
        ("5,5", "no more than the step before"),
        ("100,100", "no more than the step before"),
        ("100", "everything at once"),
        ("", "not a percentage"),
    ],
)
def test_steps_that_cannot_be_say_which_and_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        steps(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"), [("30m", 1800), ("90s", 90), ("1.5h", 5400), ("2d", 172_800), ("5 min", 300)]
)
def test_durations_have_a_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["30", "soon", "-5m", "5 weeks", ""])
def test_a_duration_that_cannot_be_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ConfigError, match="--deadline") as caught:
        seconds(text, "--deadline")
    assert caught.value.hint == "give a number with s, m, h or d: --deadline 30m"


def test_a_plan_knows_its_last_step_and_says_itself() -> None:
    plan = Plan(shares=(0.05, 0.5), rules=Rules(hold_s=1800, deadline_s=86400))
    assert [plan.is_last(step) for step in (0, 1)] == [False, True]
    assert plan.sentence == "5 %, 50 %, then all; at least 30 min each, 24 h at most"
