"""How requests share frames where a worker takes long for a frame of any size."""

from __future__ import annotations

from tests.serving.gateway.stage import Stage, wait_until
from tests.serving.gateway.test_gateway_faults import Crowd

CLIENTS = 8


def batch_size(stage: Stage) -> float:
    """Requests a frame, on average, of version 1."""
    asked = stage.metric('mlproj_batch_requests_sum{version="1"}')
    return asked / stage.metric('mlproj_batch_requests_count{version="1"}')


def crowd_of(stage: Stage, *words: str) -> Crowd:
    stage.start_worker(1, *words)
    stage.apply([stage.route("primary", 1)])
    with Crowd(stage, CLIENTS) as crowd:
        wait_until(lambda: len(crowd.told) >= 20 * CLIENTS, seconds=60)
    assert {one.status for one in crowd.told} == {200}
    return crowd


def test_callers_of_a_slow_worker_share_its_frames(empty_stage: Stage) -> None:
    empty_stage.start()
    crowd_of(empty_stage, "--sleep-ms", "100")
    # In two halves that take turns it would be half of them.
    assert batch_size(empty_stage) > 0.75 * CLIENTS
