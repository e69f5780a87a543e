"""What a supervisor has done beside serving, rarely, by a process that stands behind all others."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from mlproj.serving import children

# Late enough that whoever deploys and looks at once, or tries something out, has the machine to themselves.
FIRST_S = 600.0
EVERY_S = 86_400.0
_END_S = 10.0
WHEELS = (sys.executable, "-m", "mlproj", "wheels", "--background")


async def repeat(
    command: Sequence[str],
    stopping: asyncio.Event,
    *,
    first_s: float = FIRST_S,
    every_s: float = EVERY_S,
) -> None:
    """Run a program after a while, and again from time to time, until asked to stop; then it is ended.

    What it says goes into the supervisor's log. That it fails is its own matter: it is tried again.
    """
    pause_s = first_s
    while not await _is_set_within(stopping, pause_s):
        pause_s = every_s
        try:
            child = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=2, start_new_session=True
            )
        except OSError as error:
            children.say(f"`{' '.join(command[-3:])}` could not be started: {error}")
            continue
        stopped = asyncio.ensure_future(stopping.wait())
        ended = asyncio.ensure_future(child.wait())
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            children.terminate(child)
            await children.ended(child, _END_S)
        stopped.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stopped


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
