"""Whose request it is and how it is called: from the headers, or from fields of a /predict body."""

from __future__ import annotations

import json
import os
from itertools import count
from typing import Any, NamedTuple

import msgspec

LONGEST = 200


class Named(NamedTuple):
    """`entities` has one entry a row when the body is an array of rows of several."""

    request_id: str
    entity: str | None
    entities: tuple[str | None, ...] = ()


class UnusableName(ValueError):
    """A name that cannot be kept or given back as it is; says which and why."""


class Namer:
    """Reads the names of requests. `field` is that of /predict which holds the entity."""

    def __init__(self, field: str) -> None:
        # Only these two keys are decoded; the rest of the body is skipped over, not built.
        fields: list[tuple[str, Any, Any]] = [
            ("entity", str | int | float | None, None),
            ("request_id", str | int | None, None),
        ]
        names: Any = msgspec.defstruct("Names", fields, rename={"entity": field})
        self._one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(names)
        self._list: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[names])
        self._key = json.dumps(field, ensure_ascii=False).encode()
        self._prefix = os.urandom(6).hex()
        self._count = count(1)

    def new_id(self) -> str:
        """An id for a request that has none; unique among all processes."""
        return f"{self._prefix}-{next(self._count):x}"

    def of_body(self, body: bytes, request_id: str | None, entity: str | None, *, many: bool) -> Named:
        """From the body what the headers left open (None). What is not JSON names nothing.

        Raises UnusableName.
        """
        if (request_id is not None and entity is not None) or self._has_no_name(body):
            return Named(request_id or self.new_id(), entity)
        try:
            rows = self._list.decode(body) if many else [self._one.decode(body)]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Named(request_id or self.new_id(), entity)
        if request_id is None:
            given = next((row.request_id for row in rows if row.request_id is not None), None)
            has_one = given is not None and given != ""
            request_id = _checked(str(given), "request_id") if has_one else self.new_id()
        if entity is not None:
            return Named(request_id, entity)
        entities = tuple([_entity(row.entity) for row in rows])
        if len(entities) == 1 or (entities and entities.count(entities[0]) == len(entities)):
            return Named(request_id, entities[0])
        # Rows of several entities cannot all be sent their own way, so the request goes by its own id.
        return Named(request_id, None, entities)

    def _has_no_name(self, body: bytes) -> bool:
        """Whether a look at the bytes is enough: neither key is there, nor an escape that could spell one."""
        return self._key not in body and b'"request_id"' not in body and b"\\" not in body


def of_headers(headers: dict[bytes, bytes]) -> tuple[str | None, str | None]:
    """The request's id and its entity, None for what the headers do not say. Raises UnusableName."""
    given = headers.get(b"x-request-id")
    entity = headers.get(b"x-entity-id")
    return (
        _checked(given.decode("latin-1"), "X-Request-Id") if given else None,
        # An entity may be any text, and UTF-8 is what clients send; it is never given back in a header.
        _checked(_text(entity), "X-Entity-Id", ascii_only=False) if entity else None,
    )


def _text(given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        # Replaced by a sign for unreadable, two entities could become one.
        raise UnusableName("X-Entity-Id is not UTF-8") from None


def _entity(value: str | float | None) -> str | None:
    if value is None or value == "":
        return None
    return _checked(str(value), "the entity", ascii_only=False)


def _checked(value: str, what: str, *, ascii_only: bool = True) -> str:
    if len(value) > LONGEST:
        raise UnusableName(f"{what} has {len(value)} characters; at most {LONGEST} are kept")
    if not value.isprintable() or (ascii_only and not value.isascii()):
        raise UnusableName(f"{what} has characters that cannot be printed")
    return value
