"""Which requests are compared with which."""

from __future__ import annotations

import random

import pytest

from mlproj.monitoring import watch as watch_module
from mlproj.monitoring.questions import Baseline, Questions, questions
from mlproj.monitoring.watch import Watch, baseline
from mlproj.scoping.scope import Direction, Target, TargetKind, Task
from tests.monitoring.served import SECOND_US, record

TARGETS = (
    Target(kind=TargetKind.SOFTWARE, metric="latency_p95_ms", direction=Direction.AT_MOST, bound=50.0),
    Target(
        kind=TargetKind.ML,
        metric="accuracy",
        direction=Direction.AT_LEAST,
        bound=0.8,
        slices=("Contract",),
        slice_margin=0.05,
    ),
)


def asked(maturity_s: float = 0.0, warm_up_s: float = 0.0) -> Questions:
    return questions(
        TARGETS, task=Task.BINARY, baseline=Baseline(), maturity_s=maturity_s, warm_up_s=warm_up_s
    )


def test_an_entity_with_many_errors_is_one_unit_with_one_event() -> None:
    watch = Watch(asked())
    for _ in range(50):
        watch.served(record("canary", entity="a", status=500))
    watch.served(record("primary", entity="b"))
    windows = watch.look(0)
    assert (windows.canary.requests, windows.canary.errors) == (50, 50)
    assert (windows.errors.canary_bad, windows.errors.canary.n, windows.errors.primary.n) == (1, 1, 1)


def test_the_mean_of_a_unit_follows_its_requests() -> None:
    watch = Watch(asked())
    for status in (200, 500, 200, 200):
        watch.served(record("canary", entity="a", status=status))
    canary = watch.look(0).errors.canary
    assert canary.mean == pytest.approx(0.25)
    assert canary.squares == pytest.approx(0.0625)


def test_requests_without_an_entity_are_units_and_leave_nothing_in_memory() -> None:
    watch = Watch(asked())
    for place in range(100):
        watch.served(record("canary" if place % 10 == 0 else "primary", status=503 if place == 10 else 200))
    windows = watch.look(0)
    assert (windows.errors.canary.n, windows.errors.canary_bad, windows.sticky) == (10, 1, False)
    assert not watch._units


def test_refusals_are_no_errors_and_rows_of_one_request_are_one_trial() -> None:
    watch = Watch(asked())
    watch.served(record("canary", entity="a", status=422))
    for row in range(3):
        watch.served(record("canary", entity="b", request="many", row=row))
    windows = watch.look(0)
    assert (windows.errors.canary_bad, windows.errors.canary.n) == (0, 2)
    assert windows.refusals.canary_bad == 1
    assert windows.canary.requests == 2


def test_answers_over_the_bound_are_slow_and_a_timeout_counts_but_a_refusal_does_not() -> None:
    watch = Watch(asked())
    watch.served(record("canary", entity="a", latency_ms=51))
    watch.served(record("canary", entity="b", latency_ms=49))
    watch.served(record("canary", entity="c", latency_ms=5000, status=504))
    watch.served(record("canary", entity="d", latency_ms=900, status=422))
    slow = watch.look(0).slow[0]
    assert (slow.canary_bad, slow.canary.n) == (2, 3)


def test_latencies_after_the_start_of_a_worker_are_left_out_in_both_arms() -> None:
    watch = Watch(asked(warm_up_s=30))
    watch.worker_started(100 * SECOND_US)
    for role in ("canary", "primary"):
        watch.served(record(role, entity=role, latency_ms=99, at_s=129))
        watch.served(record(role, entity=role, latency_ms=5, at_s=131))
    slow = watch.look(0).slow[0]
    assert (slow.canary.n, slow.primary.n, slow.canary_bad, slow.primary_bad) == (1, 1, 0, 0)


def test_a_later_start_of_a_worker_leaves_earlier_latencies_in() -> None:
    watch = Watch(asked(warm_up_s=30))
    for started in (500, 100):  # as read from the log again, all at once
        watch.worker_started(started * SECOND_US)
    for at_s in (50, 99, 101, 200, 501):
        watch.served(record("canary", entity=str(at_s), latency_ms=99, at_s=at_s))
    assert watch.look(0).slow[0].canary.n == 3


def test_what_was_never_drawn_is_no_trial_and_leaves_the_step_as_it_is() -> None:
    watch = Watch(asked())
    for place in range(40):
        watch.served(record("canary" if place % 10 == 0 else "primary", entity=str(place)))
        watch.served(record("primary", share=0.0, status=415))
        watch.served(record("canary", entity="names a version", share=0.0, status=500))
        watch.served(record("primary", entity=str(place), share=0.0))
    windows = watch.look(0)
    assert [(unit.chance, unit.canary, unit.primary) for unit in windows.units] == [(0.1, 4, 36)]
    assert (windows.step_requests, windows.step_units, windows.crossed) == (4, 4, 0)
    assert (windows.errors.canary_bad, windows.errors.first_bad) == (0, 0)
    assert (windows.canary.requests, windows.canary.errors) == (44, 40)


def test_when_the_share_rises_known_entities_are_drawn_anew_from_what_is_left() -> None:
    watch = Watch(asked())
    watch.served(record("primary", entity="moves", share=0.1))
    watch.served(record("canary", entity="stays", share=0.1))
    watch.served(record("canary", entity="moves", share=0.5))
    watch.served(record("canary", entity="stays", share=0.5, status=500))
    watch.served(record("primary", entity="new", share=0.5))
    windows = watch.look(0)
    units = {unit.chance: (unit.canary, unit.primary) for unit in windows.units}
    # `stays` could be nothing but the canary's at 50 %, and is no draw any more.
    assert units == {0.1: (1, 1), round(0.4 / 0.9, 9): (1, 0), 0.5: (0, 1)}
    assert windows.errors.canary_bad == 0
    # Its first request was a good one, and that of `moves` in the canary too.
    assert (windows.errors.first_units, windows.errors.first_bad) == (2, 0)


def test_the_chances_of_a_ramp_are_those_of_the_hash() -> None:
    chance, watch = random.Random(1), Watch(asked())
    hashes = [chance.random() for _ in range(4000)]
    for share in (0.05, 0.25, 0.5):
        for who in range(4000):
            if chance.random() < 0.7:
                role = "canary" if hashes[who] < share else "primary"
                watch.served(record(role, entity=str(who), share=share))
    for unit in watch.look(0).units:
        n = unit.canary + unit.primary
        assert unit.canary / n == pytest.approx(unit.chance, abs=4 * (unit.chance / n) ** 0.5)


def test_requests_that_the_other_arm_answered_are_left_out_and_counted() -> None:
    watch = Watch(asked())
    watch.served(record("canary", entity="a"))
    watch.served(record("primary", entity="a", status=500))
    watch.served(record("canary", request="twice", status=503))
    watch.served(record("primary", request="twice"))
    windows = watch.look(0)
    assert (windows.crossed, windows.errors.primary.n, windows.errors.canary_bad) == (2, 0, 1)


def test_of_very_many_entities_a_part_is_followed_and_the_split_stays_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "MOST_UNITS", 500)
    chance, watch = random.Random(1), Watch(asked())
    canaries = {str(who): chance.random() < 0.3 for who in range(4000)}
    for _ in range(2):
        for entity, canary in canaries.items():
            watch.served(record("canary" if canary else "primary", entity=entity, share=0.3))
    windows = watch.look(0)
    assert (len(watch._units) <= 500, windows.followed) == (True, 16)
    (units,) = windows.units
    assert 1000 < units.canary + units.primary < 4000
    assert units.canary / (units.canary + units.primary) == pytest.approx(0.3, abs=0.04)
    assert windows.crossed == 0
    assert windows.canary.requests + windows.primary.requests == 8000


def test_scores_are_counted_once_a_unit_in_fixed_bins() -> None:
    watch = Watch(asked())
    for score in (0.05, 0.95):
        watch.served(record("canary", entity="a", score=score))
    watch.served(record("primary", entity="b", score=0.95))
    bins = watch.look(0).score_bins
    assert len(bins) == 10
    assert (bins[0][0].canary, bins[9][0].primary) == (1, 1)
    assert sum(count.canary + count.primary for counts in bins for count in counts) == 2


def test_labels_count_when_old_enough_and_as_they_stand_then() -> None:
    watch = Watch(asked(maturity_s=100))
    made = record("canary", entity="a", says="No", features=b'{"Contract": "Two year"}')
    watch.served(made)
    watch.label(made, "Yes", arrived_us=10 * SECOND_US)
    watch.label(made, "No", arrived_us=20 * SECOND_US)
    assert watch.look(99 * SECOND_US).labelled == ()
    assert watch.look(99 * SECOND_US).waiting_labels == 1
    over_all, by_slice = watch.look(100 * SECOND_US).labelled
    assert (over_all.outcome.canary.n, over_all.outcome.canary.mean) == (1, 0.0)
    assert (by_slice.slice, by_slice.level) == ("Contract", "Two year")
    watch.label(made, "Yes", arrived_us=200 * SECOND_US)
    windows = watch.look(300 * SECOND_US)
    assert (windows.labelled[0].outcome.canary.mean, windows.late_labels) == (0.0, 1)


def test_a_label_told_again_counts_the_same_when_the_log_is_read_again_after_a_restart() -> None:
    made = record("canary", entity="a", says="No")
    told = (("No", 10), ("Yes", 20), ("No", 200), ("Yes", 300))
    for order in (told, told[::-1]):
        watch = Watch(asked(maturity_s=100))
        watch.served(made)
        for truth, at_s in order:
            watch.label(made, truth, arrived_us=at_s * SECOND_US)
        windows = watch.look(400 * SECOND_US)
        assert (windows.labelled[0].outcome.canary.n, windows.labelled[0].outcome.canary.mean) == (1, 1.0)
        assert windows.late_labels == 2


def test_labels_of_entities_are_a_mean_each() -> None:
    watch = Watch(asked())
    for says in ("No", "Yes", "Yes", "Yes"):
        made = record("primary", entity="a", says=says)
        watch.served(made)
        watch.label(made, "Yes", arrived_us=0)
    windows = watch.look(1)
    assert (windows.labelled[0].outcome.primary.n, windows.labelled[0].outcome.primary.mean) == (1, 0.25)
    assert (windows.labels[0].primary, windows.labels[0].canary) == (1, 0)


def test_a_baseline_is_what_the_primary_did() -> None:
    made = [
        record(
            "primary", entity=str(place % 50), score=place / 200, latency_ms=10, at_s=place * 18, share=0.0
        )
        for place in range(200)
    ]
    found = baseline(made)
    assert found.latency_p95_ms == pytest.approx(10, rel=0.05)
    assert found.score_edges == pytest.approx([step / 10 for step in range(1, 10)])
    assert found.units_per_request == 0.25
    assert found.requests_per_hour == pytest.approx(200, rel=0.01)
