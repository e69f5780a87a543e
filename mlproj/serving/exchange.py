"""One request for predictions, from its arrival to its logged answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mlproj.serving.routing import Route


class Client(Protocol):
    """Who asked, and is told once."""

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """`headers` are whole lines, each with its CR LF; length, date and connection are added."""


@dataclass(slots=True, eq=False)
class Exchange:
    """`client` is None for a shadow's copy. `entity` is whose request it is, None when nobody said.

    `many` tells a JSON array from an object in /predict, and then `entities` has one entry a row.
    `note` says why another version answers than the one assigned. Times: `arrived_us` since 1970 (UTC);
    `began` and `queued_at` in seconds of the loop's monotonic clock.
    """

    client: Client | None
    path: str
    kind: int
    extra: int
    body: bytes
    request_id: str
    entity: str | None
    sticky: bool
    arrived_us: int
    began: float
    route: Route
    canary_share: float
    many: bool = False
    entities: tuple[str | None, ...] = ()
    note: str | None = None
    queued_at: float = 0.0

    def copy_for(self, shadow: Route) -> Exchange:
        """The same request, for a version whose answer nobody is told."""
        return Exchange(
            None,
            self.path,
            self.kind,
            self.extra,
            self.body,
            self.request_id,
            self.entity,
            self.sticky,
            self.arrived_us,
            self.began,
            shadow,
            self.canary_share,
            self.many,
            self.entities,
        )
