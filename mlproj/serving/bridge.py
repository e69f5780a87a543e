"""From a connection to an ASGI application, for the requests that need not be fast.

Bodies are whole before the application is called and answers whole before they are written: nothing here
streams, so an application that fails half-way becomes a clean 500.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp

from mlproj.serving import answers
from mlproj.serving.connection import Connection, Request
from mlproj.serving.metrics import Metrics

_DROPPED = (b"content-length", b"connection", b"transfer-encoding", b"date")
_PATIENCE_S = 30.0


class Bridge:
    """Calls `application` in a task a request, which is ended when it takes more than 30 s."""

    def __init__(self, loop: asyncio.AbstractEventLoop, application: ASGIApp, metrics: Metrics) -> None:
        self._loop = loop
        self._application = application
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unanswered(self) -> int:
        return len(self._tasks)

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer the request through the connection's `respond`, soon."""
        task = self._loop.create_task(self._run(connection, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: Connection, request: Request) -> None:
        told: list[MutableMapping[str, Any]] = []
        given = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            told.append(message)

        scope = _scope(request)
        try:
            await asyncio.wait_for(self._application(scope, receive, send), _PATIENCE_S)
            status, headers, body = _answer(told)
        except Exception as error:
            # Whatever it was, this client gets an answer and the others never notice.
            if not isinstance(error, TimeoutError):
                traceback.print_exc(file=sys.stderr)
            status, headers = 500, answers.JSON
            body = answers.error("internal", "the gateway could not answer this; its log says why")
        route = scope.get("route")
        self._metrics.others[getattr(route, "path", "other"), status] += 1
        connection.respond(status, headers, body)


def _scope(request: Request) -> dict[str, Any]:
    path, _, query = request.url.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method.decode("ascii", "replace"),
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": request.headers,
        "client": None,
        "server": None,
    }


def _answer(told: list[MutableMapping[str, Any]]) -> tuple[int, bytes, bytes]:
    start = told[0]
    lines = [
        b"%b: %b\r\n" % (name, value) for name, value in start.get("headers", ()) if name not in _DROPPED
    ]
    return start["status"], b"".join(lines), b"".join(message.get("body", b"") for message in told[1:])
