"""What the gateway has to know: the settings and routes in force, with the sockets of those who are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.serving import workers
from mlproj.serving.deployment import CANARY, KEPT, PRIMARY, SHADOW, Deployment, Route, Version
from mlproj.serving.settings import Settings
from mlproj.serving.workers import Key, Worker


@dataclass(frozen=True, kw_only=True)
class Live:
    """A route with all that a gateway is told of it."""

    route: Route
    deployment: Deployment
    version: Version


def brief(
    live: Mapping[str, Live], known: Mapping[Key, Worker], *, model: str, node: int, settings: Settings
) -> dict[str, Any]:
    """By role, what answers: as the gateway is told it, without the number of the telling."""
    present = {role: live[role] for role in (PRIMARY, CANARY, SHADOW, KEPT) if role in live}
    of = {role: known.get(workers.key(role, one.version, live)) for role, one in present.items()}
    places = [worker.place for worker in of.values() if worker is not None and worker.place is not None]
    package = str(places[0].folder) if places else None
    routes = [_route(role, one, of[role]) for role, one in present.items()]
    alone = PRIMARY not in live and SHADOW in live
    return {
        "op": "routes",
        "node": node,
        "settings": {
            "model": model,
            "timeout_s": settings.timeout_s,
            "queue": settings.queue,
            "max_body": int(settings.max_body_mb * 1_000_000),
            "log_policy": str(settings.log_policy),
            "token": settings.token,
            "package": package,
            "postgres": settings.postgres,
            "entity": _entity(package),
        },
        # With nothing live, a shadow stands in for it: it is asked, recorded, and tells nobody.
        "routes": [
            {**route, "role": PRIMARY, "automation": "shadow"} if alone else route for route in routes
        ],
    }


def _route(role: str, one: Live, worker: Worker | None) -> dict[str, Any]:
    ready = worker.ready if worker is not None else None
    return {
        "role": role,
        "version": one.route.version,
        "run": one.version.run,
        "deployment": one.route.deployment,
        "share": one.route.share,
        "salt": one.deployment.salt,
        "automation": one.deployment.automation,
        "defer_below": one.deployment.defer_below,
        "socket": str(worker.socket) if worker is not None and ready is not None else None,
        "engine": ready["engine"] if ready is not None else "",
    }


def _entity(package: str | None) -> str | None:
    """The field that says whose request it is."""
    said = files.read_json(Path(package) / "package.json") if package else None
    return said.get("entity") if isinstance(said, dict) else None
