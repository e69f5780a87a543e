"""What a shadow costs those who are answered by a saturated primary, whatever becomes of it.

    python -m tests.bench.serving --only shadow

The primary is loaded with and without a shadow, in turns: a healthy one, one that sleeps for 50 ms a batch,
one that is stopped (SIGSTOP), and one that is killed again and again. A shadow only ever gets what time the
machine has to spare, and has a bounded queue, so p99 may grow by a fifth at most and no request may fail.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlproj.serving import admin, package
from mlproj.serving.deployment import Mode
from mlproj.serving.store import Store
from tests.bench import measuring
from tests.bench.live import (
    Server,
    add_version,
    sample,
    serve_ours,
    with_engine,
)

CONNECTIONS = 32
_SLEEP_S = 0.05
_KILLED_EVERY_S = 0.3
_START_S = 60.0
_SLOW = f"""

_load = load


def load(package: Path, name: str) -> Engine:
    import time

    engine = _load(package, name)
    predict = engine.predict

    def slowly(columns: Columns) -> Answers:
        time.sleep({_SLEEP_S})
        return predict(columns)

    engine.predict = slowly
    return engine
"""


def measure(root: Path, folder: Path, *, seconds: float, turns: int) -> None:
    rows = [json.dumps(row) for row in sample(root)]
    bodies = folder / "shadow" / "bodies"
    bodies.parent.mkdir(parents=True)
    bodies.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    print(f"\na shadow beside the fast path, {CONNECTIONS} connections, {turns} turns (medians)")
    print(f"{'':<22}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'errors':>8}  p99 with / without, turn by turn")
    with serve_ours(root, "numpy", rows[0].encode()) as server:
        assert server.home is not None
        with Store(server.home / "serving.db") as store:
            for number, is_slow in ((2, False), (3, True)):
                made = with_engine(root, "numpy", server.home / "versions" / str(number))
                add_version(store, number, slowed(made) if is_slow else made)
            without: list[measuring.Load] = []
            for name, version, harm in (
                ("healthy", 2, None),
                ("sleeps 50 ms a batch", 3, None),
                ("stopped", 2, signal.SIGSTOP),
                ("killed", 2, signal.SIGKILL),
            ):
                pairs = []
                for _ in range(turns):
                    alone = measuring.load(server.url, bodies, CONNECTIONS, server.pid, seconds=seconds)
                    with shadowed(server, store, version, harm):
                        beside = measuring.load(server.url, bodies, CONNECTIONS, server.pid, seconds=seconds)
                    pairs.append((alone, beside))
                without += [alone for alone, _ in pairs]
                _row(name, [beside for _, beside in pairs], [b.p99_ms / a.p99_ms for a, b in pairs])
            _row("none", without, [])


def _row(name: str, loads: list[measuring.Load], ratios: list[float]) -> None:
    rate, p50, p99 = (
        statistics.median(figures)
        for figures in zip(*((one.rate, one.p50_ms, one.p99_ms) for one in loads), strict=True)
    )
    errors = sum(one.errors for one in loads)
    goal = ""
    if ratios:
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        goal = f"{shown}; median {statistics.median(ratios):.2f}, goal at most 1.2"
    print(f"{name:<22}{rate:>9,.0f}{p50:>8.2f}{p99:>8.2f}{errors:>8}  {goal}", flush=True)


def slowed(folder: Path) -> Path:
    """The package with an engine that sleeps for each batch, its digest put right."""
    manifest = folder / package.NAME
    said = json.loads(manifest.read_text(encoding="utf-8"))
    name = f"code/{said['module']}/deployment/engines.py"
    text = (folder / name).read_bytes() + _SLOW.encode()
    (folder / name).write_bytes(text)
    said["files"][name] = sha256(text).hexdigest()
    manifest.write_text(json.dumps(said), encoding="utf-8")
    return folder


@contextlib.contextmanager
def shadowed(server: Server, store: Store, version: int, harm: signal.Signals | None) -> Iterator[None]:
    """A version in shadow, its worker sent a signal whenever it has come back; taken off again after."""
    assert server.home is not None
    store.begin(
        mode=Mode.SHADOW, version=version, automation="full", defer_below=None, plan={}, by="a benchmark"
    )
    admin.ask(server.home, "poke")
    _await_worker(server.home, version)
    ended = threading.Event()
    thread = threading.Thread(target=_harm, args=(server.home, version, harm, ended))
    if harm is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if harm is not None:
            thread.join()
        store.roll_back("a benchmark", "measured")
        admin.ask(server.home, "poke")
        _await_gone(server.home, version)


def _harm(home: Path, version: int, harm: signal.Signals, ended: threading.Event) -> None:
    while not ended.is_set():
        worker = _worker(home, version)
        if worker and worker["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker["pid"], harm)
        ended.wait(_KILLED_EVERY_S)


def _worker(home: Path, version: int) -> dict[str, Any] | None:
    running = admin.ask(home, "ping")
    assert running is not None
    return next((worker for worker in running["workers"] if worker["version"] == version), None)


def _await_worker(home: Path, version: int) -> None:
    deadline = time.monotonic() + _START_S
    while not ((worker := _worker(home, version)) and worker["ready"]):
        assert time.monotonic() < deadline, "the shadow did not start"
        time.sleep(0.05)


def _await_gone(home: Path, version: int) -> None:
    deadline = time.monotonic() + _START_S
    while worker := _worker(home, version):
        if worker["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker["pid"], signal.SIGKILL)  # one that is stopped would not end by being asked
        assert time.monotonic() < deadline, "the shadow did not end"
        time.sleep(0.05)
