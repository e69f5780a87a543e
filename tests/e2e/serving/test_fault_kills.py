"""Processes killed under load: what was acknowledged is logged, and the service is back by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from mlproj.serving import admin
from mlproj.serving.deployment import CANARY, Route
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, logged, wait_until

pytestmark = pytest.mark.slow

_BACK_S = 10.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Version 1 is live, and version 2 its canary for half of the entities."""
    with toys.site(tmp_path_factory.mktemp("kills")) as live:
        live.deploy()
        toys.canary(live)
        yield live


def _is_listening(live: Live) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(live.url).port or 0)) == 0


def test_a_gateway_killed_under_load_is_back_and_every_acknowledged_prediction_is_logged(live: Live) -> None:
    route = toys.routes(live)[CANARY]
    with toys.traffic(live, clients=8, pause_s=0.0) as load:
        load.more(100)
        killed = time.monotonic()
        os.kill(toys.gateway(live), signal.SIGKILL)
        load.more(100)
        back = min(one.came for one in load.good_since(killed))
        load.by(2)
    assert back - killed < _BACK_S
    # Those who had sent a request, at most one each, and nobody afterwards.
    assert len(load.lost) <= 16, load.lost
    assert set(load.statuses) <= {200, 503}
    toys.assert_routed(live, load.answers, route)
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)
    assert toys.routes(live)[CANARY] == route


def test_a_gateway_that_hangs_is_killed_and_back(live: Live) -> None:
    stuck = toys.gateway(live)
    os.kill(stuck, signal.SIGSTOP)
    wait_until(lambda: toys.gateway(live) != stuck, seconds=40, what="another gateway")
    with toys.traffic(live, clients=2) as load:
        load.by(1, 10)
    assert set(load.statuses) == {200}
    assert "said nothing for 15 s" in (live.home / "supervisor.log").read_text()


def test_a_primary_worker_killed_under_load_costs_its_requests_a_503_and_is_back(live: Live) -> None:
    route = toys.routes(live)[CANARY]
    with toys.traffic(live, clients=8, pause_s=0.0) as load:
        load.more(100)
        killed = time.monotonic()
        os.kill(toys.worker(live, 1), signal.SIGKILL)
        load.by(1, 50)
        back = min(
            one.came for one in load.good_since(killed) if one.version == 1 and one.sent > killed + 0.05
        )
    assert back - killed < _BACK_S
    assert load.lost == []
    assert load.refused == 0
    assert set(load.statuses) <= {200, 503}
    assert all(one.has_retry for one in load.answers if one.status == 503)
    toys.assert_routed(live, load.answers, route)
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)


def test_a_canary_worker_killed_under_load_is_noticed_by_no_client(live: Live) -> None:
    route = toys.routes(live)[CANARY]
    with toys.traffic(live, clients=8, pause_s=0.0) as load:
        load.by(2, 50)
        os.kill(toys.worker(live, 2), signal.SIGKILL)
        load.more(50)
        toys.worker(live, 2)
        load.by(2, 50)
    assert set(load.statuses) == {200}
    assert load.lost == []
    toys.assert_routed(live, load.answers, route)
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)


def _kill_supervisor(live: Live) -> Route:
    """Under load; its children are to end, and what was acknowledged is to be there. The canary's route."""
    route = toys.routes(live)[CANARY]
    supervisor, hanging = toys.ping(live)["pid"], toys.worker(live, 2)
    with toys.traffic(live, clients=4, pause_s=0.0) as load:
        load.by(2)
        # One that hangs cannot notice by itself.
        os.kill(hanging, signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not live.pids(), what="the end of its children")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(live.url).port or 0)) != 0
    # Nobody tidied up, so what comes next finds the traces of a supervisor.
    assert admin.card(live.home).exists()
    assert (admin.sockets(live.home) / "admin.sock").exists()
    assert toys.routes(live)[CANARY] == route
    toys.assert_routed(live, load.answers, route)
    assert_all_logged(live.home, load.answers)
    assert_sound(live.home)
    return route


def _assert_resumed(live: Live, route: Route) -> None:
    wait_until(lambda: admin.ask(live.home, "ping") is not None, what="a supervisor")
    toys.gateway(live)
    assert toys.routes(live)[CANARY] == route
    for version in (1, 2):
        toys.worker(live, version)
    with toys.traffic(live) as load:
        load.by(1)
        load.by(2)
    assert set(load.statuses) == {200}
    assert load.lost == []
    toys.assert_routed(live, load.answers, route)


def test_serve_resumes_mid_canary_what_a_killed_supervisor_left(live: Live) -> None:
    route = _kill_supervisor(live)
    command = [sys.executable, "-m", "mlproj", "serve"]
    with (live.home / "supervisor.log").open("ab") as log:
        serving = subprocess.Popen(
            command, cwd=live.root, env={**os.environ, **live.env}, stdout=log, stderr=log
        )
    try:
        _assert_resumed(live, route)
    finally:
        serving.terminate()
        assert serving.wait(30) == 0
    assert live.pids() == {}
    assert not admin.card(live.home).exists()


def test_a_refused_deploy_resumes_mid_canary_what_a_killed_supervisor_left(live: Live) -> None:
    if admin.ask(live.home, "ping") is None:
        _deploy_again(live)
    route = _kill_supervisor(live)
    _deploy_again(live)
    _assert_resumed(live, route)


def _deploy_again(live: Live) -> None:
    """There is no place for another rollout, and who holds it is said; but the gateway is up."""
    done = live.run("deploy", "--mode", "canary")
    assert done.returncode == 2
    assert "a canary of version 2 is under way, started by" in done.stderr


def test_a_promotion_is_recorded_while_nothing_runs_and_holds_from_the_next_start_on(live: Live) -> None:
    if admin.ask(live.home, "ping") is None:
        _deploy_again(live)
    _kill_supervisor(live)
    live.must("promote")
    assert toys.versions(live) == {"primary": 2, "kept": 1}
    live.must("rollback")
    assert toys.versions(live) == {"primary": 1}
    toys.shadow(live)
    assert toys.versions(live) == {"primary": 1, "shadow": 2}
    with toys.traffic(live) as load:
        load.more()
    assert load.versions.keys() == {1}


def test_a_shadow_worker_killed_under_load_is_noticed_by_no_client(live: Live) -> None:
    if "shadow" not in toys.versions(live):
        live.run("rollback")
        toys.shadow(live)
    with toys.traffic(live, clients=8, pause_s=0.0) as load:
        load.more(50)
        os.kill(toys.worker(live, 2), signal.SIGKILL)
        load.more(50)
        toys.worker(live, 2)
        load.more(50)
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert load.versions.keys() == {1}
    assert_all_logged(live.home, load.answers)
    # It sees copies again, and what it answers is in the log beside the primary's.
    shown = {one.id for one in load.answers[-50:]}
    wait_until(
        lambda: (
            {each.request_id for each in logged(live.home).values() if each.version == 2}
            & {each.request_id for id_, each in logged(live.home).items() if id_ in shown}
        ),
        what="an answer by the shadow",
    )
    assert_sound(live.home)
