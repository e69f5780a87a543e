from __future__ import annotations

import math

import pytest

from mlproj.monitoring import pairs as pairs_module
from mlproj.monitoring.numbers import Differences
from mlproj.monitoring.pairs import Pairs, Table
from mlproj.monitoring.questions import Answer, Baseline, Loss, label, questions
from mlproj.scoping.scope import Direction, Target, TargetKind, Task
from mlproj.serving.record import Feedback, Kind
from tests.monitoring.served import record


def target(metric: str, bound: float, class_label: str | None = None) -> Target:
    return Target(
        kind=TargetKind.ML, metric=metric, direction=Direction.AT_LEAST, bound=bound, class_label=class_label
    )


def answer(said: str, **probabilities: float) -> Answer:
    return Answer(label=said, probabilities=probabilities)


def loss(metric: str, class_label: str | None = None) -> Loss:
    return Loss(metric, class_label, None, metric)


@pytest.mark.parametrize(
    ("metric", "said", "truth", "value"),
    [
        ("accuracy", "Yes", "Yes", 0.0),
        ("recall", "No", "Yes", 1.0),
        ("recall", "No", "No", None),
        ("precision", "Yes", "No", 1.0),
        ("precision", "No", "No", None),
        ("log_loss", "Yes", "Yes", -math.log(0.75)),
        ("brier", "Yes", "No", 0.5625),
    ],
)
def test_losses_of_classes(metric: str, said: str, truth: str, value: float | None) -> None:
    assert loss(metric, "Yes").of(answer(said, Yes=0.75, No=0.25), truth) == value


@pytest.mark.parametrize(("metric", "value"), [("mae", 2.0), ("rmse", 4.0), ("mape", 0.25)])
def test_losses_of_numbers(metric: str, value: float) -> None:
    assert loss(metric).of(answer("10"), "8") == value
    with pytest.raises(ValueError, match="not finite"):
        loss(metric).of(answer("10"), "nan")


def test_what_traffic_cannot_judge_is_said_and_why() -> None:
    found = questions(
        (target("roc_auc", 0.8), target("recall", 0.7), target("recall", 0.6, "No")),
        task=Task.BINARY,
        baseline=Baseline(latency_p95_ms=12.0),
        positive="Yes",
    )
    assert [(made.metric, made.class_label) for made in found.losses] == [("recall", "Yes"), ("recall", "No")]
    assert found.losses[0].bound == pytest.approx(0.3)
    assert found.unjudged == (("roc_auc at least 0.8", "it compares answers with one another"),)
    assert (found.latency[0].bound_us, found.latency[0].allowed) == (12_000, None)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), ("1.0", "1"), (" Yes ", "Yes"), (True, "True")]
)
def test_a_label_is_the_same_from_json_and_from_a_file(value: object, text: str) -> None:
    assert label(value) == text


def asked_pairs() -> Pairs:
    wanted = Target(
        kind=TargetKind.ML,
        metric="accuracy",
        direction=Direction.AT_LEAST,
        bound=0.8,
        slices=("Contract",),
        slice_margin=0.1,
    )
    return Pairs(questions((wanted,), task=Task.BINARY, baseline=Baseline()))


def test_a_shadow_is_compared_on_the_same_request_and_labels_count_where_they_differ() -> None:
    pairs = asked_pairs()
    for place in range(6):
        primary = record("primary", request=f"r{place}", says="Yes", features=b'{"Contract": "Two year"}')
        pairs.served(primary)
        pairs.served(record("shadow", request=f"r{place}", says="No" if place < 2 else "Yes"))
        pairs.told(primary, Feedback(kind=Kind.LABEL, value="Yes", at_us=0, source="test"))
    pairs.served(record("primary", request="alone"))
    found = pairs.look()
    assert isinstance(found.table, Table)
    assert (found.table.pairs, found.table.agree) == (6, 4)
    assert found.table.counts["Yes", "No"] == 2
    assert [(name, level) for name, level, _ in found.slices] == [("Contract", "Two year")]
    assert (found.discordant[0].labelled, found.discordant[0].worse, found.discordant[0].better) == (6, 2, 0)


def test_of_pairs_the_labels_are_kept_and_of_so_many_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "ANSWERED", 10)
    pairs, primaries = asked_pairs(), []
    for place in range(30):
        primaries.append(record("primary", request=f"r{place}", says="Yes", features=b'{"Contract": "x"}'))
        pairs.served(primaries[-1])
        pairs.served(record("shadow", request=f"r{place}", says="No"))
    assert len(pairs._answered) == 10
    assert {(both.first, both.second) for both in pairs._answered.values()} == {("Yes", "No")}
    for primary in primaries:
        pairs.label(primary, "Yes")
    found = pairs.look()
    assert (found.discordant[0].labelled, found.discordant[0].worse, found.table.pairs) == (10, 10, 30)


def test_answers_from_before_a_shadow_was_there_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "WAITING", 5)
    pairs = asked_pairs()
    for place in range(40):
        pairs.served(record("primary", request=f"r{place}", features=b'{"Contract": "x"}'))
        if place == 20:
            pairs.served(record("shadow", request=f"r{place}"))
    assert (pairs.look().table.pairs, pairs.look().missing) == (1, 14)


def test_one_customer_tells_two_models_apart_once() -> None:
    pairs = asked_pairs()
    for place in range(5):
        primary = record("primary", entity="a", request=f"r{place}", says="No", features=b'{"Contract": "x"}')
        pairs.served(primary)
        pairs.served(record("shadow", entity="a", request=f"r{place}", says="Yes"))
        pairs.label(primary, "Yes")
    found = pairs.look()
    assert (found.discordant[0].better, found.table.units, found.table.pairs) == (1, 1, 5)


def test_people_are_compared_with_what_the_model_would_have_said() -> None:
    pairs = asked_pairs()
    for decision in ("No", "Yes"):
        made = record("primary", says="No", features=b'{"Contract": "x"}')
        pairs.served(made)
        pairs.told(made, Feedback(kind=Kind.DECISION, value=decision, at_us=0, source="desk"))
        pairs.decided(made, "told again")
    table = pairs.people().table
    assert isinstance(table, Table)
    assert table.counts == {("No", "No"): 1, ("Yes", "No"): 1}
    assert pairs.look().table.pairs == 0


def test_a_shadow_that_says_numbers_is_told_by_how_far_it_is_off_and_which_is_nearer_to_the_truth() -> None:
    wanted = Target(
        kind=TargetKind.ML, metric="mae", direction=Direction.AT_MOST, bound=5.0, slices=("Contract",)
    )
    pairs = Pairs(questions((wanted,), task=Task.REGRESSION, baseline=Baseline()))
    for place in range(40):
        who, asked, features = f"c{place // 2}", f"r{place}", b'{"Contract": "x"}'
        primary = record("primary", says=str(100 + place), entity=who, request=asked, features=features)
        pairs.served(primary)
        pairs.served(record("shadow", says=str(102.5 + place), entity=who, request=asked))
        pairs.label(primary, 103 + place)
    primary = record("primary", says="7", request="late")
    pairs.served(primary)
    pairs.served(record("shadow", says="7", request="late"))
    pairs.label(primary, "unknown")
    found = pairs.look()
    assert isinstance(found.table, Differences)
    assert (found.table.pairs, found.table.equal, found.table.units) == (41, 1, 21)
    assert (found.table.total, found.table.apart, found.table.largest) == (100.0, 100.0, 2.5)
    assert ("Contract", "x", 40) in [(name, level, table.pairs) for name, level, table in found.slices]
    (losses,) = found.losses
    assert (losses.labelled, losses.first, losses.second) == (20, 60.0, 10.0), (
        "the first label of each customer"
    )
    assert losses.squared == pytest.approx(20 * 2.5**2)


def test_what_people_write_beside_a_number_is_no_pair_unless_it_is_one() -> None:
    pairs = Pairs(questions((), task=Task.REGRESSION, baseline=Baseline()))
    for decision in ("12", "call the customer", "nan"):
        made = record("primary", says="10")
        pairs.served(made)
        pairs.decided(made, decision)
    table = pairs.people().table
    assert isinstance(table, Differences)
    assert (table.pairs, table.total) == (1, -2.0)


def test_copies_that_a_shadow_failed_at_or_never_answered_are_counted_apart() -> None:
    pairs = asked_pairs()
    features = b'{"Contract": "x"}'
    for place in range(200):
        at_s = float(place)
        pairs.served(record("primary", request=f"r{place}", at_s=at_s, features=features, latency_ms=4))
        if place % 4 == 0:
            failed = place % 8 == 0
            status, said = (503, None) if failed else (200, "No")
            shadow = record("shadow", request=f"r{place}", at_s=at_s, status=status, says=said, latency_ms=40)
            pairs.served(shadow)
    found = pairs.look()
    # Those of the last minute may still come.
    assert (found.health.asked, found.health.failed, found.table.pairs, found.missing) == (50, 25, 25, 104)
    assert found.health.p95_ms == pytest.approx(40, rel=0.06)
    assert found.health.primary_p95_ms == pytest.approx(4, rel=0.06)
