"""Which version answers, what the others see of it, and what the caller may make of the answer."""

from __future__ import annotations

import json
import time

import pytest

from mlproj.serving.routing import bucket
from tests.serving.gateway.stage import SALT, Stage, request, wait_until
from tests.serving.gateway.test_gateway_faults import locked_log


@pytest.fixture
def canary_stage(empty_stage: Stage) -> Stage:
    """Version 1 answers No, and version 2, with three tenths of the entities, Yes."""
    empty_stage.start_worker(1, "--label", "No")
    empty_stage.start_worker(2, "--label", "Yes")
    empty_stage.routes = [
        empty_stage.route("primary", 1, share=0.7),
        empty_stage.route("canary", 2, share=0.3),
    ]
    empty_stage.start()
    return empty_stage


def is_canary(entity: str, share: float = 0.3) -> bool:
    return bucket(entity, bytes.fromhex(SALT)) < share


ENTITIES = [f"c-{number}" for number in range(60)]
OF_CANARY = next(entity for entity in ENTITIES if is_canary(entity))
OF_PRIMARY = next(entity for entity in ENTITIES if not is_canary(entity))


def test_an_entity_meets_the_same_version_by_header_by_field_and_at_a_larger_share(
    canary_stage: Stage,
) -> None:
    stage = canary_stage
    for share in (0.3, 0.6):
        stage.apply([stage.route("primary", 1), stage.route("canary", 2, share=share)])
        with stage.wire() as wire:
            for entity in ENTITIES:
                body = json.dumps({"tenure": 1, "customerID": entity}).encode()
                by_header = wire.ask("POST", "/predict", b"{}", X_Entity_Id=entity).json["model_version"]
                by_field = wire.ask("POST", "/predict", body).json["model_version"]
                assert by_header == by_field == (2 if is_canary(entity, share) else 1)
    records = stage.records()
    assert {record.share for record in records} == {0.3, 0.6}
    assert all(record.sticky for record in records)
    assert {record.role for record in records if record.version == 2} == {"canary"}


def test_the_header_goes_before_the_field(canary_stage: Stage) -> None:
    told = canary_stage.predict({"customerID": OF_PRIMARY}, X_Entity_Id=OF_CANARY)
    assert told.json["model_version"] == 2


def test_a_request_of_nobody_goes_by_its_own_id_and_is_not_sticky(canary_stage: Stage) -> None:
    for entity, version in ((OF_CANARY, 2), (OF_PRIMARY, 1)):
        assert canary_stage.predict(X_Request_Id=entity).json["model_version"] == version
    assert [record.sticky for record in canary_stage.records()] == [False, False]
    assert [record.entity for record in canary_stage.records()] == [None, None]


def test_rows_of_several_entities_in_one_request_are_not_sticky_but_keep_their_names(
    canary_stage: Stage,
) -> None:
    canary_stage.predict([{"customerID": "a"}, {"customerID": 7}])
    canary_stage.predict([{"customerID": OF_CANARY}, {"customerID": OF_CANARY}])
    records = canary_stage.records()
    assert [(record.entity, record.sticky) for record in records] == [
        *(("a", False), ("7", False)),
        *((OF_CANARY, True), (OF_CANARY, True)),
    ]


def test_a_share_of_nothing_sends_nobody(canary_stage: Stage) -> None:
    stage = canary_stage
    stage.apply([stage.route("primary", 1), stage.route("canary", 2, share=0.0)])
    assert {stage.predict(X_Entity_Id=entity).json["model_version"] for entity in ENTITIES} == {1}


@pytest.mark.parametrize(("fault", "status"), [("crash", 503), ("error", 500), ("hang", 504)])
def test_what_a_canary_fails_the_primary_answers_and_the_log_tells_both(
    canary_stage: Stage, fault: str, status: int
) -> None:
    stage = canary_stage
    stage.end_worker(2)
    if fault == "error":
        stage.start_worker(2, "--error")
    else:
        stage.start_worker(2, f"--{fault}")
    stage.apply()
    told = stage.predict(X_Entity_Id=OF_CANARY)
    assert (told.status, told.json["model_version"]) == (200, 1)
    failed, answered = stage.records()
    assert (failed.role, failed.version, failed.status) == ("canary", 2, status)
    assert (answered.role, answered.version, answered.status) == ("primary", 1, 200)
    assert failed.request_id == answered.request_id
    assert answered.error is not None
    assert answered.error.startswith("for canary version 2")


def test_a_canary_that_is_not_ready_leaves_its_requests_to_the_primary(canary_stage: Stage) -> None:
    stage = canary_stage
    stage.apply([stage.route("primary", 1), stage.route("canary", 2, share=1.0, socket=None)])
    assert stage.predict().json["model_version"] == 1
    assert stage.metric('mlproj_canary_fallbacks_total{reason="not_ready"}') == 1
    (record,) = stage.records()
    assert (record.role, record.error) == ("primary", "for canary version 2: not_ready")


def test_what_was_never_drawn_is_logged_with_a_share_of_nothing(canary_stage: Stage) -> None:
    stage = canary_stage
    tensor = {"name": "tenure", "shape": [1], "datatype": "FP64", "data": [3]}
    named = json.dumps({"inputs": [tensor]}).encode()
    never = [
        stage.predict(X_Entity_Id="e" * 300),
        stage.predict(X_Entity_Id=OF_CANARY, Content_Encoding="gzip"),
        stage.ask("POST", "/predict", b"[%b]" % (b"1" * (2 << 20)), X_Entity_Id=OF_CANARY),
        *(stage.ask("POST", f"/v2/models/churn/versions/{version}/infer", named) for version in (1, 2)),
    ]
    drawn = [stage.predict(X_Entity_Id=OF_CANARY), stage.ask("POST", "/v2/models/churn/infer", named)]
    drawn += [stage.ask("POST", "/predict", b"{", X_Entity_Id=OF_CANARY)]
    assert [one.status for one in never + drawn] == [400, 415, 413, 200, 200, 200, 200, 400]
    shares = [(record.share, record.sticky) for record in stage.records()]
    assert shares == [(0.0, False)] * 5 + [(0.3, True), (0.3, False), (0.3, True)]


def test_what_comes_while_the_log_fails_is_not_drawn(canary_stage: Stage) -> None:
    stage = canary_stage
    assert stage.predict(X_Entity_Id=OF_CANARY).status == 200
    with locked_log(stage):
        assert stage.predict(X_Entity_Id=OF_CANARY).status == 503
        wait_until(lambda: stage.metric("mlproj_log_healthy") == 0)
        with stage.wire() as wire:
            # Its record waits for the lock, longer than the lock is held.
            wire.send(request("POST", "/predict", b"{}", X_Entity_Id=OF_CANARY))
            time.sleep(0.3)
    wait_until(lambda: stage.metric("mlproj_log_healthy") == 1)
    first, *refused = stage.records()
    assert (first.share, first.sticky) == (0.3, True)
    assert {(record.status, record.share, record.sticky) for record in refused} == {(503, 0.0, False)}


def test_a_canary_that_hangs_leaves_room_for_those_of_the_primary(canary_stage: Stage) -> None:
    stage = canary_stage
    stage.end_worker(2)
    stage.start_worker(2, "--hang")
    stage.end_worker(1)
    stage.start_worker(1, "--sleep-ms", "500")
    stage.apply([stage.route("primary", 1), stage.route("canary", 2, share=0.3)], queue=16)
    crowd = [stage.wire() for _ in range(16)]
    for wire in crowd:
        wire.send(request("POST", "/predict", b"{}", X_Entity_Id=OF_CANARY))
    time.sleep(0.2)
    # The primary is busy when the canary's deadline comes, and all that the canary has falls back at once.
    busy = stage.wire()
    time.sleep(0.6)
    busy.send(request("POST", "/predict", b"{}", X_Entity_Id=OF_PRIMARY))
    wait_until(lambda: stage.metric('mlproj_canary_fallbacks_total{reason="timeout"}') >= 1)
    own = [stage.wire() for _ in range(8)]
    for wire in own:
        wire.send(request("POST", "/predict", b"{}", X_Entity_Id=OF_PRIMARY))
    assert [wire.read().status for wire in (busy, *own)] == [200] * 9
    told = [wire.read().status for wire in crowd]
    assert sorted(told) == [200] * 8 + [503] * 8
    for wire in (busy, *own, *crowd):
        wire.close()
    # Who could not be stood in for is held against nobody's own answers.
    refused = [record for record in stage.records() if (record.role, record.status) == ("primary", 503)]
    assert len(refused) == 8
    for record in refused:
        assert record.error is not None
        assert record.error.startswith("for canary version 2: ")
        assert "; overloaded: " in record.error


def test_a_switch_of_versions_and_back_fails_no_request(canary_stage: Stage) -> None:
    from tests.serving.gateway.test_gateway_faults import Crowd

    stage = canary_stage
    with Crowd(stage) as crowd:
        for turn in range(12):
            live, kept = (1, 2) if turn % 2 else (2, 1)
            stage.apply([stage.route("primary", live), stage.route("kept", kept)])
            time.sleep(0.05)
    assert crowd.broken == 0
    assert {told.status for told in crowd.told} == {200}
    assert {told.json["model_version"] for told in crowd.told} == {1, 2}
    assert all((told.json["model_version"] == 2) == (told.json["prediction"] == "Yes") for told in crowd.told)


def test_a_shadow_sees_a_copy_that_the_caller_never_does(stage: Stage) -> None:
    stage.start_worker(2, "--label", "No")
    stage.apply([stage.route("primary", 1), stage.route("shadow", 2)])
    told = stage.predict({"tenure": 3}, X_Request_Id="r-1", X_Entity_Id="e-1")
    assert told.json["prediction"] == "Yes"
    wait_until(lambda: len(stage.records()) == 2)
    primary, shadow = stage.records()
    assert (primary.role, shadow.role) == ("primary", "shadow")
    assert (primary.request_id, shadow.request_id) == ("r-1", "r-1")
    assert (shadow.entity, shadow.version, shadow.features) == ("e-1", 2, primary.features)
    assert "No" in (shadow.output or "")
    assert stage.metric('mlproj_shadow_answers_total{version="2",status="200"}') == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "crash", "rubbish", "sleep"])
def test_a_shadow_that_misbehaves_changes_nothing_for_the_caller(empty_stage: Stage, fault: str) -> None:
    stage = empty_stage
    stage.start_worker(1)
    # A queue that is full before its oldest are too late, however busy the machine.
    stage.start_as(
        "import mlproj.serving.desk as desk; desk.SHADOW_QUEUE = 100\n"
        "from mlproj.serving.gateway import main; main()"
    )
    stage.start_worker(2, *(("--sleep-ms", "1000") if fault == "sleep" else (f"--{fault}",)))
    stage.apply([stage.route("primary", 1), stage.route("shadow", 2)], timeout_s=4.0)
    with stage.wire() as wire:
        slowest = 0.0
        for _ in range(150):
            started = time.monotonic()
            wire.send(request("POST", "/predict", b"{}") * 10)
            assert {wire.read().status for _ in range(10)} == {200}
            slowest = max(slowest, time.monotonic() - started)
    assert slowest < 0.5
    roles = [record.role for record in stage.records()]
    assert roles.count("primary") == 1500
    if fault in {"hang", "sleep"}:
        assert stage.metric('mlproj_shadow_dropped_total{reason="overloaded"}') > 0
    if fault == "hang":
        stage.wait_for("hung", version=2)
        wait_until(
            lambda: any(record.role == "shadow" and record.status == 504 for record in stage.records())
        )


def test_an_unsure_answer_is_deferred_to_a_person(stage: Stage) -> None:
    stage.apply([stage.route("primary", 1, automation="partial", defer_below=0.8)])
    unsure, sure = stage.predict({"confidence": 0.79}).json, stage.predict({"confidence": 0.8}).json
    assert (unsure["decision"], unsure["prediction"], unsure["automation"]) == ("defer", "Yes", "partial")
    assert sure["decision"] == "Yes"
    told = stage.ask("POST", "/invocations", b'{"confidence": 0.1}', Content_Type="application/json")
    assert told.headers["x-decision"] == "defer"
    assert [record.decision for record in stage.records()] == ["defer", "Yes", "defer"]
    assert stage.metric('mlproj_deferrals_total{version="1"}') == 2


def test_what_was_decided_on_each_row_stands_in_a_header_that_stays_short(stage: Stage) -> None:
    stage.apply([stage.route("primary", 1, automation="partial", defer_below=0.8)])
    rows = [{"confidence": 0.1}, *[{}] * 63]
    told = stage.ask("POST", "/invocations", json.dumps(rows).encode(), Content_Type="application/json")
    assert told.headers["x-decision"] == "defer" + ", answer" * 63
    # A word a row would be a header that proxies refuse.
    rows = [{"confidence": 0.1}, *[{}] * 64]
    told = stage.ask("POST", "/invocations", json.dumps(rows).encode(), Content_Type="application/json")
    assert told.headers["x-decision"] == "64 answer, 1 defer"


def test_a_number_without_confidence_is_deferred_where_one_is_wanted(empty_stage: Stage) -> None:
    empty_stage.start_worker(1, "--number")
    empty_stage.routes = [empty_stage.route("primary", 1)]
    empty_stage.start()
    told = empty_stage.predict().json
    assert (told["prediction"], told["decision"]) == (12.5, 12.5)
    empty_stage.apply([empty_stage.route("primary", 1, automation="partial", defer_below=0.5)])
    assert empty_stage.predict().json["decision"] == "defer"
    assert [(record.decision, record.confidence) for record in empty_stage.records()] == [
        ("12.5", None),
        ("defer", None),
    ]


def test_with_assistance_a_person_decides_on_what_is_told(stage: Stage) -> None:
    stage.apply([stage.route("primary", 1, automation="assist")])
    told = stage.predict().json
    assert (told["prediction"], told["decision"]) == ("Yes", None)
    assert [record.decision for record in stage.records()] == [None]


def test_what_is_only_recorded_is_not_told(stage: Stage) -> None:
    stage.apply([stage.route("primary", 1, automation="shadow")])
    told = stage.predict()
    assert told.status == 200
    assert told.json.keys() == {"prediction_id", "model_version", "decision", "automation"}
    other = stage.ask("POST", "/invocations", b"{}", Content_Type="application/json")
    assert (other.status, other.json["error"]["code"]) == (409, "recorded_only")
    assert b"Yes" not in told.body + other.body
    assert ["Yes" in (record.output or "") for record in stage.records()] == [True, True]
