"""Eight questions, each with its answer, or with what was not recorded."""

from __future__ import annotations

from dataclasses import replace

from mlproj.provenance.questions import answers
from mlproj.provenance.trace import (
    Break,
    Call,
    Chain,
    Link,
    Served,
    Subject,
    Trace,
)
from tests.provenance import story


def said(trace: Trace, number: int) -> str:
    return answers(trace)[number - 1].answer


def test_a_whole_chain_leaves_only_the_explanation_unknown() -> None:
    unknown = [answer.question for answer in answers(story.trace()) if not answer.known]
    assert unknown == ["Which parts of the input are responsible?"]


def test_an_input_that_was_missing_is_said_to_be_missing() -> None:
    assert "tenure = 12 and plan = missing" in said(story.trace(), 1)


def test_the_source_before_the_repository_is_unknown_unless_it_was_imported() -> None:
    assert "Unknown: where they were before that" in said(story.trace(), 5)
    origin = story.origin()
    raw = replace(origin.files["raw.csv"], source="s3://lake/raw.csv")
    imported = replace(origin, files={**origin.files, "raw.csv": raw})
    answer = said(story.trace(origins=(imported,)), 5)
    assert "imported from s3://lake/raw.csv" in answer
    assert "Unknown" not in answer


def test_a_run_that_is_gone_leaves_what_it_was_made_from_unknown() -> None:
    bare = story.origin(code=None, stages=(), files={}, inputs={}, environment=None)
    found = answers(story.trace(origins=(bare,)))
    assert [answer.known for answer in found] == [True, True, False, False, False, True, False, True]
    assert found[7].answer.startswith("not as it stands")


def test_a_record_that_is_not_in_the_log_leaves_its_inputs_unknown() -> None:
    lost = story.trace(prediction=None, chain=None)
    assert said(lost, 1) == "unknown: the record of the prediction was not found in the log"
    assert "live at that time: version 3" in said(lost, 2)
    assert said(lost, 7) == "unknown: the record of the prediction was not found"
    assert "the inputs are not in the log" in said(lost, 8)


def test_another_model_of_the_chain_is_named_with_what_it_learnt_from() -> None:
    call = Call(
        project="fraud",
        model="fraud-model",
        version=2,
        run="f" * 32,
        role="primary",
        first="0safxhkk40800",
        arrived="2026-11-22T12:00:01.000Z",
        rows=1,
        answers=("0.3",),
        data="train.parquet, MD5 77",
    )
    chain = Chain(request="order-17", calls=(call,), asked=("churn", "fraud"))
    answer = said(story.trace(chain=chain), 6)
    assert "fraud-model version 2 as primary, 1 row: 0.3, trained on train.parquet, MD5 77" in answer


def test_a_broken_link_is_why_it_cannot_be_reproduced() -> None:
    broken = Break(link=Link.OBJECT, said="`raw.csv` is lost")
    assert said(story.trace(breaks=(broken,)), 8) == "not as it stands: `raw.csv` is lost"


def test_a_count_that_was_stopped_says_that_there_are_more() -> None:
    (version,) = story.origin().versions
    counted = replace(
        version, served=Served(count=1200, first="2026-11-21T08:00:00Z", last=None, complete=False)
    )
    found = story.trace(
        kind=Subject.VERSION, prediction=None, chain=None, origins=(story.origin(versions=(counted,)),)
    )
    assert "more than 1,200 predictions, the first at 2026-11-21 08:00:00 UTC" in said(found, 1)
