"""A real load on this machine: the package behind its own gateway, asked over HTTP for some seconds.

What the scoping document promises of latency and throughput is judged by it before there is traffic. The
client shares the machine with the server, so a throughput is a lower bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlproj.base import files, process
from mlproj.base.errors import MissingToolError, MlprojError
from mlproj.project import POSTGRES, Project
from mlproj.serving import admin, package
from mlproj.serving.deployment import Mode, Place, Version
from mlproj.serving.settings import TOKEN
from mlproj.serving.store import Store

CONNECTIONS = (1, 8, 32)
# The one that latency targets are judged at: some people at once, and no queue that only a load test makes.
JUDGED_AT = 8
_SECONDS = 3.0
_WARM_S = 0.5
_START_S = 120.0
_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One load: latencies in seconds, in the order of the answers."""

    connections: int
    seconds: float
    latencies: Sequence[float]
    errors: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def measure(project: Project, folder: Path, python: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Serve the package in `folder` by itself, load it, and return what `reports/load.json` holds.

    Raises MlprojError if it cannot be served.
    """
    found = package.load(folder)
    recorded = (files.read_json(folder / package.NAME) or {}).get("recorded") or {}
    bodies = [json.dumps(row).encode() for row in recorded.get("rows") or [found.example]]
    with _served(project, folder, python) as (url, pid):
        say(f"loading the package with requests for {_SECONDS * len(CONNECTIONS):.0f} s, on this machine")
        runs = [asyncio.run(_load(url, bodies, connections)) for connections in CONNECTIONS]
        memory = _memory_mb(pid)
    judged = next(run for run in runs if run.connections == JUDGED_AT)
    asked = sum(len(run.latencies) + run.errors for run in runs)
    best = max(runs, key=lambda run: run.rate)
    metrics: dict[str, Any] = {
        f"latency_p{round(share * 100)}_ms": {"value": judged.quantile_ms(share), "connections": JUDGED_AT}
        for share in (0.5, 0.95, 0.99)
    }
    metrics["throughput_rps"] = {"value": best.rate, "connections": best.connections}
    metrics["error_rate"] = {"value": sum(run.errors for run in runs) / asked}
    if memory is not None:
        metrics["memory_mb"] = {"value": memory}
    metrics["model_size_mb"] = {
        "value": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / _MB
    }
    return {
        "package": files.digest(folder / "package.json"),
        "engine": found.engine,
        "requests": asked,
        "machine": f"loopback, client and server on one machine of {os.cpu_count()} CPUs",
        "metrics": metrics,
        "runs": [
            {
                "connections": run.connections,
                "seconds": run.seconds,
                "requests": len(run.latencies),
                "errors": run.errors,
                "p50_ms": run.quantile_ms(0.5),
                "p99_ms": run.quantile_ms(0.99),
            }
            for run in runs
        ],
    }


@contextlib.contextmanager
def _served(project: Project, folder: Path, python: Path) -> Iterator[tuple[str, int]]:
    """The package, live in a data folder of its own; its address, and the process of its worker."""
    with tempfile.TemporaryDirectory(prefix="mlproj-load-") as data:
        home = Path(data) / "mlproj" / project.id
        with Store(home / "serving.db") as store:
            digest = package.digest(folder)
            store.add_version(
                Version(number=1, run="load", digest=digest, engine="", added_us=0),
                Place(version=1, digest=digest, folder=folder, python=python),
            )
            store.begin(
                mode=Mode.FULL, version=1, automation="full", defer_below=None, plan={}, by="mlproj stage"
            )
        log = Path(data) / "log"
        with log.open("wb") as stream:
            child = subprocess.Popen(
                (sys.executable, "-m", "mlproj", "serve", "--host", "127.0.0.1", "--port", "0"),
                cwd=project.root,
                # A load of its own, of which other machines know nothing; nor does anybody else reach it.
                env={**os.environ, "XDG_DATA_HOME": data, POSTGRES: "", TOKEN: ""},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            yield _await_ready(home, child, log)
        finally:
            child.send_signal(signal.SIGTERM)
            process.stop(child)


def _await_ready(home: Path, child: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and child.poll() is None:
        running = admin.ask(home, "ping")
        if running is not None and running["gateway"]["ready"]:
            ready = [worker for worker in running["workers"] if worker["ready"]]
            if ready:
                return str(running["url"]), int(ready[0]["pid"])
            if any(worker["error"] for worker in running["workers"]):
                break
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
    raise MlprojError(
        "the package could not be served:\n" + "\n".join(f"    {line}" for line in said),
        hint="mend what it names, then run `mlproj stage deployment`",
    )


async def _load(url: str, bodies: Sequence[bytes], connections: int) -> Run:
    """Keep `connections` requests under way, each connection sending its next when it has its answer."""
    where = urlsplit(url)
    host, port = str(where.hostname), int(where.port or 80)
    requests = [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        for body in bodies
    ]
    latencies: list[float] = []
    errors = 0
    begins = time.perf_counter() + _WARM_S
    ends = begins + _SECONDS

    async def client(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, port)
        turn = number
        try:
            while (started := time.perf_counter()) < ends:
                writer.write(requests[turn % len(requests)])
                turn += 1
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(head))
                took = time.perf_counter() - started
                if started < begins:
                    continue
                if head.startswith(b"HTTP/1.1 200"):
                    latencies.append(took)
                else:
                    errors += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            errors += 1
        finally:
            writer.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    if not latencies:
        raise MlprojError(
            f"none of {errors:,} requests was answered",
            hint="run `mlproj deploy --mode full` and try the request that it prints",
        )
    return Run(connections=connections, seconds=_SECONDS, latencies=latencies, errors=errors)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0])


def _memory_mb(pid: int) -> float | None:
    """The resident memory of a process in MB, from /proc or else from `ps`; None where there is neither."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), "")
    except OSError:  # macOS has no /proc
        try:
            kib = process.run("ps", "-o", "rss=", "-p", str(pid), check=False).stdout.strip()
        except MissingToolError:
            return None
    return int(kib) * 1024 / _MB if kib.isdigit() else None
