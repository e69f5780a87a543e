"""A Dockerfile read far enough to look at it, and to run what it says without a container."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One of a stage: `RUN`, with the rest of its lines joined."""

    stage: str
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """A command in its exec form, the options of a HEALTHCHECK taken off."""
        found: list[str] = json.loads(self.value[self.value.index("[") :])
        return found


def read(path: Path) -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            name, _, value = line.strip().partition(" ")
            if name == "FROM":
                stage = value.split(" AS ")[1]
            found.append(Instruction(stage, name, value.strip()))
    return found


def last(instructions: list[Instruction], name: str) -> Instruction:
    return [each for each in instructions if each.name == name][-1]


def ignored(root: Path) -> list[str]:
    """The names in `.dockerignore` that stay out of an image."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").split()
    return [line.removeprefix("**/") for line in lines if not line.startswith("!")]
