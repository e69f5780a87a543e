"""Stopped under load: no request that was sent stays without an answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlproj.serving import admin
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, wait_until

pytestmark = pytest.mark.slow


def _by_signal(live: Live, supervisor: int) -> None:
    os.kill(supervisor, signal.SIGTERM)


def _by_command(live: Live, _: int) -> None:
    live.must("serve", "--stop")


@pytest.mark.parametrize(
    ("stop", "sleep_s"), [(_by_signal, 0.3), (_by_command, 0.0)], ids=["SIGTERM", "serve --stop"]
)
def test_a_stop_under_load_answers_every_request_that_was_sent(
    tmp_path: Path, stop: Callable[[Live, int], None], sleep_s: float
) -> None:
    with toys.site(tmp_path) as live:
        toys.package(live.root, 1, sleep_s=sleep_s)
        serving = subprocess.Popen(
            [sys.executable, "-m", "mlproj", "serve"], cwd=live.root, env={**os.environ, **live.env}
        )
        try:
            wait_until(lambda: admin.ask(toys.home(live), "ping") is not None, what="a supervisor")
            live.deploy()
            with toys.traffic(live, clients=16, pause_s=0.0) as load:
                load.more(50)
                stop(live, serving.pid)
                assert serving.wait(30) == 0
                ended = time.monotonic()
                wait_until(lambda: load.refused > 16, what="the end of the service")
        finally:
            serving.kill()
            serving.wait()
        assert load.lost == []
        assert set(load.statuses) <= {200, 503}
        assert all(one.has_retry for one in load.answers if one.status == 503)
        assert max(one.came for one in load.answers) <= ended
        assert_all_logged(live.home, load.answers)
        assert_sound(live.home)
        assert live.pids() == {}
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", urlsplit(live.url).port or 0)) != 0


def test_what_was_stopped_can_be_started_at_once(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live:
        live.deploy()
        for _ in range(2):
            live.must("serve", "--stop")
            live.deploy()
            assert live.ask("/predict", toys.ROW).status == 200
