"""What breaks behind the gateway, and the gateway itself: nothing answered is lost, nobody waits for ever."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from mlproj.base import clock
from mlproj.serving import ids, segments
from tests.serving.gateway.stage import Response, Stage, request, wait_until


class Crowd:
    """Clients that ask again and again over kept connections, and remember what they were told."""

    def __init__(self, stage: Stage, clients: int = 8) -> None:
        self.told: list[Response] = []
        self.broken = 0
        self._stage = stage
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                with self._stage.wire() as wire:
                    while not self._stop.is_set():
                        told = wire.ask("POST", "/predict", b'{"tenure": %d}' % number)
                        self.told.append(told)
                        if told.headers.get("connection") == "close":
                            break
            except (OSError, EOFError):
                self.broken += 1
                time.sleep(0.02)

    def shown(self) -> set[str]:
        return {one.headers["x-prediction-id"] for one in self.told if one.status == 200}

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def logged(stage: Stage) -> set[str]:
    return {ids.text(record.id) for record in stage.records()}


def test_what_a_killed_gateway_had_acknowledged_is_in_the_log_and_the_next_goes_on(stage: Stage) -> None:
    assert stage.gateway is not None
    with Crowd(stage) as crowd:
        wait_until(lambda: len(crowd.told) > 300)
        for _ in range(2):
            stage.gateway.kill()
            stage.gateway.wait(10)
            before = len(crowd.told)
            stage.start()
            wait_until(lambda before=before: len(crowd.told) > before + 300)  # type: ignore[misc]
    assert crowd.broken > 0
    assert crowd.shown() <= logged(stage)
    assert {one.status for one in crowd.told} == {200}
    assert len(crowd.shown()) == len(crowd.told), "an id was given twice"


def test_a_day_that_was_begun_and_never_finished_stops_nobody(empty_stage: Stage) -> None:
    file = segments.path(empty_stage.home, clock.now().date())
    file.parent.mkdir(parents=True)
    file.touch()
    empty_stage.start_worker(1)
    empty_stage.routes = [empty_stage.route("primary", 1)]
    empty_stage.start()
    assert empty_stage.predict().status == 200
    assert len(empty_stage.records()) == 1


def test_a_drain_answers_what_was_accepted_and_ends_well(stage: Stage) -> None:
    assert stage.gateway is not None
    with Crowd(stage) as crowd:
        wait_until(lambda: len(crowd.told) > 300)
        with stage.wire() as wire:
            wire.send(request("POST", "/predict", b'{"sleep": 0.3}'))
            time.sleep(0.1)
            stage.gateway.send_signal(signal.SIGTERM)
            last = wire.read()
            assert (last.status, last.headers["connection"]) == (200, "close")
        assert stage.gateway.wait(30) == 0
        # The socket is the supervisor's: those who come now wait for the next gateway.
        stage.start()
        before = len(crowd.told)
        wait_until(lambda: len(crowd.told) > before + 100)
    assert crowd.broken == 0
    assert {one.status for one in crowd.told} == {200}
    assert crowd.shown() <= logged(stage)


def test_a_gateway_whose_supervisor_is_gone_drains_and_ends(stage: Stage) -> None:
    assert stage.predict().status == 200
    assert stage.stop() == 0


def test_a_gateway_without_routes_lets_clients_wait_for_them(empty_stage: Stage) -> None:
    empty_stage.start_worker(1)
    empty_stage.routes = [empty_stage.route("primary", 1)]
    with empty_stage.wire() as wire:
        wire.send(request("POST", "/predict", b"{}"))
        empty_stage.start()
        assert wire.read().status == 200


def test_a_worker_that_dies_fails_what_it_had_at_once_and_its_successor_answers(stage: Stage) -> None:
    started = time.monotonic()
    told = stage.predict({"fault": "crash"})
    assert time.monotonic() - started < 0.5
    assert (told.status, told.json["error"]["code"], told.headers["retry-after"]) == (503, "worker_died", "1")
    assert stage.predict().json["error"]["code"] == "not_ready"
    assert stage.ask("GET", "/health/ready").status == 503
    assert stage.ask("GET", "/health/live").status == 200
    stage.end_worker(1)
    stage.apply([stage.route("primary", 1, socket=None)])
    assert stage.predict().status == 503
    stage.start_worker(1)
    stage.apply([stage.route("primary", 1)])
    assert stage.predict().status == 200
    assert [record.status for record in stage.records()] == [503, 503, 503, 200]


def test_a_worker_that_hangs_is_given_up_after_its_deadline_and_reported(stage: Stage) -> None:
    started = time.monotonic()
    told = stage.predict({"fault": "hang"})
    assert (told.status, told.json["error"]["code"]) == (504, "timeout")
    assert 0.9 < time.monotonic() - started < 2.0
    stage.wait_for("hung", version=1)
    stage.end_worker(1)
    stage.start_worker(1)
    stage.apply()
    assert stage.predict().status == 200
    assert [record.status for record in stage.records()] == [504, 200]


def test_a_worker_that_raves_is_cut_off_and_reported(empty_stage: Stage) -> None:
    empty_stage.start_worker(1, "--rubbish")
    empty_stage.routes = [empty_stage.route("primary", 1)]
    empty_stage.start()
    told = empty_stage.predict()
    assert (told.status, told.json["error"]["code"]) == (503, "worker_broken")
    empty_stage.wait_for("hung", version=1)
    assert [record.status for record in empty_stage.records()] == [503]


def test_a_failure_of_the_model_is_a_500_that_names_itself(stage: Stage) -> None:
    told = stage.predict({"fault": "error"})
    assert (told.status, told.json["error"]["code"]) == (500, "model_error")
    assert "x-prediction-id" in told.headers


def test_more_requests_than_may_wait_are_told_to_come_again(stage: Stage) -> None:
    stage.apply(queue=4)
    wires = [stage.wire() for _ in range(12)]
    wires[0].send(request("POST", "/predict", b'{"sleep": 0.5}'))
    time.sleep(0.1)
    for wire in wires[1:]:
        wire.send(request("POST", "/predict", b"{}"))
    told = [wire.read() for wire in wires]
    for wire in wires:
        wire.close()
    assert sorted(one.status for one in told) == [200] * 5 + [503] * 7
    assert {one.headers.get("retry-after") for one in told if one.status == 503} == {"1"}
    assert len(stage.records()) == 12


def test_no_request_waits_longer_than_the_deadline_for_its_turn(stage: Stage) -> None:
    with stage.wire() as first, stage.wire() as second:
        first.send(request("POST", "/predict", b'{"fault": "hang"}'))
        time.sleep(0.1)
        second.send(request("POST", "/predict", b"{}"))
        started = time.monotonic()
        assert second.read().status == 503
        assert time.monotonic() - started < 1.5
        assert first.read().status == 504


@contextlib.contextmanager
def locked_log(stage: Stage) -> Iterator[None]:
    """Another process holds the segment for itself."""
    (day,) = segments.hot_days(stage.home)
    with contextlib.closing(sqlite3.connect(segments.path(stage.home, day), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


def test_without_a_log_nothing_is_predicted_until_it_is_back(stage: Stage) -> None:
    assert stage.predict().status == 200
    with locked_log(stage):
        told = stage.predict()
        assert (told.status, told.json["error"]["code"]) == (503, "log_failed")
        assert told.headers["retry-after"] == "1"
        assert stage.ask("GET", "/health/ready").status == 503
    wait_until(lambda: stage.ask("GET", "/health/ready").status == 200)
    assert stage.predict().status == 200
    statuses = [record.status for record in stage.records()]
    assert statuses[0] == statuses[-1] == 200
    assert stage.metric("mlproj_log_failures_total") >= 1


def test_a_log_that_takes_for_ever_is_given_up_until_it_moves_again(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.start_worker(1)
    stage.routes = [stage.route("primary", 1)]
    # A writer that waits half a minute for a lock hangs as one does whose disk has stalled.
    stage.start_as(
        "import mlproj.serving.log as log; log.Writer.__init__.__kwdefaults__['lock_wait_s'] = 30.0\n"
        "from mlproj.serving.gateway import main; main()"
    )
    assert stage.predict().status == 200
    with locked_log(stage):
        started = time.monotonic()
        told = stage.predict()
        assert (told.status, told.json["error"]["code"]) == (503, "log_failed")
        assert stage.ask("GET", "/health/ready").status == 503
        assert stage.predict().status == 503
        assert time.monotonic() - started < 8
        stage.apply(log_policy="degrade")
        assert stage.predict().status == 200
        assert time.monotonic() - started < 12
    wait_until(lambda: stage.metric("mlproj_log_healthy") == 1)
    stage.apply(log_policy="closed")
    assert stage.predict().status == 200
    # What was given up is not taken back: who was told that it failed may find it in the log.
    wait_until(lambda: [one.status for one in stage.records()] == [200, 200, 503, 200, 200])


def test_who_chose_to_go_on_without_a_log_is_answered_and_counted(stage: Stage) -> None:
    stage.apply(log_policy="degrade")
    assert stage.predict().status == 200
    with locked_log(stage):
        assert [stage.predict().status for _ in range(5)] == [200] * 5
        assert stage.ask("GET", "/health/ready").status == 200
        wait_until(lambda: stage.metric("mlproj_unlogged_answers_total") == 5)
    wait_until(lambda: stage.metric("mlproj_log_healthy") == 1)
    assert stage.predict().status == 200


def test_the_supervisor_hears_how_it_goes(stage: Stage) -> None:
    for _ in range(3):
        stage.predict()
    stage.predict({"fault": "error"})
    said = stage.wait_for("stats", requests=4, errors=1)
    assert said["log_failed"] == said["shadow_dropped"] == 0


def test_the_gateway_stays_small_by_what_it_does_not_import(stage: Stage) -> None:
    script = "import sys, json, mlproj.serving.gateway; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in json.loads(out)}
    assert not loaded & {"numpy", "pandas", "duckdb", "typer", "pydantic", "mlflow", "yaml"}
    assert not [name for name in json.loads(out) if name.startswith("mlproj.monitoring")]
