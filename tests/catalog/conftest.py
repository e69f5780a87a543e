"""Tables written for one test."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into the test's folder, and say where: text in UTF-8, or bytes as they are."""

    def write_file(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def mixed() -> Callable[[int], list[Sequence[str]]]:
    """Rows of a measurement, a colour and a label that has nothing to do with either."""

    def make(rows: int) -> list[Sequence[str]]:
        chance = random.Random(7)
        return [
            (
                f"{chance.uniform(0, 9):.4f}",
                chance.choice(["red", "green", "blue"]),
                chance.choice(["yes", "no"]),
            )
            for _ in range(rows)
        ]

    return make


@pytest.fixture
def body(mixed: Callable[[int], list[Sequence[str]]]) -> str:
    """A hundred such rows as CSV, without a header."""
    return "".join(",".join(row) + "\n" for row in mixed(100))
