"""Workers that are stopped when the test is done, in folders short enough for a socket's path."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving.worker import toy
from tests.serving.worker.conversation import BLOCKED, Worker

Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="w"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def blocked(short: Path) -> dict[str, str]:
    """An environment in which msgspec cannot be imported."""
    (short / "blocked").mkdir()
    (short / "blocked" / "msgspec.py").write_text(BLOCKED)
    return {"PYTHONPATH": str(short / "blocked")}


@pytest.fixture
def start(short: Path) -> Iterator[Start]:
    started: list[Worker] = []

    def begin(package: Path, *words: str, **options: object) -> Worker:
        number = len(list(short.glob("*.log")))
        worker = Worker(package, short / f"{number}.sock", *words, **options)  # type: ignore[arg-type]
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.close()


@pytest.fixture(scope="module", params=["msgspec", "json"])
def worker(request: pytest.FixtureRequest, short: Path, blocked: dict[str, str]) -> Iterator[Worker]:
    """One worker for all tests of a module that only ask, with msgspec and without."""
    package = toy.make(short / f"package-{request.param}")
    env = blocked if request.param == "json" else {}
    running = Worker(package, short / f"{request.param}.sock", "--max-rows", "50", env=env)
    assert running.ready["ready"], running.ready
    yield running
    running.close()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return toy.make(tmp_path / "package")
