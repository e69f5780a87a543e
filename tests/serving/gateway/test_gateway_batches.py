"""How requests share frames where a frame costs much: with a slow worker, and in a gateway that is busy."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(("busy_from", "is_shared"), [("0", True), ("99", False)])
def test_callers_of_a_fast_worker_share_its_frames_while_the_gateway_is_busy(
    empty_stage: Stage, busy_from: str, is_shared: bool
) -> None:
    # Times that hold on a busy machine too, and no wait but the one that this is about.
    empty_stage.start_as(
        "import mlproj.serving.channel as channel\n"
        "channel._HOLD_SHARE, channel._LONGEST_BUSY_HOLD_S = 0, 1\n"
        f"import mlproj.serving.desk as desk; desk.BUSY = {busy_from}\n"
        "from mlproj.serving.gateway import main; main()"
    )
    crowd_of(empty_stage, "--sleep-ms", "50")
    assert (batch_size(empty_stage) > 0.7 * CLIENTS) == is_shared
