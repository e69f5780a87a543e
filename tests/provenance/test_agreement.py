"""When an answer given again is the same answer, and where to look when it is not."""

from __future__ import annotations

import pytest

from mlproj.provenance import agreement
from mlproj.provenance.agreement import Answer, Grade, Surroundings, Verdict, blame, compare, differences
from mlproj.provenance.replay import Again, Replay, Replayed, Setting
from mlproj.provenance.trace import Break, Link


def chances(yes: float, *, label: str | None = None, decision: str | None = None) -> Answer:
    return Answer(
        prediction=label or ("Yes" if yes >= 0.5 else "No"),
        probabilities={"No": 1 - yes, "Yes": yes},
        decision=decision,
    )


@pytest.mark.parametrize(
    ("before", "again", "verdict", "difference"),
    [
        (0.7, 0.7, Verdict.IDENTICAL, 0.0),
        (0.7, 0.7 + 1e-8, Verdict.TOLERATED, 1e-8),
        (0.7, 0.71, Verdict.DECIDED, 0.01),
        (0.501, 0.499, Verdict.DIFFERENT, 0.002),
    ],
)
def test_what_counts_is_the_decision_then_the_probabilities(
    before: float, again: float, verdict: Verdict, difference: float
) -> None:
    found = compare(chances(before), chances(again), is_number=False)
    assert found.verdict is verdict
    assert found.difference == pytest.approx(difference, abs=1e-12)


def test_a_decision_that_is_left_to_a_person_now_is_another_one_however_near_the_probabilities() -> None:
    before, again = chances(0.8, decision="Yes"), chances(0.8 - 1e-9, decision="defer")
    found = compare(before, again, is_number=False)
    assert (found.verdict, found.said) == (Verdict.DIFFERENT, "decision `defer` instead of `Yes`")


def test_a_decision_that_was_not_the_models_is_not_compared() -> None:
    assert compare(chances(0.8), chances(0.8, decision="Yes"), is_number=False).verdict.agrees


@pytest.mark.parametrize(
    ("before", "again", "verdict"),
    [
        (250_000.0, 250_000.0, Verdict.IDENTICAL),
        (250_000.0, 250_000.1, Verdict.TOLERATED),
        (0.0, 1e-7, Verdict.TOLERATED),
        (250_000.0, 250_001.0, Verdict.DIFFERENT),
    ],
)
def test_numbers_are_compared_relative_to_their_size(before: float, again: float, verdict: Verdict) -> None:
    found = compare(Answer(prediction=before), Answer(prediction=again), is_number=True)
    assert found.verdict is verdict
    if not verdict.agrees:
        assert found.said == "250001.0 instead of 250000.0"


def test_labels_of_different_types_are_different_labels() -> None:
    found = compare(Answer(prediction=True), Answer(prediction=1), is_number=False)
    assert (found.verdict, found.said) == (Verdict.DIFFERENT, "`1` instead of `true`")


def test_a_model_without_probabilities_has_labels_to_compare() -> None:
    same = compare(Answer(prediction="a"), Answer(prediction="a"), is_number=False)
    assert (same.verdict, same.difference) == (Verdict.IDENTICAL, None)


def test_a_label_that_has_appeared_counts_with_its_whole_probability() -> None:
    again = Answer(prediction="Yes", probabilities={"No": 0.2, "Yes": 0.6, "Maybe": 0.2})
    assert compare(chances(0.8), again, is_number=False).difference == pytest.approx(0.2)


RECORDED = Surroundings(
    lock_sha256="a" * 64,
    python="3.11.7",
    platform="Linux-6.1",
    packages={"numpy": "2.3.0", "scipy": "1.16.0"},
)


def test_only_what_both_know_is_compared() -> None:
    now = Surroundings(
        lock_sha256="a" * 64,
        python="3.11.9",
        platform="Linux-6.1",
        cpu="a processor",
        packages={"numpy": "2.3.0"},
    )
    assert [each.said for each in differences(RECORDED, now)] == [
        "Python 3.11.9, recorded 3.11.7",
        "scipy missing, recorded 1.16.0",
    ]
    assert RECORDED.unknown == ("CPU", "BLAS")


def test_blame_falls_on_what_differs_and_on_nothing_else() -> None:
    platform = differences(RECORDED, Surroundings(platform="Linux-6.8"))
    said = blame(package="b" * 64, expected="c" * 64, differs=platform)
    assert [each.partition(":")[0] for each in said] == ["model", "platform"]
    alike = blame(package="b" * 64, expected="b" * 64, differs=())
    assert len(alike) == 1
    assert "does not depend on the row alone" in alike[0]
    assert "is not recorded" in blame(package="b" * 64, expected=None, differs=())[0]
    otherwise = blame(package="b", expected="b", differs=(), starts_otherwise="recorded row 0 was 1")
    assert otherwise[0].startswith("environment or platform:")


def replayed(number: int, *verdicts: tuple[str, Verdict, float | None]) -> Replayed:
    return Replayed(
        id=f"{number:013}",
        arrived="2026-11-23T00:00:00Z",
        version=1,
        run="f" * 32,
        role="primary",
        engine="numpy",
        answered=chances(0.8),
        again=tuple(
            Again(
                engine=engine,
                answer=None,
                agreement=agreement.Agreement(verdict=verdict, difference=difference),
            )
            for engine, verdict, difference in verdicts
        ),
    )


def test_a_prediction_is_as_good_as_the_worst_of_its_engines_and_the_worst_comes_first() -> None:
    good = replayed(1, ("numpy", Verdict.IDENTICAL, 0.0), ("original", Verdict.TOLERATED, 1e-9))
    bad = replayed(2, ("numpy", Verdict.IDENTICAL, 0.0), ("original", Verdict.DIFFERENT, 0.4))
    refused = replayed(3, ("numpy", Verdict.DIFFERENT, None), ("original", Verdict.IDENTICAL, 0.0))
    found = Replay(project="p", subject="s", tolerance=1e-6, predictions=(good, bad, refused))
    assert not found.holds
    assert [each.id for each in found.different] == [refused.id, bad.id]
    assert found.tallies["answered"].verdicts[Verdict.DIFFERENT] == 1
    assert found.tallies["original"].largest_difference == 0.4
    assert Replay(project="p", subject="s", tolerance=1e-6, predictions=(good,)).holds


def test_a_replay_holds_only_if_nothing_is_broken_and_nothing_was_left_out() -> None:
    good = replayed(1, ("numpy", Verdict.IDENTICAL, 0.0))
    setting = Setting(version=1, run="f" * 32, count=1, grade=Grade.EXACT)
    whole = Replay(project="p", subject="s", tolerance=1e-6, predictions=(good,), settings=(setting,))
    assert whole.holds
    broken = Break(link=Link.PACKAGE, said="it is lost")
    for changes in ({"left": 1}, {"breaks": (broken,)}):
        assert not Replay(**{**vars(whole), **changes}).holds
