"""A promise on negative flips, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlproj.lifecycle import gates
from mlproj.lifecycle.check import Check, Outcome
from mlproj.lifecycle.phases import Phase
from tests.lifecycle.test_gates import SCOPING, evaluation, evidence

PROMISED = SCOPING.replace(
    "  software:\n",
    "    - {metric: negative_flips, at_most: 0.02, slices: [gender], slice_margin: 0.01}\n  software:\n",
)


def entry(**said: Any) -> dict[str, Any]:
    """What the comparison with the live version came to."""
    return {
        "metric": "negative_flips",
        "split": "test",
        "class": None,
        "with_confidence": None,
        "slice_columns": ["gender"],
        "against": "run 0a1b2c3d (version 3, live)",
        "value": 0.015,
        "low": 0.01,
        "high": 0.025,
        "rows": 900,
        "slices": [{"column": "gender", "level": "Male", "value": 0.028, "rows": 400}],
        **said,
    }


def judged(tmp_path: Path, *entries: dict[str, Any], scoping: str = PROMISED) -> dict[str, Check]:
    # `evaluate` names the metric among those that it does not know.
    report = evaluation()
    refused = {
        "metric": "negative_flips",
        "split": "test",
        "class": None,
        "value": None,
        "reason": "not here",
    }
    report["targets"].append(refused)
    gathered = evidence(tmp_path, scoping, regressions=entries)
    reports = {**gathered.reports, "evaluation": report}
    verdict = gates.judge(Phase.MODELING, evidence(tmp_path, scoping, regressions=entries, reports=reports))
    return {check.name: check for check in verdict.checks}


def test_flips_are_judged_against_the_version_that_is_live(tmp_path: Path) -> None:
    check = judged(tmp_path, entry())["target negative_flips"]
    assert check.outcome is Outcome.PASS
    assert "negative_flips at most 0.02 on test: 0.015 (95 % interval 0.01 to 0.025)" in check.reason
    assert "against run 0a1b2c3d (version 3, live)" in check.details


def test_more_flips_than_promised_close_the_gate_and_name_the_command_that_shows_them(tmp_path: Path) -> None:
    check = judged(tmp_path, entry(value=0.021))["target negative_flips"]
    assert check.outcome is Outcome.FAIL
    assert "mlproj compare" in check.hint


def test_with_confidence_the_interval_s_worse_end_decides(tmp_path: Path) -> None:
    scoping = PROMISED.replace("at_most: 0.02,", "at_most: 0.02, with_confidence: 0.9,")
    check = judged(tmp_path, entry(with_confidence=0.9), scoping=scoping)["target negative_flips"]
    assert check.outcome is Outcome.FAIL
    assert "its interval does not" in check.reason


@pytest.mark.parametrize(("rate", "outcome"), [(0.03, Outcome.PASS), (0.031, Outcome.FAIL)])
def test_a_slice_may_have_its_margin_more(rate: float, outcome: Outcome, tmp_path: Path) -> None:
    slices = [{"column": "gender", "level": "Male", "value": rate, "rows": 400}]
    assert judged(tmp_path, entry(slices=slices))["slices negative_flips"].outcome is outcome


def test_a_first_model_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    nothing = entry(value=None, nothing="nothing to compare with yet", slices=[])
    found = judged(tmp_path, nothing)
    assert found["target negative_flips"].outcome is Outcome.PASS
    assert "nothing to compare with yet" in found["target negative_flips"].reason
    assert "slices negative_flips" not in found


def test_what_could_not_be_compared_is_not_known(tmp_path: Path) -> None:
    check = judged(tmp_path, entry(value=None, reason="run 0a1b2c3d kept no answers"))[
        "target negative_flips"
    ]
    assert check.outcome is Outcome.UNKNOWN
    assert "run 0a1b2c3d kept no answers" in check.reason
    assert "mlproj compare" in check.hint
