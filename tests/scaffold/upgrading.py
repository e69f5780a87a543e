"""Versions of the template, and repositories made from them, for the tests of `mlproj upgrade`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from mlproj.flows import upgrade
from mlproj.flows.upgrade import Upgraded
from mlproj.scaffold import copier, lock
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scaffold.copier import Template

Text = str | bytes | None
Edit = Text | Callable[[str], str]


class Today(Protocol):
    """Make a newer template, with edits to the files of yesterday's project."""

    def __call__(self, edits: Mapping[str, Edit], number: str = "0.0.2") -> Template: ...


INPUTS = Inputs(project_id="0123456789ab", year="2026")
WORDS = {"project_name": "visit-model", "python_version": "3.11", "env_manager": "none"}

REPORT = "".join(f"line {number} of the report\n" for number in range(1, 41))
LOGO = bytes(range(256)) * 4

# What no test here looks at, and rendering would take twice as long for.
_LEFT_OUT = (
    "__pycache__",
    "deployment",
    "modeling",
    "mkdocs*",
    "plots.py.jinja",
    "test_[^d]*",
    "*.ipynb.jinja",
)

# What yesterday's template has beside today's files: things to rename, delete and change.
YESTERDAY: Mapping[str, Text] = {
    "tools/report.py": REPORT,
    "tools/one.py": REPORT.replace("report", "first tool"),
    "tools/two.py": REPORT.replace("report", "second tool"),
    "tools/three.py": REPORT.replace("report", "third tool"),
    "tools/logo.bin": LOGO,
}


def put(root: Path, edits: Mapping[str, Edit]) -> None:
    """Write files (text, bytes), delete them (None), or change what they say (a function)."""
    for path, edit in edits.items():
        place = root / path
        if edit is None:
            place.unlink()
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        content = edit(place.read_text()) if callable(edit) else edit
        place.write_bytes(content.encode() if isinstance(content, str) else content)


def version(folder: Path, number: str, start: Path, edits: Mapping[str, Edit]) -> Template:
    """A template like the one at `start`, with edits to its project's files."""
    shutil.copytree(start, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    put(folder / "project", edits)
    return Template(folder=folder, version=number)


def generate(root: Path, template: Template, **words: str) -> Path:
    """A repository rendered from the template and committed, as `mlproj new` makes one without data."""
    answers = Answers.from_words({**WORDS, **words})
    copier.render(root, answers, INPUTS, copier.example_findings(), template)
    lock.write(root, lock.rendered(root), version=template.version, answers=answers, inputs=INPUTS)
    git(root, "init", "--quiet")
    commit(root, "generated")
    return root


def run(root: Path, template: Template, *, dry_run: bool = False) -> Upgraded:
    return upgrade.run(
        root, template=template, ask=lambda question: "", dry_run=dry_run, say=lambda text: None
    )


def git(root: Path, *words: str, **env: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", message)


def status(root: Path) -> list[str]:
    return git(root, "status", "--porcelain").splitlines()


def fingerprint(root: Path) -> dict[str, bytes]:
    """Every file of the work tree with its bytes, and what git has staged; not what may be thrown away."""
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".git", "cache"} & {*path.relative_to(root).parts}
    }
    return {**found, "staged": git(root, "ls-files", "--stage").encode()}
