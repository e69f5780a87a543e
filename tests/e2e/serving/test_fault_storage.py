"""State that is locked by another process, or has no room: 503, nothing half written, recovery by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, logged, wait_until

pytestmark = pytest.mark.slow

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Another process holds the file's lock for writing."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with toys.site(tmp_path_factory.mktemp("storage")) as live:
        live.deploy()
        yield live


def test_a_locked_day_refuses_with_503_until_the_lock_goes_and_keeps_nothing_of_what_it_refused(
    live: Live,
) -> None:
    (segment,) = live.home.glob("log/*.db")
    with toys.traffic(live, clients=4) as load:
        load.more()
        with _locked(segment):
            wait_until(lambda: load.statuses[503] > 4, what="a refusal")
            assert live.ask("/health/ready").status == 503
            assert live.ask("/health/live").status == 200
            moment = time.monotonic()
        load.more()
    assert min(one.came for one in load.good_since(moment)) - moment < 10
    assert set(load.statuses) == {200, 503}
    assert load.lost == []
    assert all(one.has_retry for one in load.answers if one.status == 503)
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)
    assert live.ask("/health/ready").status == 200


def test_with_the_deployments_locked_predictions_go_on_and_a_killed_gateway_and_worker_are_back(
    live: Live,
) -> None:
    with toys.traffic(live, clients=4) as load:
        load.more()
        with _locked(live.home / "serving.db"):
            moment = time.monotonic()
            load.more()
            assert set(load.statuses) == {200}
            os.kill(toys.gateway(live), signal.SIGKILL)
            load.more()
            os.kill(toys.worker(live, 1), signal.SIGKILL)
            load.more()
            taken = time.monotonic() - moment
        load.more()
    assert taken < 20
    assert set(load.statuses) <= {200, 503}
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)


def test_a_change_while_the_deployments_are_locked_is_refused_whole_and_works_afterwards(live: Live) -> None:
    before = toys.versions(live)
    with _locked(live.home / "serving.db"):
        done = live.run("retire", "1")
    assert done.returncode == 1
    assert "the deployment store could not be used: database is locked" in done.stderr
    assert "Traceback" not in done.stderr
    assert toys.versions(live) == before


def test_locked_feedback_is_refused_with_503_and_taken_afterwards(live: Live) -> None:
    predicted = live.ask("/predict", toys.ROW).json()["prediction_id"]
    told = {"prediction_id": predicted, "label": "No"}
    assert live.ask("/feedback", told).status in (200, 201, 202)
    with _locked(live.home / "feedback.db"), toys.traffic(live, clients=2) as load:
        refused = live.ask("/feedback", {**told, "label": "Yes"})
        load.more()
    assert refused.status == 503
    assert "retry-after" in refused.headers
    assert set(load.statuses) == {200}, "predictions do not wait for feedback"
    shown = live.ask(f"/predictions/{predicted}").json()
    assert [one["value"] for one in shown["feedback"]] == ["No"]
    assert live.ask("/feedback", {**told, "label": "Yes"}).status in (200, 201, 202)
    assert len(live.ask(f"/predictions/{predicted}").json()["feedback"]) == 2
    assert_sound(live.home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    folder = tmp_path / "data"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("a file system of its own needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass


def test_a_full_disk_refuses_with_503_and_serves_again_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    assert small_disk == tmp_path / "data"
    with toys.site(tmp_path) as live:
        live.deploy()
        ballast = small_disk / "ballast"
        with toys.traffic(live, clients=4, pause_s=0.005) as load:
            load.more()
            with pytest.raises(OSError, match="No space left"):
                _fill(ballast)
            wait_until(lambda: load.statuses[503] > 20, what="a refusal")
            # What the log frees by tidying up may do for some more, and so by turns.
            wait_until(lambda: live.ask("/health/ready").status == 503, what="a bad health")
            assert toys.versions(live) == {"primary": 1}
            ballast.unlink()
            moment = time.monotonic()
            load.more()
        assert min(one.came for one in load.good_since(moment)) - moment < 10
        assert set(load.statuses) == {200, 503}
        assert load.lost == []
        assert_all_logged(live.home, load.answers)
        assert_sound(live.home)
        statuses = {record.status for record in logged(live.home).values()}
        assert statuses <= {200, 503}
        assert json.loads((live.home / "supervisor.json").read_text())["pid"] == toys.ping(live)["pid"]
        assert toys.versions(live) == {"primary": 1}
