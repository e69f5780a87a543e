"""A worker as a process of its own, and the gateway's side of its socket."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY

WORKER = REPOSITORY / "mlproj" / "serving" / "worker.py"
PREDICT, MLFLOW_JSON, MLFLOW_CSV, V2 = range(4)
# An importable msgspec that says it is not there: the worker then reads with json.
BLOCKED = "raise ImportError('blocked')\n"

Item = tuple[int, int, bytes]


@dataclass
class Row:
    score: float
    confidence: float
    unseen: list[str]
    output: dict[str, Any]
    features: dict[str, Any]
    raw: bytes


@dataclass
class Answer:
    status: int
    body: bytes
    rows: list[Row]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        error = self.json["error"]
        code: str = self.json["code"] if isinstance(error, str) else error["code"]
        return code


def frame(items: Sequence[Item], batch: int = 7) -> bytes:
    inner = b"".join(struct.pack("<BII", kind, extra, len(body)) + body for kind, extra, body in items)
    return struct.pack("<IIH", len(inner), batch, len(items)) + inner


def parse(count: int, inner: bytes) -> list[Answer]:
    """The answers in a frame, of which every byte must be accounted for."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        assert at + size <= len(inner)
        at += size
        return inner[at - size : at]

    answers = []
    for _ in range(count):
        status, rows, length = struct.unpack("<HHI", take(8))
        answer = Answer(status, take(length), [])
        for _ in range(rows):
            score, confidence, *sizes = struct.unpack("<ddHII", take(26))
            unseen, output, features = map(take, sizes)
            names = unseen.decode().split("\x1f") if unseen else []
            told = json.loads(b"{%b}" % output)
            answer.rows.append(Row(score, confidence, names, told, json.loads(features), features))
        answers.append(answer)
    assert at == len(inner)
    return answers


class Worker:
    def __init__(
        self,
        package: Path,
        path: Path,
        *words: str,
        python: Path | str = sys.executable,
        env: dict[str, str] | None = None,
        script: Path = WORKER,
    ) -> None:
        self.path = path
        self.log = path.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(python), "-P", str(script), str(package), "--socket", str(path), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready: dict[str, Any] = json.loads(line)
        self.connection: socket.socket | None = None

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(self.path))
        return connection

    def exchange(self, items: Sequence[Item], batch: int = 7) -> list[Answer]:
        if self.connection is None:
            self.connection = self.connect()
        self.connection.sendall(frame(items, batch))
        return receive(self.connection, batch)

    def ask(self, kind: int, body: Any, extra: int = 0) -> Answer:
        """One request; a body that is no bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.exchange([(kind, extra, raw)])[0]

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def receive(connection: socket.socket, batch: int = 7) -> list[Answer]:
    size, echoed, count = struct.unpack("<IIH", exactly(connection, 10))
    assert echoed == batch
    return parse(count, exactly(connection, size))


def exactly(connection: socket.socket, size: int) -> bytes:
    pieces = b""
    while len(pieces) < size:
        more = connection.recv(size - len(pieces))
        assert more, "the worker closed the connection"
        pieces += more
    return pieces


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
