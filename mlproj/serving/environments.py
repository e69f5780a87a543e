"""The Python that serves a version: the environment its run was made in, built once from its lock file."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import files, git, lock, process
from mlproj.base.errors import ConfigError
from mlproj.project import Project

_COMPLETE = ".complete"
_WHERE = "the environment of that version"
# What uv can build from; the lock files of conda and pixi belong to their own tools.
_BUILDABLE = ("uv.lock", "requirements.lock")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a package says of the environment it was made in. `commit` holds the lock file in git."""

    lock: str | None
    lock_sha256: str | None
    python: str | None
    commit: str | None


def python_for(
    project: Project,
    wanted: Wanted,
    *,
    say: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """The interpreter for a version, its environment built if this machine has not built it before.

    An environment that mlproj does not manage is used as it is, as long as its lock file is the one the
    version was made with. Raises ConfigError where the lock file is gone, ToolError where uv fails.
    """
    if wanted.lock is None or wanted.lock_sha256 is None:
        return project.python
    if project.env_manager not in ("uv", "venv") and _is_current(project, wanted):
        return project.python
    folder = root(environ) / wanted.lock_sha256[:16]
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).is_file() and python.exists():
        return python
    if Path(wanted.lock).name not in _BUILDABLE:
        raise ConfigError(
            f"`{wanted.lock}` has changed since, and mlproj cannot build {_WHERE} from such a file",
            hint=f"bring the environment of {project.env_manager} back to that lock file, and deploy again",
        )
    texts = _texts(project, wanted)
    with lock.held(root(environ) / f"{folder.name}.lock", doing="building an environment"):
        if (folder / _COMPLETE).is_file() and python.exists():
            return python
        say(f"building {_WHERE} from `{wanted.lock}` (once on this machine)")
        files.remove(folder)
        _build(folder, wanted, texts)
        files.write_text(folder / _COMPLETE, f"{wanted.lock} {wanted.lock_sha256}\n")
    return python


def root(environ: Mapping[str, str]) -> Path:
    """Where environments are kept: all of it can be deleted, and is built again."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlproj" / "environments"


def _is_current(project: Project, wanted: Wanted) -> bool:
    path = project.root / str(wanted.lock)
    return path.is_file() and files.digest(path) == wanted.lock_sha256


def _texts(project: Project, wanted: Wanted) -> dict[str, str]:
    """The files that uv builds from: those of the work tree, else those of the commit of the run."""
    names = [str(wanted.lock)] + (["pyproject.toml"] if wanted.lock == "uv.lock" else [])
    if _is_current(project, wanted):
        return {name: (project.root / name).read_text(encoding="utf-8") for name in names}
    found = {}
    for name in names:
        place = f"{wanted.commit}:./{name}"
        done = git.git(project.root, "show", place, check=False) if wanted.commit else None
        if done is None or done.returncode != 0:
            raise ConfigError(
                f"`{name}` has changed since this version was made, and its commit is not in this repository",
                hint="run `git fetch --tags`, then deploy again",
            )
        found[name] = done.stdout
    return found


def _build(folder: Path, wanted: Wanted, texts: Mapping[str, str]) -> None:
    from uv import find_uv_bin

    uv = find_uv_bin()
    made_in = wanted.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    version = ".".join(made_in.split(".")[:2])
    sources = folder.with_name(f"{folder.name}.sources")
    files.remove(sources)
    sources.mkdir(parents=True)
    try:
        for name, text in texts.items():
            files.write_text(sources / Path(name).name, text)
        if "uv.lock" in texts:
            process.run(
                *(uv, "sync", "--frozen", "--no-dev", "--no-default-groups", "--no-install-project"),
                *("--python", version, "--project", sources),
                cwd=sources,
                env={"UV_PROJECT_ENVIRONMENT": str(folder)},
            )
        else:
            process.run(uv, "venv", "--python", version, folder, cwd=sources)
            process.run(
                *(uv, "pip", "install", "--python", folder / "bin" / "python"),
                *("-r", sources / Path(str(wanted.lock)).name),
                cwd=sources,
            )
    except BaseException:
        files.remove(folder)
        raise
    finally:
        shutil.rmtree(sources, ignore_errors=True)
