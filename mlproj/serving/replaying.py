"""A worker asked offline: the program that serves a version, given rows by itself and by nobody else."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlproj.base.errors import MlprojError
from mlproj.serving import children, frames
from mlproj.serving.frames import Answer, Kind
from mlproj.serving.workers import PROGRAM

_LOAD_S = 180.0
_ANSWER_S = 120.0
_END_S = 5.0
# As many single rows as the original engine answers in the time of one.
_AT_ONCE = 64
_LONGEST_ERROR = 2000


@dataclass(frozen=True, kw_only=True)
class Line:
    """A worker that is ready. `differs` says which row that travels with the package it answers otherwise
    than it was answered at packaging; empty where all are the same."""

    engine: str
    differs: str
    _line: socket.socket

    def ask(self, rows: Sequence[bytes]) -> list[Answer]:
        """The answers to rows, each a request of its own: a JSON object with the model's inputs.

        Raises MlprojError if the worker ends before it has answered.
        """
        found: list[Answer] = []
        decoder = frames.Decoder()
        try:
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                self._line.sendall(frames.encode(start & 0xFFFF, [(Kind.PREDICT, 0, row) for row in some]))
                found += self._answers(decoder)
        except (OSError, frames.BrokenFrame) as error:
            raise MlprojError(f"the worker stopped answering: {error}") from error
        return found

    def _answers(self, decoder: frames.Decoder) -> list[Answer]:
        while True:
            piece = self._line.recv(1 << 20)
            if not piece:
                raise MlprojError("the worker ended before it had answered")
            for _, answers in decoder.feed(piece):
                return answers


@contextmanager
def asked(python: Path, folder: Path, *, digest: str | None, engine: str) -> Iterator[Line]:
    """The worker of a package, with one of its engines; it ends with the block.

    It reads and checks the package and the rows as it does when it serves. Raises MlprojError with its own
    words if it cannot be loaded.
    """
    # Not below the project's folder: the path of a Unix socket has a hundred bytes at most.
    with tempfile.TemporaryDirectory(prefix="mlproj-replay-") as place, tempfile.TemporaryFile() as errors:
        path = Path(place) / "worker.sock"
        command = [str(python), "-P", str(PROGRAM), str(folder), "--socket", str(path), "--engine", engine]
        command += ["--even-if-different", *(["--digest", digest] if digest else [])]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=children.environment(),
            )
        except OSError as error:
            raise MlprojError(f"`{python}` cannot be started: {error.strerror}") from error
        try:
            said = children.parsed(_first_line(process))
            if not said.get("ready"):
                why = str(said.get("error") or _end(errors) or "it ended before it was ready")
                raise MlprojError(why[:_LONGEST_ERROR])
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(_ANSWER_S)
                line.connect(str(path))
                yield Line(engine=str(said["engine"]), differs=str(said.get("differs") or ""), _line=line)
        finally:
            _finish(process)


def is_row(features: bytes) -> bool:
    """Whether a record's features are one row, as the worker wrote them."""
    try:
        return isinstance(json.loads(features), dict)
    except ValueError:
        return False


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """What it says of itself once it has loaded; nothing if it ends, or takes too long."""
    out = process.stdout
    assert out is not None
    until, said = time.monotonic() + _LOAD_S, b""
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([out], [], [], max(0.0, until - time.monotonic()))
        piece = out.read1() if ready and hasattr(out, "read1") else b""
        if not piece:
            return said
        said += piece
    return said


def _end(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _finish(process: subprocess.Popen[bytes]) -> None:
    """The end of its standard input is what tells a worker that nobody is there any more."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
