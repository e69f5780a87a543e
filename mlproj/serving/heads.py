"""
Heads of requests that were read before: a client sends the same bytes again and again.

A head is what stands before the body, without the empty line. Parsed once, it need not be parsed again: the
same bytes say the same, until the settings change. Two lines are another one's in each request, that of the
request's id and that of the entity, so heads are known by what is left without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from mlproj.serving.exchange import Ask
from mlproj.serving.naming import LONGEST

_MOST = 1000
_LONGEST_HEAD = 1 << 10
_REQUEST_ID, _ENTITY = b"x-request-id", b"x-entity-id"
# A line with a name, whole: nothing that would need a closer look is in it, and the next goes not on with it.
_NAME = re.compile(
    rb"\r\n(X-Request-Id|X-Entity-Id): ?([!-~]{1,%d})(?=\r\n[!-~]|\Z)" % LONGEST, re.IGNORECASE
)


class _Known(NamedTuple):
    ask: Ask
    length: int


class Heads:
    """At most 1,000 heads of requests for predictions, and what each of them asks."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Read every head anew from now on."""
        self._known.clear()

    def find(self, head: bytes, length: int) -> Ask | None:
        """What a head with a body of `length` bytes asks; None if it has to be read."""
        known = self._known.get(head)
        if known is not None:
            return known.ask if known.length == length else None
        left, names = _without_names(head)
        known = self._known.get(left) if names else None
        if known is None or known.length != length:
            return None
        path, kind, extra, version, _, _ = known.ask
        request_id, entity = names.get(_REQUEST_ID), names.get(_ENTITY)
        return Ask(path, kind, extra, version, request_id, entity)

    def keep(self, head: bytes, headers: Mapping[bytes, bytes], ask: Ask, length: int) -> None:
        """Know this head, of which a parser says that it has these headers and announces such a body.

        Left out are heads that ask for an answer before their body, that name a version (whether it answers
        is a matter of the moment), or whose names are not plain.
        """
        left, names = _without_names(head)
        named = {name for name in (_REQUEST_ID, _ENTITY) if name in headers}
        if named == names.keys() and b"expect" not in headers and ask.version is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            if len(left) <= _LONGEST_HEAD:
                self._known[left] = _Known(ask._replace(request_id=None, entity=None), length)


def _without_names(head: bytes) -> tuple[bytes, dict[bytes, str]]:
    """A head without its lines that name the request and the entity, and these names; neither if one of them
    comes twice."""
    pieces = _NAME.split(head)
    names = {pieces[at].lower(): pieces[at + 1].decode() for at in range(1, len(pieces), 3)}
    if 3 * len(names) + 1 != len(pieces):
        return head, {}
    return b"".join(pieces[::3]), names
