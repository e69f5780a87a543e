"""What a supervisor has done from time to time: it begins late, goes on after failures, and ends at once."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from mlproj.serving import chores

_NEVER = 3600.0
_PATIENCE_S = 30.0


def _writes(path: Path, and_then: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"open({str(path)!r}, 'a').write('x'); {and_then}")


async def _until(path: Path, size: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


def test_a_chore_that_fails_is_tried_again_and_one_that_takes_long_is_ended_with_the_supervisor(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        for name, size, ends in (
            ("fails", 2, "raise SystemExit(1)"),
            ("lasts", 1, "import time; time.sleep(600)"),
        ):
            stopping = asyncio.Event()
            command = _writes(tmp_path / name, ends)
            task = asyncio.create_task(chores.repeat(command, stopping, first_s=0.0, every_s=0.0))
            await _until(tmp_path / name, size)
            stopping.set()
            await asyncio.wait_for(task, _PATIENCE_S)

    asyncio.run(story())
    assert (tmp_path / "lasts").read_text() == "x"


def test_a_chore_does_not_begin_before_its_time_nor_after_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        stopping = asyncio.Event()
        command = _writes(tmp_path / "early", "pass")
        task = asyncio.create_task(chores.repeat(command, stopping, first_s=_NEVER))
        await asyncio.sleep(0)
        stopping.set()
        await asyncio.wait_for(task, _PATIENCE_S)

    asyncio.run(story())
    assert not (tmp_path / "early").exists()


def test_a_program_that_is_not_there_is_no_end_of_the_supervisor(tmp_path: Path) -> None:
    async def story() -> None:
        stopping = asyncio.Event()
        missing = (str(tmp_path / "nothing"),)
        task = asyncio.create_task(chores.repeat(missing, stopping, first_s=0.0, every_s=0.01))
        await asyncio.sleep(0.05)
        assert not task.done()
        stopping.set()
        await asyncio.wait_for(task, _PATIENCE_S)

    asyncio.run(story())
