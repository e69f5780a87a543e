from __future__ import annotations

import pytest

from mlproj.monitoring.questions import Baseline, questions
from mlproj.rollout.expected import expected, shadow_labels
from mlproj.rollout.plan import Plan
from mlproj.scoping.scope import Direction, Target, TargetKind, Task

TARGETS = (
    Target(kind=TargetKind.SOFTWARE, metric="latency_p95_ms", direction=Direction.AT_MOST, bound=50.0),
    Target(kind=TargetKind.ML, metric="accuracy", direction=Direction.AT_LEAST, bound=0.8),
)


def needs(share: float, baseline: Baseline, label_share: float = 0.25) -> dict[str, int | None]:
    asked = questions(TARGETS, task=Task.BINARY, baseline=baseline)
    found = expected(Plan(shares=(share,)), asked, baseline, label_share=label_share)
    return {need.name: need.requests for need in (*found.advance, *found.roll_back, *found.labels)}


def test_a_larger_share_needs_fewer_requests() -> None:
    baseline = Baseline(requests_per_hour=3600, error_share=0.01, slow_share=0.02)
    small, large = needs(0.05, baseline), needs(0.5, baseline)
    for name, requests in large.items():
        wanted = small[name]
        assert requests is not None
        assert wanted is None or requests < wanted


def test_a_service_without_errors_needs_some_hundred_canary_requests() -> None:
    found = needs(0.1, Baseline(requests_per_hour=3600, slow_share=0.01))
    assert 2_000 < (found["errors, if as rare as the primary's"] or 0) < 6_000


def test_a_need_says_its_time_at_the_traffic_seen() -> None:
    baseline = Baseline(requests_per_hour=1000, units_per_request=0.5)
    asked = questions(TARGETS, task=Task.BINARY, baseline=baseline)
    found = expected(Plan(shares=(0.1,)), asked, baseline)
    assert (
        found.advance[0].sentence == "units at the first share: about 2,000 requests, 2 h at the traffic seen"
    )
    assert found.labels == ()
    assert found.requests is not None
    assert found.requests >= 2000


def test_a_shadow_needs_far_fewer_labels_than_a_split() -> None:
    # Simulated medians: 1,850 labels for 2 points at 8 % disagreement, 6,825 for 1 point.
    assert shadow_labels(0.08, 0.02) == pytest.approx(1850, rel=0.2)
    assert shadow_labels(0.08, 0.01) == pytest.approx(6825, rel=0.2)
