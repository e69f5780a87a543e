"""Imports run downwards through the rooms, and rooms on one floor do not know each other."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from tests.support import REPOSITORY

# docs/concepts/rooms.md says why; a room may import from the floors below its own.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"flows"},
    {"lifecycle"},
    {"rollout"},
    {"monitoring"},
    {"catalog", "decisions", "pipeline", "provenance", "scaffold", "scoping", "serving", "tracking"},
    {"project"},
    {"base"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """The rooms that a module imports from, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mlproj":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mlproj.")}
    return found & FLOOR_OF.keys()


def test_every_module_stands_in_a_room() -> None:
    rooms = {path.stem for path in (REPOSITORY / "mlproj").iterdir() if path.name[0] not in "._"}
    assert rooms - {"__init__", "py", "template"} == FLOOR_OF.keys() - {"__main__"}


def test_imports_run_downwards() -> None:
    wrong = []
    for path in (REPOSITORY / "mlproj").rglob("*.py"):
        relative = path.relative_to(REPOSITORY / "mlproj")
        room = relative.parts[0].removesuffix(".py")
        if room not in FLOOR_OF:
            continue
        for other in imports(path):
            if other != room and FLOOR_OF[other] <= FLOOR_OF[room]:
                wrong.append(f"{relative} imports {other}")
    assert wrong == []


@pytest.mark.xdist_group("together")
def test_tests_of_a_group_share_a_worker(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ or not request.config.getoption("loadgroup", default=False):
        pytest.skip("the tests are not spread by groups; `make test` does")
    assert request.node.nodeid.endswith("@together"), "pytest-xdist does not know the groups of this pytest"
