"""One worker at a time: a lock file that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
from collections.abc import Iterator
from pathlib import Path

from mlproj.base import clock
from mlproj.base.errors import MlprojError


@contextlib.contextmanager
def held(path: Path, *, doing: str) -> Iterator[None]:
    """Hold the lock at `path` for the block; raise, saying who does what since when, if another does.

    The kernel frees the lock when its holder dies, so a lock is never stale.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise MlprojError(
            f"`{path}` could not be written: {error.strerror}",
            hint="work in a copy of the repository that you may write to",
        ) from error
    with opened as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise MlprojError(
                f"another command works in this repository: {_holder(stream.read())}",
                hint="wait for it to end, then run the command again",
            ) from None
        stream.truncate(0)
        json.dump(
            {
                "doing": doing,
                "pid": os.getpid(),
                "user": _user(),
                "since": clock.now().astimezone().isoformat(timespec="seconds"),
            },
            stream,
        )
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def _holder(text: str) -> str:
    try:
        said = json.loads(text)
        return f"`{said['doing']}` by {said['user']}, process {said['pid']}, since {said['since']}"
    except (json.JSONDecodeError, KeyError):
        return "it has only just begun"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
