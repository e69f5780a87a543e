"""
The gateway process: HTTP on an inherited socket, versions behind Unix sockets, the log between them.

    python -m mlproj.serving.gateway --listen-fd N --control-fd M --home DIR

It decides nothing that outlives it: routes and settings come from the supervisor, all of them each time, so a
gateway started anew serves exactly as the one before it did.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal
import socket
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import uvloop

from mlproj.serving import application, backlog, ids, segments
from mlproj.serving.bridge import Bridge
from mlproj.serving.channel import Failure
from mlproj.serving.connection import Connection
from mlproj.serving.control import Control, Settings
from mlproj.serving.desk import Desk
from mlproj.serving.front import MOST_CONNECTIONS, Front
from mlproj.serving.log import Writer
from mlproj.serving.metrics import Metrics
from mlproj.serving.routing import Table

_TICK_S = 0.05
_SWEEP_S = 1.0
_BACKLOG = 2048
# Draining: for accepting who has connected, for what open connections may still send, and for all of it.
_BACKLOG_S = 0.05
_MOST_BACKLOG_S = 1.0
_GRACE_S = 0.5
_DRAIN_S = 20.0
# Beside the clients': workers', the log's, those who are told that there are too many, and the program's own.
_OTHER_FILES = 500


class Gateway:
    """One process's parts, from the first route to the last answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, home: Path, listener: socket.socket) -> None:
        self._loop = loop
        self._listener = listener
        self._metrics = Metrics()
        # Before there is a writer that begins a new day's file.
        self._last_id = _last_id(home)
        self._writer = Writer(home, loop)
        self._desk = Desk(loop, self._writer, self._metrics, broken=self._broken)
        self._bridge = Bridge(loop, application.build(home, self._desk), self._metrics)
        self._front = Front(self._desk, self._bridge.handle)
        self._control = Control(self._heard, self._drain_last)
        self._node: int | None = None
        self._ids = ids.Generator(0)
        self._served: dict[int, int] = {}
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._may_accept = asyncio.Event()
        self._draining = asyncio.Event()
        self._is_last = False

    async def run(self, control: socket.socket) -> None:
        """Serve until told to drain, then answer what was accepted and flush the log."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._drain)
        server = await self._loop.create_server(
            lambda: Connection(self._front), sock=self._listener, backlog=_BACKLOG, start_serving=False
        )
        await self._loop.create_connection(lambda: self._control, sock=control)
        self._control.tell("ready")
        keepers = [asyncio.create_task(work()) for work in (self._apply_all, self._tick, self._report)]
        try:
            # Until the routes are known, clients wait in the socket's backlog rather than being refused.
            await self._either(self._may_accept, keepers)
            await server.start_serving()
            gc.collect()
            gc.freeze()
            await self._either(self._draining, keepers)
            await self._accept_last(server)
            await self._answer_all()
        finally:
            for keeper in keepers[1:]:
                keeper.cancel()
            await self._loop.run_in_executor(None, self._writer.close)
            # The last commits' callbacks are with the loop now.
            await asyncio.sleep(0)

    async def _either(self, event: asyncio.Event, keepers: list[asyncio.Task[None]]) -> None:
        """Wait for the event, or the order to drain; raises what ended a keeper.

        Without one of its keepers the gateway is half one: better to end, and be started again.
        """
        waits = [asyncio.create_task(one.wait()) for one in (event, self._draining)]
        await asyncio.wait([*waits, *keepers], return_when=asyncio.FIRST_COMPLETED)
        for keeper in keepers:
            if keeper.done():
                keeper.result()
        for wait in waits:
            wait.cancel()

    def _drain(self) -> None:
        self._front.is_draining = True
        self._draining.set()

    def _drain_last(self) -> None:
        """The supervisor stops, or is gone: no gateway comes after this one."""
        self._is_last = True
        self._drain()

    async def _accept_last(self, server: asyncio.AbstractServer) -> None:
        """Accept those in the backlog. Who comes later waits there for the next gateway; where none comes,
        they are refused before they have sent anything, rather than reset when the socket is closed."""
        with self._listener.dup() as listener:
            if self._is_last:
                backlog.hear_no_newcomers(listener)
            until = time.monotonic() + _MOST_BACKLOG_S
            await asyncio.sleep(_BACKLOG_S)
            while self._is_last and backlog.waiting(listener) and time.monotonic() < until:
                await asyncio.sleep(_BACKLOG_S / 10)
            server.close()
            if self._is_last:
                # For the supervisor too, who holds the same socket.
                backlog.refuse(listener)

    async def _answer_all(self) -> None:
        """Until nobody waits, and open connections, whose next answer is their last, are quiet or gone."""
        started = quiet_since = time.monotonic()
        seen = -1
        while (now := time.monotonic()) - started < _DRAIN_S:
            busy = self._desk.unanswered + self._bridge.unanswered
            total = self._metrics.requests.total() + self._metrics.others.total()
            if busy or total != seen:
                seen, quiet_since = total, now
            elif now - quiet_since >= _GRACE_S or not self._front.connections:
                break
            await asyncio.sleep(0.02)
        for connection in tuple(self._front.connections):
            connection.dismiss()

    def _heard(self, message: dict[str, Any]) -> None:
        if message.get("op") == "drain":
            self._drain_last()
        elif message.get("op") == "routes":
            self._messages.put_nowait(message)

    async def _apply_all(self) -> None:
        """Each set of routes after the one before it."""
        while True:
            message = await self._messages.get()
            try:
                settings = Settings.from_message(message["settings"])
                table = Table.from_messages(int(message["generation"]), message["routes"])
                node = int(message["node"])
            except (KeyError, TypeError, ValueError) as error:
                # The routes in force go on; the supervisor never hears `applied`.
                print(f"routes that cannot be read: {error!r}", file=sys.stderr, flush=True)
                continue
            if node != self._node:
                self._node, self._ids = node, ids.Generator(node, after=self._last_id)
            self._front.apply(settings)
            await self._desk.apply(settings, table, self._ids)
            self._may_accept.set()
            self._control.tell("applied", generation=table.generation)

    def _broken(self, version: int, failure: Failure) -> None:
        self._control.tell("hung", version=version, reason=failure.code)

    async def _tick(self) -> None:
        swept = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            self._desk.tick()
            if time.monotonic() - swept >= _SWEEP_S:
                swept = time.monotonic()
                self._front.sweep()

    async def _report(self) -> None:
        """Tell the supervisor each second how it goes: totals since the start, shares of the last second."""
        before: dict[str, int] = {}
        while True:
            await asyncio.sleep(1.0)
            metrics = self._metrics
            served: dict[str, int] = {}
            for (_, _, version, _), count in metrics.requests.items():
                served[str(version)] = served.get(str(version), 0) + count
            recent = {version: count - before.get(version, 0) for version, count in served.items()}
            total = sum(recent.values())
            self._control.tell(
                "stats",
                requests=sum(served.values()),
                errors=metrics.errors(),
                shadow_dropped=metrics.shadow_drops.total(),
                log_failed=metrics.log_failures,
                shares={version: count / total for version, count in recent.items() if count},
            )
            before = served


def _last_id(home: Path) -> int:
    try:
        return segments.last_id(home)
    except sqlite3.OperationalError:
        # A gateway was killed between making a day's file and the table in it.
        for day in segments.hot_days(home):
            with closing(segments.create(segments.path(home, day), wait_s=1.0)):
                pass
        return segments.last_id(home)


def _allow_files(connections: int) -> None:
    """Many systems let a process have 1,024 files at first, and each connection is one."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="mlproj.serving.gateway", description=__doc__.split("\n\n")[0])
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    given = parser.parse_args(argv)
    listener = socket.socket(fileno=given.listen_fd)
    control = socket.socket(fileno=given.control_fd)
    for one in (listener, control):
        one.setblocking(False)
        one.set_inheritable(False)
    _allow_files(MOST_CONNECTIONS)
    # Requests leave no cycles behind; looking for some often is felt in p99.
    gc.set_threshold(50_000, 20, 50)

    async def serve() -> None:
        await Gateway(asyncio.get_running_loop(), given.home, listener).run(control)

    uvloop.run(serve())


if __name__ == "__main__":
    main()
