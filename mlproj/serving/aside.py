"""Work in threads that a stop does not wait for: a look over a long log, an environment being built."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

Said = TypeVar("Said")
# For a thread that is as good as done, at the end.
_LINGER_S = 1.0

_running: set[threading.Thread] = set()


async def aside(work: Callable[[], Said]) -> Said:
    """What `work` returns or raises, in a thread of its own. (asyncio waits for those of `to_thread`.)"""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Said] = loop.create_future()

    def answer(said: Said) -> None:
        if not found.done():
            found.set_result(said)

    def fail(error: Exception) -> None:
        if not found.done():
            found.set_exception(error)

    def run() -> None:
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            try:
                said = work()
            except Exception as error:
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(answer, said)

    _running.difference_update({thread for thread in _running if not thread.is_alive()})
    thread = threading.Thread(target=run, daemon=True)
    _running.add(thread)
    thread.start()
    return await found


def leave_if_busy() -> None:
    """End the process, with 0, where such work goes on; to be called when all else is done.

    What it does is whole or not at all, whenever it is cut off. The interpreter's own end would abort where
    such a thread is inside of DuckDB.
    """
    for thread in _running:
        thread.join(_LINGER_S)
    if any(thread.is_alive() for thread in _running):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
