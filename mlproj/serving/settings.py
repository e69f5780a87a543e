"""How a project is served: the table `[serving]` of `mlproj.toml`, checked as a whole."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.base.errors import ConfigError, nearest
from mlproj.project import MARKER, Project, find_postgres

TOKEN = "MLPROJ_TOKEN"
NODE = "MLPROJ_NODE"
_SHORTEST_TOKEN = 16
# In the project's data folder: the address that `mlproj deploy` was given last.
_ADDRESS = "address.json"
_SET_ONE = f"`export {TOKEN}=$(python -c 'import secrets; print(secrets.token_urlsafe())')`"


class LogPolicy(StrEnum):
    """What happens to a request that cannot be logged: refused with 503, or answered and counted."""

    CLOSED = "closed"
    DEGRADE = "degrade"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times in seconds, sizes in MB. `queue` is how many requests may wait for the primary; `keep_wheels`
    whether the wheels of deployed versions are kept without being asked for."""

    host: str = "127.0.0.1"
    port: int = 8000
    timeout_s: float = 5.0
    queue: int = 1024
    max_rows: int = 1000
    max_body_mb: float = 4.0
    memory_mb: int = 4096
    log_policy: LogPolicy = LogPolicy.CLOSED
    keep_wheels: bool = True
    postgres: str | None = None
    token: str | None = None

    @property
    def is_public(self) -> bool:
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


_POSITIVE = ("timeout_s", "queue", "max_rows", "max_body_mb", "memory_mb")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "host": str,
    "port": int,
    "timeout_s": (int, float),
    "queue": int,
    "max_rows": int,
    "max_body_mb": (int, float),
    "memory_mb": int,
    "log_policy": str,
    "keep_wheels": bool,
    "postgres": str,
}


def node_name(home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """What this machine is called among those that share a store; two homes on one machine are two."""
    own = sha256(str(home.resolve()).encode()).hexdigest()[:8]
    return environ.get(NODE) or f"{socket.gethostname()}-{own}"


def load(project: Project, environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """What `mlproj.toml` says, over it the environment, the address remembered, and what was `given` on the
    command line.

    Raises ConfigError, naming the key, for what cannot be used.
    """
    said: dict[str, Any] = dict(project.serving)
    for key, value in said.items():
        _check(key, value)
    said["postgres"] = find_postgres(project.serving, environ)
    said |= _remembered(project)
    said |= {key: value for key, value in given.items() if value is not None}
    if "log_policy" in said:
        said["log_policy"] = LogPolicy(said["log_policy"])
    return Settings(**said, token=environ.get(TOKEN) or None)


def remember(project: Project, *, host: str | None, port: int | None) -> None:
    """Let the address that `mlproj deploy` was given hold for the next start, on this machine, as long as
    `mlproj.toml` says no other. A port of 0 is any."""
    given = {key: value for key, value in (("host", host), ("port", port)) if value not in (None, 0)}
    if given:
        said = {"address": {**_remembered(project), **given}, "instead_of": _address(project)}
        files.write_text(project.home / _ADDRESS, json.dumps(said) + "\n")


def _remembered(project: Project) -> dict[str, Any]:
    try:
        said = json.loads((project.home / _ADDRESS).read_text(encoding="utf-8"))
        return dict(said["address"]) if said["instead_of"] == _address(project) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _address(project: Project) -> dict[str, Any]:
    return {key: project.serving.get(key) for key in ("host", "port")}


def must_be_safe(settings: Settings) -> None:
    """Before anything listens. Raises ConfigError for a public address without a token, or a short one."""
    if settings.is_public and settings.token is None:
        raise ConfigError(
            f"`{settings.host}` can be reached from other machines, and there is no token",
            hint=f"set one: {_SET_ONE}",
        )
    if settings.token is not None and len(settings.token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"`{TOKEN}` is shorter than {_SHORTEST_TOKEN} characters, so it could be guessed",
            hint=f"set another: {_SET_ONE}",
        )


def _check(key: str, value: Any) -> None:
    if key not in _TYPES:
        known = [entry.name for entry in fields(Settings) if entry.name != "token"]
        near = nearest(key, known)
        raise ConfigError(
            f"`{MARKER}`: `[serving]` has no key `{key}`",
            hint=f"did you mean `{near}`?" if near else f"the keys are {', '.join(known)}",
        )
    wrong = not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and _TYPES[key] is not bool)
    if wrong or (key in _POSITIVE and value <= 0) or (key == "port" and not 0 <= value <= 65535):
        wanted = (
            "a text"
            if _TYPES[key] is str
            else "true or false"
            if _TYPES[key] is bool
            else "a port, 0 to 65535"
            if key == "port"
            else "a number above 0"
        )
        raise ConfigError(
            f"`{MARKER}`: `[serving] {key}` is `{value}`; {wanted} is wanted", hint=f"edit `{MARKER}`"
        )
    if key == "log_policy" and value not in tuple(LogPolicy):
        raise ConfigError(
            f"`{MARKER}`: `[serving] log_policy` is `{value}`",
            hint=f"the policies are {' and '.join(f'`{policy}`' for policy in LogPolicy)}",
        )
