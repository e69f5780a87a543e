"""
All that the gateway answers beside predictions: health, metrics, documentation, look-ups and feedback.

An ordinary ASGI application; it may take milliseconds, since no prediction waits for it.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.serving import answers, docs_page, feedback, ids, metrics, openapi
from mlproj.serving.desk import Desk
from mlproj.serving.feedback import Added
from mlproj.serving.lookup import Lookup
from mlproj.serving.record import Feedback

_MOST_FEEDBACK = 10_000


def build(home: Path, desk: Desk) -> Starlette:
    """The application of the gateway whose log and feedback are under `home`."""
    pages = _Pages(home, desk)
    routes = [
        Route("/", pages.docs),
        Route("/docs", pages.docs),
        Route("/openapi.json", pages.openapi),
        Route("/health/live", pages.live),
        Route("/health/ready", pages.ready),
        Route("/ping", pages.ready),
        Route("/version", pages.version),
        Route("/metrics", pages.metrics),
        Route("/predictions/{id}", pages.prediction),
        Route("/feedback", pages.feedback, methods=["POST"]),
        Route("/v2", pages.v2_server),
        Route("/v2/health/live", pages.live),
        Route("/v2/health/ready", pages.ready),
        Route("/v2/models/{model}", pages.v2_model),
        Route("/v2/models/{model}/ready", pages.v2_ready),
        Route("/v2/models/{model}/infer", pages.v2_unknown, methods=["POST"]),
        Route("/v2/models/{model}/versions/{version}", pages.v2_model),
        Route("/v2/models/{model}/versions/{version}/infer", pages.v2_unknown, methods=["POST"]),
        Route("/v2/models/{model}/versions/{version}/ready", pages.v2_ready),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error, ConfigError: _their_error, MlprojError: _our_error},
    )


class _Pages:
    def __init__(self, home: Path, desk: Desk) -> None:
        self._home = home
        self._desk = desk
        self._lookup = Lookup(home)
        self._document = openapi.Cache()
        # Feedback is fsynced: in a thread, and in one, since SQLite has one writer anyway.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._store: feedback.Store | None = None

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        desk = self._desk
        if desk.is_ready:
            return JSONResponse({"ready": True})
        why = "no model is ready" if desk.writer.healthy else "predictions cannot be logged"
        return JSONResponse({"ready": False, "reason": why}, 503, {"Retry-After": "1"})

    async def version(self, request: Request) -> Response:
        # `mlflow models serve` tells MLflow's version here, and its clients only look whether there is one.
        return PlainTextResponse(_own_version())

    async def metrics(self, request: Request) -> Response:
        text = self._desk.metrics.text(_gauges(self._desk))
        return Response(text, media_type=metrics.CONTENT_TYPE)

    async def docs(self, request: Request) -> Response:
        return HTMLResponse(docs_page.html(self._openapi()))

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self._openapi())

    def _openapi(self) -> dict[str, Any]:
        settings, primary = self._desk.settings, self._desk.table.primary
        return self._document.document(
            settings.package,
            model=settings.model,
            version=primary.version if primary is not None else 0,
            has_token=settings.token is not None,
        )

    async def prediction(self, request: Request) -> Response:
        number = ids.parse(request.path_params["id"])
        found = await self._lookup.find(number, postgres=self._desk.settings.postgres)
        if found is None:
            raise HTTPException(404, f"no prediction has the id `{ids.text(number)}`")
        return JSONResponse(found)

    async def feedback(self, request: Request) -> Response:
        try:
            said = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is not JSON") from None
        items = said if isinstance(said, list) else [said]
        if len(items) > _MOST_FEEDBACK:
            raise HTTPException(413, f"at most {_MOST_FEEDBACK:,} at once are taken")
        told = []
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise ConfigError(f"feedback {index} is not an object")
            try:
                told.append(feedback.parse(item, source="http"))
            except ConfigError as error:
                raise ConfigError(f"feedback {index}: {error.message}") from error
        added = await asyncio.get_running_loop().run_in_executor(self._writer, self._add, told)
        return JSONResponse({"new": added.new, "known": added.known})

    def _add(self, told: list[Feedback]) -> Added:
        if self._store is None:
            self._store = feedback.Store(self._home)
        return self._store.add(told)

    async def v2_server(self, request: Request) -> Response:
        return JSONResponse(
            {"name": "mlproj", "version": _own_version(), "extensions": ["binary_tensor_data"]}
        )

    async def v2_model(self, request: Request) -> Response:
        self._served(request)
        settings, table = self._desk.settings, self._desk.table
        versions = [str(route.version) for route in (table.primary, table.canary) if route is not None]
        return JSONResponse(
            {
                "name": settings.model,
                "versions": versions,
                "platform": "mlproj",
                **self._document.tensors(settings.package),
            }
        )

    async def v2_ready(self, request: Request) -> Response:
        self._served(request)
        return await self.ready(request)

    async def v2_unknown(self, request: Request) -> Response:
        """What is served is answered elsewhere; this says what is wrong with all other names."""
        self._served(request)
        raise HTTPException(404, "the model and its version are written another way")

    def _served(self, request: Request) -> None:
        """Raises HTTPException for a model or version that is not the one served."""
        model, number = request.path_params["model"], request.path_params.get("version")
        if model != self._desk.settings.model:
            raise HTTPException(404, f"no model `{model}` is served here, only `{self._desk.settings.model}`")
        if number is not None and not (number.isdigit() and self._desk.table.version(int(number))):
            raise HTTPException(404, f"no version `{number}` of `{model}` answers here")


def _gauges(desk: Desk) -> dict[str, tuple[str, list[tuple[metrics.Labels, float]]]]:
    queue: list[tuple[metrics.Labels, float]] = []
    ready: list[tuple[metrics.Labels, float]] = []
    for route in desk.table.routes:
        labels = (("role", route.role), ("version", str(route.version)))
        channel = desk.channel_of(route)
        queue.append((labels, channel.waiting if channel is not None else 0))
        ready.append((labels, int(channel is not None and channel.is_ready)))
    return {
        "mlproj_queue_requests": ("Requests waiting for a worker", queue),
        "mlproj_worker_ready": ("Whether the worker is connected", ready),
        "mlproj_canary_share": ("Share of entities that are the canary's", [((), desk.table.canary_share)]),
        "mlproj_routes_generation": ("Number of the routes in force", [((), desk.table.generation)]),
        "mlproj_log_waiting_records": ("Records not committed yet", [((), desk.writer.waiting)]),
        "mlproj_log_healthy": ("Whether the last commit went well", [((), int(desk.writer.healthy))]),
    }


def _own_version() -> str:
    try:
        return version("mlproj")
    except PackageNotFoundError:
        return "0"


def _error(
    request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Response:
    body = answers.error(code, message, is_v2=request.url.path.startswith("/v2"))
    return Response(body, status, headers, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return _error(request, error.status_code, code, error.detail, dict(error.headers or {}))


async def _their_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConfigError)
    status = 404 if "id" in request.path_params else 422
    return _error(request, status, "bad_request" if status == 422 else "not_found", error.message)


async def _our_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MlprojError)
    return _error(request, 503, "unavailable", error.message, {"Retry-After": "1"})
