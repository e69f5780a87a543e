"""A worker's life: ready or refused, one connection after another, and its ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.serving import package as packages
from tests.serving.worker import toy
from tests.serving.worker.conftest import Start
from tests.serving.worker.conversation import MLFLOW_JSON, PREDICT, Worker, frame, receive, until


def recorded(probability: float) -> dict[str, object]:
    label = "Yes" if probability > 0.5 else "No"
    return {
        "rows": [toy.ROW],
        "labels": [label],
        "probabilities": [[1 - probability, probability]],
        "tolerance": 1e-6,
    }


def test_a_worker_says_in_one_line_that_it_is_ready(tmp_path: Path, start: Start) -> None:
    package = toy.make(tmp_path / "package", recorded=recorded(toy.probability(toy.ROW)))
    worker = start(package)
    ready = worker.ready
    assert ready["ready"] is True
    assert (ready["engine"], ready["compared"], ready["pid"]) == ("numpy", 1, worker.process.pid)
    assert 0 < ready["seconds"] < 30
    assert 5 < ready["rss_mb"] < 120
    mode = worker.path.lstat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    # What the model prints is not taken for an answer.
    assert "a line of the model's own" in worker.log.read_text()


@pytest.mark.parametrize(
    "name", ["code/toy_model/deployment/engines.py", "engines/linear.json", "code/toy_model/__init__.py"]
)
def test_a_changed_byte_is_refused_before_anything_is_imported(
    package: Path, start: Start, name: str, tmp_path: Path
) -> None:
    with (package / name).open("ab") as file:
        file.write(b" ")
    worker = start(package, env={"TOY_IMPORTED": str(tmp_path / "imported")})
    assert worker.ready["ready"] is False
    assert name in worker.ready["error"]
    assert worker.process.wait(10) == 3
    assert not (tmp_path / "imported").exists()
    assert not worker.path.exists()
    with pytest.raises(ConfigError, match=name):
        packages.verify(package)


def test_a_description_that_is_not_the_one_deployed_is_refused(
    package: Path, start: Start, tmp_path: Path
) -> None:
    deployed = packages.digest(package)
    assert start(package, "--digest", deployed).ready["ready"]
    # A changed file whose new digest is written down is still a package in itself.
    with (package / "engines" / "linear.json").open("ab") as file:
        file.write(b" ")
    said = json.loads((package / "package.json").read_text())
    said["files"] = toy.digests(package)
    (package / "package.json").write_text(json.dumps(said))
    packages.verify(package)
    worker = start(package, "--digest", deployed, env={"TOY_IMPORTED": str(tmp_path / "imported")})
    assert worker.ready["ready"] is False
    assert "`package.json` is not the one that was deployed" in worker.ready["error"]
    assert worker.process.wait(10) == 3
    assert not (tmp_path / "imported").exists()


def test_the_module_is_imported_when_nothing_is_changed(package: Path, start: Start, tmp_path: Path) -> None:
    assert start(package, env={"TOY_IMPORTED": str(tmp_path / "imported")}).ready["ready"]
    assert (tmp_path / "imported").exists()
    packages.verify(package)  # serving leaves no bytecode or other file behind


@pytest.mark.parametrize("name", ["code/toy_model/extra.py", "code/toy_model/__pycache__/engines.pyc"])
def test_an_extra_file_is_refused(package: Path, start: Start, name: str, tmp_path: Path) -> None:
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).touch()
    worker = start(package, env={"TOY_IMPORTED": str(tmp_path / "imported")})
    assert worker.ready == {"ready": False, "error": f"`{name}` is not part of the package"}
    assert not (tmp_path / "imported").exists()
    with pytest.raises(ConfigError, match=name):
        packages.verify(package)


def test_a_link_is_refused(package: Path, start: Start, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (package / "code" / "linked").symlink_to(tmp_path / "elsewhere")
    assert "code/linked" in start(package).ready["error"]
    with pytest.raises(ConfigError, match="code/linked"):
        packages.verify(package)


def test_a_missing_file_is_refused(package: Path, start: Start) -> None:
    (package / "engines" / "linear.json").unlink()
    assert start(package).ready["error"] == "`engines/linear.json` is missing from the package"
    with pytest.raises(ConfigError, match=r"linear\.json"):
        packages.verify(package)


def test_a_package_without_its_description_is_refused(tmp_path: Path, start: Start) -> None:
    worker = start(tmp_path)
    assert "package.json" in worker.ready["error"]
    assert worker.process.wait(10) == 3


@pytest.mark.parametrize("chance", [toy.probability(toy.ROW) + 1e-4, 0.01])
def test_an_engine_that_does_not_answer_as_recorded_is_refused(
    tmp_path: Path, start: Start, chance: float
) -> None:
    worker = start(toy.make(tmp_path / "package", recorded=recorded(chance)))
    assert worker.ready["ready"] is False
    assert "recorded row 0" in worker.ready["error"]
    assert worker.process.wait(10) == 3


def test_a_recorded_number_is_compared_within_the_tolerance(tmp_path: Path, start: Start) -> None:
    value = toy.score(toy.ROW)
    said = {"rows": [toy.ROW], "labels": [value + 1e-9], "probabilities": None, "tolerance": 1e-6}
    assert start(toy.make(tmp_path / "near", classes=None, recorded=said)).ready["compared"] == 1
    said = {**said, "labels": [value + 1e-3]}
    assert not start(toy.make(tmp_path / "far", classes=None, recorded=said)).ready["ready"]


def test_an_example_that_the_model_refuses_is_told(tmp_path: Path, start: Start) -> None:
    worker = start(toy.make(tmp_path / "package", example={**toy.ROW, "plan": 3}))
    assert "the example row gets no answer: `plan`" in worker.ready["error"]


def test_a_module_that_fails_or_leaves_at_import_is_told(tmp_path: Path, start: Start) -> None:
    worker = start(toy.make(tmp_path / "raises", engines="raise ValueError('not today')"))
    assert worker.ready == {"ready": False, "error": "ValueError: not today"}
    worker = start(toy.make(tmp_path / "leaves", engines="import sys; sys.exit(0)"))
    assert worker.ready["ready"] is False
    assert worker.process.wait(10) == 3


def test_the_end_of_standard_input_ends_the_worker(package: Path, start: Start) -> None:
    worker = start(package)
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(5) == 0
    assert not worker.path.exists()


def test_the_end_of_standard_input_ends_a_worker_in_the_middle_of_a_batch(
    package: Path, start: Start, tmp_path: Path
) -> None:
    worker = start(package, env={"TOY_STARTED": str(tmp_path / "started")})
    with worker.connect() as connection:
        connection.sendall(frame([(PREDICT, 0, json.dumps({**toy.ROW, "plan": "slow"}).encode())]))
        assert until((tmp_path / "started").exists)
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(0.9) == 0


def test_sigterm_ends_an_idle_worker(package: Path, start: Start) -> None:
    worker = start(package)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(5) == 0
    assert not worker.path.exists()

    worker = start(package)
    worker.ask(PREDICT, toy.ROW)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(5) == 0


def test_sigterm_lets_the_batch_in_hand_be_answered(package: Path, start: Start, tmp_path: Path) -> None:
    worker = start(package, env={"TOY_STARTED": str(tmp_path / "started")})
    with worker.connect() as connection:
        slow = json.dumps({**toy.ROW, "plan": "slow"}).encode()
        connection.sendall(frame([(PREDICT, 0, slow)] * 3))
        assert until((tmp_path / "started").exists)
        worker.process.send_signal(signal.SIGTERM)
        assert [answer.status for answer in receive(connection)] == [200] * 3
        assert worker.process.wait(5) == 0
        assert connection.recv(1) == b""


def test_ctrl_c_is_left_to_the_supervisor(package: Path, start: Start) -> None:
    worker = start(package)
    worker.process.send_signal(signal.SIGINT)
    assert worker.ask(PREDICT, toy.ROW).status == 200


def test_a_second_connection_is_served_after_the_first(package: Path, start: Start) -> None:
    worker = start(package)
    for _ in range(3):
        with worker.connect() as connection:
            connection.sendall(frame([(PREDICT, 0, json.dumps(toy.ROW).encode())], 9))
            assert receive(connection, 9)[0].status == 200


def test_a_gateway_that_leaves_in_the_middle_of_a_frame_or_sends_no_frames_harms_no_other(
    package: Path, start: Start
) -> None:
    worker = start(package)
    whole = frame([(PREDICT, 0, json.dumps(toy.ROW).encode())])
    beyond = bytearray(whole)
    beyond[15:19] = b"\xff\xff\xff\xff"  # the length of the only item
    too_many = bytearray(whole)
    too_many[8:10] = b"\x02\x00"
    for said in (
        whole[:5],
        whole[:30],
        bytes(beyond),
        bytes(too_many),
        b"\xff" * 50,
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        with worker.connect() as connection:
            connection.sendall(said)
    assert worker.ask(PREDICT, toy.ROW).status == 200


def test_frames_that_come_in_pieces_or_together_are_answered_in_order(package: Path, start: Start) -> None:
    worker = start(package)
    body = json.dumps(toy.ROW).encode()
    with worker.connect() as connection:
        for piece in (frame([(PREDICT, 0, body)], 1)[i : i + 40] for i in range(0, 400, 40)):
            connection.sendall(piece)
        assert receive(connection, 1)[0].status == 200
        connection.sendall(b"".join(frame([(PREDICT, 0, body)], batch) for batch in range(20)))
        for batch in range(20):
            assert receive(connection, batch)[0].status == 200
        large = json.dumps([toy.ROW] * 900).encode()
        connection.sendall(frame([(PREDICT, 0, large)] * 20, 3))
        assert [len(answer.rows) for answer in receive(connection, 3)] == [900] * 20


def test_a_socket_left_by_a_killed_worker_is_replaced(package: Path, start: Start, short: Path) -> None:
    first = start(package)
    first.process.kill()
    first.process.wait(10)
    assert first.path.exists()
    again = Worker(package, first.path)
    try:
        assert again.ask(PREDICT, toy.ROW).status == 200
    finally:
        again.close()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux only")
def test_memory_is_limited(package: Path, start: Start) -> None:
    worker = start(package, "--memory-mb", "600")
    assert worker.ready["ready"]
    answer = worker.ask(PREDICT, {**toy.ROW, "plan": "huge"})
    assert (answer.status, answer.code) == (500, "model_error")
    assert worker.ask(PREDICT, toy.ROW).status == 200

    assert not start(package, "--memory-mb", "8").ready["ready"]


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
def test_a_worker_in_the_background_runs_when_nobody_else_wants_to(package: Path, start: Start) -> None:
    behind = start(package, "--background")
    assert os.getpriority(os.PRIO_PROCESS, behind.process.pid) == 19
    assert os.sched_getscheduler(behind.process.pid) == os.SCHED_IDLE
    assert oom_score(behind) == 1000
    before = start(package)
    assert os.getpriority(os.PRIO_PROCESS, before.process.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    assert oom_score(before) < 1000


def oom_score(worker: Worker) -> int:
    return int(Path(f"/proc/{worker.process.pid}/oom_score_adj").read_text())


def test_one_bad_request_in_a_merged_frame_harms_nobody(package: Path, start: Start, tmp_path: Path) -> None:
    worker = start(package, env={"TOY_BATCHES": str(tmp_path / "batches")})
    (tmp_path / "batches").unlink()
    good = json.dumps(toy.ROW).encode()
    poison = json.dumps({**toy.ROW, "plan": "poison"}).encode()
    mlflow = json.dumps({"dataframe_records": [toy.ROW]}).encode()
    items = [(PREDICT, 0, body) for body in (good, b"{", good, b"{}")] + [(MLFLOW_JSON, 0, mlflow)]
    answers = worker.exchange(items)
    assert [answer.status for answer in answers] == [200, 400, 200, 422, 200]
    assert (tmp_path / "batches").read_text() == "3\n"  # all good rows in one call of the engine

    # A number that no double holds is refused before the engine is asked, by every protocol.
    (tmp_path / "batches").unlink()
    digits = b"1" * 400
    items = [
        (kind, 0, body.replace(b"1.25", digits)) for kind, body in ((PREDICT, good), (MLFLOW_JSON, mlflow))
    ]
    answers = worker.exchange(
        [(PREDICT, 0, good), *items, (PREDICT, 0, b"[%b]" % items[0][2]), (PREDICT, 0, good)]
    )
    assert [answer.status for answer in answers] == [200, 422, 422, 422, 200]
    assert {answer.code for answer in answers[1:4]} == {"not_finite"}
    assert (tmp_path / "batches").read_text() == "2\n"
    large = good.replace(b"1.25", b"%d" % 2**64)
    assert worker.exchange([(PREDICT, 0, large)])[0].rows[0].features["charge"] == 2**64

    answers = worker.exchange([(PREDICT, 0, body) for body in (good, poison, good, b"[]")])
    assert [answer.status for answer in answers] == [200, 500, 200, 400]
    assert answers[0].rows[0].output["prediction"] == "Yes"
    assert answers[1].code == "model_error"
    assert "stand" not in answers[1].body.decode()
    assert "the model cannot stand this" in worker.log.read_text()
