"""The worker of a version: one process in the version's own environment, from its start to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base.errors import MlprojError
from mlproj.serving import children
from mlproj.serving.deployment import PRIMARY, SHADOW, Place, Version
from mlproj.serving.settings import Settings

PROGRAM = Path(__file__).with_name("worker.py")
_LOAD_S = 120.0
# A worker says one line: that it is ready, or why not. An error may name every column there is.
_LONGEST_LINE = 1 << 20
_LONGEST_ERROR = 4096
_END_S = 5.0


@dataclass(frozen=True)
class Key:
    """A worker: a shadow's runs with what the machine has to spare, so it is not the one that answers.

    `digest` is the package's: a retired version may come back under its number with another one.
    """

    version: int
    digest: str
    background: bool

    @property
    def socket_name(self) -> str:
        return f"v{self.version}-{self.digest[:8]}{'b' if self.background else ''}.sock"


def key(role: str, version: Version, routes: Mapping[str, object]) -> Key:
    """The worker for a role. A shadow with nothing live beside it is the one that is waited for."""
    return Key(version.number, version.digest, role == SHADOW and PRIMARY in routes)


@dataclass
class Worker:
    """`ready` is what the process said of itself when it had loaded and compared the version.

    `restarts` counts its deaths, `failures` those in a row; `leaving` where no route wants it any more,
    `told` once the gateway knows that.
    """

    key: Key
    socket: Path
    process: asyncio.subprocess.Process | None = None
    ready: Mapping[str, Any] | None = None
    ready_at: float = 0.0
    since: float = 0.0
    error: str = ""
    failures: int = 0
    restarts: int = 0
    place: Place | None = None
    not_before: float = 0.0
    leaving: bool = False
    told: bool = False
    task: asyncio.Task[None] | None = None

    async def live(
        self, find: Callable[[Key], Awaitable[Place]], settings: Settings, changed: Callable[[], None]
    ) -> None:
        """One life of the process; after an unwanted end, the next may begin after a pause that grows.

        `find` has the version on this machine; `changed` is called when it is ready, and at its end.
        """
        try:
            await self._run(find, settings, changed)
        except Exception as error:
            # Whatever stands in its way is its own trouble: a full disk, a process that cannot be made.
            self.error = f"it cannot be run: {type(error).__name__}: {error}"
            if self.process is not None:
                children.kill(self.process)
                await self.process.wait()
        finally:
            self.error = self.error[:_LONGEST_ERROR]
            lasted = time.monotonic() - self.ready_at if self.ready is not None else 0.0
            self.ready, self.process, self.task = None, None, None
            if not self.leaving:
                self.failures = 1 if lasted > children.STEADY_S else self.failures + 1
                self.restarts += 1
                self.not_before = time.monotonic() + children.pause_s(self.failures - 1)
                children.say(f"the worker of version {self.key.version} ended: {self.error}")
            changed()

    def hung(self) -> None:
        """It did not answer within the deadline, or not with an answer."""
        if self.process is not None:
            children.say(f"version {self.key.version} did not answer in time: it is killed")
            self.error = "it did not answer in time"
            children.kill(self.process)

    async def leave(self, after_s: float) -> None:
        """End it after a while, unless a route has come to want it again."""
        await asyncio.sleep(after_s)
        if self.leaving and self.process is not None:
            children.terminate(self.process)
            await children.ended(self.process, _END_S)

    def about(self) -> dict[str, Any]:
        return {
            "version": self.key.version,
            "background": self.key.background,
            "pid": self.process.pid if self.process else None,
            "ready": self.ready is not None,
            "engine": self.ready["engine"] if self.ready is not None else None,
            "seconds": self.ready["seconds"] if self.ready is not None else None,
            "restarts": self.restarts,
            "error": self.error,
        }

    async def _run(
        self, find: Callable[[Key], Awaitable[Place]], settings: Settings, changed: Callable[[], None]
    ) -> None:
        self.error = ""
        try:
            self.place = place = await find(self.key)
        except MlprojError as error:
            self.error = str(error)
            return
        self.socket.unlink(missing_ok=True)
        try:
            self.process = process = await asyncio.create_subprocess_exec(
                *(str(place.python), "-P", str(PROGRAM), str(place.folder)),
                *("--digest", self.key.digest),
                *("--socket", str(self.socket), "--max-rows", str(settings.max_rows)),
                *("--memory-mb", str(settings.memory_mb)),
                *(["--background"] if self.key.background else []),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                env=children.environment(),
                start_new_session=True,
            )
        except OSError as error:
            self.error = f"`{place.python}` cannot be started: {error.strerror}"
            return
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _LOAD_S)
        except TimeoutError:
            self.error = f"it was not ready within {_LOAD_S:.0f} s"
            children.kill(process)
            await process.wait()
            return
        said = children.parsed(line)
        if said.get("ready"):
            self.ready, self.ready_at, self.since = said, time.monotonic(), time.time()
            changed()
        else:
            self.error = str(said.get("error") or "it ended before it was ready")
        code = await process.wait()
        self.error = self.error or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
