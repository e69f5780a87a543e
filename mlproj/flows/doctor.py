"""What is missing on this machine, and the command that mends it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import git, process
from mlproj.base.errors import ConfigError, MissingToolError
from mlproj.pipeline import stages
from mlproj.project import Project, locate
from mlproj.provenance import travel
from mlproj.provenance.things import listed, plural
from mlproj.scaffold import environment


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `needed` is False for what one can do without."""

    name: str
    is_fine: bool
    said: str
    hint: str = ""
    needed: bool = True


def examine(here: Path) -> tuple[Finding, ...]:
    """Look at this machine and, where `here` is inside one, at the project."""
    return tuple(_examine(here))


def _examine(here: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(name="python", is_fine=sys.version_info >= (3, 11), said=f"{version}, for mlproj itself")
    yield _git(here)
    if locate(here) is None:
        said = "not inside a repository that mlproj made"
        yield Finding(name="project", is_fine=True, said=said, needed=False)
        return
    try:
        project = Project.find(here)
    except ConfigError as error:
        yield Finding(name="project", is_fine=False, said=error.message, hint=error.hint)
        return
    yield Finding(name="project", is_fine=True, said=f"{project.name} in `{project.root}`")
    try:
        stages.load(project.root)
    except ConfigError as error:
        yield Finding(name="pipeline", is_fine=False, said=error.message, hint=error.hint)
    yield from _environment(project)
    yield _hooks(project)
    yield from _snapshots(project)


def _git(here: Path) -> Finding:
    if shutil.which("git") is None:
        hint = "install it from https://git-scm.com/downloads"
        return Finding(name="git", is_fine=False, said="not on PATH", hint=hint)
    said = process.run("git", "--version").stdout.strip().removeprefix("git version ")
    who = git.identity(here)
    if who is None:
        hint = 'run `git config --global user.name "Your Name"` and `git config --global user.email you@host`'
        return Finding(name="git", is_fine=False, said=f"{said}, but it does not know who you are", hint=hint)
    return Finding(name="git", is_fine=True, said=f"{said}, committing as {who[0]} <{who[1]}>")


_INSTALL = {
    "uv": "run `uv sync`",
    "venv": "run `make requirements`",
    "conda": "run `make create_environment`",
    "pixi": "run `pixi install`",
    "poetry": "run `poetry install`",
}


def _environment(project: Project) -> Iterator[Finding]:
    install = _INSTALL.get(project.env_manager, "install them with `pip install`")
    try:
        python = project.python
    except MissingToolError as error:
        yield Finding(name="environment", is_fine=False, said=error.message, hint=error.hint)
        return
    try:
        found = environment.look(python)
    except ConfigError as error:
        yield Finding(name="environment", is_fine=False, said=error.message, hint=install)
        return
    if found.missing:
        said = f"`{python}` lacks {', '.join(found.missing)}"
        yield Finding(name="environment", is_fine=False, said=said, hint=install)
    else:
        yield Finding(name="environment", is_fine=True, said=f"`{python}` has all that the pipeline needs")
    if project.lock_file and not (project.root / project.lock_file).is_file():
        said = f"`{project.lock_file}` is missing, so no run can say which environment it had"
        yield Finding(name="lock file", is_fine=False, said=said, hint=install)


def _snapshots(project: Project) -> Iterator[Finding]:
    """Whether the snapshots of runs get to where the code gets."""
    if git.toplevel(project.root) is None:
        return
    found = travel.look(project.root)
    if found.hindered:
        said = f"`git push` leaves the snapshots of runs behind, and {found.hindered}"
        hint = f"push them by name: `{travel.by_name(found.lacking[0])}`"
        yield Finding(name="snapshots", is_fine=False, said=said, hint=hint, needed=False)
    elif found.lacking:
        hint = "run `mlproj stage scoping`: every `mlproj stage` sees to it"
        said = f"`git push` to `{listed(found.lacking)}` leaves the snapshots of runs behind"
        yield Finding(name="snapshots", is_fine=False, said=said, hint=hint)
    elif found.remotes:
        for name in found.remotes:
            yield _arrived(project, name)
    else:
        said = "no remote to push the snapshots of runs to; `mlproj stage` sees to it once there is one"
        yield Finding(name="snapshots", is_fine=True, said=said, needed=False)


def _arrived(project: Project, remote: str) -> Finding:
    """Whether they have got there: a push that names a branch leaves them behind."""
    said = f"`git push` to `{remote}` brings the snapshots of runs along"
    found = travel.arrived(project.root, remote)
    if found is None:
        said += "; whether it has those that are kept here could not be asked without waiting"
        return Finding(name="snapshots", is_fine=True, said=said)
    if not found.lacking:
        said += f", and it has all of those kept here ({found.runs})" if found.runs else ""
        return Finding(name="snapshots", is_fine=True, said=said)
    said = f"`{remote}` has {found.there} of the {plural(found.runs, 'run')} kept here as they are now"
    hint = f"run `git push {remote}`, which names no branch: one that does leaves the snapshots behind"
    return Finding(name="snapshots", is_fine=False, said=said, hint=hint, needed=False)


def _hooks(project: Project) -> Finding:
    where = git.git(project.root, "rev-parse", "--git-path", "hooks/pre-commit", check=False)
    if where.returncode != 0:
        said = "this is not a git repository"
        return Finding(name="hooks", is_fine=False, said=said, hint="run `git init`")
    if (project.root / where.stdout.strip()).is_file():
        return Finding(name="hooks", is_fine=True, said="pre-commit is installed")
    programs = project.relative(project.bin) if project.bin.is_relative_to(project.root) else project.bin
    hint = f"run `{programs}/pre-commit install`"
    return Finding(name="hooks", is_fine=False, said="no hook runs on `git commit`", hint=hint)
