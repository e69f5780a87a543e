"""
Which version answers a request: a pure function of the table of routes and of whose request it is.

A canary gets the entities whose keyed hash falls below its share. The hash is keyed by the deployment's salt,
so that the same entity always meets the same version, a larger share only adds entities, and two deployments
choose independently (a checksum such as crc32 would not do: it is linear, and salts then overlap by design).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any

# 53 of the hash's 64 bits, which a float holds exactly: a share of 1 is everybody.
_DROPPED_BITS = 11
_WHOLE = float(1 << 53)
_HASH_BYTES = 8


class Automation(StrEnum):
    """How far the caller may act on the answer alone."""

    SHADOW = "shadow"  # recorded, not told
    ASSIST = "assist"  # told; a person decides
    PARTIAL = "partial"  # told; a person decides where the model is unsure
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One version and its part in the traffic; `socket` is None while its worker is not ready."""

    role: str
    version: int
    run: str
    deployment: int
    share: float
    salt: bytes
    automation: Automation
    defer_below: float | None
    socket: str | None
    engine: str

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Route:
        """A route as the supervisor writes it; raises KeyError or ValueError when it is not one."""
        return cls(
            role=str(message["role"]),
            version=int(message["version"]),
            run=str(message["run"]),
            deployment=int(message["deployment"]),
            share=float(message["share"]),
            salt=bytes.fromhex(message["salt"] or ""),
            automation=Automation(message["automation"]),
            defer_below=message.get("defer_below"),
            socket=message["socket"],
            engine=str(message["engine"]),
        )

    # What every answer of this version has in common, made once.

    @cached_property
    def header(self) -> bytes:
        """The line that names the version."""
        return b"X-Model-Version: %d\r\n" % self.version

    @cached_property
    def beginning(self) -> bytes:
        """A predicted row's JSON between its id and the worker's part."""
        return b'","model_version":%d,' % self.version

    @cached_property
    def end(self) -> bytes:
        """What follows the decision."""
        return b',"automation":"%b"}' % self.automation.encode()


def bucket(entity: str, salt: bytes) -> float:
    """Where in [0, 1) this entity falls for this deployment; uniform over entities."""
    digest = blake2b(entity.encode("utf-8", "surrogatepass"), key=salt, digest_size=_HASH_BYTES).digest()
    return (int.from_bytes(digest, "big") >> _DROPPED_BITS) / _WHOLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The routes in force. At most one of each role that takes part; any may be absent."""

    generation: int = 0
    primary: Route | None = None
    canary: Route | None = None
    shadow: Route | None = None
    # Versions kept warm for a way back: nobody is sent to them, but they can take over at once.
    kept: tuple[Route, ...] = ()

    @classmethod
    def from_messages(cls, generation: int, messages: list[dict[str, Any]]) -> Table:
        """Raises KeyError or ValueError for what is no route, or for two routes of one role."""
        found: dict[str, Route] = {}
        kept = []
        for message in messages:
            route = Route.from_message(message)
            if route.role == "kept":
                kept.append(route)
                continue
            if route.role in found:
                raise ValueError(f"two routes have the role `{route.role}`")
            found[route.role] = route
        return cls(
            generation=generation,
            primary=found.get("primary"),
            canary=found.get("canary"),
            shadow=found.get("shadow"),
            kept=tuple(kept),
        )

    @property
    def routes(self) -> tuple[Route, ...]:
        """All that have a part, those that answer first."""
        return tuple(
            route for route in (self.primary, self.canary, self.shadow, *self.kept) if route is not None
        )

    @property
    def canary_share(self) -> float:
        """The probability with which an entity is the canary's; 0 without one."""
        return self.canary.share if self.canary is not None else 0.0

    def choose(self, entity: str) -> Route | None:
        """The route that this entity is assigned to; None when there is no primary to be measured against."""
        canary = self.canary
        # A share of 0 is 0, not "unset", and needs no hash.
        if canary is not None and canary.share > 0.0 and bucket(entity, canary.salt) < canary.share:
            return canary
        return self.primary

    def version(self, number: int) -> Route | None:
        """The route of a version that was asked for by its number."""
        for route in (self.primary, self.canary):
            if route is not None and route.version == number:
                return route
        return None
