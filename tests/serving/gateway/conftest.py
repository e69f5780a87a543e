"""A gateway on a stage of its own, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.gateway.stage import Stage, on_stage


@pytest.fixture
def empty_stage(tmp_path: Path) -> Iterator[Stage]:
    """No worker and no gateway yet."""
    with on_stage(tmp_path / "data") as stage:
        yield stage


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    """Version 1 answers."""
    empty_stage.start_worker(1)
    empty_stage.routes = [empty_stage.route("primary", 1)]
    empty_stage.start()
    return empty_stage
