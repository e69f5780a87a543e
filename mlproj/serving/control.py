"""
The line between the supervisor and the gateway: one JSON object a line on an inherited pair of sockets.

supervisor → gateway: `routes` (the settings and all routes, whole each time), `drain`.
gateway → supervisor: `ready`, `applied`, `hung`, `stats`. The end of the line means the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How this gateway serves. `package` is the folder of the primary's package, for its documentation;
    `postgres` the URL of what several machines share."""

    model: str = "model"
    entity: str | None = None
    timeout_s: float = 5.0
    queue: int = 1024
    max_body: int = 4 << 20
    log_policy: str = "closed"
    token: str | None = None
    package: Path | None = None
    postgres: str | None = None

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Settings:
        """Raises KeyError, TypeError or ValueError for what is not settings."""
        package = message.get("package")
        return cls(
            model=str(message["model"]),
            entity=message.get("entity"),
            timeout_s=float(message["timeout_s"]),
            queue=int(message["queue"]),
            max_body=int(message["max_body"]),
            log_policy=str(message["log_policy"]),
            token=message.get("token"),
            package=Path(package) if package else None,
            postgres=message.get("postgres"),
        )


class Control(asyncio.Protocol):
    """The gateway's end. `heard` gets each message, `ended` is called once when the supervisor is gone."""

    def __init__(self, heard: Callable[[dict[str, Any]], None], ended: Callable[[], None]) -> None:
        self._heard = heard
        self._ended = ended
        self._pieces = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._pieces += data
        *lines, rest = self._pieces.split(b"\n")
        self._pieces = bytearray(rest)
        for line in lines:
            if line.strip():
                self._heard(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended()

    def tell(self, op: str, **words: Any) -> None:
        """Send a message; without a supervisor it is nobody's."""
        if self._transport is not None:
            self._transport.write(json.dumps({"op": op, **words}).encode() + b"\n")
