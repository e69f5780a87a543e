"""A repository rendered from the template, and its programs run as its owner runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier

TEMPLATE = Path(__file__).resolve().parents[2] / "template"

SCOPING = """\
---
targets:
  ml:
    - {metric: f1, at_least: 0.8, split: dev, slices: [Sex], slice_margin: 0.1}
    - metric: recall
      at_least: 0.8
      split: test
      class: Gentoo penguin (Pygoscelis papua)
      suggested: true
    - {metric: rmse, at_most: 1, split: dev}
  software:
    - {metric: latency_p95_ms, at_most: 50}
  business: []
milestones:
  - {name: first, due: 2026-12-15}
---
# Scoping
"""


@dataclass(frozen=True)
class Rendered:
    """A repository made from the template, and the interpreter that runs it."""

    root: Path
    python: Path
    home: Path

    def run(self, *words: str | Path, code: int = 0) -> str:
        """Run a program of the project's environment; stdout and stderr come back together."""
        program = self.python if words[0] == "python" else self.python.parent / str(words[0])
        done = subprocess.run(
            [program, *map(str, words[1:])],
            cwd=self.root,
            env={
                "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.home),
                "DVC_NO_ANALYTICS": "true",
                "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
                "MPLCONFIGDIR": str(self.home / "matplotlib"),
                "NO_COLOR": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=900,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.root, capture_output=True, encoding="utf-8", check=True
        )
        return done.stdout


def render(folder: Path, found: dict[str, Any] | None, **answers: str) -> Path:
    """The template rendered as a repository called like its folder; without findings, the example."""
    name = folder.name
    data = {"project_name": name, "module_name": name, "env_manager": "none", **answers}
    if found is not None:
        data["findings"] = found  # type: ignore[assignment]
    copier.run_copy(str(TEMPLATE), str(folder), data=data, defaults=True, quiet=True)
    return folder


def begin(folder: Path, python: Path, home: Path) -> Rendered:
    """Make it a git and a DVC repository with a scoping document, and commit."""
    project = Rendered(folder, python, home)
    (folder / "docs" / "scoping.md").write_text(SCOPING, encoding="utf-8")
    project.git("init", "--quiet")
    project.run("dvc", "init", "--quiet", "--force")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Begin")
    return project


MakeProject = Callable[[Path, str], Rendered]
