"""A DVC repository for a moment, with a project's cache and remotes: what is done in it is seen nowhere else.

Through it, objects are brought from or put into the project's stores by DVC itself, while the work tree, the
index and the settings of the project stay as they are.
"""

from __future__ import annotations

import configparser
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import files, process
from mlproj.base.errors import MissingToolError, ToolError
from mlproj.project import Project

_QUIET = {"DVC_NO_ANALYTICS": "true", "DVC_CHECK_UPDATE": "false"}


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """`root` is the folder; it is gone after the block."""

    root: Path
    program: tuple[str, ...]

    def dvc(self, *words: str) -> str:
        """Run DVC in it; what it said. Raises ToolError with its last line if it fails."""
        done = process.run(
            *self.program,
            *words,
            cwd=self.root,
            env=_QUIET,
            path_first=Path(self.program[0]).parent,
            check=False,
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            last = said[0].removeprefix("ERROR: ") if said else (done.stderr.strip() or "it said nothing")
            raise ToolError(
                f"`dvc {words[0]}` failed: {last}", returncode=done.returncode, output=done.stderr
            )
        return done.stdout

    def without_cache(self) -> Scratch:
        """The same beside a cache of its own, which is empty: what is brought comes from the remote."""
        root = self.root / "without-cache"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.root / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp"))
        made = Scratch(root=root, program=self.program)
        made.dvc("config", "cache.dir", str(root / ".dvc" / "cache"))
        return made

    def bring(self, md5: str, name: str) -> Path:
        """A folder or file by its digest, from the cache or else the remote; where it is now.

        DVC believes what its cache has under that digest, so it may be damaged. Raises ToolError if neither
        has all of it.
        """
        path = self.root / name
        text = f"outs:\n- md5: {md5}\n  hash: md5\n  path: {name}\n"
        files.write_text(path.with_name(f"{name}.dvc"), text)
        self.dvc("pull", "--quiet", f"{name}.dvc")
        return path


@contextmanager
def scratch(project: Project, *, beside: Path | None = None) -> Iterator[Scratch]:
    """A repository in a temporary folder, or in one below `beside`."""
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="mlproj-dvc-", dir=beside))
    try:
        (root / ".dvc").mkdir()
        with (root / ".dvc" / "config").open("w", encoding="utf-8") as stream:
            _settings(project.root).write(stream)
        yield Scratch(root=root, program=_program(project))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _program(project: Project) -> tuple[str, ...]:
    """The project's DVC, which has the plug-in for its remote; else our own.

    A project whose environment cannot be had any more is the very case in which its data is wanted.
    """
    with contextlib.suppress(MissingToolError):
        own = project.bin / "dvc"
        if own.is_file():
            return (str(own),)
    return (sys.executable, "-m", "dvc")


def _settings(root: Path) -> configparser.ConfigParser:
    """The project's settings of DVC, with relative paths made absolute, as there is no git around it."""
    found = configparser.ConfigParser(interpolation=None)
    for name in ("config", "config.local"):
        found.read(root / ".dvc" / name, encoding="utf-8")
    for section, key, default in (("core", "no_scm", "true"), ("cache", "dir", "cache")):
        if not found.has_section(section):
            found.add_section(section)
        if key == "no_scm" or not found.has_option(section, key):
            found.set(section, key, default)
    # A link into the cache would let what is written here change what is kept there.
    found.set("cache", "type", "reflink,copy")
    for section in found.sections():
        for key in ("url", "dir") if section == "cache" or "remote" in section else ():
            if found.has_option(section, key):
                found.set(section, key, _absolute(root, found.get(section, key)))
    return found


def _absolute(root: Path, path: str) -> str:
    if "://" in path or path.startswith("~") or Path(path).is_absolute():
        return path
    return str((root / ".dvc" / path).resolve())
