"""Owns the listening socket, and keeps a gateway and one worker a live version running.

The supervisor's state is the store's: what it has to run is read from the routes and deployments there, so
that one that was killed goes on where it stood. Its children end with it: the pipes they hold break.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlproj.base import files
from mlproj.base.errors import MlprojError
from mlproj.serving import admin
from mlproj.serving.settings import Settings
from mlproj.serving.store import CANARY, KEPT, PRIMARY, SHADOW, Route, State, Store

WORKER = Path(__file__).with_name("worker.py")
_TICK_S = 0.2
_LOAD_S = 120.0
_DRAIN_S = 30.0
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# One that has run this long has recovered: its next crash is a first one.
_STEADY_S = 60.0
_BACKLOG = 2048


@dataclass(frozen=True, kw_only=True)
class View:
    """What a controller is told of the processes: by version, when its worker became ready (Unix time in
    seconds) and how often it has been started again."""

    ready_since: Mapping[int, float]
    restarts: Mapping[int, int]


class Controller(Protocol):
    """Steps a rollout. Runs in one thread of its own, so it may take its time."""

    def look(self, view: View) -> None: ...


@dataclass(frozen=True)
class Key:
    """A worker: a shadow's runs with what the machine has to spare, so it is not the one that answers."""

    version: int
    background: bool


@dataclass
class Worker:
    key: Key
    socket: Path
    process: asyncio.subprocess.Process | None = None
    ready: Mapping[str, Any] | None = None
    ready_at: float = 0.0
    error: str = ""
    failures: int = 0
    restarts: int = 0
    not_before: float = 0.0
    leaving: bool = False
    told: bool = False
    task: asyncio.Task[None] | None = None


@dataclass
class Gateway:
    process: asyncio.subprocess.Process | None = None
    control: asyncio.StreamWriter | None = None
    is_ready: bool = False
    applied: int = 0
    failures: int = 0
    started_at: float = 0.0
    stats: Mapping[str, Any] = field(default_factory=dict)


class Supervisor:
    """One a project; `run` returns when it was asked to stop and everything has been drained."""

    def __init__(
        self, home: Path, model: str, settings: Settings, listener: socket.socket, controller: Controller
    ) -> None:
        self._home, self._model, self._settings = home, model, settings
        self._listener = listener
        self._controller = controller
        self._folder = admin.sockets(home)
        self._store = Store(home / "serving.db")
        self._node = self._store.node(socket.gethostname())
        self._workers: dict[Key, Worker] = {}
        self._gateway = Gateway()
        self._generation = 0
        self._sent: str = ""
        self._poked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._since = time.time()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or an admin's stop; then drain."""
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
                self._spawn(self._keep_gateway())
                self._spawn(self._keep_looking())
                self._spawn(self._keep_sealing())
                fault = ""
                while not self._stopping.is_set():
                    try:
                        await self._reconcile()
                        fault = ""
                    except (MlprojError, sqlite3.Error) as error:
                        # What runs goes on as it is until the store can be read again.
                        if str(error) != fault:
                            _say(f"the deployments cannot be read: {error}")
                        fault = str(error)
                    self._poked.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._poked.wait(), _TICK_S)
                await self._drain()
        finally:
            admin.card(self._home).unlink(missing_ok=True)
            admin_path.unlink(missing_ok=True)
            self._store.close()

    def _write_card(self, admin_path: Path) -> None:
        said = {"pid": os.getpid(), "admin": str(admin_path), "url": self.url, "since": self._since}
        files.write_json(admin.card(self._home), said)

    # What should run

    async def _reconcile(self) -> None:
        wanted = self._wanted()
        for key in wanted - self._workers.keys():
            name = f"v{key.version}{'b' if key.background else ''}.sock"
            self._workers[key] = Worker(key=key, socket=self._folder / name)
        for worker in self._workers.values():
            worker.leaving = worker.key not in wanted
            worker.told = worker.told and worker.leaving
            if not worker.leaving and worker.task is None and time.monotonic() >= worker.not_before:
                worker.task = self._spawn(self._keep_worker(worker))
        self._start_deployments()
        await self._tell_gateway()
        for key, worker in list(self._workers.items()):
            if worker.leaving and worker.task is None:
                del self._workers[key]
            elif worker.leaving and not worker.told and self._gateway.applied == self._generation:
                worker.told = True
                # What the gateway had sent before it knew is answered within a deadline.
                asyncio.get_running_loop().call_later(self._settings.timeout_s, _terminate, worker)

    def _wanted(self) -> set[Key]:
        routes = self._store.routes()
        wanted = {_key(route.role, route.version, routes) for route in routes.values()}
        active = self._store.active()
        if active is not None and active.state is State.STARTING:
            wanted.add(_key(active.mode, active.version, routes))
        return wanted

    def _start_deployments(self) -> None:
        """Give a deployment its route as soon as its worker is warm; end it if it cannot be loaded."""
        active = self._store.active()
        if active is None or active.state is not State.STARTING:
            return
        worker = self._workers.get(_key(active.mode, active.version, self._store.routes()))
        if worker is None:
            return
        if worker.ready is not None:
            shares = active.plan.get("shares") or [1.0]
            self._store.loaded(active.id, share=float(shares[0]))
        elif worker.error and worker.failures:
            self._store.fail(active.id, worker.error)

    # The gateway

    def _routes(self) -> dict[str, Any]:
        """What the gateway has to know, without its number."""
        routes = []
        package: str | None = None
        found = self._store.routes()
        for role in (PRIMARY, CANARY, SHADOW, KEPT):
            route = found.get(role)
            if route is None:
                continue
            version = self._store.version(route.version)
            assert version is not None  # routes are made for versions that were added
            if package is None:
                package = str(version.folder)
            routes.append(self._route(route, version.run, found))
        alone = PRIMARY not in found and SHADOW in found
        return {
            "op": "routes",
            "node": self._node,
            "settings": {
                "model": self._model,
                "timeout_s": self._settings.timeout_s,
                "queue": self._settings.queue,
                "max_body": int(self._settings.max_body_mb * 1_000_000),
                "log_policy": str(self._settings.log_policy),
                "token": self._settings.token,
                "package": package,
                "entity": _entity(package),
            },
            # With nothing live, a shadow stands in for it: it is asked, recorded, and tells nobody.
            "routes": [
                {**route, "role": PRIMARY, "automation": "shadow"} if alone else route for route in routes
            ],
        }

    def _route(self, route: Route, run: str, routes: Mapping[str, Route]) -> dict[str, Any]:
        deployment = self._store.deployment(route.deployment)
        worker = self._workers.get(_key(route.role, route.version, routes))
        ready = worker is not None and worker.ready is not None
        return {
            "role": route.role,
            "version": route.version,
            "run": run,
            "deployment": route.deployment,
            "share": route.share,
            "salt": deployment.salt,
            "automation": deployment.automation,
            "defer_below": deployment.defer_below,
            "socket": str(worker.socket) if worker is not None and ready else None,
            "engine": worker.ready["engine"] if worker is not None and worker.ready is not None else "",
        }

    async def _tell_gateway(self) -> None:
        said = self._routes()
        text = json.dumps(said, sort_keys=True)
        if text == self._sent or self._gateway.control is None:
            return
        self._sent = text
        self._generation += 1
        await self._send({**said, "generation": self._generation})

    async def _send(self, said: Mapping[str, Any]) -> None:
        control = self._gateway.control
        if control is not None:
            with contextlib.suppress(ConnectionError):
                control.write(json.dumps(said).encode() + b"\n")
                await control.drain()

    async def _keep_gateway(self) -> None:
        while not self._stopping.is_set():
            await self._run_gateway()
            if self._stopping.is_set():
                return
            gateway = self._gateway
            if time.monotonic() - gateway.started_at > _STEADY_S:
                gateway.failures = 0
            code = gateway.process.returncode if gateway.process else None
            _say(f"the gateway ended with {code}; it is started again")
            await asyncio.sleep(_BACKOFF_S[min(gateway.failures, 4)])
            gateway.failures += 1

    async def _run_gateway(self) -> None:
        ours, theirs = socket.socketpair()
        gateway = self._gateway
        gateway.is_ready, gateway.started_at = False, time.monotonic()
        with theirs:
            gateway.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mlproj.serving.gateway"),
                *("--listen-fd", str(self._listener.fileno())),
                *("--control-fd", str(theirs.fileno()), "--home", str(self._home)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                # Ctrl-C in a terminal goes to the whole group; the supervisor is the one who decides.
                start_new_session=True,
            )
        reader, gateway.control = await asyncio.open_connection(sock=ours)
        self._sent = ""
        self._poked.set()
        try:
            while line := await reader.readline():
                self._heard(json.loads(line))
        except ConnectionError:
            pass
        finally:
            gateway.is_ready = False
            gateway.control.close()
            gateway.control = None
            await gateway.process.wait()

    def _heard(self, said: Mapping[str, Any]) -> None:
        match said.get("op"):
            case "ready":
                self._gateway.is_ready = True
            case "applied":
                self._gateway.applied = int(said["generation"])
            case "stats":
                self._gateway.stats = said
            case "hung":
                for worker in self._workers.values():
                    if worker.key.version == said.get("version") and worker.process is not None:
                        _say(f"version {worker.key.version} did not answer in time: it is killed")
                        worker.error = "it did not answer in time"
                        with contextlib.suppress(ProcessLookupError):
                            worker.process.kill()

    # Workers

    async def _keep_worker(self, worker: Worker) -> None:
        """One life of a worker; the next begins after a pause that grows."""
        try:
            await self._run_worker(worker)
        finally:
            was_ready, worker.ready, worker.process = worker.ready, None, None
            lasted = time.monotonic() - worker.ready_at if was_ready is not None else 0.0
            if not worker.leaving and not self._stopping.is_set():
                worker.failures = 1 if lasted > _STEADY_S else worker.failures + 1
                worker.restarts += 1
                pause = _BACKOFF_S[min(worker.failures - 1, len(_BACKOFF_S) - 1)]
                worker.not_before = time.monotonic() + pause
                _say(f"the worker of version {worker.key.version} ended: {worker.error}")
            worker.task = None
            self._poked.set()

    async def _run_worker(self, worker: Worker) -> None:
        store_version = self._store.version(worker.key.version)
        assert store_version is not None  # only versions that were added are deployed
        worker.error = ""
        worker.socket.unlink(missing_ok=True)
        try:
            worker.process = await asyncio.create_subprocess_exec(
                *(str(store_version.python), "-P", str(WORKER), str(store_version.folder)),
                *("--socket", str(worker.socket), "--max-rows", str(self._settings.max_rows)),
                *("--memory-mb", str(self._settings.memory_mb)),
                *(["--background"] if worker.key.background else []),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            worker.error = f"`{store_version.python}` cannot be started: {error.strerror}"
            return
        process = worker.process
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _LOAD_S)
        except TimeoutError:
            worker.error = f"it was not ready within {_LOAD_S:.0f} s"
            process.kill()
            await process.wait()
            return
        said = _parsed(line)
        if said.get("ready"):
            worker.ready, worker.ready_at = said, time.monotonic()
            self._poked.set()
        else:
            worker.error = str(said.get("error") or "it ended before it was ready")
        code = await process.wait()
        worker.error = worker.error or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")

    # Beside them

    async def _keep_looking(self) -> None:
        """Ask the controller once a second; a look that fails is said, and tried again."""
        fault = ""
        while not self._stopping.is_set():
            view = View(
                ready_since={
                    key.version: time.time() - (time.monotonic() - worker.ready_at)
                    for key, worker in self._workers.items()
                    if worker.ready is not None
                },
                restarts={key.version: worker.restarts for key, worker in self._workers.items()},
            )
            try:
                await asyncio.to_thread(self._controller.look, view)
            except Exception as error:
                # A rollout that cannot be judged stays where it is; the traffic must not suffer for it.
                said = f"the rollout could not be judged: {type(error).__name__}: {error}"
                if said != fault:
                    _say(said + "".join(traceback.format_tb(error.__traceback__)[-2:]))
                fault = said
            self._poked.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    async def _keep_sealing(self) -> None:
        """Turn the segments of past days into Parquet, at start and once an hour, in a process of its own."""
        while not self._stopping.is_set():
            sealing = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mlproj.serving.sealing", str(self._home)),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
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
            said = _parsed(await asyncio.wait_for(reader.readline(), 5.0))
            writer.write(json.dumps(self._do(str(said.get("op")))).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    def _do(self, op: str) -> dict[str, Any]:
        match op:
            case "poke":
                self._poked.set()
            case "stop":
                self._stopping.set()
                self._poked.set()
        return {
            "pid": os.getpid(),
            "url": self.url,
            "since": self._since,
            "gateway": {
                "pid": self._gateway.process.pid if self._gateway.process else None,
                "ready": self._gateway.is_ready and self._gateway.applied == self._generation,
                "stats": self._gateway.stats,
            },
            "workers": [self._about(worker) for worker in self._workers.values()],
        }

    def _about(self, worker: Worker) -> dict[str, Any]:
        return {
            "version": worker.key.version,
            "background": worker.key.background,
            "pid": worker.process.pid if worker.process else None,
            "ready": worker.ready is not None,
            "engine": worker.ready["engine"] if worker.ready is not None else None,
            "seconds": worker.ready["seconds"] if worker.ready is not None else None,
            "restarts": worker.restarts,
            "error": worker.error,
        }

    async def _drain(self) -> None:
        """Let the gateway answer what it has accepted, then end the workers."""
        await self._send({"op": "drain"})
        gateway = self._gateway.process
        if gateway is not None:
            await _ended(gateway, _DRAIN_S)
        self._listener.close()
        workers = [worker.process for worker in self._workers.values() if worker.process is not None]
        for process in workers:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*(_ended(process, 5.0) for process in workers))
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
            _say(f"stopping: {task.exception()!r}")
            self._stopping.set()
            self._poked.set()


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


def _key(role: str, version: int, routes: Mapping[str, Route]) -> Key:
    """The worker for a role. A shadow with nothing live beside it is the one that is waited for."""
    return Key(version, role == SHADOW and PRIMARY in routes)


def _entity(package: str | None) -> str | None:
    """The field that says whose request it is."""
    said = files.read_json(Path(package) / "package.json") if package else None
    return said.get("entity") if isinstance(said, dict) else None


def _terminate(worker: Worker) -> None:
    if worker.leaving and worker.process is not None:
        with contextlib.suppress(ProcessLookupError):
            worker.process.terminate()


async def _ended(process: asyncio.subprocess.Process, patience_s: float) -> None:
    try:
        await asyncio.wait_for(process.wait(), patience_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A worker sees its own environment only; the caches of Python are its friends."""
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in environ.items() if name not in foreign}


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} {text}", file=sys.stderr, flush=True)


def run(home: Path, model: str, settings: Settings, listener: socket.socket, controller: Controller) -> None:
    """Supervise until told to stop."""

    async def main() -> None:
        await Supervisor(home, model, settings, listener, controller).run()

    asyncio.run(main())
