"""Two machines on one PostgreSQL: the same versions, ids that never meet, one judge, and no one harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproj.serving import ids
from mlproj.serving.deployment import CANARY, State
from mlproj.serving.postgres import Archive
from mlproj.serving.store import Store
from tests.e2e.serving import shared, toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import Answer, wait_until

pytestmark = pytest.mark.slow

_SHIPPED_S = 40.0


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with shared.server() as running:
        yield running


@pytest.fixture
def url(server: Any) -> str:
    return shared.database(server)


def opened(live: Live, url: str) -> Store:
    return Store(live.home / "serving.db", postgres=url)


def canary_share(live: Live) -> float:
    text = live.ask("/metrics").body.decode()
    line = next(line for line in text.splitlines() if line.startswith("mlproj_canary_share"))
    return float(line.rpartition(" ")[2])


def assert_all_shipped(url: str, answers: list[Answer]) -> None:
    """Every id that a client was given is in PostgreSQL."""
    given = {one.id for one in answers if one.id}
    missing = set(given)

    def all_there() -> bool:
        missing.difference_update(ids.text(record.id) for record in Archive(url).rows(0, ids.LARGEST))
        return not missing

    assert given
    wait_until(all_there, seconds=_SHIPPED_S, what=f"all of {len(given)} records in PostgreSQL")


def test_a_second_machine_serves_the_version_from_the_shared_package_and_ids_never_meet(
    tmp_path: Path, url: str
) -> None:
    with shared.machines(tmp_path, url, "a", "b") as (a, b):
        a.deploy()
        with shared.serving(b) as second:
            shared.await_answers(b)
            with toys.traffic(a) as at_a, toys.traffic(b) as at_b:
                at_a.by(1, 100)
                at_b.by(1, 100)
            answers = [*at_a.answers, *at_b.answers]
            assert {one.status for one in answers} == {200}
            nodes = [{ids.parse(one.id) >> 12 & 1023 for one in load.answers} for load in (at_a, at_b)]
            assert [len(found) for found in nodes] == [1, 1]
            assert not nodes[0] & nodes[1]
            assert len({one.id for one in answers}) == len(answers)
            assert_all_shipped(url, answers)
            # The history is the same wherever it is read.
            assert a.overview()["deployments"] == b.overview()["deployments"]
            # Nobody sees the URL in the list of processes.
            assert not [words for words in {**a.pids(), **b.pids()}.values() if url in words]
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0


def test_both_gateways_apply_a_share_and_one_judge_rolls_a_bad_canary_back(tmp_path: Path, url: str) -> None:
    with shared.machines(tmp_path, url, "a", "b") as (a, b):
        a.deploy()
        with shared.serving(b):
            shared.await_answers(b)
            toys.package(a.root, 2)
            a.deploy("--mode", "canary", "--steps", "20,60", "--hold", "1h")
            with toys.traffic(a) as at_a, toys.traffic(b) as at_b:
                at_a.by(2)
                at_b.by(2)
                with opened(a, url) as store:
                    store.step(store.routes()[CANARY].deployment, 1, 0.6, "a test says so")
                wait_until(lambda: canary_share(a) == canary_share(b) == 0.6, what="the share on both")
                told = {"prediction_id": at_b.answers[-1].id, "label": "Yes"}
                assert b.ask("/feedback", told).json() == {"new": 1, "known": 0}
                wait_until(lambda: [*Archive(url).told(0)], what="feedback of the other machine")
                assert len(shared.elected(url)) == 1
            b.must("rollback")  # on the machine that did not deploy it
            wait_until(lambda: canary_share(a) == canary_share(b) == 0.0, what="no canary on both")
            toys.package(a.root, 3, fails=True)
            a.deploy("--mode", "canary", "--steps", "50", "--hold", "1h")
            with toys.traffic(a, clients=4) as at_a, toys.traffic(b, clients=4) as at_b:
                with opened(a, url) as store:
                    number = store.deployments()[0].id
                    wait_until(
                        lambda: store.deployment(number).state is State.ROLLED_BACK,
                        seconds=90,
                        what="the end of a canary that fails",
                    )
                    kinds = [event.kind for event in store.events(number)]
                at_a.by(1, 50)
                at_b.by(1, 50)
            assert kinds.count("rolled back") == 1
            assert canary_share(a) == canary_share(b) == 0.0


def test_when_the_judge_is_killed_the_other_machine_judges_on(tmp_path: Path, url: str) -> None:
    with shared.machines(tmp_path, url, "a", "b") as (a, b):
        a.deploy()
        with shared.serving(b):
            shared.await_answers(b)
            toys.package(a.root, 2)
            a.deploy("--mode", "canary", "--steps", "50", "--hold", "1h")
            wait_until(lambda: shared.elected(url), what="an election")
            (judge,) = shared.elected(url)
            killed, other = (a, b) if judge == "a" else (b, a)
            with toys.traffic(other) as load:
                os.kill(toys.ping(killed)["pid"], signal.SIGKILL)
                wait_until(lambda: shared.elected(url) == [other.env["MLPROJ_NODE"]], what="another judge")
                now_us = time.time_ns() // 1000
                with opened(other, url) as store:
                    number = store.deployments()[0].id

                    def has_looked() -> bool:
                        latest = store.deployment(number).latest
                        return latest is not None and latest["at_us"] > now_us

                    wait_until(has_looked, seconds=40, what="a look by the other machine")
                load.by(2)
            assert set(load.statuses) == {200}
            assert load.lost == []


def test_while_postgresql_is_restarted_no_request_fails_and_every_acknowledged_id_arrives(
    tmp_path: Path, server: Any, url: str
) -> None:
    with shared.machines(tmp_path, url, "a", "b") as (a, b):
        a.deploy()
        with shared.serving(b):
            shared.await_answers(b)
            toys.package(a.root, 2)
            a.deploy("--mode", "canary", "--steps", "50", "--hold", "1h")
            with toys.traffic(a) as at_a, toys.traffic(b) as at_b:
                for load in (at_a, at_b):
                    load.by(2)
                server.stop()
                try:
                    for load in (at_a, at_b):
                        load.more(100)
                    refused: list[subprocess.CompletedProcess[str]] = [
                        a.run(*words) for words in (["rollback"], ["deployments"], ["deploy"])
                    ]
                    # A gateway that is killed now comes back to the routes that it had.
                    os.kill(toys.ping(a)["gateway"]["pid"], signal.SIGKILL)
                    at_b.by(2)
                    at_a.by(2)
                finally:
                    server.start()
                a.must("rollback")
                for load in (at_a, at_b):
                    load.by(1, 50)
            for done in refused:
                assert done.returncode == 4, done.stdout + done.stderr
                assert "PostgreSQL cannot be reached" in done.stderr
                assert "Traceback" not in done.stderr
            assert set(at_b.statuses) == {200}
            assert at_b.lost == []
            assert set(at_a.statuses) <= {200, 503}  # its gateway was killed
            assert_all_shipped(url, [*at_a.answers, *at_b.answers])
            for live in (a, b):
                assert live.log().count("the deployments cannot be read:") == 1, live.log()
                assert live.log().count("the deployments can be read again") == 1, live.log()


def test_a_second_machine_of_the_same_name_serves_nothing_and_says_so(tmp_path: Path, url: str) -> None:
    with shared.machines(tmp_path, url, "a", "b") as (a, b):
        a.deploy()
        with shared.serving(replace(b, env={**b.env, "MLPROJ_NODE": "a"})):
            wait_until(lambda: "another supervisor serves as `a`" in b.log(), what="a refusal")
        assert "MLPROJ_NODE" not in a.log()
