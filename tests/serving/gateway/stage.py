"""A gateway as its supervisor starts it, with fake workers behind it, and raw HTTP in front."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlproj.serving import segments
from mlproj.serving.record import Record

WORKER = Path(__file__).with_name("fake_worker.py")
SALT = "00112233445566778899aabbccddeeff"


def wait_until(is_so: Callable[[], bool], *, seconds: float = 10.0, what: str = "it") -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection, raw."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._rest:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(self._rest)
            self._rest += piece
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    def read(self, *, has_body: bool = True) -> Response:
        status, headers = self.read_head()
        size = int(headers.get("content-length", 0)) if has_body else 0
        while len(self._rest) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(self._rest)
            self._rest += piece
        body, self._rest = self._rest[:size], self._rest[size:]
        return Response(status, headers, body)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        self.send(request(method, path, body, **headers))
        return self.read(has_body=method != "HEAD")

    def is_closed(self) -> bool:
        """Whether the other side ended the connection; waits for it, or for bytes."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Stage:
    """The supervisor's part, played by a test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._sockets = Path(tempfile.mkdtemp(prefix="gw-"))
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(2048)
        self.port: int = self.listener.getsockname()[1]
        self.workers: dict[int, subprocess.Popen[str]] = {}
        self.settings: dict[str, Any] = {
            "model": "churn",
            "entity": "customerID",
            "timeout_s": 1.0,
            "queue": 1024,
            "max_body": 1 << 20,
            "log_policy": "closed",
            "token": None,
            "package": None,
        }
        self.routes: list[dict[str, Any]] = []
        self.generation = 0
        self.gateway: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.heard: list[dict[str, Any]] = []
        self._pieces = b""

    def start_worker(self, version: int, *words: str) -> str:
        path = str(self._sockets / f"v{version}.sock")
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(WORKER), path, *words], stdout=subprocess.PIPE, encoding="utf-8"
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        self.workers[version] = process
        return path

    def end_worker(self, version: int, number: int = signal.SIGKILL) -> None:
        process = self.workers.pop(version)
        process.send_signal(number)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()

    def route(self, role: str, version: int, **more: Any) -> dict[str, Any]:
        return {
            "role": role,
            "version": version,
            "run": f"run{version}",
            "deployment": version * 10,
            "share": 1.0,
            "salt": SALT,
            "automation": "full",
            "defer_below": None,
            "socket": str(self._sockets / f"v{version}.sock"),
            "engine": "numpy",
            **more,
        }

    def start(self) -> None:
        """Start a gateway and give it the routes."""
        self._start("-m", "mlproj.serving.gateway")

    def start_as(self, script: str) -> None:
        """The same, with limits that a script changes first."""
        self._start("-c", script)

    def _start(self, *program: str) -> None:
        if self.control is not None:
            self.control.close()
        ours, theirs = socket.socketpair()
        self.gateway = subprocess.Popen(
            [
                *(sys.executable, *program),
                *("--listen-fd", str(self.listener.fileno())),
                *("--control-fd", str(theirs.fileno()), "--home", str(self.home)),
            ],
            pass_fds=(self.listener.fileno(), theirs.fileno()),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.control = ours
        self.control.settimeout(0.02)
        self.heard, self._pieces = [], b""
        self.wait_for("ready")
        self.apply()

    def apply(self, routes: list[dict[str, Any]] | None = None, **settings: Any) -> None:
        """Send the routes, and wait until they hold."""
        self.routes = self.routes if routes is None else routes
        self.settings |= settings
        self.generation += 1
        said = {"generation": self.generation, "node": 3, "settings": self.settings, "routes": self.routes}
        self.send("routes", **said)
        self.wait_for("applied", generation=self.generation)

    def send(self, op: str, **words: Any) -> None:
        assert self.control is not None
        self.control.sendall(json.dumps({"op": op, **words}).encode() + b"\n")

    def wait_for(self, op: str, **words: Any) -> dict[str, Any]:
        """The first message of that kind since the start that has these words."""
        found: list[dict[str, Any]] = []

        def is_here() -> bool:
            self.listen()
            wanted = {"op": op, **words}.items()
            found.extend(one for one in self.heard if wanted <= one.items())
            return bool(found)

        wait_until(is_here, what=f"the message `{op}` {words}")
        return found[0]

    def listen(self) -> None:
        assert self.control is not None
        with contextlib.suppress(TimeoutError):
            while piece := self.control.recv(65536):
                self._pieces += piece
                *lines, self._pieces = self._pieces.split(b"\n")
                for line in lines:
                    said = json.loads(line)
                    # Shares are a mapping, which cannot be looked for as above.
                    self.heard.append({name: value for name, value in said.items() if name != "shares"})

    def wire(self) -> Wire:
        return Wire(self.port)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        with self.wire() as wire:
            return wire.ask(method, path, body, **headers)

    def predict(self, row: Any = None, **headers: str) -> Response:
        return self.ask("POST", "/predict", json.dumps(row or {"tenure": 3}).encode(), **headers)

    def records(self) -> list[Record]:
        return list(segments.rows(self.home, 0))

    def metric(self, line: str) -> float:
        """The value of a line of /metrics; 0 while it is not there."""
        for found in self.ask("GET", "/metrics").body.decode().splitlines():
            if found.rpartition(" ")[0] == line:
                return float(found.rpartition(" ")[2])
        return 0.0

    def stop(self) -> int:
        """Let go of the gateway as a supervisor that ends does; its exit code."""
        if self.control is not None:
            self.control.close()
            self.control = None
        if self.gateway is None:
            return 0
        try:
            return self.gateway.wait(30)
        finally:
            if self.gateway.poll() is None:
                self.gateway.kill()
                self.gateway.wait(10)
            self.gateway = None

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        for version in list(self.workers):
            self.end_worker(version)
        self.listener.close()
        for left in self._sockets.iterdir():
            left.unlink()
        self._sockets.rmdir()


@contextlib.contextmanager
def on_stage(home: Path) -> Iterator[Stage]:
    stage = Stage(home)
    try:
        yield stage
    finally:
        stage.close()
