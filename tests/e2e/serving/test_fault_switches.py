"""Versions switched, promoted, taken back and retired under load, without one failed request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import Traffic, assert_all_logged, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with toys.site(tmp_path_factory.mktemp("switches")) as live:
        live.deploy()
        yield live


def _assert_flawless(live: Live, load: Traffic) -> None:
    assert set(load.statuses) == {200}, load.statuses
    assert load.lost == []
    assert load.refused == 0
    assert [one for one in load.answers if one.told != one.version] == []
    assert_all_logged(live.home, load.answers)


def _state(live: Live, version: int) -> str:
    """Of the last deployment of a version."""
    with toys.store(live) as store:
        return next(str(one.state) for one in store.deployments() if one.version == version)


def test_versions_switch_and_switch_back_without_one_failed_request(live: Live) -> None:
    with toys.traffic(live, clients=4, pause_s=0.02) as load:
        load.by(1, 50)
        toys.package(live.root, 2)
        live.deploy("--mode", "blue-green")
        moment = time.monotonic()
        load.by(2, 50)
        assert {one.version for one in load.good_since(moment)} == {2}
        assert toys.versions(live) == {"primary": 2, "kept": 1}

        live.must("rollback")
        moment = time.monotonic()
        load.by(1, 50)
        assert {one.version for one in load.good_since(moment)} == {1}
        assert toys.versions(live) == {"primary": 1}
        assert _state(live, 2) == "rolled back"

        toys.package(live.root, 3)
        live.deploy("--mode", "full")
        moment = time.monotonic()
        load.by(3, 50)
        assert {one.version for one in load.good_since(moment)} == {3}
        assert toys.versions(live) == {"primary": 3}
        # The one before is not kept loaded: it ends, and a rollback loads it again.
        wait_until(
            lambda: {one["version"] for one in toys.ping(live)["workers"]} == {3}, what="version 1's end"
        )
        live.must("rollback", "--reason", "odd answers")
        moment = time.monotonic()
        load.by(1, 50)
        assert {one.version for one in load.good_since(moment)} == {1}
        assert toys.versions(live) == {"primary": 1}

        route = toys.canary(live, 4)
        load.by(4)
        toys.assert_routed(live, [one for one in load.answers if one.version == 4], route)
        live.must("promote")
        moment = time.monotonic()
        load.by(4, 50)
        assert {one.version for one in load.good_since(moment)} == {4}
        assert toys.versions(live) == {"primary": 4, "kept": 1}
    _assert_flawless(live, load)


def test_rollbacks_go_back_one_version_after_another_and_never_to_one_that_was_rolled_back(
    live: Live,
) -> None:
    toys.shadow(live, 2)
    live.must("promote")
    toys.package(live.root, 3)
    live.deploy()
    assert toys.versions(live) == {"primary": 3}
    live.must("rollback", "--reason", "odd answers")
    assert toys.versions(live) == {"primary": 2}, "it was promoted out of a shadow, and was live all the same"
    assert _state(live, 3) == "rolled back"
    live.must("rollback")
    assert toys.versions(live) == {"primary": 1}
    assert live.run("rollback").returncode == 2
    assert toys.versions(live) == {"primary": 1}


def _break(live: Live, version: int) -> None:
    """Let the worker of a version end, and not come back."""
    (kept,) = live.home.glob(f"versions/{version}-*/engines/toy.json")
    kept.write_bytes(b"{}")
    os.kill(toys.worker(live, version), signal.SIGKILL)


def test_a_rollback_to_a_version_that_cannot_answer_says_so_and_takes_the_bad_one_off(live: Live) -> None:
    toys.package(live.root, 2)
    live.deploy("--mode", "blue-green")
    _break(live, 1)
    done = live.run("rollback")
    assert done.returncode == 1
    assert "version 1 is the primary now, but does not answer yet" in done.stderr
    assert "engines/toy.json" in done.stderr
    assert "requests get 503 until it does" in done.stderr
    assert toys.versions(live) == {"primary": 1}
    assert live.ask("/predict", toys.ROW).status == 503
    live.deploy("--mode", "full")
    assert live.ask("/predict", toys.ROW).headers["x-model-version"] == "2"


def test_a_promotion_of_a_version_that_cannot_answer_says_who_goes_on(live: Live) -> None:
    toys.shadow(live)
    _break(live, 2)
    done = live.run("promote")
    assert done.returncode == 1
    assert "version 2 is the primary now, but does not answer yet" in done.stderr
    assert "version 1 goes on until it does" in done.stderr
    assert live.ask("/predict", toys.ROW).headers["x-model-version"] == "1"


def test_a_rollback_while_the_canary_is_loading_leaves_it_without_a_single_request(live: Live) -> None:
    toys.package(live.root, 2, load_s=30)
    with toys.traffic(live) as load:
        deploying = subprocess.Popen(
            [sys.executable, "-m", "mlproj", "deploy", "--mode", "canary", "--hold", "1h"],
            cwd=live.root,
            env=live.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        wait_until(
            lambda: [one for one in toys.ping(live)["workers"] if one["version"] == 2 and one["pid"]],
            what="the canary's worker",
        )
        assert toys.versions(live) == {"primary": 1}
        live.must("rollback")
        said, _ = deploying.communicate(timeout=20)
        load.more(50)
        wait_until(
            lambda: [one["version"] for one in toys.ping(live)["workers"]] == [1], what="its worker's end"
        )
    assert "rolled back" in said
    assert deploying.returncode != 0
    assert toys.versions(live) == {"primary": 1}
    assert _state(live, 2) == "rolled back"
    assert load.versions.keys() == {1}
    _assert_flawless(live, load)


def test_newcomer_kept_and_primary_are_retired_and_only_the_last_ends_the_service(live: Live) -> None:
    with toys.traffic(live) as load:
        toys.canary(live, 2)
        load.by(2)
        live.must("retire", "2")
        moment = time.monotonic()
        load.more(50)
        assert {one.version for one in load.good_since(moment)} == {1}

        toys.package(live.root, 3)
        live.deploy("--mode", "blue-green")
        assert toys.versions(live) == {"primary": 3, "kept": 1}
        live.must("retire", "1")
        load.by(3, 50)
        assert toys.versions(live) == {"primary": 3}
        assert live.run("rollback").returncode != 0
    _assert_flawless(live, load)

    live.must("retire", "3")
    assert toys.versions(live) == {}
    wait_until(lambda: toys.ping(live)["workers"] == [], what="the end of all workers")
    answer = live.ask("/predict", toys.ROW)
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert live.ask("/health/ready").status == 503
    assert live.ask("/health/live").status == 200
    # And from there another version goes live.
    toys.package(live.root, 4)
    live.deploy()
    assert live.ask("/predict", toys.ROW).headers["x-model-version"] == "4"
    assert "canary" not in toys.versions(live)


def test_a_newcomer_is_told_of_no_further_than_what_is_live_unless_that_is_said(live: Live) -> None:
    live.deploy("--automation", "partial", "--defer-below", "0.7")
    toys.canary(live, 2)
    newest = live.overview()["deployments"][0]
    assert (newest["version"], newest["automation"], newest["defer_below"]) == (2, "partial", 0.7)
    live.must("rollback")
    live.deploy("--mode", "blue-green", "--automation", "full")
    assert live.ask("/predict", toys.ROW).json()["automation"] == "full"


def test_another_package_under_a_retired_number_answers_for_itself_from_its_first_request_on(
    live: Live,
) -> None:
    toys.package(live.root, 2)
    live.deploy("--mode", "blue-green")
    before = toys.worker(live, 2)
    os.kill(before, signal.SIGSTOP)
    live.must("retire", "2")
    live.must("retire", "1")
    toys.package(live.root, 2, answers=7)
    # Before the one that is leaving has gone.
    live.deploy("--mode", "full")
    found = live.ask("/predict", toys.ROW)
    assert (found.headers["x-model-version"], toys.told(found.json())) == ("2", 7)
    # It neither answers nor ends when it is asked to, so it is killed.
    wait_until(lambda: not Path(f"/proc/{before}").exists(), what="the end of the one that left")
    assert toys.worker(live, 2) != before


def test_a_changed_package_json_is_refused_although_its_files_are_as_it_says(live: Live) -> None:
    (kept,) = live.home.glob("versions/1-*/package.json")
    kept.write_bytes(kept.read_bytes() + b"\n")
    os.kill(toys.worker(live, 1), signal.SIGKILL)

    def said() -> str:
        return " ".join(str(one["error"]) for one in toys.ping(live)["workers"])

    wait_until(lambda: "`package.json` is not the one that was deployed" in said(), what="the refusal")
    assert live.ask("/predict", toys.ROW).status == 503
    # Nor does it become another package under the same number when it is deployed again.
    toys.package(live.root, 2)
    done = live.run("deploy", "--mode", "full", "--version", "1")
    assert done.returncode == 2
    assert "package.json` is not the one that was deployed: its SHA-256 differs" in done.stderr
    # With the package that it was made from at hand the copy is made again.
    toys.package(live.root, 1)
    live.must("retire", "1")
    live.deploy()
    assert live.ask("/predict", toys.ROW).headers["x-model-version"] == "1"
