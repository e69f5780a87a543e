"""A load by wrk, and what a server's processes cost while it lasts.

CPU and memory are those of the whole process tree, read from /proc: a server that hands its work to others
has their bill too. wrk shares the machine with the server, as every contender's does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_TIMEOUT_S = 30
# wrk prepares each request once and sends them in turn.
_SCRIPT = """
local requests, turn = {}, 0
init = function(args)
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "us": %d, "p50": %d, "p99": %d, "status": %d, "broken": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one load measured. `errors` are answers other than 2xx and connections that broke."""

    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    errors: int


@dataclass(frozen=True)
class Memory:
    """Of one process, in MB: resident, and its proportional share (what it shares is divided)."""

    rss_mb: float
    pss_mb: float


def missing() -> str:
    """Why nothing can be measured here; empty if it can."""
    if shutil.which("wrk") is None:
        return "wrk is not installed (`apt-get install wrk`, `brew install wrk`)"
    if sys.platform != "linux":
        return "CPU and memory of a server are read from /proc, which this system has not"
    return ""


def load(url: str, bodies: Path, connections: int, pid: int, *, seconds: float, warm_s: float = 1.0) -> Load:
    """Keep `connections` requests under way, their bodies the lines of a file; `pid` is the server's."""
    _wrk(url, bodies, connections, warm_s)
    before = cpu_s(pid)
    said = _wrk(url, bodies, connections, seconds)
    spent = cpu_s(pid) - before
    done = max(said["requests"], 1)
    return Load(
        connections=connections,
        rate=(said["requests"] - said["status"]) / said["us"] * 1e6,
        p50_ms=said["p50"] / 1000,
        p99_ms=said["p99"] / 1000,
        cpu_ms=spent / done * 1000,
        errors=said["status"] + said["broken"],
    )


def _wrk(url: str, bodies: Path, connections: int, seconds: float) -> dict[str, int]:
    script = bodies.with_name("wrk.lua")
    if not script.is_file():
        script.write_text(_SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"),
            *(f"--timeout={_TIMEOUT_S}s", "-s", str(script), url, "--", str(bodies)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def ask(url: str, body: bytes) -> bytes | None:
    """The answer to one request; None where there is none, or no good one."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return bytes(answer.read())
    except (OSError, urllib.error.URLError):
        return None


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents():
        children.setdefault(parent, []).append(one)
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields:
                yield int(folder.name), int(fields[1])


def _stat(pid: int) -> Sequence[str]:
    """The fields after the name, which may hold anything; empty once the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return text.rpartition(")")[2].split()


def cpu_s(pid: int) -> float:
    """User and system time of a tree so far, with that of children that have ended and been waited for."""
    fields = [_stat(one) for one in tree(pid)]
    return sum(sum(map(int, one[11:15])) for one in fields if one) / _TICKS


def memory(pid: int) -> Memory:
    """Of one process; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return Memory(0.0, 0.0)
    sizes = {name.rstrip(":"): int(size) for name, size, *_ in (line.split() for line in lines)}
    return Memory(sizes["Rss"] * 1024 / 1e6, sizes["Pss"] * 1024 / 1e6)


def stop(child: subprocess.Popen[bytes], *, wait_s: float = 20.0) -> None:
    """End a server and whatever of it outlives its end."""
    everyone = tree(child.pid)
    child.terminate()
    try:
        child.wait(wait_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    deadline = time.monotonic() + wait_s / 4
    while time.monotonic() < deadline and any(_is_alive(one) for one in everyone):
        time.sleep(0.05)
    for one in filter(_is_alive, everyone):
        os.kill(one, 9)


def _is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"
