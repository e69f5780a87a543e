"""What goes wrong with one worker, or one keeper, stays its own trouble; what does not ends with an error."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import MlprojError
from mlproj.serving import supervisor, workers
from mlproj.serving.deployment import Place, Version
from mlproj.serving.settings import Settings
from mlproj.serving.supervisor import Supervisor, View
from mlproj.serving.workers import Key, Worker


class Nobody:
    def look(self, view: View) -> None:
        pass


def supervise(home: Path) -> Supervisor:
    def prepare(version: Version) -> Place:
        raise MlprojError(f"version {version.number} is nowhere")

    return Supervisor(home, "toys", Settings(), supervisor.listen("127.0.0.1", 0), Nobody(), prepare)


def worker(tmp_path: Path) -> Worker:
    return Worker(key=Key(1, "d" * 64, False), socket=tmp_path / "v1.sock")


def test_what_keeps_a_package_from_this_machine_is_the_workers_error(tmp_path: Path) -> None:
    one = worker(tmp_path)

    async def find(key: Key) -> Place:
        raise OSError(errno.ENOSPC, "No space left on device")

    asyncio.run(one.live(find, Settings(), lambda: None))
    assert "No space left on device" in one.error
    assert (one.failures, one.process, one.task) == (1, None, None)


@pytest.mark.parametrize("length", [100_000, 3_000_000], ids=["long", "longer than is read"])
def test_a_worker_that_says_more_than_anybody_reads_has_an_error_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import json\nprint(json.dumps({{'ready': False, 'error': 'x' * {length}}}))\n")
    monkeypatch.setattr(workers, "PROGRAM", program)
    one = worker(tmp_path)

    async def find(key: Key) -> Place:
        return Place(version=1, digest=key.digest, folder=tmp_path, python=Path(sys.executable))

    asyncio.run(asyncio.wait_for(one.live(find, Settings(), lambda: None), 30))
    assert 0 < len(one.error) <= 4096
    assert (one.failures, one.process) == (1, None)


def test_a_process_that_cannot_be_made_for_sealing_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = []

    async def work() -> None:
        one = supervise(tmp_path)

        async def fork(*_: Any, **__: Any) -> Any:
            tries.append(1)
            if len(tries) == 2:
                one._stopping.set()
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", fork)
        with one._listener:
            await asyncio.wait_for(one._keep_sealing(), 10)

    asyncio.run(work())
    assert len(tries) == 2
    assert "past days cannot be sealed: [Errno 11]" in capsys.readouterr().err


_LOOKS_LONG = """
import os, signal, sys, threading
from pathlib import Path
import duckdb
from mlproj.serving import supervisor
from mlproj.serving.settings import Settings

class Thorough:
    def look(self, view):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        duckdb.connect().execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b")

listener = supervisor.listen("127.0.0.1", 0)
supervisor.run(Path(sys.argv[1]), "toys", Settings(), listener, Thorough(), None)
"""


def test_a_stop_does_not_wait_for_a_look_over_a_long_log(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOKS_LONG, str(tmp_path)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "terminate called" not in done.stderr


def test_an_end_because_a_keeper_died_is_an_error_and_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        one = supervise(tmp_path)

        async def die() -> None:
            raise RuntimeError("a keeper's end")

        monkeypatch.setattr(one, "_keep_sealing", die)
        try:
            await asyncio.wait_for(one.run(), 60)
        finally:
            assert one._gateway.process is not None
            assert one._gateway.process.returncode is not None

    with pytest.raises(MlprojError, match="a part of it failed: RuntimeError"):
        asyncio.run(work())
