"""`mlproj new`: from a name, and maybe a table, to a repository that runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj import __version__
from mlproj.base import clock, files, git, process
from mlproj.base.errors import ConfigError, MissingToolError, MlprojError, ToolError, nearest
from mlproj.project import Project, locate
from mlproj.scaffold import copier, environment, lock
from mlproj.scaffold.answers import Answers, Inputs

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The user's own data, and what they say about it that need not be guessed."""

    path: Path
    target: str
    delimiter: str | None = None
    encoding: str | None = None
    task: str | None = None
    missing: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class New:
    """What was made. `notes` are what the user should know; `files` are paths in order."""

    root: Path
    answers: Answers
    findings: Mapping[str, Any]
    files: tuple[str, ...]
    notes: tuple[str, ...]
    raw: str | None
    is_dry_run: bool


def create(
    folder: Path,
    answers: Answers,
    *,
    table: Table | None,
    interpreter: environment.Interpreter | None,
    dry_run: bool,
    say: Say,
) -> New:
    """Make the repository at `folder`, which must be new or empty.

    Everything up to the environment happens in a folder beside it, which is moved into place whole. A
    failure or an interruption at any step leaves nothing behind, with one exception: an environment that
    could not be made (no network, say) is no reason to throw the rest away, so the repository stays, with
    its first commit, and ToolError says what finishes it.
    """
    must_be_free(folder)
    if shutil.which("git") is None:
        git.git(folder.parent, "--version")  # raises, with the hint
    if table is not None:
        say(f"reading {table.path.name}")
    findings = infer(table) if table is not None else copier.example_findings()
    with beside(folder, dry_run) as work:
        say("writing the files")
        inputs = Inputs(
            project_id=secrets.token_hex(6),
            year=str(clock.today().year),
            interpreter=str(interpreter.path) if interpreter else "",
        )
        copier.render(work, answers, inputs, findings)
        lock.write(work, lock.rendered(work), version=__version__, answers=answers, inputs=inputs)
        if dry_run:
            paths = _listing(work, (table and f"data/raw/{findings['source']['name']}") or None)
            return New(
                root=folder,
                answers=answers,
                findings=findings,
                files=paths,
                notes=(),
                raw=None,
                is_dry_run=True,
            )
        git.git(work, "init", "--quiet", "--initial-branch=main")
        raw = None
        if table is not None:
            raw = f"data/raw/{findings['source']['name']}"
            say(f"putting {raw} under DVC")
            add_raw(work, table.path, raw)
        with published(work, folder):
            notes = _finish(folder, answers, interpreter, say)
    return New(
        root=folder,
        answers=answers,
        findings=findings,
        files=tuple(git.output(folder, "ls-files", "-z").rstrip("\0").split("\0")),
        notes=tuple(notes),
        raw=raw,
        is_dry_run=False,
    )


def infer(table: Table) -> dict[str, Any]:
    """What the table's columns mean, as plain values."""
    from mlproj.catalog.findings import Task
    from mlproj.catalog.infer import infer as infer_table

    if table.task and table.task not in list(Task):
        like = nearest(table.task, list(Task)) or Task.BINARY
        raise ConfigError(
            f"`--task {table.task}` is not one of {', '.join(f'`{task}`' for task in Task)}",
            hint=f"write `--task {like}`, or leave it out and it is inferred",
        )
    return infer_table(
        table.path,
        table.target,
        delimiter=table.delimiter,
        encoding=table.encoding,
        task=Task(table.task) if table.task else None,
        missing=table.missing,
        keep=table.keep,
    ).to_json()


def columns(path: Path, *, delimiter: str | None, encoding: str | None) -> tuple[str, ...]:
    """The names of a table's columns, for one who has not said which is the target."""
    from mlproj.catalog import source
    from mlproj.catalog.duckdb import opened

    with opened(source.examine(path, delimiter=delimiter, encoding=encoding)) as table:
        return tuple(table.names)


def add_raw(root: Path, source: Path, relative: str) -> None:
    """Copy the user's file to its place, byte for byte, and put it under DVC.

    DVC is mlproj's own: the project's may not be installed yet, and what they write is the same.
    """
    target = root / relative
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as place:
        part = Path(place) / "part"
        try:
            shutil.copyfile(source, part)
            # Replaced, never written into: a file that DVC linked to its cache would change there too.
            part.replace(target)
        except OSError as error:
            raise MlprojError(
                f"`{source}` could not be copied to `{target.parent}`: {error.strerror or error}"
            ) from error
    process.run(sys.executable, "-m", "dvc", "add", "--quiet", relative, cwd=root)


def must_be_free(folder: Path) -> None:
    try:
        taken = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise ConfigError(f"`{folder}` cannot be looked into: {error.strerror}") from None
    if taken:
        what = "is not empty" if folder.is_dir() else "is there already, and is not a folder"
        raise ConfigError(
            f"`{folder}` {what}",
            hint="take another name, or change to another folder; nothing is written over",
        )
    if not folder.parent.is_dir():
        raise ConfigError(f"`{folder.parent}` is not a folder")


def surroundings(folder: Path) -> str:
    """What follows from the git repository that `folder` would lie in; empty where there is none."""
    outer = git.toplevel(folder.parent)
    if outer is None:
        return ""
    what = "mlproj project" if locate(folder.parent) else "git repository"
    said = f"`{folder.name}` will be a git repository of its own inside the {what} `{outer}`"
    if git.git(folder.parent, "check-ignore", "--quiet", f"{folder}/", check=False).returncode == 0:
        return f"{said}, which ignores it"
    return (
        f"{said}, which cannot keep its files: add `{folder.name}/` to its .gitignore, or make it elsewhere"
    )


@contextlib.contextmanager
def beside(folder: Path, dry_run: bool) -> Iterator[Path]:
    """A new folder on the same file system, or a throw-away one for a dry run; gone afterwards."""
    try:
        place = None if dry_run else folder.parent
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=place))
    except OSError as error:
        raise MlprojError(f"nothing can be written in `{folder.parent}`: {error.strerror}") from error
    try:
        work.chmod(0o777 & ~files.umask())
        yield work
    finally:
        files.remove(work)


@contextlib.contextmanager
def published(work: Path, folder: Path) -> Iterator[None]:
    """Move the finished work into place; take it away again if the block is interrupted or fails.

    A ToolError that says the repository is to be kept passes through `_EnvironmentFailed`.
    """
    was_there = folder.exists()
    try:
        work.rename(folder)
    except OSError as error:
        raise MlprojError(f"`{folder}` could not be put in place: {error.strerror}") from error
    try:
        yield
    except EnvironmentFailed:
        raise
    except BaseException:
        files.remove(folder)
        if was_there:
            folder.mkdir()
        raise


class EnvironmentFailed(ToolError):
    """The repository is made and committed; only its environment is missing."""


def _finish(root: Path, answers: Answers, found: environment.Interpreter | None, say: Say) -> list[str]:
    """Environment, first commit, hooks: what has to happen in the final place."""
    identity, said = stand_in(root, answers.author)
    notes = [*said]
    manager = environment.MANAGERS[answers.env_manager]
    failure: MlprojError | None = None
    is_made = found is not None
    if not environment.is_available(manager):
        notes.append(
            f"`{manager.tool}` is not installed, so there is no environment yet: "
            f"install it, then run `{manager.command}`"
        )
    elif found is None:
        say(f"making the environment with {answers.env_manager} (this takes a minute or two)")
        try:
            manager.make(root, answers.python_version)
            is_made = True
        except (ToolError, MissingToolError) as error:
            failure = error
    if found is not None:
        environment.freeze(root, found.path)
    if found is not None and found.missing:
        notes.append(
            f"`{found.path}` lacks {', '.join(found.missing)}: run `make requirements` to install them there"
        )
    commit(root, f"Begin {root.name}, generated by mlproj {__version__}", identity)
    if failure is not None:
        raise EnvironmentFailed(
            f"{failure.message}\n\n"
            f"the repository `{root.name}` is made and committed, its environment is not",
            hint=f"run `cd {root.name} && make requirements`, then commit the lock file it writes",
        ) from failure
    if is_made and (found is None or "pre-commit" not in found.missing):
        say("installing the pre-commit hooks")
        notes += install_hooks(root)
    return notes


def install_hooks(root: Path) -> list[str]:
    """Install the pre-commit hooks; what kept them out is a note, not a failure."""
    done = process.run(
        Project.load(root).python,
        "-m",
        "pre_commit",
        "install",
        cwd=root,
        check=False,
    )
    if done.returncode == 0:
        return []
    said = (done.stdout + done.stderr).strip().splitlines()
    return [f"the pre-commit hooks are not installed: {said[0] if said else 'pre-commit failed'}"]


def stand_in(root: Path, author: str) -> tuple[dict[str, str], Sequence[str]]:
    """Who makes the first commit where git knows nobody, and the note that says so.

    For that commit only: a name written into the repository's settings would hide the person's own for ever.
    """
    if git.identity(root) is not None:
        return {}, ()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user{os.getuid()}"
    who = {"NAME": author or user, "EMAIL": f"{user}@localhost"}
    env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    return env, (
        f"git does not know who you are, so the first commit is by `{who['NAME']} <{who['EMAIL']}>`; "
        'before the next, run `git config --global user.name "Your Name"` '
        "and `git config --global user.email you@host`",
    )


def commit(root: Path, message: str, env: Mapping[str, str]) -> None:
    git.git(root, "add", "--all")
    # What was just generated passes the hooks, as mlproj's own tests see to; a key to sign with may be
    # one that a person has to touch.
    words = ("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", message)
    git.git(root, *words, env=env)


def _listing(root: Path, raw: str | None) -> tuple[str, ...]:
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return tuple(sorted([*paths, *([raw, f"{raw}.dvc"] if raw else [])]))
