"""The gateway's process as the supervisor sees it: started, told things, heard, started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproj.serving import children

# Clients wait in the backlog meanwhile, so a gateway never has to wait long.
_MOST_PAUSE_S = 5.0
# It reports each second. One that has said nothing for so long answers nobody either, and holds the socket's
# clients with it.
_SILENT_S = 15.0


@dataclass
class Gateway:
    """`applied` is the number of the last telling that it goes by, `told` that of the last it was told."""

    home: Path
    listener: socket.socket
    process: asyncio.subprocess.Process | None = None
    is_ready: bool = False
    applied: int = 0
    told: int = 0
    failures: int = 0
    started_at: float = 0.0
    stats: Mapping[str, Any] = field(default_factory=dict)
    _control: asyncio.StreamWriter | None = None
    _said: str = ""
    _is_draining: bool = False

    @property
    def is_current(self) -> bool:
        """Whether it goes by the last that it was told."""
        return self.applied == self.told

    async def keep(
        self, stopping: asyncio.Event, *, began: Callable[[], None], hung: Callable[[int], None]
    ) -> None:
        """Run it until `stopping`, again after each death.

        `began` is called when it can be told things, `hung` with the version of a worker that lets it wait.
        """
        while not stopping.is_set():
            fault = ""
            try:
                await self._run(began, hung)
            except OSError as error:
                fault = str(error)
            if stopping.is_set():
                return
            if time.monotonic() - self.started_at > children.STEADY_S:
                self.failures = 0
            code = self.process.returncode if self.process else None
            children.say(f"the gateway ended with {fault or code}; it is started again")
            await asyncio.sleep(children.pause_s(self.failures, most_s=_MOST_PAUSE_S))
            self.failures += 1

    async def tell(self, brief: Mapping[str, Any]) -> None:
        """Tell it what holds from now on, unless that is what it was told last."""
        text = json.dumps(brief, sort_keys=True)
        if text == self._said or self._control is None:
            return
        self._said = text
        self.told += 1
        await self._send({**brief, "generation": self.told})

    async def drain(self, patience_s: float) -> None:
        """Let it answer what it has accepted, and end."""
        self._is_draining = True
        await self._send({"op": "drain"})
        if self.process is not None:
            await children.ended(self.process, patience_s)

    async def _send(self, said: Mapping[str, Any]) -> None:
        control = self._control
        if control is not None:
            with contextlib.suppress(ConnectionError):
                control.write(json.dumps(said).encode() + b"\n")
                await control.drain()

    async def _run(self, began: Callable[[], None], hung: Callable[[int], None]) -> None:
        self.is_ready, self.started_at = False, time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mlproj.serving.gateway"),
                *("--listen-fd", str(self.listener.fileno())),
                *("--control-fd", str(theirs.fileno()), "--home", str(self.home)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self.listener.fileno(), theirs.fileno()),
                # Ctrl-C in a terminal goes to the whole group; the supervisor is the one who decides.
                start_new_session=True,
            )
        reader, self._control = await asyncio.open_connection(sock=ours)
        self._said = ""
        began()
        try:
            while line := await self._line(reader):
                self._hear(json.loads(line), hung)
        except ConnectionError:
            pass
        except TimeoutError:
            children.say(f"the gateway has said nothing for {_SILENT_S:.0f} s; it is killed")
            children.kill(self.process)
        finally:
            self.is_ready = False
            self._control.close()
            self._control = None
            await self.process.wait()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """What it says next. Raises TimeoutError for a gateway that reported once, and has stopped."""
        watched = self.is_ready and not self._is_draining
        try:
            return await asyncio.wait_for(reader.readline(), _SILENT_S if watched else None)
        except TimeoutError:
            if self._is_draining:
                return await reader.readline()
            raise

    def _hear(self, said: Mapping[str, Any], hung: Callable[[int], None]) -> None:
        match said.get("op"):
            case "ready":
                self.is_ready = True
            case "applied":
                self.applied = int(said["generation"])
            case "stats":
                self.stats = said
            case "hung":
                hung(int(said["version"]))
