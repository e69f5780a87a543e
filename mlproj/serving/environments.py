"""The Python that serves a version: the environment its run was made in, built once from its lock file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files, git, lock, process
from mlproj.base.errors import ConfigError, MlprojError, ToolError
from mlproj.project import Project
from mlproj.serving import wheels

_COMPLETE = ".complete"
_WHERE = "the environment of that version"
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;]+)")
# What uv can build from; the lock files of conda and pixi belong to their own tools.
_BUILDABLE = wheels.KEEPABLE


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a package says of the environment it was made in. `commit` holds the lock file in git."""

    lock: str | None
    lock_sha256: str | None
    python: str | None
    commit: str | None


# The kept wheels of a lock file, by its SHA-256: a folder for as long as it is open, None if there are none.
House = Callable[[str], AbstractContextManager[Path | None]]


def python_for(
    project: Project,
    wanted: Wanted,
    *,
    say: Callable[[str], None],
    house: House | None = None,
    no_index: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """The interpreter for a version, its environment built if this machine has not built it before.

    An environment that mlproj does not manage is used as it is, as long as its lock file is the one the
    version was made with, or it still has every package of that one. What cannot be built from a package
    index, or with `no_index` may not, is built from the wheels in `house`. Raises ConfigError where the lock
    file is gone, ToolError where uv fails.
    """
    if wanted.lock is None or wanted.lock_sha256 is None:
        return project.python
    if project.env_manager not in ("uv", "venv") and (
        _is_current(project, wanted) or _has_all(project, wanted)
    ):
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
    with lock.held(root(environ) / f"{folder.name}.lock", doing="building an environment"):
        if (folder / _COMPLETE).is_file() and python.exists():
            return python
        say(f"building {_WHERE} from `{wanted.lock}` (once on this machine)")
        files.remove(folder)
        _make(project, folder, wanted, house, no_index, say)
        files.write_text(folder / _COMPLETE, f"{wanted.lock} {wanted.lock_sha256}\n")
    return python


def root(environ: Mapping[str, str]) -> Path:
    """Where environments are kept: all of it can be deleted, and is built again."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlproj" / "environments"


def about(python: Path) -> Mapping[str, Any]:
    """What an environment says of itself: `python`, `platform`, and `packages` by name (in lower case, with
    hyphens). Raises ToolError if it cannot be asked."""
    script = Path(__file__).with_name("ask_environment.py")
    done = process.run(python, "-P", script, path_first=python.parent)
    said = json.loads(done.stdout)
    return said if isinstance(said, dict) else {}


def _has_all(project: Project, wanted: Wanted) -> bool:
    """Whether the project's own environment has all that a list of pins asks for, at those versions."""
    if Path(str(wanted.lock)).name != "requirements.lock":
        return False
    try:
        pins = _pins(texts(project, wanted)[str(wanted.lock)])
        return pins is not None and pins.items() <= dict(about(project.python)["packages"]).items()
    except MlprojError:
        return False


def _pins(text: str) -> dict[str, str] | None:
    """The versions that a file of pins fixes, by name; None where it says anything else."""
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        said = line.partition("#")[0].split("--hash")[0].strip()
        pinned = _PIN.fullmatch(said)
        if said and pinned is None:
            return None
        if pinned is not None:
            found[re.sub(r"[-_.]+", "-", pinned[1]).lower()] = pinned[2]
    return found


def _is_current(project: Project, wanted: Wanted) -> bool:
    path = project.root / str(wanted.lock)
    return path.is_file() and files.digest(path) == wanted.lock_sha256


def texts(project: Project, wanted: Wanted) -> dict[str, str]:
    """The files that uv builds from: those of the work tree, else those of the commit of the run.

    Raises ConfigError where neither has them, or what the commit has is not the lock file that was recorded.
    """
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
    if hashlib.sha256(found[str(wanted.lock)].encode()).hexdigest() != wanted.lock_sha256:
        raise ConfigError(
            f"`{wanted.lock}` in the snapshot of the run is not the lock file that it had "
            f"(SHA-256 {str(wanted.lock_sha256)[:12]}): it was changed since",
            hint=f"see `git log {str(wanted.commit)[:12]}`; another clone may still have the tag as it was",
        )
    return found


def _make(
    project: Project,
    folder: Path,
    wanted: Wanted,
    house: House | None,
    no_index: bool,
    say: Callable[[str], None],
) -> None:
    """Build from the index; from the wheels that are kept where that fails, or no index is to be asked."""
    failure: MlprojError | None = None
    if not no_index:
        try:
            _build(folder, wanted, texts(project, wanted))
            return
        except (ConfigError, ToolError) as error:
            failure = error
    with house(str(wanted.lock_sha256)) if house is not None else nullcontext() as kept:
        if kept is None:
            raise failure or ConfigError(
                f"the wheels of `{wanted.lock}` are not kept, and no package index is to be asked",
                hint="run `mlproj wheels` where an index can be reached",
            )
        if failure is not None:
            say(f"it cannot be built from an index, so the wheels that are kept are taken: {failure}")
        try:
            _venv(folder, wanted, kept)
            wheels.install(folder / "bin" / "python", kept)
        except BaseException:
            files.remove(folder)
            raise


def _version(wanted: Wanted) -> str:
    made_in = wanted.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    return ".".join(made_in.split(".")[:2])


def _venv(folder: Path, wanted: Wanted, cwd: Path) -> None:
    from uv import find_uv_bin

    process.run(find_uv_bin(), "venv", "--python", _version(wanted), folder, cwd=cwd)


def _build(folder: Path, wanted: Wanted, texts: Mapping[str, str]) -> None:
    from uv import find_uv_bin

    uv = find_uv_bin()
    sources = folder.with_name(f"{folder.name}.sources")
    files.remove(sources)
    sources.mkdir(parents=True)
    try:
        for name, text in texts.items():
            files.write_text(sources / Path(name).name, text)
        if "uv.lock" in texts:
            process.run(
                *(uv, "sync", "--frozen", "--no-dev", "--no-default-groups", "--no-install-project"),
                *("--python", _version(wanted), "--project", sources),
                cwd=sources,
                env={"UV_PROJECT_ENVIRONMENT": str(folder)},
            )
        else:
            _venv(folder, wanted, sources)
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
