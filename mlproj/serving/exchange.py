"""One request for predictions, from its arrival to its logged answer."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from mlproj.serving.frames import Kind
from mlproj.serving.routing import Route


class Client(Protocol):
    """Who asked, and is told once."""

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """`headers` are whole lines, each with its CR LF; length, date and connection are added."""


class Ask(NamedTuple):
    """What the head of a request for predictions says; None where it says nothing.

    `path` is its name in the metrics, `extra` the length of the JSON before raw tensors, `version` one that
    the caller wants an answer of.
    """

    path: str
    kind: Kind
    extra: int = 0
    version: int | None = None
    request_id: str | None = None
    entity: str | None = None


class Exchange:
    """A request and, when there is one, its answer: one object, since there are thousands a second.

    `client` is None for a shadow's copy. `entity` is whose request it is, None when nobody said. `many`
    tells a JSON array from an object in /predict, and then `entities` has one entry a row. `canary_share` is
    0 until a version was drawn: no chance brought it there, and its record must not count as if. `note` says
    why another version answers than the one assigned. Times: `arrived_us` since 1970 (UTC); `began` and
    `queued_at` in seconds of the loop's monotonic clock. `status`, `headers` and `told` are the answer, which
    waits for its record; `copied` when a shadow shall see the request too.
    """

    __slots__ = (
        "arrived_us",
        "ask",
        "began",
        "body",
        "canary_share",
        "client",
        "copied",
        "entities",
        "entity",
        "headers",
        "many",
        "note",
        "queued_at",
        "request_id",
        "route",
        "status",
        "sticky",
        "told",
    )

    def __init__(self, client: Client | None, ask: Ask, body: bytes, route: Route) -> None:
        self.client = client
        self.ask = ask
        self.body = body
        self.route = route
        self.request_id = ""
        self.entity: str | None = None
        self.entities: tuple[str | None, ...] = ()
        self.sticky = False
        self.canary_share = 0.0
        self.many = False
        self.note: str | None = None
        self.arrived_us = time.time_ns() // 1000
        self.began = self.queued_at = time.monotonic()
        self.status = 0
        self.headers = b""
        self.told = b""
        self.copied = False

    def copy_for(self, shadow: Route) -> Exchange:
        """The same request, for a version whose answer nobody is told."""
        copy = Exchange(None, self.ask, self.body, shadow)
        copy.request_id = self.request_id
        copy.entity, copy.entities, copy.many = self.entity, self.entities, self.many
        copy.sticky, copy.canary_share = self.sticky, self.canary_share
        copy.arrived_us, copy.began = self.arrived_us, self.began
        return copy
