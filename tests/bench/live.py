"""A repository that was generated, trained and packaged, and a gateway that serves it for a measurement."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproj.project import POSTGRES, Project
from mlproj.serving import admin, package
from mlproj.serving.deployment import Mode, Place, Version
from mlproj.serving.store import Store
from tests.bench import measuring

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bench"
PROJECT_PYTHON = Path(os.environ.get("MLPROJ_TEST_PYTHON", sys.executable))
MODELS = {"boosted trees": "", "linear": "logistic_regression"}
_ROWS = 256
_START_S = 90.0

Row = dict[str, Any]


@dataclass
class Server:
    """One that answers. `parts` are processes to be shown by themselves, by name."""

    url: str
    pid: int
    start_s: float
    answer: bytes
    parts: dict[str, int] = field(default_factory=dict)
    home: Path | None = None


class Skipped(Exception):
    """Why a contender is left out."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fenced(home: Path) -> dict[str, str]:
    """What keeps the settings of whoever measures out of it; downloads once made are not made again."""
    people = {
        f"GIT_{who}_{what}": said
        for who in ("AUTHOR", "COMMITTER")
        for what, said in (("NAME", "bench"), ("EMAIL", "bench@localhost"))
    }
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return {
        **people,
        "HOME": str(home),
        "UV_CACHE_DIR": cache,
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
    }


def train(folder: Path, words: Sequence[str], models: Sequence[str] = tuple(MODELS)) -> dict[str, Path]:
    """A generated repository for each kind of model, trained and packaged; the first is the default one."""
    manager = ("--env-manager", "none", "--interpreter", str(PROJECT_PYTHON), "--defaults")
    _run([sys.executable, "-m", "mlproj", "new", "churn", *manager, *words], folder)
    made = {}
    for name in models:
        model, root = MODELS[name], folder / "churn"
        if model:
            root = shutil.copytree(root, folder / model, symlinks=True)
            params = root / "params.yaml"
            text = params.read_text(encoding="utf-8")
            assert "  model: hist_gradient_boosting" in text
            params.write_text(
                text.replace("model: hist_gradient_boosting", f"model: {model}"), encoding="utf-8"
            )
        _run(["dvc", "repro", "--quiet", "package"], root)
        made[name] = root
    return made


def _run(command: Sequence[str], cwd: Path) -> None:
    path = f"{PROJECT_PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")


_DUMP = """
import json, sys
import pandas as pd
inputs = json.load(open("models/package/package.json"))["inputs"]
table = pd.read_parquet("data/processed/test.parquet")[[one["name"] for one in inputs]].dropna()
for one in inputs:
    if one["kind"] == "datetime":
        table[one["name"]] = table[one["name"]].dt.strftime(one["format"])
    elif one["kind"] == "number" and one["integer"]:
        table[one["name"]] = table[one["name"]].astype(int)
print(table.head(int(sys.argv[1])).to_json(orient="records"))
"""


def sample(root: Path) -> list[Row]:
    """Rows of the test split without a gap, which some of the peers could not be sent."""
    done = subprocess.run(
        [PROJECT_PYTHON, "-c", _DUMP, str(_ROWS)], cwd=root, capture_output=True, text=True, check=True
    )
    rows: list[Row] = json.loads(done.stdout)
    return rows


def first_answer(url: str, body: bytes, child: subprocess.Popen[bytes], log: Path) -> bytes:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and child.poll() is None:
        answer = measuring.ask(url, body)
        if answer is not None:
            return answer
        time.sleep(0.02)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise Skipped(f"it did not answer: {' | '.join(said)[-300:]}")


@contextlib.contextmanager
def serve_ours(root: Path, engine: str, body: bytes) -> Iterator[Server]:
    """The package in a data folder of its own, as `mlproj deploy` puts it on live traffic."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlproj-bench-", dir=CACHE) as data:
        project = Project.find(root)
        home = Path(data) / "mlproj" / project.id
        with Store(home / "serving.db") as store:
            add_version(store, 1, with_engine(root, engine, home / "versions" / "1"))
            store.begin(
                mode=Mode.FULL, version=1, automation="full", defer_below=None, plan={}, by="a benchmark"
            )
        log, port = Path(data) / "log", free_port()
        started = time.perf_counter()
        with log.open("wb") as stream:
            child = subprocess.Popen(
                [sys.executable, "-m", "mlproj", "serve", "--host", "127.0.0.1", "--port", str(port)],
                cwd=project.root,
                env={**os.environ, "XDG_DATA_HOME": data, POSTGRES: ""},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}/predict"
            answer = first_answer(url, body, child, log)
            took = time.perf_counter() - started
            running = admin.ask(home, "ping")
            assert running is not None
            parts = {"gateway": running["gateway"]["pid"], "worker": running["workers"][0]["pid"]}
            yield Server(url, child.pid, took, answer, parts, home)
        finally:
            measuring.stop(child)


def with_engine(root: Path, engine: str, folder: Path) -> Path:
    """A copy of the package that is served by an engine of our choice. Raises Skipped where it has it not."""
    shutil.copytree(root / "models" / "package", folder)
    manifest = folder / package.NAME
    said = json.loads(manifest.read_text(encoding="utf-8"))
    found = said["engines"].get(engine) or {"passes": False, "reason": "it has no such engine"}
    if not found["passes"]:
        raise Skipped(found["reason"])
    said["engine"] = engine
    manifest.write_text(json.dumps(said), encoding="utf-8")
    return folder


def add_version(store: Store, number: int, folder: Path) -> None:
    digest = package.digest(folder)
    store.add_version(
        Version(number=number, run="bench", digest=digest, engine="", added_us=0),
        Place(version=number, digest=digest, folder=folder, python=PROJECT_PYTHON),
    )
