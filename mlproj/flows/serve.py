"""Serving: the supervisor in the foreground, started detached, asked, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlproj.base import lock
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows import wheelhouse
from mlproj.project import Project
from mlproj.provenance import snapshot
from mlproj.serving import admin, environments, package, store, versions
from mlproj.serving.deployment import Place, Version
from mlproj.serving.environments import Wanted
from mlproj.serving.settings import Settings, must_be_safe

_START_S = 30.0
_STOP_S = 60.0
_POLL_S = 0.05
_LOG_LINES = 8


def wanted(project: Project, folder: Path) -> Wanted:
    """The environment that a package was made in, and the commit that has its lock file."""
    found = package.load(folder)
    return Wanted(
        lock=found.environment.lock,
        lock_sha256=found.environment.lock_sha256,
        python=found.environment.python,
        commit=outcome(project, found.run_id),
    )


def outcome(project: Project, run: str) -> str | None:
    """The commit that was kept for a run."""
    return snapshot.outcome(project.root, run)


def prepare(project: Project, postgres: str | None, version: Version, *, say: Callable[[str], None]) -> Place:
    """Have a version on this machine: its package fetched, its environment built.

    Raises MlprojError where that cannot be.
    """
    with store.open(project.home, postgres) as opened:
        folder = versions.fetch(opened, project.home, version)
        python = environments.python_for(
            project, wanted(project, folder), say=say, house=wheelhouse.house(project)
        )
        place = Place(version=version.number, digest=version.digest, folder=folder, python=python)
        opened.settle(place)
    return place


def serve(project: Project, settings: Settings, *, say: Callable[[str], None]) -> None:
    """Supervise in the foreground until SIGTERM or Ctrl-C, then drain.

    Raises ConfigError where one runs already, MissingToolError without the driver of a PostgreSQL that is
    wanted, MlprojError where the port is taken.
    """
    from mlproj.rollout.controller import RolloutController
    from mlproj.serving import postgres, supervisor

    if settings.postgres is not None:
        # A server that is away is waited for; a driver that is not here will not come.
        postgres.driver()
    running = admin.ask(project.home, "ping")
    if running is not None:
        raise ConfigError(
            f"this project is served already, by process {running['pid']} at {running['url']}",
            hint="run `mlproj serve --stop` first, or `mlproj deployments` to see what it serves",
        )
    must_be_safe(settings)
    _make_private(project.home)
    with (
        lock.held(_lock(project), doing="mlproj serve"),
        supervisor.listen(settings.host, settings.port) as listener,
    ):
        host, port = listener.getsockname()[:2]
        # A request is in the log once it has been answered, which takes no longer than its deadline.
        looks = RolloutController(project.home, lag_s=settings.timeout_s + 1.0, postgres=settings.postgres)
        say(f"serving {project.name} at http://{host}:{port} (Ctrl-C drains and ends)")

        def ready(version: Version) -> Place:
            return prepare(project, settings.postgres, version, say=say)

        supervisor.run(project.home, project.model, settings, listener, looks, ready)


def ensure(project: Project, settings: Settings, *, say: Callable[[str], None]) -> Mapping[str, Any]:
    """What the running supervisor says of itself; where none runs, one is started first, detached.

    Raises MlprojError with the end of its log if it does not come up.
    """
    running = admin.ask(project.home, "ping")
    if running is not None:
        return running
    must_be_safe(settings)
    _make_private(project.home)
    log = project.home / "supervisor.log"
    command = [sys.executable, "-m", "mlproj", "serve", "--host", settings.host, "--port", str(settings.port)]
    say("starting the gateway")
    with log.open("ab") as stream:
        begins = stream.tell()
        child = subprocess.Popen(
            command,
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        )
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        running = admin.ask(project.home, "ping")
        if running is not None and running["gateway"]["ready"]:
            return running
        # A child that has ended may have found another one starting; that one is as good.
        if child.poll() is not None and not _is_served(project):
            raise MlprojError(f"the gateway did not start:\n{_tail(log, begins)}", hint=_hint(log, begins))
        time.sleep(_POLL_S)
    raise MlprojError(
        f"the gateway was not ready within {_START_S:.0f} s:\n{_tail(log, begins)}", hint=f"look at `{log}`"
    )


def must_be_there(project: Project, host: str | None, port: int | None) -> None:
    """Raises ConfigError where a supervisor runs, and at another address than this."""
    running = admin.ask(project.home, "ping")
    if running is None:
        return
    at = urlsplit(str(running["url"]))
    named = {at.hostname, "localhost"} if at.hostname == "127.0.0.1" else {at.hostname}
    is_host, is_port = host is None or host in named, port in (None, 0, at.port)
    if not (is_host and is_port):
        option = "--host" if is_port else "--port"
        raise ConfigError(
            f"`{option}` has no effect: this project is served already, at {running['url']}",
            hint="leave it out, or run `mlproj serve --stop` first to serve elsewhere",
        )


def stop(project: Project) -> bool:
    """Drain and end the supervisor; false where none runs. Raises MlprojError if it does not end."""
    running = admin.ask(project.home, "stop")
    if running is None:
        return False
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        if not _is_served(project):
            return True
        time.sleep(_POLL_S)
    raise MlprojError(
        f"process {running['pid']} has not ended within {_STOP_S:.0f} s",
        hint=f"`{project.home / 'supervisor.log'}` says why; `kill {running['pid']}` loses no answer",
    )


def _lock(project: Project) -> Path:
    return project.home / "supervisor.lock"


def _is_served(project: Project) -> bool:
    """Whether a supervisor runs, or is about to, though it may not be asked yet, or any more."""
    try:
        with lock.held(_lock(project), doing="looking whether it is served"):
            return False
    except MlprojError:
        return True


def _make_private(home: Path) -> None:
    """Predictions and what became of them are nobody else's to read."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)


def _tail(log: Path, begins: int) -> str:
    with log.open("rb") as stream:
        stream.seek(begins)
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_LINES:]) or "    (it said nothing)"


def _hint(log: Path, begins: int) -> str:
    said = _tail(log, begins)
    _, found, hint = said.partition("hint: ")
    return hint.strip() if found else f"look at `{log}`"
