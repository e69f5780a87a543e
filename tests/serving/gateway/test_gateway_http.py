"""HTTP as clients speak it, well and badly."""

from __future__ import annotations

import contextlib
import json
import select
import time

import pytest

from mlproj.serving import ids
from tests.serving.gateway.stage import Response, Stage, Wire, request, wait_until

ROW = b'{"tenure": 3}'
NAMED = ("x-prediction-id", "x-model-version", "x-request-id")


def is_named(response: Response) -> bool:
    return all(name in response.headers for name in NAMED)


def test_an_answer_names_its_prediction_version_and_request(stage: Stage) -> None:
    told = stage.predict({"tenure": 3}, X_Request_Id="mine-1", X_Entity_Id="Zoë")
    assert told.status == 200
    assert told.json["prediction"] == told.json["decision"] == "Yes"
    assert told.json["model_version"] == 1
    assert told.json["automation"] == "full"
    assert told.json["prediction_id"] == told.headers["x-prediction-id"]
    assert told.headers["x-request-id"] == "mine-1"
    (record,) = stage.records()
    assert ids.text(record.id) == told.json["prediction_id"]
    assert (record.request_id, record.status, record.role, record.version) == ("mine-1", 200, "primary", 1)
    assert (record.run, record.deployment, record.engine) == ("run1", 10, "numpy")
    assert (record.decision, record.confidence, record.score) == ("Yes", 0.9, 0.9)
    assert json.loads(record.features) == {"tenure": 3}


def test_a_connection_is_kept_for_the_next_request(stage: Stage) -> None:
    with stage.wire() as wire:
        told = [wire.ask("POST", "/predict", ROW).json["prediction_id"] for _ in range(20)]
        assert wire.ask("GET", "/health/live").status == 200
    assert told == sorted(set(told))


def test_a_connection_is_closed_when_the_client_asks_for_it(stage: Stage) -> None:
    with stage.wire() as wire:
        assert wire.ask("POST", "/predict", ROW, Connection="close").headers["connection"] == "close"
        assert wire.is_closed()
    with stage.wire() as wire:
        wire.send(b"POST /predict HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        assert wire.read().status == 200
        assert wire.is_closed()


def test_requests_sent_at_once_are_answered_in_their_order(stage: Stage) -> None:
    with stage.wire() as wire:
        mixed = [
            request("POST", "/predict", b'{"sleep": 0.05}', X_Request_Id="0"),
            request("GET", "/health/live"),
            *(request("POST", "/predict", ROW, X_Request_Id=str(number)) for number in range(2, 60)),
            request("GET", "/nowhere"),
        ]
        wire.send(b"".join(mixed))
        told = [wire.read() for _ in mixed]
    assert [one.headers.get("x-request-id") for one in told[2:60]] == [str(number) for number in range(2, 60)]
    assert told[0].headers["x-request-id"] == "0"
    assert told[1].json == {"live": True}
    assert told[60].status == 404


def test_a_chunked_body_is_read_and_its_trailers_are_no_headers(stage: Stage) -> None:
    with stage.wire() as wire:
        wire.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.send(b'5\r\n{"ten\r\n')
        wire.send(b'8\r\nure": 3}\r\n0\r\nX-Request-Id: smuggled\r\n\r\n')
        told = wire.read()
        assert told.status == 200
        assert told.headers["x-request-id"] != "smuggled"
        assert wire.ask("POST", "/predict", ROW).status == 200


def test_a_client_that_waits_for_leave_gets_it(stage: Stage) -> None:
    with stage.wire() as wire:
        wire.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert wire.read_head()[0] == 100
        wire.send(b"{}")
        assert wire.read().status == 200


def test_a_client_that_asks_leave_for_too_much_is_refused_before_it_sends(stage: Stage) -> None:
    with stage.wire() as wire:
        wire.send(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
        )
        told = wire.read()
        assert told.status == 413
        assert is_named(told)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_large_is_refused_logged_and_told(stage: Stage, chunked: bool) -> None:
    size = (1 << 20) + 1
    with stage.wire() as wire:
        if chunked:
            wire.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            wire.send(b"%x\r\n" % size + b" " * size)
        else:
            wire.send(request("POST", "/predict", b" " * size))
        told = wire.read()
        assert told.status == 413
        assert told.json["error"]["code"] == "too_large"
        assert is_named(told)
        assert wire.is_closed()
    (record,) = stage.records()
    assert (record.status, record.features) == (413, b"")
    assert record.error is not None
    assert "nothing of it is kept" in record.error


def test_what_is_not_json_is_refused_logged_and_told(stage: Stage) -> None:
    told = stage.ask("POST", "/predict", b"tenure=3")
    assert told.status == 400
    assert told.json["error"]["code"] == "not_json"
    assert is_named(told)
    (record,) = stage.records()
    assert (record.status, record.features, record.output) == (400, b"tenure=3", None)


def test_a_refusal_of_the_worker_reaches_the_caller_and_the_log(stage: Stage) -> None:
    told = stage.predict({"fault": "refuse"})
    assert told.status == 422
    assert told.json["error"]["fields"] == [{"field": "tenure"}]
    assert is_named(told)
    (record,) = stage.records()
    assert (record.status, record.error) == (422, "missing_field: fields are missing")


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nContent-Length: -2\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_gets_a_400_and_an_end(stage: Stage, sent: bytes) -> None:
    with stage.wire() as wire:
        wire.send(sent)
        assert wire.read().status == 400
        assert wire.is_closed()
    assert stage.predict().status == 200


@pytest.mark.parametrize("ended", [True, False])
def test_headers_too_large_are_refused(stage: Stage, ended: bool) -> None:
    with stage.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 40_000 + (b"\r\n\r\n" if ended else b""))
        assert wire.read().status == 431
        assert wire.is_closed()


def test_a_body_that_stops_half_way_harms_nobody(stage: Stage) -> None:
    wire = stage.wire()
    wire.send(b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    wire.close()
    assert stage.predict().status == 200
    assert len(stage.records()) == 1


def test_a_client_that_goes_before_its_answer_harms_nobody_and_is_logged(stage: Stage) -> None:
    wire = stage.wire()
    wire.send(request("POST", "/predict", b'{"sleep": 0.1}', X_Request_Id="gone"))
    time.sleep(0.02)
    wire.close()
    assert stage.predict().status == 200
    assert "gone" in {record.request_id for record in stage.records()}


def test_many_idle_connections_cost_little_and_the_next_client_is_served(stage: Stage) -> None:
    assert stage.gateway is not None
    before = memory_kb(stage.gateway.pid)
    wires = [stage.wire() for _ in range(900)]
    assert stage.predict().status == 200
    assert memory_kb(stage.gateway.pid) - before < 12_000
    for wire in wires:
        wire.close()
    assert stage.predict().status == 200


def memory_kb(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_name_that_cannot_be_kept_is_refused(stage: Stage) -> None:
    for told in (
        stage.predict(X_Request_Id="a" * 201),
        stage.predict({"tenure": 1, "request_id": "a\r\nX-Evil: 1"}),
        stage.predict({"tenure": 1, "customerID": "a\x00b"}),
    ):
        assert told.status == 400
        assert "x-evil" not in told.headers
        assert is_named(told)
    assert [record.status for record in stage.records()] == [400] * 3


def test_other_methods_media_and_encodings_are_refused(stage: Stage) -> None:
    assert stage.ask("GET", "/predict").status == 405
    assert stage.ask("GET", "/predict").headers["allow"] == "POST"
    assert stage.ask("POST", "/metrics").status == 405
    assert stage.ask("POST", "/invocations", b"{}", Content_Type="text/html").status == 415
    assert stage.ask("POST", "/predict", b"\x1f\x8b", Content_Encoding="gzip").status == 415
    assert stage.ask("POST", "/v2/models/other/infer", b"{}").status == 404
    assert stage.ask("POST", "/v2/models/churn/versions/7/infer", b"{}").status == 404
    assert stage.ask("HEAD", "/health/live").status in {200, 405}


def test_each_protocol_gets_the_workers_own_answer(stage: Stage) -> None:
    for path, media in (
        ("/invocations", "application/json; charset=utf-8"),
        ("/invocations", "text/csv"),
        ("/v2/models/churn/infer", "application/json"),
        ("/v2/models/churn/versions/1/infer", "application/json"),
    ):
        told = stage.ask("POST", path, b'{"inputs": []}', Content_Type=media)
        assert told.json == {"predictions": ["Yes"]}
        assert is_named(told)
        assert "x-decision" not in told.headers
    assert [record.status for record in stage.records()] == [200] * 4


def test_rows_in_a_list_get_answers_in_a_list_each_with_its_id(stage: Stage) -> None:
    told = stage.predict([{"tenure": 1}, {"tenure": 2, "unseen": True}]).json["predictions"]
    first, second = stage.records()
    assert [one["prediction_id"] for one in told] == [ids.text(first.id), ids.text(second.id)]
    assert (first.row, second.row) == (0, 1)
    assert first.request_id == second.request_id
    assert second.unseen == "Contract\x1fRegion"
    assert stage.metric('mlproj_unseen_categories_total{field="Region"}') == 1


def test_a_refusal_that_quotes_half_a_character_is_logged_and_told(stage: Stage) -> None:
    told = stage.predict({"fault": "surrogate"})
    assert (told.status, told.json["error"]["message"]) == (422, "`\ud800`: no such input")
    assert [record.error for record in stage.records()] == ["unexpected_field: `?`: no such input"]


@pytest.mark.parametrize("path", ["/predict", "/feedback", "/health/live"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"]
)
def test_without_the_token_no_body_is_waited_for(stage: Stage, path: str, body: bytes) -> None:
    stage.apply(token="a-long-enough-token")
    if body.startswith(b"Expect"):
        body += b"Content-Length: 2\r\n"
    with stage.wire() as wire:
        wire.socket.settimeout(5)
        wire.send(b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), body))
        assert wire.read().status == 401
        assert wire.is_closed()
    assert stage.records() == []


def limited(stage: Stage, script: str) -> None:
    """Version 1 answers, behind a gateway of limits that can be met."""
    stage.start_worker(1)
    stage.routes = [stage.route("primary", 1)]
    stage.start_as(script)


def test_bodies_count_as_held_until_they_are_answered(empty_stage: Stage) -> None:
    limited(
        empty_stage,
        "import mlproj.serving.front as f; f.MOST_HELD = 1 << 20\n"
        "from mlproj.serving.gateway import main; main()",
    )
    large = b'{"pad": "%b"}' % (b"x" * 600_000)
    for _ in range(3):
        with empty_stage.wire() as wire:
            wire.send(request("POST", "/predict", b'{"sleep": 0.3}'))
            wire.send(request("POST", "/predict", large) * 3)
            assert [wire.read().status for _ in range(3)] == [200, 200, 503]
            assert wire.is_closed()
    with empty_stage.wire() as wire:
        assert [wire.ask("POST", "/predict", large).status for _ in range(4)] == [200] * 4


def test_a_token_is_wanted_everywhere_but_for_health(stage: Stage) -> None:
    stage.apply(token="a-long-enough-token")
    for path in ("/predict", "/metrics", "/docs", "/predictions/0000000000000", "/nowhere"):
        told = stage.ask("POST" if path == "/predict" else "GET", path)
        assert told.status == 401
        assert told.headers["www-authenticate"] == "Bearer"
    assert stage.ask("GET", "/health/live").status == 200
    assert stage.ask("GET", "/health/ready").status == 200
    assert stage.predict(Authorization="Bearer a-long-enough-tokem").status == 401
    assert stage.predict(Authorization="a-long-enough-token").status == 401
    assert stage.predict(Authorization="Bearer a-long-enough-token").status == 200
    assert len(stage.records()) == 1


def test_a_record_is_shown_with_what_people_said_of_it(stage: Stage) -> None:
    shown = stage.predict({"tenure": 3, "customerID": "c-7"}).json["prediction_id"]
    said = json.dumps({"prediction_id": shown, "label": "No", "at": "2026-01-01T00:00:00Z"}).encode()
    assert stage.ask("POST", "/feedback", said).json == {"new": 1, "known": 0}
    assert stage.ask("POST", "/feedback", said).json == {"new": 0, "known": 1}
    told = stage.ask("GET", f"/predictions/{shown}").json
    assert told["features"] == {"tenure": 3, "customerID": "c-7"}
    assert told["entity"] == "c-7"
    assert [one["value"] for one in told["feedback"]] == ["No"]
    assert stage.ask("GET", "/predictions/0000000000000").status == 404
    assert stage.ask("GET", "/predictions/rubbish").status == 404
    assert stage.ask("POST", "/feedback", b'{"label": 1}').status == 422
    assert stage.ask("POST", "/feedback", b"{").status == 400


def test_the_clock_of_slow_clients_runs_out(empty_stage: Stage) -> None:
    stage = empty_stage
    # The limits are half a minute and more; what is timed is told apart by the code under test itself.
    script = (
        "import mlproj.serving.connection as c; c.SLOW_S = 0.5; c.IDLE_S = 1.0; c.LINGER_S = 0.5\n"
        "from mlproj.serving.gateway import main; main()"
    )
    limited(stage, script)
    with stage.wire() as slow, stage.wire() as silent, stage.wire() as idle:
        slow.send(b"POST /predict HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
        assert idle.ask("POST", "/predict", ROW).status == 200
        assert slow.read().status == 408
        assert slow.is_closed()
        assert silent.is_closed()
        assert idle.is_closed()
    with stage.wire() as dripping:
        started = time.monotonic()
        dripping.send(b"POST /predict HTTP/1.1\r\nX-Slow: ")
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 8 and not is_readable(dripping):
                dripping.send(b"a")
                time.sleep(0.05)
        assert time.monotonic() - started < 5


def is_readable(wire: Wire) -> bool:
    return bool(select.select([wire.socket], [], [], 0)[0])


def test_documentation_is_of_the_model_and_asks_nothing_from_outside(stage: Stage) -> None:
    page = stage.ask("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert b"//" not in page.body.replace(b"/* shown", b"")
    assert stage.ask("GET", "/openapi.json").json["info"]["title"] == "churn"


def test_metrics_are_read_by_prometheus(stage: Stage) -> None:
    stage.predict()
    wait_until(lambda: stage.metric("mlproj_requests_in_flight") == 0)
    told = stage.ask("GET", "/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert (
        stage.metric('mlproj_requests_total{route="/predict",status="200",version="1",role="primary"}') == 1
    )
    assert stage.metric('mlproj_request_duration_seconds_bucket{route="/predict",le="+Inf"}') == 1
    assert stage.metric('mlproj_worker_ready{role="primary",version="1"}') == 1
    assert stage.metric("process_resident_memory_bytes") < 60e6
    names = [line.split()[2] for line in told.body.decode().splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
