from __future__ import annotations

import math

import pytest

from mlproj.scoping.scope import METRICS, Direction, Split, Target, TargetKind, Task, number

RECALL = Target(
    kind=TargetKind.ML, metric="recall", direction=Direction.AT_LEAST, bound=0.75, split=Split.TEST
)
RMSE = Target(kind=TargetKind.ML, metric="rmse", direction=Direction.AT_MOST, bound=20000, split=Split.DEV)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (RECALL, 0.75, True),
        (RECALL, 0.7499, False),
        (RECALL, math.nan, False),
        (RMSE, 20000, True),
        (RMSE, 20000.5, False),
        (RMSE, math.nan, False),
    ],
)
def test_a_target_is_met_on_its_side_of_the_bound_and_never_by_nothing(
    target: Target, value: float, met: bool
) -> None:
    assert target.met_by(value) is met


def test_a_slice_may_be_worse_by_the_margin_and_no_more() -> None:
    recall = Target(
        kind=TargetKind.ML, metric="recall", direction=Direction.AT_LEAST, bound=0.75, slice_margin=0.05
    )
    rmse = Target(kind=TargetKind.ML, metric="rmse", direction=Direction.AT_MOST, bound=10, slice_margin=2)
    assert (recall.slice_bound, rmse.slice_bound) == (0.7, 12)
    assert recall.met_on_slice_by(0.7)
    assert not recall.met_on_slice_by(0.69)
    assert not rmse.met_on_slice_by(12.1)


def test_a_target_with_confidence_is_judged_by_the_worse_end_of_its_interval() -> None:
    sure = Target(
        kind=TargetKind.ML,
        metric="recall",
        direction=Direction.AT_LEAST,
        bound=0.75,
        split=Split.TEST,
        with_confidence=0.95,
    )
    sure_rmse = Target(
        kind=TargetKind.ML, metric="rmse", direction=Direction.AT_MOST, bound=10, with_confidence=0.9
    )
    assert (sure.judged_by(0.8, 0.7, 0.9), sure_rmse.judged_by(8, 7, 11)) == (0.7, 11)
    assert sure.judged_by(0.8, None, None) is None
    assert RECALL.judged_by(0.8, 0.7, 0.9) == 0.8
    assert RECALL.straddled_by(0.7, 0.9)
    assert not RECALL.straddled_by(0.75, 0.9)
    assert sure.sentence == "recall at least 0.75 on test with 95 % confidence"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (RECALL, "recall at least 0.75 on test"),
        (RMSE, "rmse at most 20000 on dev"),
        (
            Target(
                kind=TargetKind.ML,
                metric="f1",
                direction=Direction.AT_LEAST,
                bound=1,
                split=Split.TEST,
                class_label="Adelie",
            ),
            "f1 of `Adelie` at least 1 on test",
        ),
        (
            Target(kind=TargetKind.SOFTWARE, metric="latency_p95_ms", direction=Direction.AT_MOST, bound=50),
            "latency_p95_ms at most 50 ms",
        ),
        (
            Target(kind=TargetKind.BUSINESS, metric="saved", direction=Direction.AT_LEAST, bound=1.5),
            "saved at least 1.5",
        ),
    ],
)
def test_a_target_reads_as_a_sentence(target: Target, sentence: str) -> None:
    assert target.sentence == sentence


def test_a_number_reads_as_a_person_writes_it() -> None:
    assert [number(value) for value in (50.0, 0.75, 1e-5, 1e22, -3.0, math.inf)] == [
        "50",
        "0.75",
        "1e-05",
        "1e+22",
        "-3",
        "inf",
    ]


def test_every_metric_has_a_name_of_its_own_and_a_task() -> None:
    names = [name for metrics in METRICS.values() for name in metrics]
    assert len(names) == len(set(names))
    assert all(metric.tasks for metrics in METRICS.values() for metric in metrics.values())
    of_regression = {
        name for name, metric in METRICS[TargetKind.ML].items() if metric.tasks == (Task.REGRESSION,)
    }
    assert of_regression == {"rmse", "mae", "r2", "mape", "median_absolute_error"}
