"""Every other program is started here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlproj.base.errors import MissingToolError, ToolError

_HINTS = {
    "git": "install git from https://git-scm.com/downloads, then run the command again",
}
_GRACE_S = 10.0


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    path_first: Path | None = None,
    stdin: str | None = None,
    check: bool = True,
    patience_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it said.

    `env` is added to this process's own; `path_first` is put before PATH, so that the programs of an
    environment are found without activating it. Raises MissingToolError if there is no such program, and
    ToolError if it fails and `check` is true, or takes longer than `patience_s` seconds.
    """
    environ = environment(env, path_first)
    argv = [_resolve(str(command[0]), environ), *map(str, command[1:])]
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environ,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"`{command[0]}` did not end within {patience_s:g} s") from None
    if check and done.returncode != 0:
        raise failure(command, done.returncode, done.stdout + done.stderr)
    return done


def stream(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    path_first: Path | None = None,
    shows: Callable[[str], bool] | None = None,
) -> int:
    """Run a program that talks to the user itself (its stdout goes to our stderr); return its exit code.

    With `shows`, only the lines it returns true for are passed on, as they come. An interruption is waited
    for, so that the program can put its things in order.
    """
    environ = environment(env, path_first)
    argv = [_resolve(str(command[0]), environ), *map(str, command[1:])]
    out = 2 if shows is None else subprocess.PIPE
    error = None if shows is None else subprocess.STDOUT
    with subprocess.Popen(
        argv, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=error
    ) as child:
        try:
            for line in child.stdout or ():
                text = line.decode("utf-8", "replace")
                if shows is None or shows(text):
                    sys.stderr.write(text)
                    sys.stderr.flush()
            return child.wait()
        except BaseException:
            stop(child)
            raise


def talk(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    asks: bool = True,
) -> int:
    """Run a program that speaks with the user itself, and return its exit code. What it says goes to stderr;
    with `asks` it may read what they type."""
    environ = environment(env, None)
    argv = [_resolve(str(command[0]), environ), *map(str, command[1:])]
    stdin = None if asks else subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=cwd, env=environ, stdin=stdin, stdout=2) as child:
        try:
            return child.wait()
        except BaseException:
            stop(child)
            raise


def start(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    path_first: Path | None = None,
) -> subprocess.Popen[str]:
    """Start a program to speak with over pipes; ending it is the caller's part."""
    environ = environment(env, path_first)
    argv = [_resolve(str(command[0]), environ), *map(str, command[1:])]
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )


def stop(child: subprocess.Popen[bytes], *, grace_s: float = _GRACE_S) -> None:
    """Wait for a child that may already be leaving (a Ctrl-C reaches the whole group), then insist."""
    for wait_s, number in ((grace_s / 2, signal.SIGTERM), (grace_s / 2, signal.SIGKILL)):
        try:
            child.wait(timeout=wait_s)
            return
        except subprocess.TimeoutExpired:
            child.send_signal(number)
    child.wait()


def environment(env: Mapping[str, str] | None, path_first: Path | None) -> dict[str, str]:
    environ = dict(os.environ)
    if path_first is not None:
        environ["PATH"] = os.pathsep.join([str(path_first), environ.get("PATH", os.defpath)])
        # An activated environment that is not the project's would mislead the project's own tools.
        environ.pop("VIRTUAL_ENV", None)
        environ.pop("PYTHONHOME", None)
    environ.update(env or {})
    return environ


def failure(command: Sequence[str | Path], returncode: int, output: str, *, hint: str = "") -> ToolError:
    shown = " ".join(str(part) for part in command)
    said = output.strip()
    text = f"`{shown}` failed with exit code {returncode}"
    if said:
        text += ":\n" + "\n".join(f"    {line}" for line in said.splitlines()[-25:])
    return ToolError(text, hint=hint, returncode=returncode, output=said)


def _resolve(program: str, environ: Mapping[str, str]) -> str:
    found = shutil.which(program, path=environ.get("PATH"))
    if found is None:
        name = Path(program).name
        raise MissingToolError(
            f"`{name}` is not installed, or not on PATH",
            hint=_HINTS.get(name, f"install `{name}`, then run the command again"),
        )
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, of whichever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
