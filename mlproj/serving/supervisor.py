"""Owns the listening socket, and keeps a gateway and one worker a live version running.

The supervisor's state is the store's: what it has to run is read from the routes and deployments there, so
that one that was killed goes on where it stood. Its children end with it: the pipes they hold break. The
store is read in a thread, since it may be a server that is away: then all goes on as it was last read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mlproj.base import files
from mlproj.base.errors import MlprojError
from mlproj.project import POSTGRES
from mlproj.serving import admin, briefing, children, chores, shipping, store, workers
from mlproj.serving.aside import aside, leave_if_busy
from mlproj.serving.briefing import Live
from mlproj.serving.deployment import PRIMARY, Place, Standing, State, Version
from mlproj.serving.gateway_process import Gateway
from mlproj.serving.settings import NODE, Settings, node_name
from mlproj.serving.store import Store
from mlproj.serving.workers import Key, Worker

if TYPE_CHECKING:
    from mlproj.serving.postgres import Election

_TICK_S = 0.2
# How often a store that other machines write to is read.
_SHARED_TICK_S = 0.5
# For what the log still has to be shipped at the end.
_SHIP_S = 5.0
_DRAIN_S = 30.0
_BACKLOG = 2048


@dataclass(frozen=True, kw_only=True)
class View:
    """What a controller is told of the processes: by version, when its worker became ready (Unix time in
    seconds) and how often it has been started again. Of a version that has two (a shadow's runs in the
    background), the later start, and the restarts of both."""

    ready_since: Mapping[int, float]
    restarts: Mapping[int, int]


class Controller(Protocol):
    """Steps a rollout. Runs in one thread of its own, so it may take its time."""

    def look(self, view: View) -> None: ...


Said = TypeVar("Said")
# Has a version on this machine, which may take minutes. Runs in a thread.
Prepare = Callable[[Version], Place]


class Badge:
    """The number of this machine, and the right to it where machines share a store."""

    def __init__(self, opened: Store, name: str, postgres: str | None) -> None:
        self._name = name
        self.node = opened.node(name)
        self._election: Election | None = None
        if postgres is not None:
            from mlproj.serving.postgres import Election

            self._election = Election(postgres, f"node {self.node}")

    def show(self) -> None:
        """Raises MlprojError where another supervisor has this number: both would give the same ids."""
        if self._election is not None and not self._election.won():
            raise MlprojError(
                f"another supervisor serves as `{self._name}`", hint=f"give each its own name, in `{NODE}`"
            )


class Supervisor:
    """One a project; `run` returns when it was asked to stop and everything has been drained."""

    def __init__(
        self,
        home: Path,
        model: str,
        settings: Settings,
        listener: socket.socket,
        controller: Controller,
        prepare: Prepare,
    ) -> None:
        self._home, self._model, self._settings = home, model, settings
        self._listener = listener
        self._controller = controller
        self._prepare = prepare
        self._folder = admin.sockets(home)
        # Used by the one thread of `_office` only.
        self._store: Store | None = None
        self._office = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._badge: Badge | None = None
        self._node = 0
        self._standing: Standing | None = None
        # The primary that answers here: a new one takes over when its worker on this machine is warm.
        self._primary: Live | None = None
        self._told: object = None
        # By role, the versions whose workers the gateway was told last.
        self._in_use: dict[str, int] = {}
        self._asked = self._read_at = self._done_at = 0
        self._news = asyncio.Event()
        self._shipping: asyncio.subprocess.Process | None = None
        self._workers: dict[Key, Worker] = {}
        self._gateway = Gateway(home, listener)
        self._poked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._fault: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._since = time.time()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or an admin's stop; then drain.

        Raises MlprojError, drained as well, where it ended because a part of it failed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        admin_path = self._folder / "admin.sock"
        admin_path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._answer, path=str(admin_path))
        finally:
            os.umask(before)
        self._write_card(admin_path)
        try:
            async with server:
                self._begin_shipping()
                self._spawn(self._gateway.keep(self._stopping, began=self._poked.set, hung=self._hung))
                self._spawn(self._keep_reading())
                self._spawn(self._keep_looking())
                self._spawn(self._keep_sealing())
                if self._settings.keep_wheels:
                    self._spawn(chores.repeat(chores.WHEELS, self._stopping))
                while not self._stopping.is_set():
                    self._poked.clear()
                    if self._standing is not None:
                        at = self._read_at
                        await self._reconcile(self._standing)
                        self._done_at = at
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._poked.wait(), _TICK_S)
                await self._drain()
        finally:
            admin.card(self._home).unlink(missing_ok=True)
            admin_path.unlink(missing_ok=True)
            self._office.shutdown(wait=False, cancel_futures=True)
        if self._fault is not None:
            raise MlprojError(
                f"the supervisor ended, with all answered, because a part of it failed: {self._fault!r}",
                hint="start it again: it goes on where it stood",
            ) from self._fault

    def _write_card(self, admin_path: Path) -> None:
        said = {"pid": os.getpid(), "admin": str(admin_path), "url": self.url, "since": self._since}
        files.write_json(admin.card(self._home), said)

    # The store

    async def _in_store(self, work: Callable[[Store], Said]) -> Said:
        return await asyncio.get_running_loop().run_in_executor(self._office, self._with_store, work)

    def _with_store(self, work: Callable[[Store], Said]) -> Said:
        if self._store is None:
            self._store = store.open(self._home, self._settings.postgres)
        return work(self._store)

    def _read(self, opened: Store) -> tuple[int, Standing]:
        if self._badge is None:
            self._badge = Badge(opened, node_name(self._home), self._settings.postgres)
        self._badge.show()
        return self._badge.node, opened.standing()

    async def _keep_reading(self) -> None:
        """Keep what has to run at hand, and tell the store what came of it here."""
        fault = ""
        tick_s = _SHARED_TICK_S if self._settings.postgres else _TICK_S
        while not self._stopping.is_set():
            self._news.clear()
            asked = self._asked
            try:
                self._node, standing = await self._in_store(self._read)
                self._standing = standing
                self._read_at = asked
                self._poked.set()
                if fault:
                    children.say("the deployments can be read again")
                fault = ""
                if await self._tell_store(standing):
                    continue
            except MlprojError as error:
                # What runs goes on as it is until the store can be read again.
                if not fault:
                    children.say(f"the deployments cannot be read: {error}")
                fault = str(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), tick_s)

    async def _tell_store(self, standing: Standing) -> bool:
        """How workers do, to the machines that share it; what came of a deployment. True if that was new."""
        if self._settings.postgres is not None:
            # One a version: one that is leaving may have its number from the one that follows it.
            known = sorted(self._workers.values(), key=lambda each: not each.leaving)
            workers = [
                (version, each.since, each.restarts)
                for version, each in {each.key.version: each for each in known}.items()
            ]
            said = (workers, standing.active and standing.active.id)
            if said != self._told:
                await self._in_store(lambda opened: opened.tell_workers(self._node, workers))
                self._told = said
        return await self._start_deployments(standing)

    def _poke(self) -> None:
        self._news.set()
        self._poked.set()

    # What should run

    async def _reconcile(self, standing: Standing) -> None:
        live = self._in_force(standing)
        wanted = self._wanted(standing, live)
        for key in wanted - self._workers.keys():
            self._workers[key] = Worker(key=key, socket=self._folder / key.socket_name)
        for worker in self._workers.values():
            worker.leaving = worker.key not in wanted
            worker.told = worker.told and worker.leaving
            if not worker.leaving and worker.task is None and time.monotonic() >= worker.not_before:
                worker.task = self._spawn(worker.live(self._place, self._settings, self._poke))
        brief = briefing.brief(
            live, self._workers, model=self._model, node=self._node, settings=self._settings
        )
        await self._gateway.tell(brief)
        self._in_use = {route["role"]: route["version"] for route in brief["routes"] if route["socket"]}
        for key, worker in list(self._workers.items()):
            if worker.leaving and worker.task is None:
                del self._workers[key]
            elif worker.leaving and not worker.told and self._gateway.is_current:
                worker.told = True
                # What the gateway had sent before it knew is answered within a deadline.
                self._spawn(worker.leave(self._settings.timeout_s))

    def _in_force(self, standing: Standing) -> dict[str, Live]:
        """By role, what answers here. The machine that loads a version first gives it its route; on the
        others the primary before goes on until the new one is warm, unless it was taken off: then it is
        better that nobody answers for a moment than that it does."""
        live = {
            role: Live(
                route=route,
                deployment=standing.deployments[route.deployment],
                version=standing.versions[route.version],
            )
            for role, route in standing.routes.items()
        }
        new, old = live.get(PRIMARY), self._primary
        if (
            new is not None
            and old is not None
            and new.route.version != old.route.version
            and (old.route.deployment not in standing.withdrawn)
        ):
            fresh, stale = (
                self._workers.get(workers.key(PRIMARY, each.version, live)) for each in (new, old)
            )
            if (fresh is None or fresh.ready is None) and stale is not None and stale.ready is not None:
                return {**live, PRIMARY: old}
        self._primary = new
        return live

    def _wanted(self, standing: Standing, live: Mapping[str, Live]) -> set[Key]:
        routes, versions = standing.routes, standing.versions
        wanted = {workers.key(route.role, versions[route.version], routes) for route in routes.values()}
        wanted |= {workers.key(role, each.version, routes) for role, each in live.items()}
        active = standing.active
        if active is not None and active.state is State.STARTING:
            wanted.add(workers.key(active.mode, versions[active.version], routes))
        return wanted

    async def _start_deployments(self, standing: Standing) -> bool:
        """Give a deployment its route as soon as its worker is warm; end it if it cannot be loaded."""
        active = standing.active
        if active is None or active.state is not State.STARTING:
            return False
        number = active.id
        worker = self._workers.get(
            workers.key(active.mode, standing.versions[active.version], standing.routes)
        )
        if worker is not None and worker.ready is not None:
            share = float((active.plan.get("shares") or [1.0])[0])
            await self._in_store(lambda opened: opened.loaded(number, share=share))
            return True
        if worker is not None and worker.error and worker.failures:
            why = worker.error
            await self._in_store(lambda opened: opened.fail(number, why))
            return True
        return False

    # The workers

    def _hung(self, version: int) -> None:
        for worker in self._workers.values():
            # One that is leaving ends by itself, and may have its number from the one that follows it.
            if worker.key.version == version and not worker.leaving:
                worker.hung()

    async def _place(self, key: Key) -> Place:
        """Where a version lies on this machine, brought here first if need be."""
        version = self._standing.versions.get(key.version) if self._standing is not None else None
        if version is None or version.digest != key.digest:
            raise MlprojError(f"version {key.version} is not deployed any more")
        wanted = version
        place: Place | None = await self._in_store(lambda opened: opened.place(wanted))
        return place if place is not None else await aside(partial(self._prepare, wanted))

    # Beside them

    def _begin_shipping(self) -> None:
        """Where machines share a store, a day is sealed when it has been shipped; else there is no cursor."""
        if self._settings.postgres is None:
            shipping.forget(self._home)
        else:
            shipping.begin(self._home)
            self._spawn(self._keep_shipping(self._settings.postgres))

    async def _keep_shipping(self, url: str) -> None:
        """Bring the log to PostgreSQL, in a process of its own."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._shipping = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "mlproj.serving.spool", "--until-eof", str(self._home)),
                    stdin=asyncio.subprocess.PIPE,
                    # Not on its command line, which everybody on this machine can read.
                    env={**os.environ, POSTGRES: url},
                    start_new_session=True,
                )
                ended = str(await self._shipping.wait())
            except OSError as error:
                ended = str(error)
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - began > children.STEADY_S else failures + 1
            children.say(f"shipping the log ended with {ended}; it is started again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), children.pause_s(failures))

    async def _keep_looking(self) -> None:
        """Ask the controller once a second; a look that fails is said, and tried again."""
        fault = ""
        while not self._stopping.is_set():
            try:
                await aside(partial(self._controller.look, _view(self._workers)))
            except Exception as error:
                # A rollout that cannot be judged stays where it is; the traffic must not suffer for it.
                said = f"the rollout could not be judged: {type(error).__name__}: {error}"
                if said != fault:
                    children.say(said + "".join(traceback.format_tb(error.__traceback__)[-2:]))
                fault = said
            self._poked.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    async def _keep_sealing(self) -> None:
        """Turn the segments of past days into Parquet, at start and once an hour, in a process of its own."""
        failures = 0
        while not self._stopping.is_set():
            try:
                sealing = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "mlproj.serving.sealing", str(self._home)),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                failures += 1
                children.say(f"past days cannot be sealed: {error}; it is tried again")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), children.pause_s(failures))
                continue
            failures = 0
            stopped = asyncio.ensure_future(self._stopping.wait())
            ended = asyncio.ensure_future(sealing.wait())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                sealing.terminate()
                await ended
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped, 3600.0)

    # Admin

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = children.parsed(await asyncio.wait_for(reader.readline(), 5.0))
            writer.write(json.dumps(self._do(str(said.get("op")))).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # Gone, silent, or one who sends what is no line of ours.
        finally:
            writer.close()

    def _do(self, op: str) -> dict[str, Any]:
        match op:
            case "poke":
                self._asked += 1
                self._poke()
            case "stop":
                self._stopping.set()
                self._poked.set()
        return {
            "pid": os.getpid(),
            "url": self.url,
            "since": self._since,
            "gateway": {
                "pid": self._gateway.process.pid if self._gateway.process else None,
                "ready": self._gateway.is_ready
                and self._standing is not None
                and self._gateway.is_current
                and self._done_at == self._asked,
                "stats": self._gateway.stats,
            },
            "in_force": self._in_use,
            "workers": [worker.about() for worker in self._workers.values()],
        }

    async def _drain(self) -> None:
        """Let the gateway answer what it has accepted, then end the workers."""
        await self._gateway.drain(_DRAIN_S)
        self._listener.close()
        for worker in self._workers.values():
            worker.leaving = True
        # All that will be logged has been: the last of it is shipped while the workers end.
        ending = [worker.process for worker in self._workers.values()] + [self._shipping]
        running = [process for process in ending if process is not None]
        for process in running:
            children.terminate(process)
        await asyncio.gather(*(children.ended(process, _SHIP_S) for process in running))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)
        return task

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._stopping.is_set():
            # One of its keepers is gone: better an end that a service manager sees than half a supervisor.
            self._fault = task.exception()
            children.say("stopping: " + "".join(traceback.format_exception(self._fault)))
            self._stopping.set()
            self._poked.set()


def _view(running: Mapping[Key, Worker]) -> View:
    ready_since: dict[int, float] = {}
    restarts: dict[int, int] = {}
    for key, worker in running.items():
        restarts[key.version] = restarts.get(key.version, 0) + worker.restarts
        if worker.ready is not None:
            ready_since[key.version] = max(ready_since.get(key.version, 0.0), worker.since)
    return View(ready_since=ready_since, restarts=restarts)


def listen(host: str, port: int) -> socket.socket:
    """The socket that clients come to. Raises MlprojError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise MlprojError(
            f"`{host}:{port}` cannot be listened on: {error.strerror}",
            hint=f"see who does with `ss -ltnp | grep {port}`, or serve elsewhere with `--port {port + 1}`",
        ) from error
    listener.setblocking(False)
    return listener


def run(
    home: Path,
    model: str,
    settings: Settings,
    listener: socket.socket,
    controller: Controller,
    prepare: Prepare,
) -> None:
    """Supervise until told to stop. Ends the process where something goes on that takes long."""

    async def main() -> None:
        await Supervisor(home, model, settings, listener, controller, prepare).run()

    asyncio.run(main())
    leave_if_busy()
