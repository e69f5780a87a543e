"""The judgements that people argue about, each stated in a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog.datasheet import Datasheet
from mlproj.lifecycle import gates, milestones, phases
from mlproj.lifecycle.check import Check, Outcome
from mlproj.lifecycle.evidence import Evidence, Live
from mlproj.lifecycle.milestones import State
from mlproj.lifecycle.phases import Phase
from mlproj.pipeline.stages import Freshness, Stage, StageStatus
from mlproj.pipeline.tracked import DataFile
from mlproj.provenance.completeness import Completeness
from mlproj.provenance.imports import Undeclared
from mlproj.provenance.manifest import Manifest
from mlproj.scoping import document
from mlproj.scoping.approval import approve

SCOPING = """\
---
problem: {statement: Customers leave, owner: Sales, wishes: [fewer leave]}
solution: {statement: Call those about to leave, approach: build, alternatives: [call everyone]}
feasibility:
  benchmark: {kind: previous-system, metric: recall, value: 0.4, source: last year's rule}
  human_could_do_it: true
  predictive_features: contract and tenure
  verdict: go
ethics: {net_positive: yes it is, fairness: by gender, concerns_aired: none came up}
targets:
  ml:
    - {metric: recall, at_least: 0.75, split: test, slices: [gender], slice_margin: 0.05}
  software:
    - {metric: latency_p95_ms, at_most: 50}
  business:
    - {metric: kept_customers, at_least: 150, linked_to: recall}
automation: assist
milestones:
  - {name: model, due: 2026-12-15, needs: [recall]}
  - {name: service, due: 2027-01-15, needs: [recall, latency_p95_ms]}
resources: {data: ours, people: two, compute: a laptop, budget: none}
approvals: []
---
"""
COMMIT = "c" * 40


def evidence(tmp_path: Path, scoping: str = SCOPING, *, signed: bool = True, **more: Any) -> Evidence:
    """A project in which everything is as promised, less what a test takes away."""
    path = tmp_path / "scoping.md"
    path.write_text(scoping, encoding="utf-8")
    if signed:
        approve(path, "owner", "Test User", date(2026, 11, 1))
    whole = Evidence(
        document=document.load(path),
        document_path="docs/scoping.md",
        stages=(stage("ingest", "data"), stage("train", "modeling")),
        raw_data=(DataFile(path="data/raw/a.csv", kept=True, unchanged=True),),
        datasheet=Datasheet(exists=True, columns=("gender", "tenure")),
        reports={
            "ingest": {"columns": ["gender", "tenure"]},
            "validation": {"passed": True, "rows": 100, "failures": []},
            "split": {"kind": "stratified", "rows": {"train": 60, "dev": 20, "test": 20}, "overlap": 0},
            "sanity": {"passed": True, "rows": 50, "metric": "accuracy", "value": 1.0, "at_least": 0.95},
            "baseline": baseline(),
            "evaluation": evaluation(),
        },
        manifest=Manifest(
            run_id="r" * 32,
            experiment="x",
            commit=COMMIT,
            dirty=False,
            snapshot=COMMIT,
            raw_md5="1" * 32,
            lock_sha256="2" * 64,
            seed=20,
            python="3.11.7",
            model_digest="3" * 64,
            threads=2,
        ),
        completeness=Completeness(kept=3, remote="storage"),
        evaluation_run={"test_looks": 1},
        lock_sha256="2" * 64,
        snapshot_held=True,
    )
    return replace(whole, **more)


def stage(name: str, phase: str, freshness: Freshness = Freshness.FRESH, *reasons: str) -> StageStatus:
    body = Stage(name=name, cmd="python", phase=phase, deps=(), outs=(), params=())
    return StageStatus(stage=body, freshness=freshness, reasons=reasons)


def evaluation(
    value: float = 0.8,
    low: float = 0.77,
    high: float = 0.83,
    slices: tuple[tuple[str, float, int], ...] = (("Male", 0.78, 900), ("Female", 0.82, 900)),
    ours: float = 0.6,
) -> dict[str, Any]:
    levels = [{"column": "gender", "level": level, "value": v, "rows": rows} for level, v, rows in slices]
    return {
        "confidence": 0.95,
        "splits": {
            "dev": {
                "metrics": {"f1": {"value": ours, "low": ours - 0.06, "high": ours + 0.06}},
                "classes": {},
            }
        },
        "baseline": {"dev": {"model": "simple", "metric": "f1", "value": 0.5}},
        "targets": [
            {
                "metric": "recall",
                "split": "test",
                "class": None,
                "value": value,
                "low": low,
                "high": high,
                "rows": 1800,
                "slices": levels,
            }
        ],
    }


def baseline(metric: str = "f1", dummy: float = 0.2, simple: float = 0.5) -> dict[str, Any]:
    return {
        "dummy": {"dev": {metric: dummy}},
        "simple": {"dev": {metric: simple}},
        "simple_model": "logistic_regression",
    }


def closed(phase: Phase, known: Evidence) -> dict[str, Check]:
    return {check.name: check for check in gates.judge(phase, known).closed_by}


def with_report(known: Evidence, name: str, report: dict[str, Any] | None) -> Evidence:
    return replace(known, reports={**known.reports, name: report})


@pytest.mark.parametrize("phase", [Phase.SCOPING, Phase.DATA, Phase.MODELING])
def test_a_project_in_which_all_is_as_promised_has_every_gate_open(phase: Phase, tmp_path: Path) -> None:
    assert gates.judge(phase, evidence(tmp_path)).open


def test_deployment_is_not_known_while_nothing_serves(tmp_path: Path) -> None:
    verdict = gates.judge(Phase.DEPLOYMENT, evidence(tmp_path))
    assert {check.outcome for check in verdict.checks} == {Outcome.UNKNOWN}
    assert not verdict.open


def test_live_traffic_opens_what_only_it_can_tell(tmp_path: Path) -> None:
    promised = SCOPING.replace("at_most: 50}", "at_most: 50}\n    - {metric: availability, at_least: 0.99}")
    live = Live(
        primary=3, since="2026-12-01 09:00", answered=1000, failed=5, told={"kept_customers": (151.0, 4)}
    )
    found = {
        check.name: check
        for check in gates.judge(Phase.DEPLOYMENT, evidence(tmp_path, promised, live=live)).checks
    }
    for name in ("target availability", "business target kept_customers", "serving"):
        assert found[name].passed, found[name].reason
    worse = replace(live, failed=50, told={"kept_customers": (12.0, 4)})
    found = {
        check.name: check
        for check in gates.judge(Phase.DEPLOYMENT, evidence(tmp_path, promised, live=worse)).checks
    }
    assert found["target availability"].outcome is Outcome.FAIL
    assert found["business target kept_customers"].outcome is Outcome.FAIL
    few = evidence(tmp_path, promised, live=replace(live, answered=99))
    found = {check.name: check for check in gates.judge(Phase.DEPLOYMENT, few).checks}
    assert found["target availability"].outcome is Outcome.UNKNOWN


SCOPING_CHANGES = {
    "questions": ("owner: Sales", "owner: TODO"),
    "ethics": ("fairness: by gender", "fairness: TODO"),
    "benchmark": ("value: 0.4", "value: TODO"),
    "milestones": ("due: 2026-12-15", "due: TODO"),
    "targets": (", linked_to: recall", ""),
    "document": ("at_least: 0.75", "at_least: 1.7"),
}


@pytest.mark.parametrize("name", SCOPING_CHANGES)
def test_each_scoping_gate_closes_by_its_own_fault(name: str, tmp_path: Path) -> None:
    known = evidence(tmp_path, SCOPING.replace(*SCOPING_CHANGES[name]), signed=False)
    found = closed(Phase.SCOPING, known)
    assert found[name].outcome is Outcome.FAIL
    assert found[name].hint


def test_a_suggested_target_is_an_open_question(tmp_path: Path) -> None:
    known = evidence(tmp_path, SCOPING.replace("at_most: 50}", "at_most: 50, suggested: true}"), signed=False)
    found = closed(Phase.SCOPING, known)
    assert {"questions", "targets"} <= found.keys()
    assert "software" in found["targets"].reason


def test_changing_a_bound_asks_for_a_new_signature(tmp_path: Path) -> None:
    signed = evidence(tmp_path)
    path = signed.document.path
    path.write_text(path.read_text().replace("0.75", "0.7"))
    known = replace(signed, document=document.load(path))
    assert "changed since" in closed(Phase.SCOPING, known)["sign-off"].reason
    path.write_text(path.read_text().replace("0.7,", "0.75,"))
    assert gates.judge(Phase.SCOPING, replace(signed, document=document.load(path))).open


@pytest.mark.parametrize(
    ("raw", "said", "hint"),
    [
        ((), "there is none", "mlproj data add"),
        (
            (DataFile(path="data/raw/a.csv", kept=False, unchanged=False),),
            "does not keep",
            "dvc add data/raw/a.csv",
        ),
        ((DataFile(path="data/raw/a.csv", kept=True, unchanged=False),), "differs", "dvc checkout"),
        (
            (DataFile(path="data/raw/a.csv", kept=True, unchanged=True, present=False),),
            "not here",
            "make sync_data_down",
        ),
    ],
)
def test_raw_data_must_be_kept_here_and_unchanged(
    raw: tuple[DataFile, ...], said: str, hint: str, tmp_path: Path
) -> None:
    check = closed(Phase.DATA, evidence(tmp_path, raw_data=raw))["raw data"]
    assert said in check.reason
    assert hint in check.hint


def test_the_dictionary_must_be_in_step_with_the_columns(tmp_path: Path) -> None:
    known = evidence(tmp_path, datasheet=Datasheet(exists=True, columns=("gender", "age")))
    assert closed(Phase.DATA, known)["dictionary"].details == (
        "not in the dictionary: tenure",
        "in the dictionary, but not in the data: age",
    )


def test_columns_without_a_meaning_close_the_gate_and_are_named(tmp_path: Path) -> None:
    sheet = Datasheet(exists=True, columns=("gender", "tenure"), undescribed=("tenure",))
    check = closed(Phase.DATA, evidence(tmp_path, datasheet=sheet))["dictionary"]
    assert check.details == ("no meaning yet: tenure",)


def test_a_failed_validation_is_told_check_by_check(tmp_path: Path) -> None:
    failures = [{"column": "tenure", "check": "at least 0", "rows": 3, "examples": [-1]}]
    report = {"passed": False, "rows": 100, "failures": failures}
    check = closed(Phase.DATA, with_report(evidence(tmp_path), "validation", report))["validation"]
    assert check.details == ("tenure: at least 0 (3 rows)",)


@pytest.mark.parametrize(
    "change",
    [
        {"overlap": 2},
        {"rows": {"train": 100, "dev": 0, "test": 20}},
        {"missing_classes": [{"split": "test", "class": "Yes"}]},
    ],
)
def test_unsound_splits_close_the_gate(change: dict[str, Any], tmp_path: Path) -> None:
    known = evidence(tmp_path)
    report = {**(known.report("split") or {}), **change}
    assert "splits" in closed(Phase.DATA, with_report(known, "split", report))


def test_a_large_file_in_git_is_named_with_the_way_out(tmp_path: Path) -> None:
    check = closed(Phase.DATA, evidence(tmp_path, large_files=(("dump.csv", 5_000_000),)))["large files"]
    assert check.details == ("dump.csv (5.0 MB)",)
    assert "git rm --cached dump.csv" in check.hint


def test_a_split_report_that_says_nothing_proves_nothing(tmp_path: Path) -> None:
    known = with_report(evidence(tmp_path), "split", {})
    assert closed(Phase.DATA, known)["splits"].outcome is Outcome.UNKNOWN


def test_a_verdict_of_no_go_closes_the_scoping(tmp_path: Path) -> None:
    known = evidence(tmp_path, SCOPING.replace("verdict: go", "verdict: no-go"))
    assert closed(Phase.SCOPING, known).keys() == {"feasibility"}


def test_a_changed_environment_asks_for_another_run(tmp_path: Path) -> None:
    check = closed(Phase.MODELING, evidence(tmp_path, lock_sha256="9" * 64))["origin"]
    assert "lock file has changed" in check.reason


@pytest.mark.parametrize(
    ("measured", "asked"),
    [
        ({"with_confidence": None}, ("split: test,", "split: test, with_confidence: 0.99,")),
        ({"slice_columns": ["gender"]}, ("slices: [gender]", "slices: [gender, plan]")),
    ],
)
def test_a_promise_that_asks_for_more_than_was_measured_is_not_measured_yet(
    measured: dict[str, Any], asked: tuple[str, str], tmp_path: Path
) -> None:
    report = evaluation()
    report["targets"][0].update(measured)
    known = with_report(evidence(tmp_path, SCOPING.replace(*asked)), "evaluation", report)
    assert closed(Phase.MODELING, known)["target recall"].outcome is Outcome.UNKNOWN


def test_a_slice_with_few_rows_of_the_class_is_set_aside(tmp_path: Path) -> None:
    report = evaluation(slices=(("Male", 0.0, 900), ("Female", 0.82, 900)))
    report["targets"][0]["slices"][0]["rows_of_class"] = 3
    verdict = gates.judge(Phase.MODELING, with_report(evidence(tmp_path), "evaluation", report))
    assert verdict.open
    (check,) = (check for check in verdict.checks if check.name == "slices recall")
    assert check.details == ("gender = Male: 0 on 900 rows, 3 of them of the class, too few to judge",)


@pytest.mark.parametrize("name", ["ingest", "validation", "split"])
def test_what_has_not_run_is_unknown_not_failed(name: str, tmp_path: Path) -> None:
    found = closed(Phase.DATA, with_report(evidence(tmp_path), name, None))
    assert {check.outcome for check in found.values()} == {Outcome.UNKNOWN}


def test_a_stale_data_stage_closes_data_and_modeling(tmp_path: Path) -> None:
    stale = stage("ingest", "data", Freshness.STALE, "`data/raw/a.csv` changed")
    known = evidence(tmp_path, stages=(stale, stage("train", "modeling")))
    for phase in (Phase.DATA, Phase.MODELING):
        assert closed(phase, known)["pipeline"].details == ("ingest: `data/raw/a.csv` changed",)


def test_a_stale_scoping_stage_does_not_undo_the_modeling(tmp_path: Path) -> None:
    """Signing off edits the document that `targets` reads; the model is what it was."""
    stale = stage("targets", "scoping", Freshness.STALE, "`docs/scoping.md` changed")
    known = evidence(tmp_path)
    assert gates.judge(Phase.MODELING, replace(known, stages=(stale, *known.stages))).open


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome", "said"),
    [
        (0.80, 0.77, 0.83, Outcome.PASS, "recall at least 0.75 on test: 0.8 (95 % interval 0.77 to 0.83)"),
        (0.76, 0.72, 0.80, Outcome.PASS, "the interval straddles the bound"),
        (0.75, 0.75, 0.75, Outcome.PASS, "0.75"),
        (0.74, 0.70, 0.78, Outcome.FAIL, "0.74"),
    ],
)
def test_a_target_is_judged_by_its_estimate(
    value: float, low: float, high: float, outcome: Outcome, said: str, tmp_path: Path
) -> None:
    known = with_report(evidence(tmp_path), "evaluation", evaluation(value, low, high))
    checks = {check.name: check for check in gates.judge(Phase.MODELING, known).checks}
    assert checks["target recall"].outcome is outcome
    assert said in checks["target recall"].reason


def test_a_target_with_confidence_is_judged_by_the_intervals_bound(tmp_path: Path) -> None:
    sure = SCOPING.replace("split: test,", "split: test, with_confidence: 0.95,")
    known = with_report(evidence(tmp_path, sure), "evaluation", evaluation(0.76, 0.72, 0.80))
    check = closed(Phase.MODELING, known)["target recall"]
    assert "the estimate meets the bound, its interval does not" in check.reason
    assert gates.judge(Phase.MODELING, with_report(known, "evaluation", evaluation(0.8, 0.76, 0.84))).open


def test_looks_at_the_test_split_are_shown(tmp_path: Path) -> None:
    known = evidence(tmp_path, evaluation_run={"test_looks": 4})
    checks = {check.name: check for check in gates.judge(Phase.MODELING, known).checks}
    assert checks["target recall"].details == ("4 models have been scored on this test split",)


def test_a_slice_may_fall_short_by_its_margin_and_no_more(tmp_path: Path) -> None:
    known = evidence(tmp_path)
    at_the_margin = evaluation(slices=(("Male", 0.70, 900), ("Female", 0.82, 900)))
    assert gates.judge(Phase.MODELING, with_report(known, "evaluation", at_the_margin)).open
    beyond = evaluation(slices=(("Male", 0.69, 900), ("Female", 0.82, 900)))
    check = closed(Phase.MODELING, with_report(known, "evaluation", beyond))["slices recall"]
    assert check.details == ("gender = Male: 0.69 on 900 rows",)


def test_a_slice_of_a_few_rows_is_set_aside_and_said(tmp_path: Path) -> None:
    few = evaluation(slices=(("Male", 0.1, 12), ("Female", 0.82, 900)))
    verdict = gates.judge(Phase.MODELING, with_report(evidence(tmp_path), "evaluation", few))
    assert verdict.open
    (check,) = (check for check in verdict.checks if check.name == "slices recall")
    assert check.details == ("gender = Male: 0.1 on 12 rows, too few to judge",)


def test_a_target_that_was_added_since_is_not_measured_yet(tmp_path: Path) -> None:
    more = SCOPING.replace("  software:", "    - {metric: precision, at_least: 0.5, split: dev}\n  software:")
    check = closed(Phase.MODELING, evidence(tmp_path, more))["target precision"]
    assert check.outcome is Outcome.UNKNOWN
    assert check.hint == "run `mlproj stage modeling`"


@pytest.mark.parametrize(
    ("ours", "outcome", "said"),
    [
        (0.6, Outcome.PASS, "f1 on dev: 0.6, logistic_regression 0.5, a dummy 0.2"),
        (0.5, Outcome.PASS, "no better than logistic_regression"),
        (0.45, Outcome.PASS, "no better than logistic_regression"),
        (0.4, Outcome.FAIL, "the simplest sensible model is better"),
        (0.2, Outcome.FAIL, "the dummy is not beaten"),
    ],
)
def test_the_dummy_must_be_beaten_and_the_simple_model_matched(
    ours: float, outcome: Outcome, said: str, tmp_path: Path
) -> None:
    known = with_report(evidence(tmp_path), "evaluation", evaluation(ours=ours))
    checks = {check.name: check for check in gates.judge(Phase.MODELING, known).checks}
    assert checks["baseline"].outcome is outcome
    assert said in checks["baseline"].reason


@pytest.mark.parametrize(("ours", "outcome"), [(10.0, Outcome.PASS), (13.0, Outcome.FAIL)])
def test_for_an_error_metric_lower_is_better(ours: float, outcome: Outcome, tmp_path: Path) -> None:
    report = evaluation()
    report["splits"]["dev"]["metrics"] = {"rmse": {"value": ours}}
    report["baseline"]["dev"] = {"model": "simple", "metric": "rmse", "value": 12.0}
    known = with_report(evidence(tmp_path), "evaluation", report)
    known = with_report(known, "baseline", baseline("rmse", dummy=20.0, simple=12.0))
    checks = {check.name: check for check in gates.judge(Phase.MODELING, known).checks}
    assert checks["baseline"].outcome is outcome


def test_a_run_from_uncommitted_code_without_a_snapshot_says_what_would_have_added_it(tmp_path: Path) -> None:
    known = evidence(tmp_path)
    assert known.manifest is not None
    bare = replace(known, manifest=replace(known.manifest, snapshot=None, dirty=True))
    check = closed(Phase.MODELING, bare)["origin"]
    assert "a snapshot of its uncommitted code" in check.reason
    assert "mlproj stage modeling" in check.hint


def test_a_run_whose_commit_is_gone_cannot_be_rebuilt(tmp_path: Path) -> None:
    assert (
        "is not in this repository"
        in closed(Phase.MODELING, evidence(tmp_path, snapshot_held=False))["origin"].reason
    )


@pytest.mark.parametrize(
    ("today", "state", "days"),
    [
        (date(2026, 12, 1), State.DUE, 14),
        (date(2026, 12, 15), State.DUE, 0),
        (date(2026, 12, 16), State.OVERDUE, -1),
    ],
)
def test_a_milestone_is_due_until_its_day_is_over(
    today: date, state: State, days: int, tmp_path: Path
) -> None:
    known = with_report(evidence(tmp_path), "evaluation", evaluation(0.5, 0.4, 0.6))
    scope = known.document.scope
    assert scope is not None
    checks = [check for phase in Phase for check in gates.judge(phase, known).checks]
    model, service = milestones.judge(scope.milestones, checks, today)
    assert (model.state, model.days_left, model.waits_for) == (state, days, ("recall (not met)",))
    assert service.waits_for == ("recall (not met)", "latency_p95_ms (not measured yet)")


def test_a_milestone_is_not_reached_by_what_was_measured_before_the_last_change(tmp_path: Path) -> None:
    known = evidence(tmp_path)
    scope = known.document.scope
    assert scope is not None
    checks = gates.judge(Phase.MODELING, known).checks
    model, _ = milestones.judge(scope.milestones, checks, date(2026, 12, 1), are_current=False)
    assert (model.state, model.waits_for) == (State.DUE, ("recall (measured before the last change)",))


def test_a_milestone_is_reached_when_what_it_needs_is_met_however_late(tmp_path: Path) -> None:
    known = evidence(tmp_path)
    scope = known.document.scope
    assert scope is not None
    checks = gates.judge(Phase.MODELING, known).checks
    assert milestones.judge(scope.milestones, checks, date(2030, 1, 1))[0].state is State.REACHED


def test_a_misspelt_phase_is_offered_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        phases.parse("modelling")
    assert caught.value.hint == "did you mean `modeling`?"


@pytest.mark.parametrize(
    ("found", "reason", "hint"),
    [
        (
            Completeness(undeclared=(Undeclared(stage="train", path="x/new.py", by="x/train.py"),)),
            "1 import of stages that `dvc.yaml` does not declare",
            "add `- x/new.py` to the `deps` of stage `train`",
        ),
        (
            Completeness(
                packages=("pandas 3.1.1 instead of 3.0.2",), lock="uv.lock", install="run `uv sync`"
            ),
            "the environment is not what `uv.lock` says: pandas 3.1.1 instead of 3.0.2",
            "run `uv sync`",
        ),
        (
            Completeness(
                missing=("`raw.csv`: here",), why="it is not on the remote `s`", mend="run `dvc push`"
            ),
            "data of the run cannot be had again: it is not on the remote `s`",
            "run `dvc push`",
        ),
    ],
)
def test_a_run_that_cannot_be_had_again_is_not_registered(
    tmp_path: Path, found: Completeness, reason: str, hint: str
) -> None:
    check = closed(Phase.MODELING, evidence(tmp_path, completeness=found))["origin"]
    assert check.outcome is Outcome.FAIL
    assert reason in check.reason
    assert hint in check.hint


def test_a_remote_that_was_not_asked_is_not_known_to_have_the_run(tmp_path: Path) -> None:
    found = Completeness(not_asked=("`raw.csv`",), remote="storage")
    check = closed(Phase.MODELING, evidence(tmp_path, completeness=found))["origin"]
    assert check.outcome is Outcome.UNKNOWN
    assert "mlproj check" in check.hint
