"""Versions that hang, crash in a loop, leak or rave: how far their faults reach, and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import count

import pytest

from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, logged, wait_until

pytestmark = pytest.mark.slow

_TIMEOUT_S = 1.0
_numbers = count()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    site = toys.site(tmp_path_factory.mktemp("workers"), timeout_s=_TIMEOUT_S, memory_mb=400)
    with site as live:
        live.deploy()
        yield live


@pytest.fixture
def live(served: Live) -> Iterator[Live]:
    """Version 1 alone, also afterwards."""
    yield served
    if set(toys.versions(served)) - {"primary"}:
        served.run("rollback")  # unless it has rolled back by itself meanwhile
    assert toys.versions(served) == {"primary": 1}


def test_a_primary_that_hangs_times_out_and_is_killed_and_started_again(live: Live) -> None:
    hanging = toys.worker(live, 1)
    with toys.traffic(live, clients=8) as load:
        load.more()
        moment = time.monotonic()
        os.kill(hanging, signal.SIGSTOP)
        wait_until(lambda: load.statuses[504] > 0, what="a timeout")
        load.more()
    slowest = max(one.came - one.sent for one in load.answers if one.status in (503, 504))
    assert slowest < 2 * _TIMEOUT_S + 1.5
    assert min(one.came for one in load.good_since(moment + _TIMEOUT_S)) - moment < 10
    assert set(load.statuses) <= {200, 503, 504}
    assert load.lost == []
    assert toys.worker(live, 1) != hanging
    assert "version 1 did not answer in time: it is killed" in live.log()
    assert_all_logged(live.home, load.answers)


def test_a_canary_that_hangs_harms_nobody_beyond_its_share(live: Live) -> None:
    route = toys.canary(live, 2, share=30)
    with toys.traffic(live, clients=8) as load:
        load.by(2)
        hanging = toys.worker(live, 2)
        os.kill(hanging, signal.SIGSTOP)
        wait_until(lambda: toys.worker(live, 2) != hanging, what="another worker")
        load.by(2)
        load.by(1)
    assert load.lost == []
    toys.assert_routed(live, load.answers, route)
    # Nobody but the canary's own has waited, and for those the primary has answered.
    slow = [one for one in load.answers if one.came - one.sent > _TIMEOUT_S * 0.9]
    assert slow
    assert {toys.is_for(live, one, route) for one in slow} == {True}
    assert set(load.statuses) == {200}
    assert_all_logged(live.home, load.answers)


def test_a_canary_that_crashes_in_a_loop_is_rolled_back_by_itself_for_that_reason(live: Live) -> None:
    with toys.traffic(live) as load:
        route = toys.canary(live, 3, lives_s=1.0)
        wait_until(lambda: toys.versions(live) == {"primary": 1}, seconds=60, what="the rollback")
        load.more()
    last = live.overview()["deployments"][0]
    assert last["version"] == 3
    assert last["state"] == "rolled back"
    assert "a crash loop" in last["reason"]
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert all(one.told == one.version for one in load.answers)
    assert route.version == 3
    assert_all_logged(live.home, load.answers)


@pytest.mark.parametrize(
    "behaviour",
    [{"sleep_s": 0.7}, {"lives_s": 0.7}, {"leak_mb": 60}, {"raves": True}, {"fails": True}],
    ids=["sleeps", "crashes in a loop", "leaks", "raves", "fails"],
)
def test_a_shadow_that_misbehaves_is_noticed_by_no_client(live: Live, behaviour: dict[str, float]) -> None:
    version = 10 + next(_numbers)
    toys.shadow(live, version, **behaviour)
    with toys.traffic(live, clients=4) as load:
        load.more(200)
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert load.versions.keys() == {1}
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)
    assert {record.role for record in logged(live.home).values() if record.version == version} <= {"shadow"}


def test_a_stopped_shadow_is_noticed_by_no_client_and_started_again(live: Live) -> None:
    toys.shadow(live, 2)
    with toys.traffic(live, clients=4) as load:
        load.more()
        hanging = toys.worker(live, 2)
        os.kill(hanging, signal.SIGSTOP)
        load.more(100)
        wait_until(lambda: toys.worker(live, 2) != hanging, what="another worker")
        load.more()
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert max(one.came - one.sent for one in load.answers) < _TIMEOUT_S


def test_a_worker_that_keeps_crashing_is_started_again_less_and_less_often(live: Live) -> None:
    toys.shadow(live, 3, lives_s=0.2)
    wait_until(lambda: toys.restarts(live, 3) >= 3, what="three restarts")
    moment, before = time.monotonic(), toys.restarts(live, 3)
    wait_until(lambda: toys.restarts(live, 3) >= before + 2, seconds=30, what="two more restarts")
    # The pauses grow: half a second, one, two, five.
    assert time.monotonic() - moment > 2.0
