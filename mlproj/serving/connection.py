"""
One client's connection: HTTP/1.1 read by httptools, answered in order, each answer with one write.

A request for a prediction costs no task and no timer: callbacks hand its raw body to the desk, and the desk
calls `respond`. Requests sent before the last one was answered (pipelining) wait for their turn. Clients
send the same head again and again, and one that is known byte for byte is not parsed again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

from mlproj.serving.exchange import Ask

if TYPE_CHECKING:
    from mlproj.serving.front import Front

MOST_HEAD = 32 << 10
SLOW_S = 30.0
IDLE_S = 75.0
# How long a client that we stopped listening to may take to read why.
LINGER_S = 2.0
_MOST_PIPELINED = 16

_STATUS = {int(one): b"HTTP/1.1 %d %b\r\n" % (one, one.phrase.encode()) for one in HTTPStatus}
_LENGTH = b"Content-Length: %d\r\n\r\n"
_CLOSE = b"Connection: close\r\n"
_HEAD_ENDS = b"\r\n\r\n"


class Request(NamedTuple):
    """A request as it arrived. `refused` is the status of one that was not read to its end; `head` are the
    bytes before its body, without the empty line, if it came in one piece and nothing else with it."""

    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool
    refused: int = 0
    head: bytes | None = None


class Connection(asyncio.Protocol):
    """`deadline` is when the client's time is up (0: it waits for us), on the monotonic clock."""

    __slots__ = (
        "_answering",
        "_body",
        "_busy",
        "_deaf",
        "_front",
        "_head",
        "_headers",
        "_in_head",
        "_is_head",
        "_keep_alive",
        "_kept",
        "_opening",
        "_owes_continue",
        "_parser",
        "_partial",
        "_paused",
        "_rest",
        "_size",
        "_transport",
        "_url",
        "_waiting",
        "deadline",
    )

    def __init__(self, front: Front) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._url = b""
        # The head of the request whose first byte came last, and what came with it.
        self._opening: bytes | None = None
        self._rest = b""
        # Bytes of the body that is being read, of all that wait for their answers, of the one answered now.
        self._size = 0
        self._kept = 0
        self._answering = 0
        self._head = 0
        self._in_head = False
        self._is_head = False
        self._busy = False
        self._deaf = False
        self._paused = False
        self._partial = False
        self._owes_continue = False
        self._keep_alive = True
        self._waiting: deque[Request] | None = None
        self.deadline = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request is here: neither read in part nor unanswered."""
        return not self._busy and not self._partial

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.deadline = time.monotonic() + SLOW_S
        if not self._front.welcome(self):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._front.goodbye(self)
        self._front.held -= self._size + self._kept
        self._size = self._kept = 0
        self._deaf = True

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._opening = None
        if not self._busy and not self._partial:
            head, end, rest = data.partition(_HEAD_ENDS)
            if end:
                ask = self._front.heads.find(head, len(rest))
                if ask is not None:
                    self._start_known(ask, rest)
                    return
                self._opening, self._rest = head, rest
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Asked for another protocol: HTTP/1.1 answers, and what follows is not read.
            self._deaf = True
            self._keep_alive = False
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(400)
            return
        self._rest = b""
        if self._in_head:
            # A head that does not end is not shown to on_header.
            self._head += len(data)
            if self._head > MOST_HEAD:
                self._refuse(431)

    def pause_writing(self) -> None:
        self._paused = True
        self.deadline = time.monotonic() + SLOW_S

    def resume_writing(self) -> None:
        self._paused = False
        self.deadline = 0.0 if self._busy else time.monotonic() + IDLE_S

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._headers = []
        self._body = []
        self._url = b""
        self._head = 0
        self._in_head = True
        self._partial = True
        self._owes_continue = False
        if not self._busy:
            self.deadline = time.monotonic() + SLOW_S

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a chunked body is no header to act on
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._in_head = False
        size = len(self._url)
        length = 0
        is_chunked = False
        for name, value in self._headers:
            size += len(name) + len(value) + 4
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                is_chunked = True
            elif name == b"expect" and value.lower() == b"100-continue":
                self._owes_continue = True
        if size > MOST_HEAD:
            self._refuse(431)
        elif (length or is_chunked) and not self._front.may_send(self._headers):
            self._refuse(401)
        elif length > self._front.settings.max_body:
            self._refuse(413)
        elif self._owes_continue and not self._busy:
            self._continue()

    def on_body(self, chunk: bytes) -> None:
        if self._deaf:
            return
        self._body.append(chunk)
        self._size += len(chunk)
        self._front.held += len(chunk)
        if self._size > self._front.settings.max_body:
            self._refuse(413)
        elif self._front.is_full:
            self._refuse(503)

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        parser = self._parser
        self._kept += self._size
        self._size = 0
        request = Request(
            parser.get_method(),
            self._url,
            self._headers,
            whole,
            parser.should_keep_alive(),
            head=self._opening if whole == self._rest else None,
        )
        self._body = []
        self._partial = False
        self._owes_continue = False
        self._take(request)

    # Answering.

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer the request in hand; `headers` are whole lines."""
        transport = self._transport
        if transport is None:
            return
        front = self._front
        keep_alive = self._keep_alive and not front.is_draining
        closes = b"" if keep_alive else _CLOSE
        length = _LENGTH % len(body)
        shown = b"" if self._is_head else body
        transport.write(b"".join((_STATUS[status], front.date, headers, closes, length, shown)))
        self._busy = False
        if self._answering:
            self._release(self._answering)
        if keep_alive:
            self.deadline = time.monotonic() + (SLOW_S if self._paused or self._partial else IDLE_S)
            if self._owes_continue:
                self._continue()
            if self._waiting:
                self._next()
        else:
            self._linger()

    def expire(self, now: float) -> None:
        """Called once a second: ends what the client let pass."""
        transport = self._transport
        if transport is None or not self.deadline or now < self.deadline:
            return
        if self._busy or self._paused or self._deaf or self.is_idle:
            # Does not read its answer, or had its answer, or says nothing.
            transport.abort() if self._paused else transport.close()
        else:
            self._refuse(408)

    def dismiss(self) -> None:
        """Close if nothing is under way here; else the answer under way says that it is the last."""
        if self._transport is not None and self.is_idle:
            self._transport.close()

    def _take(self, request: Request) -> None:
        if not self._busy:
            self._start(request)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(request)
        if len(self._waiting) >= _MOST_PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    def _next(self) -> None:
        # In the next turn of the loop: answers that are at once there would else pile up the stack.
        self._busy = True
        asyncio.get_running_loop().call_soon(self._start_waiting)

    def _start_waiting(self) -> None:
        if self._transport is None or not self._waiting:
            return
        request = self._waiting.popleft()
        if not self._waiting:
            self._transport.resume_reading()
        self._start(request)

    def _start(self, request: Request) -> None:
        self._busy = True
        self._answering = len(request.body)
        self._is_head = request.method == b"HEAD"
        self._keep_alive = request.keep_alive
        self.deadline = 0.0
        self._front.handle(self, request)

    def _start_known(self, ask: Ask, body: bytes) -> None:
        """A request whose head was read before. One piece is at most 64 kB, so that these bodies, of all
        connections together, need no account."""
        self._busy = True
        self._answering = 0
        self._is_head = False
        self._keep_alive = True
        self.deadline = 0.0
        self._front.predict(self, ask, body)

    def _refuse(self, status: int) -> None:
        """No more of this client is read; it is told why when its turn comes."""
        self._deaf = True
        self._front.held -= self._size
        self._size = 0
        self._body = []
        try:
            method = self._parser.get_method()
        except (httptools.HttpParserError, AttributeError):
            method = b"GET"
        self._take(Request(method, self._url, self._headers, b"", False, status))

    def _release(self, size: int) -> None:
        """So many bytes of bodies are ours no longer."""
        self._kept -= size
        self._front.held -= size

    def _continue(self) -> None:
        self._owes_continue = False
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _linger(self) -> None:
        """Close so that the answer arrives: a close with unread bytes would reset the connection."""
        assert self._transport is not None
        self._waiting = None
        self._release(self._kept)
        if not self._deaf:
            self._transport.close()
            return
        self.deadline = time.monotonic() + LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
