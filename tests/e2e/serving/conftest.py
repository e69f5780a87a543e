"""A packaged repository, and a gateway that serves a copy of it to real clients and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import copied
from tests.support import fenced, made_once, run_mlproj

_POLL_S = 0.05
_END_S = 10.0


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(["git", *words], cwd=root, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def promise(root: Path, automation: str) -> None:
    """Let the scoping document promise another degree of automation."""
    path = root / "docs" / "scoping.md"
    text = path.read_text(encoding="utf-8")
    assert "automation: assist" in text
    path.write_text(text.replace("automation: assist", f"automation: {automation}"), encoding="utf-8")


@pytest.fixture(scope="session")
def packaged(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained repository after `mlproj stage deployment`, with full automation promised and committed."""

    def make(folder: Path) -> None:
        (folder / "home").mkdir()
        env = fenced(folder / "home")
        root = copied(trained, folder / trained.name, folder / "home")
        promise(root, "full")
        for words in (("approve", "--role", "owner"), ("stage", "deployment")):
            done = run_mlproj(*words, cwd=root, env=env)
            assert done.returncode == 0, done.stdout + done.stderr
        git(root, "add", "-A", env=env)
        git(root, "commit", "-qm", "Packaged", env=env)

    return made_once(tmp_path_factory, "packaged", make) / trained.name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answered:
    """What came back over HTTP. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Live:
    """A project on live traffic. Everything that it starts runs in `env`, with a data folder of its own."""

    root: Path
    data: Path
    url: str
    env: Mapping[str, str]

    @property
    def home(self) -> Path:
        """The folder of this project's state."""
        (found,) = (self.data / "mlproj").iterdir()
        return found

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run_mlproj(*words, cwd=self.root, env=dict(self.env))

    def must(self, *words: str | Path) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout

    def log(self) -> str:
        """What the supervisor and its children wrote."""
        written = self.data.glob("mlproj/*/supervisor.log")
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in written)

    def deploy(self, *words: str | Path) -> str:
        port = self.url.rpartition(":")[2]
        return self.must("deploy", "--port", port, *words)

    def overview(self) -> Any:
        return json.loads(self.must("deployments", "--json"))

    def package(self) -> Any:
        return json.loads((self.root / "models" / "package" / "package.json").read_text(encoding="utf-8"))

    def ask(
        self,
        path: str,
        body: bytes | str | Any = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request. A body that is neither bytes nor text is sent as JSON."""
        sent = dict(headers or {})
        if body is None or isinstance(body, bytes):
            data = body
        else:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=data, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answered(answer.status, _lower(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as answer:
            with answer:
                return Answered(answer.code, _lower(answer.headers.items()), answer.read())

    def pids(self) -> dict[int, str]:
        """The processes of this project that run now, with their command lines.

        They are known by their environment, so that one which was forgotten by its parent is found as well.
        """
        mark = f"XDG_DATA_HOME={self.data}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                        if words:
                            found[int(folder.name)] = words.decode("utf-8", "replace").strip()
                except OSError:
                    continue  # it has ended, or is not ours
        return found

    def stop(self) -> None:
        """Drain and end it; nothing of it may be left running."""
        done = self.run("serve", "--stop")
        assert done.returncode in (0, 3), done.stdout + done.stderr + self.log()
        until = time.monotonic() + _END_S
        while self.pids() and time.monotonic() < until:
            time.sleep(_POLL_S)
        left = self.pids()
        for pid in left:
            os.kill(pid, 9)
        assert not left, f"{left}\n{self.log()}"


def _lower(items: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in items}


Serve = Callable[..., Live]


def _places(packaged: Path, folders: pytest.TempPathFactory) -> Iterator[Serve]:
    made: list[Live] = []

    def place(source: Path = packaged, **env: str) -> Live:
        folder = folders.mktemp("live")
        (folder / "home").mkdir()
        root = copied(source, folder / source.name, folder / "home")
        data = folder / "data"
        url = f"http://127.0.0.1:{free_port()}"
        made.append(Live(root, data, url, {**fenced(folder / "home"), "XDG_DATA_HOME": str(data), **env}))
        return made[-1]

    yield place
    failures = []
    for live in made:
        try:
            live.stop()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def place(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Makes copies of the packaged repository, each with a port and a data folder of its own; nothing of them
    runs yet, and all that was started of them is stopped after the test."""
    yield from _places(packaged, tmp_path_factory)


@pytest.fixture(scope="module")
def place_for_all(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """As `place`, for what the tests of a file share."""
    yield from _places(packaged, tmp_path_factory)


@pytest.fixture
def live(place: Serve) -> Live:
    """A copy of the packaged repository, version 1 of it live with full automation."""
    served = place()
    served.deploy()
    return served


@pytest.fixture(scope="module")
def served(place_for_all: Serve) -> Live:
    """As `live`, for tests of a file that only ask."""
    shared = place_for_all()
    shared.deploy()
    return shared


@pytest.fixture(scope="session")
def rows(packaged: Path) -> list[dict[str, Any]]:
    """Real rows, as `/predict` takes them: the package's example and its recorded ones."""
    said = json.loads((packaged / "models" / "package" / "package.json").read_text(encoding="utf-8"))
    return [said["example"], *said["recorded"]["rows"]]
