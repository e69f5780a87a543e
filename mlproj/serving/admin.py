"""Speaking with the supervisor: one JSON line to its private socket, one back."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.base.errors import MlprojError

_TIMEOUT_S = 10.0


def card(home: Path) -> Path:
    """Where a running supervisor says how it is reached."""
    return home / "supervisor.json"


def sockets(home: Path) -> Path:
    """A private folder for the sockets of a project, made if need be.

    Not in `home`, whose path may be longer than the hundred bytes that a Unix socket's may have. Raises
    MlprojError where somebody else owns the place.
    """
    above = Path(tempfile.gettempdir()) / f"mlproj-{os.getuid()}"
    folder = above / sha256(str(home.resolve()).encode()).hexdigest()[:12]
    for part in (above, folder):
        part.mkdir(mode=0o700, exist_ok=True)
        found = part.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or part.is_symlink():
            raise MlprojError(
                f"`{part}` is not a private folder of yours, so no socket is put there",
                hint="delete it, or set TMPDIR to a folder of your own",
            )
    return folder


def ask(home: Path, op: str, **words: Any) -> Mapping[str, Any] | None:
    """Ask the supervisor of a project; None where none runs. Raises MlprojError if it does not answer."""
    said = files.read_json(card(home))
    if not isinstance(said, dict) or "admin" not in said:
        return None
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_TIMEOUT_S)
        try:
            line.connect(str(said["admin"]))
        except (FileNotFoundError, ConnectionRefusedError):
            return None  # The card of one that was killed.
        except OSError as error:
            raise MlprojError(
                f"the supervisor of this project (process {said.get('pid')}) cannot be asked: {error}",
                hint="it was started by another user, or hangs: look at its log",
            ) from error
        try:
            line.sendall(json.dumps({"op": op, **words}).encode() + b"\n")
            answer = line.makefile("rb").readline()
            return dict(json.loads(answer)) if answer else None
        except (OSError, json.JSONDecodeError) as error:
            raise MlprojError(
                f"the supervisor of this project (process {said.get('pid')}) did not answer: {error}",
                hint=f"look at `{home / 'supervisor.log'}`",
            ) from error
