"""
The gateway's line to one worker: a bounded queue, one frame at a time, a deadline for each.

Batching that hardly waits: while the worker is busy requests queue; when it is free it gets all of them at
once. Only a worker that takes long for a frame, whatever its size, is given a moment more: those whom it has
just answered are about to ask again, and without them each frame would hold half of all who ask. The same
holds for a fast one while this process is busy, since each frame costs it a commit.

Nothing here waits without bound: a full queue says no, a request queued for longer than the deadline is
given back, a frame unanswered by then is given up and its worker reported.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from enum import Enum
from typing import Protocol, cast

from mlproj.serving import frames
from mlproj.serving.exchange import Exchange
from mlproj.serving.frames import Answer, BrokenFrame, Decoder

MOST_REQUESTS_A_FRAME = 64
MOST_BYTES_A_FRAME = 8 << 20
# What a frame may wait for the callers of the last one: a share of what that one took, if timers go so fine.
_HOLD_SHARE = 0.1
_SHORTEST_HOLD_S = 0.001
# While the gateway is busy: at most the time that the callers of the last one waited, and no more than this.
_LONGEST_BUSY_HOLD_S = 0.01
_MOST_UNHELD = 63
_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 1.0


class Failure(Enum):
    """Why a request came back without an answer: the HTTP status it deserves, and what to say."""

    FULL = (503, "overloaded", "too many requests wait for the model")
    LATE = (503, "overloaded", "the request waited too long for its turn")
    DIED = (503, "worker_died", "the model's process ended while it had the request")
    AWAY = (503, "not_ready", "no model is ready to answer")
    HUNG = (504, "timeout", "the model did not answer in time")
    RUBBISH = (503, "worker_broken", "the model's process answered what cannot be read")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]

    @property
    def message(self) -> str:
        return self.value[2]


class Owner(Protocol):
    """Who is told what became of the requests; `is_busy` when there are so many that each frame counts, and
    `commit_s` is what the last commit took."""

    is_busy: bool
    commit_s: float

    def answered(self, exchanges: list[Exchange], answers: list[Answer]) -> None: ...

    def failed(self, exchanges: list[Exchange], failure: Failure) -> None: ...

    def broken(self, version: int, failure: Failure) -> None:
        """The worker of this version hangs or raves: it should be ended."""


class Channel:
    """One worker's queue and the connection to it, made anew whenever it is lost until `close`.

    At most `most` requests and `most_bytes` of bodies wait. `timeout_s` is given to each frame, and to the
    wait of each request for its frame.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        *,
        version: int,
        socket: str,
        most: int,
        most_bytes: int,
        timeout_s: float,
    ) -> None:
        self.version = version
        self.socket = socket
        self.most = most
        self.most_bytes = most_bytes
        self.timeout_s = timeout_s
        self._loop = loop
        self._owner = owner
        self._queue: deque[Exchange] = deque()
        self._bytes = 0
        self._link: _Link | None = None
        self._scheduled = False
        self._hold: asyncio.TimerHandle | None = None
        self._expected = 0
        # Frames that a busy gateway does not hold, after one that was held in vain.
        self._vain = 0
        self._unheld = 0
        self._closing = False
        self._retry_s = _FIRST_RETRY_S
        self._connecting: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self.connect()

    @property
    def is_ready(self) -> bool:
        return self._link is not None

    @property
    def waiting(self) -> int:
        """Requests in the queue, without those that the worker has."""
        return len(self._queue)

    @property
    def unanswered(self) -> int:
        """Requests in the queue or with the worker."""
        return len(self._queue) + (len(self._link.asked) if self._link is not None else 0)

    def ask(self, exchange: Exchange, *, stands_in: bool = False) -> Failure | None:
        """Take the request, to be answered through the owner; or say at once why not.

        One that another version owed (`stands_in`) is taken while half of the room is free: all that a
        hanging version had comes at once, and must not keep out those whose version this is.
        """
        if self._link is None:
            return Failure.AWAY
        part = 2 if stands_in else 1
        if (
            len(self._queue) >= self.most // part
            or self._bytes + len(exchange.body) > self.most_bytes // part
        ):
            return Failure.FULL
        exchange.queued_at = time.monotonic()
        self._queue.append(exchange)
        self._bytes += len(exchange.body)
        # At the end of this turn of the loop, so that all requests read in it leave together.
        is_held = self._hold is not None and len(self._queue) < self._expected
        if not self._scheduled and not self._link.asked and not is_held:
            self._scheduled = True
            self._loop.call_soon(self._send)
        return None

    def tick(self, now: float) -> None:
        """Called several times a second: gives up what is past its deadline."""
        link = self._link
        if link is not None and link.asked and now > link.deadline:
            # The supervisor ends it; until then a new connection would only hang again.
            self._retry_s = max(self._retry_s, self.timeout_s)
            self._broken(Failure.HUNG)
        late: list[Exchange] = []
        while self._queue and now > self._queue[0].queued_at + self.timeout_s:
            late.append(self._take())
        if late:
            self._owner.failed(late, Failure.LATE)

    def connect(self) -> None:
        """Try now, whatever the pause after the last failure."""
        if self._link is not None or self._connecting is not None or self._closing:
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """No more requests; those it has are answered first."""
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        if self._link is None:
            self._fail_queue()
        elif not self.unanswered:
            self._link.transport.close()

    async def _connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: _Link(self), self.socket)
        except OSError:
            self._retry_later()
        finally:
            self._connecting = None

    def _retry_later(self) -> None:
        if not self._closing:
            self._retry = self._loop.call_later(self._retry_s, self.connect)
            self._retry_s = min(self._retry_s * 2, max(_LAST_RETRY_S, self._retry_s))

    def _linked(self, link: _Link) -> None:
        self._link = link
        if self._closing:
            link.transport.close()

    def _lost(self, link: _Link, failure: Failure) -> None:
        """The connection is gone, with all it was asked."""
        if self._link is not link:
            return
        self._link = None
        asked, link.asked = link.asked, []
        # One after the other: what failed in the worker's hands may go elsewhere, what waited too.
        if asked:
            self._owner.failed(asked, failure)
        self._fail_queue()
        self._retry_later()

    def _fail_queue(self) -> None:
        queue = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        if queue:
            self._owner.failed(queue, Failure.AWAY)

    def _broken(self, failure: Failure) -> None:
        link = self._link
        if link is not None:
            link.transport.abort()
            self._lost(link, failure)
        self._owner.broken(self.version, failure)

    def _take(self) -> Exchange:
        exchange = self._queue.popleft()
        self._bytes -= len(exchange.body)
        return exchange

    def _send(self) -> None:
        """One frame of what waits, if the worker is free."""
        self._scheduled = False
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        link = self._link
        if link is None or link.asked or not self._queue:
            return
        asked = link.asked
        size = 0
        while self._queue and len(asked) < MOST_REQUESTS_A_FRAME:
            size += len(self._queue[0].body)
            if asked and size > MOST_BYTES_A_FRAME:
                break
            asked.append(self._take())
        link.batch = (link.batch + 1) & 0xFFFFFFFF
        link.sent_at = time.monotonic()
        link.deadline = link.sent_at + self.timeout_s
        requests = [(one.ask.kind, one.ask.extra, one.body) for one in asked]
        link.transport.write(frames.encode(link.batch, requests))

    def _send_soon(self, answered: int, took_s: float) -> None:
        """The next frame: at once, or when the callers of the last one are back, or have had their time."""
        expected = min(answered + len(self._queue), MOST_REQUESTS_A_FRAME)
        hold_s = took_s * _HOLD_SHARE
        if self._owner.is_busy and not self._unheld:
            hold_s = max(hold_s, min(took_s + self._owner.commit_s, _LONGEST_BUSY_HOLD_S))
        self._unheld = max(0, self._unheld - 1)
        if expected == 1 or len(self._queue) >= expected or hold_s < _SHORTEST_HOLD_S:
            self._send()
            return
        self._expected = expected
        self._hold = self._loop.call_later(hold_s, self._hold_ended, len(self._queue))

    def _hold_ended(self, before: int) -> None:
        """Their time is over. Where fewer than half came, it is not given again for a while."""
        in_vain = 2 * (len(self._queue) - before) < self._expected - before
        self._vain = min(2 * self._vain + 1, _MOST_UNHELD) if in_vain else 0
        self._unheld = self._vain
        self._send()

    def _received(self, link: _Link, data: bytes) -> None:
        try:
            frames_read = link.decoder.feed(data)
            for batch, answers in frames_read:
                if batch != link.batch or len(answers) != len(link.asked):
                    raise BrokenFrame(f"{len(answers)} answers to {len(link.asked)} requests")
                asked, link.asked = link.asked, []
                self._retry_s = _FIRST_RETRY_S
                # First the next frame, so that the worker works while we write and log.
                self._send_soon(len(asked), time.monotonic() - link.sent_at)
                self._owner.answered(asked, answers)
        except BrokenFrame:
            self._broken(Failure.RUBBISH)
        if self._closing and not self.unanswered:
            link.transport.close()


class _Link(asyncio.Protocol):
    """One connection to the worker; a new one starts with nothing asked."""

    __slots__ = ("_channel", "asked", "batch", "deadline", "decoder", "sent_at", "transport")

    transport: asyncio.Transport

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.asked: list[Exchange] = []
        self.batch = 0
        self.deadline = 0.0
        self.sent_at = 0.0
        self.decoder = Decoder()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._channel._linked(self)

    def data_received(self, data: bytes) -> None:
        self._channel._received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel._lost(self, Failure.DIED)
