"""What an analysis answers, and why, for windows of served traffic."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mlproj.monitoring.questions import Baseline, Questions, questions
from mlproj.monitoring.watch import Watch
from mlproj.rollout.analysis import judge
from mlproj.rollout.verdict import Analysis, Check, Progress, Result, Rules, Verdict
from mlproj.scoping.scope import Direction, Target, TargetKind, Task
from tests.monitoring.served import SECOND_US, record

HOUR_US = 3600 * SECOND_US
RULES = Rules(hold_s=1800, deadline_s=86400)
STEP = Progress(step_began_us=0, deployment_began_us=0, last_step=False)
LAST = replace(STEP, last_step=True)
LATENCY = Target(kind=TargetKind.SOFTWARE, metric="latency_p95_ms", direction=Direction.AT_MOST, bound=50.0)
ERRORS = Target(kind=TargetKind.SOFTWARE, metric="error_rate", direction=Direction.AT_MOST, bound=0.02)
ACCURACY = Target(
    kind=TargetKind.ML,
    metric="accuracy",
    direction=Direction.AT_LEAST,
    bound=0.7,
    slices=("Contract",),
    slice_margin=0.05,
)
MAE = Target(kind=TargetKind.ML, metric="mae", direction=Direction.AT_MOST, bound=30.0)
SALES = Target(kind=TargetKind.BUSINESS, metric="sales", direction=Direction.AT_LEAST, bound=1.0)


def asked(*targets: Target, task: Task = Task.BINARY) -> Questions:
    return questions(targets, task=task, baseline=Baseline(), warm_up_s=0)


def serve(
    watch: Watch,
    requests: int,
    *,
    share: float = 0.25,
    errors: tuple[float, float] = (0.0, 0.0),
    slow: tuple[float, float] = (0.01, 0.01),
    right: tuple[float, float] | None = None,
    refused: tuple[float, float] = (0.0, 0.0),
    canary_share: float | None = None,
    scores: tuple[float, float] = (0.5, 0.5),
    contract: str = "One year",
    seed: int = 1,
) -> None:
    """Requests of as many customers; rates are of the primary and the canary."""
    chance = random.Random(seed)
    for number in range(requests):
        canary = chance.random() < (share if canary_share is None else canary_share)
        status = (
            500 if chance.random() < errors[canary] else 422 if chance.random() < refused[canary] else 200
        )
        made = record(
            "canary" if canary else "primary",
            entity=f"{contract}-{seed}-{number}",
            share=share,
            status=status,
            latency_ms=90 if chance.random() < slow[canary] else 5,
            score=chance.betavariate(8 * scores[canary], 8 * (1 - scores[canary])),
            says="Yes" if right is None or chance.random() < right[canary] else "No",
            features=f'{{"Contract": "{contract}"}}'.encode(),
        )
        watch.served(made)
        if right is not None:
            watch.label(made, "Yes", arrived_us=0)


def look(watch: Watch, *, rules: Rules = RULES, progress: Progress = STEP, now_us: int = HOUR_US) -> Analysis:
    return judge(watch.look(now_us), rules, progress, now_us)


def line(analysis: Analysis, name: str) -> Check:
    return next(check for check in analysis.checks if check.name == name)


def test_a_canary_that_is_as_good_advances() -> None:
    watch = Watch(asked(LATENCY, ERRORS))
    serve(watch, 4000)
    analysis = look(watch)
    assert analysis.verdict is Verdict.ADVANCE
    assert line(analysis, "errors").reason.startswith(
        f"5xx and timeouts: 0 of {watch.look(0).errors.canary.n:,} canary customers, 0 of "
    )


def test_without_traffic_it_holds_and_says_what_is_missing() -> None:
    analysis = look(Watch(asked(LATENCY)))
    assert (analysis.verdict, analysis.needs_person) == (Verdict.HOLD, False)
    assert analysis.reason == "0 canary requests at this share, 100 needed"


def test_before_the_hold_time_it_holds() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 4000)
    analysis = look(watch, now_us=600 * SECOND_US)
    assert (analysis.verdict, analysis.reason) == (Verdict.HOLD, "10 min at this share, 30 min needed")


def test_at_the_deadline_a_person_decides() -> None:
    analysis = look(Watch(asked(LATENCY)), now_us=25 * HOUR_US)
    assert (analysis.verdict, analysis.needs_person) == (Verdict.HOLD, True)
    assert "the deadline of 24 h is over and a person has to decide" in analysis.reason


def test_more_errors_roll_back_with_the_counts_and_the_odds() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 4000, errors=(0.003, 0.05))
    analysis = look(watch, now_us=60 * SECOND_US)
    assert analysis.verdict is Verdict.ROLL_BACK
    assert "canary customers" in analysis.reason
    assert "; evidence that the canary is worse: " in analysis.reason
    assert analysis.reason.endswith(" to 1, 80 to 1 needed")


def test_errors_beyond_the_promise_roll_back_unless_the_primary_has_them_too() -> None:
    watch = Watch(asked(LATENCY, ERRORS))
    serve(watch, 150, share=0.5, errors=(0.0, 0.6))
    analysis = look(watch)
    assert analysis.verdict is Verdict.ROLL_BACK
    assert "more than the bound of 2.0 %" in analysis.reason
    both = Watch(asked(LATENCY, ERRORS))
    serve(both, 1000, share=0.5, errors=(0.5, 0.5))
    analysis = look(both)
    assert analysis.verdict is Verdict.HOLD
    assert "but so are the primary's" in analysis.reason


def test_a_canary_far_worse_than_a_primary_that_breaks_the_promise_is_rolled_back() -> None:
    watch = Watch(asked(LATENCY, ERRORS))
    serve(watch, 4000, errors=(0.05, 0.9))
    analysis = look(watch)
    assert analysis.verdict is Verdict.ROLL_BACK
    assert "evidence that the canary is worse" in analysis.reason


def test_slower_answers_roll_back() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 4000, slow=(0.02, 0.08))
    analysis = look(watch)
    assert analysis.verdict is Verdict.ROLL_BACK
    assert analysis.reason.startswith("over 50 ms at least once (latency_p95_ms at most 50 ms): ")


def test_a_canary_that_refuses_what_the_primary_takes_is_rolled_back() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 2000, refused=(0.02, 0.3))
    analysis = look(watch)
    assert (analysis.verdict, line(analysis, "refusals").result) == (Verdict.ROLL_BACK, Result.FAIL)
    assert line(analysis, "errors").result is not Result.FAIL


def test_a_crash_loop_rolls_back_without_a_comparison() -> None:
    analysis = look(Watch(asked(LATENCY)), progress=replace(STEP, restarts=3))
    assert analysis.verdict is Verdict.ROLL_BACK
    assert analysis.reason == "the canary's worker was restarted 3 times: a crash loop"


def test_restarts_that_the_primary_has_too_hold() -> None:
    windows = Watch(asked(LATENCY))
    analysis = look(windows, progress=replace(STEP, restarts=3, primary_restarts=1))
    assert analysis.verdict is Verdict.HOLD
    assert line(analysis, "restarts").reason == (
        "the canary's worker was restarted 3 times in 10 min, and the primary's 1:"
        " the machine may be at fault"
    )
    analysis = look(windows, progress=replace(STEP, restarts=4, primary_restarts=1))
    assert analysis.verdict is Verdict.ROLL_BACK


def test_a_wrong_split_makes_every_comparison_worthless() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 4000, canary_share=0.1, errors=(0.001, 0.05))
    analysis = look(watch)
    assert analysis.verdict is Verdict.HOLD
    assert "the split is wrong, so comparing the two says nothing" in analysis.reason


def test_worse_answers_roll_back_when_labels_say_so() -> None:
    watch = Watch(asked(LATENCY, ACCURACY))
    serve(watch, 6000, right=(0.85, 0.7))
    analysis = look(watch)
    assert (analysis.verdict, line(analysis, "accuracy").result) == (Verdict.ROLL_BACK, Result.FAIL)
    assert "evidence that the canary is worse" in line(analysis, "accuracy").reason


def test_a_promotion_waits_for_labels_where_they_are_expected_and_a_step_does_not() -> None:
    watch = Watch(asked(LATENCY, ACCURACY))
    serve(watch, 4000)
    rules = replace(RULES, labels=True)
    assert look(watch, rules=rules).verdict is Verdict.ADVANCE
    held = look(watch, rules=rules, progress=LAST)
    assert held.verdict is Verdict.HOLD
    assert "0 canary customers and 0 primary customers with a label old enough" in held.reason
    assert look(watch, rules=replace(rules, labels_each_step=True)).verdict is Verdict.HOLD
    serve(watch, 8000, right=(0.85, 0.85), seed=2)
    assert look(watch, rules=rules, progress=LAST).verdict is Verdict.ADVANCE


def test_one_bad_slice_rolls_back_though_the_whole_does_not() -> None:
    watch = Watch(asked(ACCURACY))
    serve(watch, 20_000, right=(0.8, 0.82), contract="One year")
    serve(watch, 2000, right=(0.8, 0.55), contract="Two year", seed=2)
    analysis = look(watch)
    assert line(analysis, "accuracy").result is not Result.FAIL
    assert analysis.verdict is Verdict.ROLL_BACK
    assert analysis.reason.startswith("Contract `Two year`: accuracy: ")


def test_labels_that_come_from_one_arm_only_say_nothing() -> None:
    watch = Watch(asked(LATENCY, ACCURACY))
    chance = random.Random(1)
    for number in range(4000):
        canary = chance.random() < 0.25
        made = record("canary" if canary else "primary", entity=str(number), share=0.25, says="No")
        watch.served(made)
        if not canary or number % 4 == 0:
            watch.label(made, "Yes" if canary else "No", arrived_us=0)
    analysis = look(watch)
    assert analysis.verdict is Verdict.HOLD
    assert "labels do not come alike from both" in analysis.reason


def test_another_distribution_of_scores_is_news_and_no_fault() -> None:
    watch = Watch(asked(LATENCY))
    serve(watch, 4000, scores=(0.5, 0.7))
    analysis = look(watch)
    assert (analysis.verdict, line(analysis, "scores").result) == (Verdict.ADVANCE, Result.NOTE)
    assert "distributed otherwise than the primary's" in line(analysis, "scores").reason


def test_what_traffic_cannot_judge_is_a_line_and_no_obstacle() -> None:
    auc = Target(kind=TargetKind.ML, metric="roc_auc", direction=Direction.AT_LEAST, bound=0.8)
    watch = Watch(asked(LATENCY, auc))
    serve(watch, 4000)
    analysis = look(watch)
    assert analysis.verdict is Verdict.ADVANCE
    assert line(analysis, "unjudged").reason == (
        "roc_auc at least 0.8: not judged on traffic, it compares answers with one another"
    )


@pytest.mark.parametrize(("error", "verdict"), [(10.0, Verdict.ADVANCE), (14.0, Verdict.ROLL_BACK)])
def test_errors_of_numbers_are_judged_by_their_mean(error: float, verdict: Verdict) -> None:
    watch, chance = Watch(asked(LATENCY, MAE, task=Task.REGRESSION)), random.Random(3)
    for number in range(12_000):
        canary = chance.random() < 0.5
        off = abs(chance.gauss(0, error if canary else 10.0))
        made = record("canary" if canary else "primary", entity=str(number), share=0.5, score=None)
        made = made._replace(output=f'"prediction":{100 + off}')
        watch.served(made)
        watch.label(made, "100", arrived_us=0)
    analysis = look(watch, rules=replace(RULES, labels=True), progress=LAST)
    assert analysis.verdict is verdict


def test_business_values_are_compared_where_feedback_carries_them() -> None:
    watch, chance = Watch(asked(LATENCY, SALES)), random.Random(4)
    for number in range(6000):
        canary = chance.random() < 0.5
        made = record("canary" if canary else "primary", entity=str(number), share=0.5)
        watch.served(made)
        watch.business(made, "sales", max(chance.gauss(1.5 if canary else 2.0, 1.0), 0.0), arrived_us=0)
    analysis = look(watch)
    assert (analysis.verdict, line(analysis, "sales").result) == (Verdict.ROLL_BACK, Result.FAIL)


def test_nothing_outside_the_standard_library_is_imported() -> None:
    import subprocess
    import sys

    code = (
        "import sys, mlproj.rollout.analysis, mlproj.rollout.expected, mlproj.rollout.agreement,"
        " mlproj.rollout.plan;"
        " print(sorted({'numpy', 'pandas', 'scipy', 'duckdb', 'typer'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
