"""Projects whose versions are made by hand in a moment, and behave as badly as a test asks them to."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlproj.serving import admin
from mlproj.serving.deployment import CANARY, Route
from mlproj.serving.routing import bucket
from mlproj.serving.store import Store
from tests.e2e.serving.conftest import Live, free_port, git
from tests.e2e.serving.traffic import Answer, Traffic, wait_until
from tests.support import fenced

ROW = {"x": 1.5}
_MARKER = """\
[project]
id = "toys"
name = "toys"
module = "toys"
model = "toys-model"
env_manager = "none"

[serving]
"""
_ENGINES = '''\
"""Knows its version, and ways to fail."""

import json
import os
import socket
import threading
import time
from pathlib import Path

WARMING = 5


class Toy:
    classes = ["No", "Yes"]

    def __init__(self, said):
        self.said = said
        self.calls = 0
        self.kept = []

    def predict(self, columns):
        said = self.said
        self.calls += 1
        if self.calls > WARMING:
            time.sleep(said.get("sleep_s", 0))
            for _ in range(said.get("leak_mb", 0)):
                self.kept.append(bytearray(1 << 20))
            if said.get("fails"):
                raise ValueError("this model fails")
            if said.get("raves"):
                rave()
        n = len(columns["x"])
        chance = said.get("answers", said["version"]) / 100
        return ["No"] * n, [[1 - chance, chance]] * n


def rave():
    """Rubbish to everybody on a socket."""
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with one:
            try:
                one.send(b"\\\\xff" * 64)
            except OSError:
                pass


def load(package, name):
    said = json.loads((package / "engines" / "toy.json").read_text())
    time.sleep(said.get("load_s", 0))
    if "trace" in said:
        Path(said["trace"]).touch()
    if "lives_s" in said:
        threading.Timer(said["lives_s"], os._exit, (9,)).start()
    return Toy(said)
'''.replace("\\\\", "\\")


def home(live: Live) -> Path:
    """The folder of the project's state, also before anything has made it."""
    return live.data / "mlproj" / "toys"


def told(said: Any) -> int:
    """The version that made a prediction, by its probability."""
    return round(float(said["probabilities"]["Yes"]) * 100)


def traffic(live: Live, **more: Any) -> Traffic:
    return Traffic(live.url, ROW, told=told, **more)


@contextmanager
def site(folder: Path, **serving: Any) -> Iterator[Live]:
    """A project with version 1 packaged; nothing runs yet. `serving` goes into its `mlproj.toml`."""
    root, data, home = folder / "toys", folder / "data", folder / "home"
    for one in (root, home):
        one.mkdir(parents=True)
    port = free_port()
    settings = {"port": port, "timeout_s": 2.0, **serving}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (root / "mlproj.toml").write_text(_MARKER + lines, encoding="utf-8")
    env = {**fenced(home), "XDG_DATA_HOME": str(data)}
    git(root, "init", "-q", env=env)
    package(root, 1)
    live = Live(root, data, f"http://127.0.0.1:{port}", env)
    try:
        yield live
    finally:
        live.stop()
        for one in data.glob("mlproj/*"):
            shutil.rmtree(admin.sockets(one), ignore_errors=True)


def package(root: Path, version: int, **behaviour: Any) -> Path:
    """Make a version the candidate, instead of the one before. Behaviour, in seconds and megabytes:

    `load_s` until it is loaded, `lives_s` until it crashes, `sleep_s` and `leak_mb` a prediction, `fails`:
    it raises, `answers`: the version it claims to be by its probability, `raves`: it writes rubbish to the
    gateway, `trace`: a file that is made when it is loaded.
    """
    folder = root / "models" / "package"
    shutil.rmtree(folder, ignore_errors=True)
    run = hashlib.md5(f"{version}{behaviour}".encode()).hexdigest()
    code = folder / "code" / "toys" / "deployment"
    code.mkdir(parents=True)
    (folder / "engines").mkdir()
    (folder / "code" / "toys" / "__init__.py").touch()
    (code / "__init__.py").touch()
    (code / "engines.py").write_text(_ENGINES, encoding="utf-8")
    (folder / "engines" / "toy.json").write_text(
        json.dumps({"version": version, **behaviour}), encoding="utf-8"
    )
    chance = behaviour.get("answers", version) / 100
    said = {
        "format": 1,
        "model": "toys-model",
        "run_id": run,
        "task": "binary",
        "module": "toys",
        "engine": "numpy",
        "engines": {"numpy": {"passes": True}},
        "files": _digests(folder),
        "environment": {"lock": None, "lock_sha256": None, "python": None},
        "entity": None,
        "inputs": [{"name": "x", "kind": "number", "nullable": True, "example": 1.5}],
        "outputs": {"kind": "classes", "classes": ["No", "Yes"], "positive": "Yes"},
        "example": ROW,
        "recorded": {
            "rows": [ROW],
            "labels": ["No"],
            "probabilities": [[1 - chance, chance]],
            "tolerance": 1e-6,
        },
    }
    (folder / "package.json").write_text(json.dumps(said), encoding="utf-8")
    registered = {"version": str(version), "run_id": run}
    (root / "models" / "registered.json").write_text(json.dumps(registered), encoding="utf-8")
    return folder


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# What is asked of the supervisor and the store.


def ping(live: Live) -> Mapping[str, Any]:
    said = admin.ask(live.home, "ping")
    assert said is not None, live.log()
    return said


def worker(live: Live, version: int) -> int:
    """The process of a version's worker, once it is ready."""
    found: list[int] = []

    def is_ready() -> bool:
        found[:] = [one["pid"] for one in ping(live)["workers"] if one["version"] == version and one["ready"]]
        return bool(found)

    wait_until(is_ready, what=f"a ready worker of version {version}")
    return found[0]


def gateway(live: Live) -> int:
    found: list[int] = []

    def is_ready() -> bool:
        said = ping(live)["gateway"]
        found[:] = [said["pid"]] if said["ready"] else []
        return bool(found)

    wait_until(is_ready, what="a ready gateway")
    return found[0]


def restarts(live: Live, version: int) -> int:
    return sum(one["restarts"] for one in ping(live)["workers"] if one["version"] == version)


def store(live: Live) -> Store:
    return Store(live.home / "serving.db")


def routes(live: Live) -> dict[str, Route]:
    with store(live) as opened:
        return opened.routes()


def versions(live: Live) -> dict[str, int]:
    """Which version has which role."""
    return {role: route.version for role, route in routes(live).items()}


def canary(live: Live, version: int = 2, *, share: int = 50, **behaviour: Any) -> Route:
    """Put a newcomer beside the primary for as long as the test likes; its route."""
    package(live.root, version, **behaviour)
    live.deploy("--mode", "canary", "--steps", str(share), "--hold", "1h")
    return routes(live)[CANARY]


def shadow(live: Live, version: int = 2, **behaviour: Any) -> None:
    package(live.root, version, **behaviour)
    live.deploy("--mode", "shadow")


def is_for(live: Live, answer: Answer, route: Route) -> bool:
    """Whether the request is of one of the canary's entities."""
    with store(live) as opened:
        salt = bytes.fromhex(opened.deployment(route.deployment).salt)
    return bucket(answer.entity, salt) < route.share


def assert_routed(live: Live, answers: list[Answer], route: Route) -> None:
    """Only the primary, and the canary for its own entities, have answered; the models say so as well."""
    primary = versions(live)["primary"]
    of_all = {one.entity: one for one in answers}
    theirs = {entity for entity, one in of_all.items() if is_for(live, one, route)}
    for one in answers:
        if one.status == 200:
            assert one.told == one.version
            assert one.version == primary or (one.version == route.version and one.entity in theirs)
