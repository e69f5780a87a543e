"""The first guide is followed to the letter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlproj.base.files import write_text
from tests.docs.markdown import blocks
from tests.support import REPOSITORY

GUIDE = REPOSITORY / "docs" / "guides" / "first-project.md"


@pytest.mark.slow
def test_the_first_guide_works_as_written(tmp_path: Path, project_python: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    # As an installed mlproj would be: a program on PATH, in an environment that is nobody else's business.
    (programs / "mlproj").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlproj "$@"\n', encoding="utf-8")
    (programs / "mlproj").chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "MLPROJ": str(REPOSITORY),
    }
    place = tmp_path
    for block in blocks(GUIDE):
        if block.kind == "diff":
            apply(block.text, place / "params.yaml")
        if block.kind != "console":
            continue
        for command in block.commands:
            if command.startswith("cd "):
                place = place / command.removeprefix("cd ")
                continue
            # The one liberty: an environment that is there, since making one takes minutes and a network.
            more = f" --env-manager none --interpreter '{project_python}'"
            done = subprocess.run(
                ["/bin/sh", "-c", command + (more if command.startswith("mlproj new ") else "")],
                cwd=place,
                env=env,
                capture_output=True,
                encoding="utf-8",
                stdin=subprocess.DEVNULL,
                timeout=600,
                check=False,
            )
            assert done.returncode == block.exits, f"$ {command}\n{done.stdout}{done.stderr}"
            must_be_said(block.text, command, done.stdout + done.stderr)


def apply(diff: str, path: Path) -> None:
    """Put the lines with a plus in the place of those with a minus, as a reader would."""
    text = path.read_text(encoding="utf-8")
    lines = diff.splitlines()
    old, new = ("".join(f"{line[1:]}\n" for line in lines if line.startswith(mark)) for mark in "-+")
    assert old, "the guide takes a line away"
    assert text.count(old) == 1, f"`{old}` is not in `{path.name}`"
    write_text(path, text.replace(old, new))


def must_be_said(shown: str, command: str, said: str) -> None:
    """The verdicts that the guide shows below a command are those that it gave: marks and names of gates."""
    lines = shown.splitlines()
    start = lines.index(f"$ {command}") + 1
    end = next((n for n in range(start, len(lines)) if lines[n].startswith("$ ")), len(lines))
    for line in lines[start:end]:
        if line.lstrip()[:1] in ("✓", "✗", "?"):
            assert line.partition(":")[0] in said, f"$ {command}\n{line}\nis not in\n{said}"
