"""What a shadow costs those who are answered by the primary: p99 with and without, one right after the other.

The goal is a ratio of at most 1.2 whatever the shadow does; nginx' `mirror` with a slow mirror gives 350.
"""

from __future__ import annotations

import os
import signal
import statistics
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import wait_until

_REQUESTS = 3000
_TURNS = 3
_CLIENTS = 8
_BEHAVIOURS: dict[str, dict[str, Any]] = {
    "a shadow that answers": {},
    "one that takes half a second": {"sleep_s": 0.5},
    "one that hangs": {},
    "one that crashes in a loop": {"lives_s": 0.7},
    "one that leaks 60 MB a request": {"leak_mb": 60},
    "one that answers rubbish": {"raves": True},
}
_HANGS = "one that hangs"


def run(scratch: Path) -> None:
    heads = f"{'p50 ms':>8} {'p99 ms':>8} {'p99 alone':>10} {'ratio':>7}"
    print(f"\n{'the primary, 8 connections':<40} {heads}   goal")
    with toys.site(scratch / "shadow", memory_mb=400) as live:
        live.deploy()
        _measure(live)
        for number, (name, behaviour) in enumerate(_BEHAVIOURS.items(), 2):
            with_it: list[float] = []
            alone: list[float] = []
            for _ in range(_TURNS):
                alone += _measure(live)
                toys.shadow(live, number, **behaviour)
                if name == _HANGS:
                    with suppress(ProcessLookupError):
                        os.kill(toys.worker(live, number), signal.SIGSTOP)
                with_it += _measure(live)
                live.must("rollback")
                wait_until(lambda: len(toys.ping(live)["workers"]) == 1, what="the shadow's end")
            p50, p99, p99_alone = (statistics.median(with_it), _p99(with_it), _p99(alone))
            print(
                f"{name:<40} {p50:8.1f} {p99:8.1f} {p99_alone:10.1f} {p99 / p99_alone:7.2f}   1.2", flush=True
            )


def _measure(live: Live) -> list[float]:
    """Milliseconds of each request; all of them have to be answered by the primary."""
    with toys.traffic(live, clients=_CLIENTS, pause_s=0.002) as load:
        load.more(_REQUESTS, seconds=120)
    assert set(load.statuses) == {200}
    assert load.versions.keys() == {1}
    assert not load.lost
    return [(one.came - one.sent) * 1000 for one in load.answers]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
