"""
The desk where requests for predictions are taken, handed to a version, logged and answered.

The order is always the same: the worker's answer, the record's commit, the caller's answer, the shadow's
copy. So nothing is answered that the log does not hold, and a shadow starts when the caller has gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from mlproj.serving import answers, ids, recording
from mlproj.serving.channel import Channel, Failure
from mlproj.serving.control import Settings
from mlproj.serving.exchange import Ask, Client, Exchange
from mlproj.serving.frames import Answer, Kind
from mlproj.serving.log import Writer
from mlproj.serving.metrics import Metrics
from mlproj.serving.naming import Namer, UnusableName, of_headers
from mlproj.serving.record import STAND_IN, Record
from mlproj.serving.routing import Automation, Route, Table

SHADOW_QUEUE = 1000
_PRIMARY_BYTES = 64 << 20
_SHADOW_BYTES = 16 << 20
_CONNECT_WAIT_S = 1.0
_POLL_S = 0.005
# Of a core, as this process uses it: at about 2,000 requests a second.
BUSY = 0.2
# To look a member up in its class takes longer than to compare it.
_PREDICT, _SHADOW, _PARTIAL = Kind.PREDICT, Automation.SHADOW, Automation.PARTIAL

# Who is said to have answered when nobody could.
_NOBODY = Route(
    role="primary",
    version=0,
    run="",
    deployment=0,
    share=0.0,
    salt=b"",
    automation=Automation.FULL,
    defer_below=None,
    socket=None,
    engine="",
)


class Desk:
    """`broken` is told of a version whose worker hangs or raves."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Writer,
        metrics: Metrics,
        *,
        broken: Callable[[int, Failure], None],
    ) -> None:
        self.settings = Settings()
        self.table = Table()
        self.metrics = metrics
        self.writer = writer
        self.broken = broken
        self._loop = loop
        self._ids = ids.Generator(0)
        self._namer = Namer("entity_id")
        self._channels: dict[str, Channel] = {}
        self._leaving: list[Channel] = []
        self.is_busy = False
        self.commit_s = 0.0
        self._ticked = (time.monotonic(), time.process_time())

    async def apply(self, settings: Settings, table: Table, generator: ids.Generator) -> None:
        """Let these routes hold from now on.

        Workers that are new to us are connected first, so that a switch finds its version within reach and
        fails no request; one that cannot be reached within a second is not waited for.
        """
        wanted = {route.socket: route for route in reversed(table.routes) if route.socket is not None}
        for socket, route in wanted.items():
            channel = self._channels.get(socket)
            if channel is not None and channel.version != route.version:
                self._leaving.append(self._channels.pop(socket))
                channel = None
            if channel is None:
                channel = self._channels[socket] = Channel(
                    self._loop,
                    self,
                    version=route.version,
                    socket=socket,
                    most=settings.queue,
                    most_bytes=_PRIMARY_BYTES,
                    timeout_s=settings.timeout_s,
                )
            channel.connect()
        until = time.monotonic() + _CONNECT_WAIT_S
        while time.monotonic() < until and not all(self._channels[socket].is_ready for socket in wanted):
            await asyncio.sleep(_POLL_S)
        for socket, route in wanted.items():
            channel = self._channels[socket]
            is_shadow = route.role == "shadow"
            channel.most = SHADOW_QUEUE if is_shadow else settings.queue
            channel.most_bytes = _SHADOW_BYTES if is_shadow else _PRIMARY_BYTES
            channel.timeout_s = settings.timeout_s
        if (settings.entity or "entity_id") != (self.settings.entity or "entity_id"):
            self._namer = Namer(settings.entity or "entity_id")
        self._ids = generator
        self.settings = settings
        self.table = table
        self._leaving += [self._channels.pop(socket) for socket in set(self._channels) - set(wanted)]
        for channel in self._leaving:
            channel.close()

    def channel_of(self, route: Route | None) -> Channel | None:
        return self._channels.get(route.socket) if route is not None and route.socket is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether a request for a prediction can be answered and logged now."""
        channel = self.channel_of(self.table.primary)
        return channel is not None and channel.is_ready and self._log_holds

    @property
    def _log_holds(self) -> bool:
        return self.writer.healthy or self.settings.log_policy == "degrade"

    @property
    def unanswered(self) -> int:
        """Requests whose callers wait, and copies that a shadow has."""
        shadows = sum(channel.unanswered for channel in self._channels.values())
        return max(self.metrics.in_flight, shadows)

    def tick(self) -> None:
        """Called several times a second."""
        now, used = time.monotonic(), time.process_time()
        self.is_busy = used - self._ticked[1] > BUSY * (now - self._ticked[0])
        self._ticked = (now, used)
        for channel in [*self._channels.values(), *self._leaving]:
            channel.tick(now)
        self.writer.give_up(now - self.settings.timeout_s)
        self._leaving = [channel for channel in self._leaving if channel.unanswered]

    # From the caller to the worker.

    def predict(self, client: Client, ask: Ask, body: bytes) -> None:
        """Take one request; `client` is answered later, once."""
        self.metrics.in_flight += 1
        exchange = Exchange(client, ask, body, self.table.primary or _NOBODY)
        exchange.request_id, exchange.entity = ask.request_id or "", ask.entity
        if ask.kind == _PREDICT:
            exchange.many = body.lstrip()[:1] == b"["
            try:
                exchange.request_id, exchange.entity, exchange.entities = self._namer.of_body(
                    body, ask.request_id, ask.entity, many=exchange.many
                )
            except UnusableName as error:
                exchange.request_id = exchange.request_id or self._namer.new_id()
                self._refuse(exchange, 400, "bad_request", str(error))
                return
        elif ask.request_id is None:
            exchange.request_id = self._namer.new_id()
        if not self._log_holds:
            # What cannot be logged is not predicted; the record of this refusal tries the log again.
            self._refuse(exchange, 503, "log_failed", "predictions cannot be logged at the moment")
            return
        self._ask(exchange, self._draw(exchange) if ask.version is None else self.table.version(ask.version))

    def refuse(
        self, client: Client, path: str, status: int, code: str, message: str, headers: dict[bytes, bytes]
    ) -> None:
        """Log and answer a request for a prediction that got no further than its head."""
        self.metrics.in_flight += 1
        exchange = Exchange(client, Ask(path, _PREDICT), b"", self.table.primary or _NOBODY)
        request_id = None
        try:
            request_id, exchange.entity = of_headers(headers)
        except UnusableName as error:
            message = f"{message}; {error}"
        exchange.request_id = request_id or self._namer.new_id()
        self._refuse(exchange, status, code, message)

    def _draw(self, exchange: Exchange) -> Route | None:
        """The version that falls to this request."""
        exchange.canary_share = self.table.canary_share
        exchange.sticky = exchange.entity is not None
        return self.table.choose(exchange.entity if exchange.entity is not None else exchange.request_id)

    def _ask(self, exchange: Exchange, route: Route | None) -> None:
        if route is None:
            self._fail(exchange, Failure.AWAY)
            return
        exchange.route = route
        channel = self.channel_of(route)
        if channel is None:
            failure: Failure | None = Failure.AWAY
        else:
            failure = channel.ask(exchange, stands_in=exchange.note is not None)
        if failure is None:
            return
        # A canary that is away was not attempted, so there is nothing to hold against it.
        if failure is not Failure.AWAY or not self._fall_back(exchange, failure.code):
            self._fail(exchange, failure)

    def _fall_back(self, exchange: Exchange, reason: str) -> bool:
        """Ask the primary for what the canary owes; False when this is no canary's request."""
        primary = self.table.primary
        if exchange.route.role != "canary" or primary is None:
            return False
        exchange.note = f"{STAND_IN} {exchange.route.version}: {reason}"
        self.metrics.fallbacks[reason] += 1
        self._ask(exchange, primary)
        return True

    # From the worker to the caller.

    def answered(self, exchanges: list[Exchange], found: list[Answer]) -> None:
        """A worker's answers to one frame."""
        now = time.monotonic()
        self.metrics.batch(exchanges[0].route.version, len(exchanges))
        records: list[Record] = []
        ready: list[Exchange] = []
        for exchange, answer in zip(exchanges, found, strict=True):
            latency_us = int((now - exchange.began) * 1e6)
            try:
                if answer.status == 200:
                    self._predicted(exchange, answer, latency_us, records)
                    ready.append(exchange)
                else:
                    self._not_predicted(exchange, answer, latency_us, records, ready)
            except (ValueError, IndexError):
                # Well-formed frames of rubbish: no JSON, no text, no row for one asked.
                self._fail(exchange, Failure.RUBBISH)
        self._log(records, ready)

    def failed(self, exchanges: list[Exchange], failure: Failure) -> None:
        """A channel gives requests back."""
        for exchange in exchanges:
            self._fail(exchange, failure)

    def _predicted(self, exchange: Exchange, answer: Answer, latency_us: int, records: list[Record]) -> None:
        route, metrics = exchange.route, self.metrics
        is_predict = exchange.ask.kind == _PREDICT
        is_copy = exchange.client is None
        made: list[Record] = []
        parts: list[bytes] = []
        decisions: list[bytes] = []
        first = ""
        for index, row in enumerate(answer.rows):
            number = self._ids.new()
            decision = answers.decide(route, row)
            made.append(recording.of_row(exchange, number, index, row, decision, latency_us, exchange.note))
            if is_copy:
                continue
            if row.unseen:
                metrics.unseen.update(row.unseen.decode().split("\x1f"))
            if decision == answers.DEFER:
                metrics.deferrals[route.version] += 1
            shown = ids.text(number)
            first = first or shown
            if is_predict:
                parts.append(answers.prediction(route, shown, row, decision))
            else:
                decisions.append(decision)
        if not made:
            number = self._ids.new()
            first = ids.text(number)
            made.append(recording.of_attempt(exchange, number, 200, latency_us, "no rows"))
        if is_copy:
            metrics.shadow_answers[route.version, 200] += 1
            records += made
            return
        status, told = 200, answer.body
        headers = answers.headers(exchange, first)
        if is_predict:
            told = answers.predictions(parts, many=exchange.many)
        elif route.automation is _SHADOW:
            status = 409
            told = _error(
                exchange,
                "recorded_only",
                "the prediction was recorded and is not told: automation is `shadow`",
            )
        elif route.automation is _PARTIAL:
            headers += answers.decision_header(decisions)
        records += made
        exchange.status, exchange.headers, exchange.told, exchange.copied = status, headers, told, True

    def _not_predicted(
        self,
        exchange: Exchange,
        answer: Answer,
        latency_us: int,
        records: list[Record],
        ready: list[Exchange],
    ) -> None:
        number = self._ids.new()
        said = answers.error_summary(answer.body)
        records.append(recording.of_attempt(exchange, number, answer.status, latency_us, said))
        if exchange.client is None:
            self.metrics.shadow_answers[exchange.route.version, answer.status] += 1
        elif answer.status < 500 or not self._fall_back(exchange, "model_error"):
            exchange.status, exchange.told, exchange.copied = answer.status, answer.body, True
            exchange.headers = answers.headers(exchange, ids.text(number))
            ready.append(exchange)

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        if exchange.client is None:
            self.metrics.shadow_answers[exchange.route.version, failure.status] += 1
            self._log([self._attempt(exchange, failure.status, failure.code)], [])
            return
        if exchange.route.role == "canary" and self.table.primary is not None:
            self._log([self._attempt(exchange, failure.status, failure.code)], [])
            self._fall_back(exchange, failure.code)
            return
        self._refuse(exchange, failure.status, failure.code, failure.message)

    def _refuse(self, exchange: Exchange, status: int, code: str, message: str) -> None:
        record = self._attempt(exchange, status, f"{code}: {message}")
        exchange.headers = answers.headers(exchange, ids.text(record.id))
        if status == 503:
            exchange.headers += answers.RETRY
        exchange.status, exchange.told = status, _error(exchange, code, message)
        self._log([record], [exchange])

    def _attempt(self, exchange: Exchange, status: int, error: str) -> Record:
        latency_us = int((time.monotonic() - exchange.began) * 1e6)
        if exchange.note is not None:
            # Who could not be stood in for is no failure of the primary's own.
            error = f"{exchange.note}; {error}"
        return recording.of_attempt(exchange, self._ids.new(), status, latency_us, error)

    # From the log to the caller.

    def _log(self, records: list[Record], ready: list[Exchange]) -> None:
        if not records:
            return
        if self.writer.healthy or self.settings.log_policy != "degrade":
            self.writer.submit(records, partial(self._logged, ready, len(records), time.monotonic()))
            return
        # The failing log would only add its own wait; it still gets the records and may take them.
        self.writer.submit(records, partial(self._logged, [], len(records), time.monotonic()))
        self._respond(ready)

    def _logged(self, ready: list[Exchange], count: int, since: float, error: Exception | None) -> None:
        metrics = self.metrics
        self.commit_s = time.monotonic() - since
        metrics.commits.add(self.commit_s)
        if error is not None:
            metrics.log_failures += 1
            if self.settings.log_policy == "degrade":
                metrics.unlogged += count
            else:
                for exchange in ready:
                    _withdraw(exchange)
        self._respond(ready)

    def _respond(self, ready: list[Exchange]) -> None:
        now = time.monotonic()
        metrics = self.metrics
        for exchange in ready:
            client = exchange.client
            if client is None:
                continue
            exchange.client = None
            route, path, status = exchange.route, exchange.ask.path, exchange.status
            metrics.in_flight -= 1
            metrics.requests[path, status, route.version, route.role] += 1
            metrics.duration(path, now - exchange.began)
            client.respond(status, exchange.headers, exchange.told)
        shadow = self.table.shadow
        if shadow is not None:
            for exchange in ready:
                if exchange.copied:
                    self._copy(exchange, shadow)

    def _copy(self, exchange: Exchange, shadow: Route) -> None:
        channel = self.channel_of(shadow)
        failure = Failure.AWAY if channel is None else channel.ask(exchange.copy_for(shadow))
        if failure is not None:
            self.metrics.shadow_drops[failure.code] += 1


def _error(exchange: Exchange, code: str, message: str) -> bytes:
    return answers.error(code, message, is_v2=exchange.ask.path.startswith("/v2"))


def _withdraw(exchange: Exchange) -> None:
    """Another answer for one without a record: it has no id, since none would be found by it."""
    exchange.status, exchange.copied = 503, False
    exchange.headers = b"%b%b%bX-Request-Id: %b\r\n" % (
        answers.JSON,
        answers.RETRY,
        exchange.route.header,
        exchange.request_id.encode("latin-1", "replace"),
    )
    exchange.told = _error(exchange, "log_failed", "the prediction could not be logged, so it is not given")
