"""
What all connections share: who may come in, which request goes where, and the clock they are held to.

Requests for predictions go to the desk as they are; all others to the application. One sweep a second looks
after every connection's deadline, so that a thousand idle ones cost no timers.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import NamedTuple

from mlproj.serving import answers, naming
from mlproj.serving.connection import Connection, Request
from mlproj.serving.control import Settings
from mlproj.serving.desk import Desk
from mlproj.serving.exchange import Ask
from mlproj.serving.frames import Kind
from mlproj.serving.heads import Heads

MOST_CONNECTIONS = 2000
# Of bodies that arrive or wait for their answers, over all connections.
MOST_HELD = 256 << 20
_V2 = re.compile(rb"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_WHY = {
    400: ("bad_request", "this is not HTTP/1.1"),
    408: ("timeout", "the request did not arrive in time"),
    413: ("too_large", "the body is larger than {max_body} bytes"),
    431: ("too_large", "the headers are larger than 32 kB"),
    503: ("overloaded", "too many connections or too much in transit"),
}

Other = Callable[[Connection, Request], None]


class Hot(NamedTuple):
    """A path that asks for predictions: its name in the metrics, its protocol, the version asked for."""

    label: str
    kind: Kind
    version: int | None = None


class Front:
    """`other` gets every request that is not for a prediction."""

    def __init__(self, desk: Desk, other: Other) -> None:
        self.settings = Settings()
        self.date = b""
        self.held = 0
        self.is_draining = False
        self.connections: set[Connection] = set()
        self.heads = Heads()
        self.predict = desk.predict
        self._desk = desk
        self._other = other
        self._token: bytes | None = None
        self._hot: dict[bytes, Hot] = {}
        self.apply(self.settings)
        self.sweep()

    def apply(self, settings: Settings) -> None:
        """Let these settings hold from now on."""
        self.settings = settings
        self.heads.forget()
        self._token = settings.token.encode() if settings.token is not None else None
        self._hot = {
            b"/predict": Hot("/predict", Kind.PREDICT),
            b"/invocations": Hot("/invocations", Kind.MLFLOW_JSON),
            f"/v2/models/{settings.model}/infer".encode(): Hot("/v2/infer", Kind.V2),
        }

    @property
    def is_full(self) -> bool:
        return self.held > MOST_HELD

    def welcome(self, connection: Connection) -> bool:
        """Count a new connection; False when there are too many."""
        self.connections.add(connection)
        return len(self.connections) <= MOST_CONNECTIONS

    def goodbye(self, connection: Connection) -> None:
        self.connections.discard(connection)

    def sweep(self) -> None:
        """Called once a second."""
        self.date = b"Date: %b\r\n" % formatdate(usegmt=True).encode()
        now = time.monotonic()
        for connection in tuple(self.connections):
            connection.expire(now)

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer the request, now or later, through the connection's `respond`."""
        path, _, _ = request.url.partition(b"?")
        hot = self._hot.get(path) or self._versioned(path)
        is_open = path.startswith(b"/health/") or self.may_send(request.headers)
        if request.refused == 401 or not is_open:
            self.refuse(
                connection,
                path if hot is None else hot.label.encode(),
                401,
                "unauthorized",
                "a token is wanted: `Authorization: Bearer …`",
                b"WWW-Authenticate: Bearer\r\n",
            )
        elif request.refused:
            self._refused(connection, hot, request)
        elif hot is None:
            self._other(connection, request)
        elif request.method != b"POST":
            self.refuse(
                connection,
                hot.label.encode(),
                405,
                "wrong_method",
                "only POST is answered",
                b"Allow: POST\r\n",
            )
        else:
            self._predict(connection, hot, request)

    def refuse(
        self, connection: Connection, label: bytes, status: int, code: str, message: str, headers: bytes = b""
    ) -> None:
        """Answer what never was a request for a prediction; it is counted, not logged."""
        self._desk.metrics.others[_known(label), status] += 1
        body = answers.error(code, message, is_v2=label.startswith(b"/v2"))
        connection.respond(status, answers.JSON + headers, body)

    def may_send(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether the client has the token, if one is wanted; of others no body is read."""
        if self._token is None:
            return True
        scheme, _, token = dict(headers).get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"

    def _versioned(self, path: bytes) -> Hot | None:
        """`/v2/models/M/versions/V/infer` for the model served and a version that answers."""
        match = _V2.fullmatch(path)
        if match is None or match[1] != self.settings.model.encode() or not (match[2] or b"").isdigit():
            return None
        version = int(match[2])
        return Hot("/v2/infer", Kind.V2, version) if self._desk.table.version(version) else None

    def _refused(self, connection: Connection, hot: Hot | None, request: Request) -> None:
        status = request.refused
        code, message = _WHY[status]
        message = message.format(max_body=self.settings.max_body)
        if hot is not None and status in (413, 503):
            headers = dict(request.headers)
            self._desk.refuse(
                connection, hot.label, status, code, f"{message}; nothing of it is kept", headers
            )
        else:
            lines = answers.RETRY if status == 503 else b""
            self.refuse(connection, b"unread", status, code, message, lines)

    def _predict(self, connection: Connection, hot: Hot, request: Request) -> None:
        headers = dict(request.headers)
        kind = hot.kind
        extra = 0
        if headers.get(b"content-encoding", b"identity").lower() not in (b"", b"identity"):
            why = "the body is compressed, which is not read here"
            self._desk.refuse(connection, hot.label, 415, "unsupported", why, headers)
            return
        if kind == Kind.MLFLOW_JSON:
            media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if media == b"text/csv":
                kind = Kind.MLFLOW_CSV
            elif media != b"application/json":
                why = "the header Content-Type has to be application/json or text/csv"
                self._desk.refuse(connection, hot.label, 415, "unsupported", why, headers)
                return
        elif kind == Kind.V2 and b"inference-header-content-length" in headers:
            given = headers[b"inference-header-content-length"]
            if not given.isdigit() or int(given) > len(request.body):
                why = "Inference-Header-Content-Length is not a length within the body"
                self._desk.refuse(connection, hot.label, 400, "bad_request", why, headers)
                return
            extra = int(given)
        try:
            request_id, entity = naming.of_headers(headers)
        except naming.UnusableName as error:
            self._desk.refuse(connection, hot.label, 400, "bad_request", str(error), {})
            return
        ask = Ask(hot.label, kind, extra, hot.version, request_id, entity)
        if request.head is not None and request.keep_alive:
            self.heads.keep(request.head, headers, ask, len(request.body))
        self.predict(connection, ask, request.body)


_PATHS = {
    *(b"/predict", b"/invocations", b"/v2/infer", b"/feedback", b"/metrics", b"/openapi.json", b"/docs"),
    *(
        b"/health/live",
        b"/health/ready",
        b"/ping",
        b"/version",
        b"/v2",
        b"/v2/health/live",
        b"/v2/health/ready",
    ),
    b"unread",
}


def _known(label: bytes) -> str:
    """The path as a metric's label; paths that clients make up are one."""
    if label in _PATHS:
        return label.decode()
    return "/predictions/{id}" if label.startswith(b"/predictions/") else "other"
