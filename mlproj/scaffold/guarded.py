"""Run Cookiecutter or Copier on a template that a person agreed to, writing below given folders only.

A program of its own, `python -m mlproj.scaffold.guarded JOB`, so that the template's code and what its engine
does to the interpreter stay out of mlproj. JOB is a JSON file, which `mlproj.flows.template` writes. Python
asks the audit hook before each change to the file system, so a file name that leads out is refused before
there is a file. It is no sandbox: programs that the template starts, its hooks say, are not watched.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Which arguments of an event are paths that it changes.
_CHANGES: Mapping[str, tuple[int, ...]] = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "os.setxattr": (0,),
    "os.removexattr": (0,),
    "os.mkfifo": (0,),
    "os.mknod": (0,),
}
_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLLOWS = {"os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"}
_ENGINES = ("cookiecutter", "copier")
_DEVICES = ("/dev/null", "/dev/tty", "/dev/pts/")


class Refused(BaseException):
    """What the template wants to do. No `Exception`, so that no engine's error handling swallows it."""


def fence(folders: list[str], *, starts: bool) -> None:
    """From here on, this process changes nothing outside the folders; it starts programs only if it may."""
    allowed = [os.path.realpath(folder) for folder in folders]

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STARTS and not starts:
            raise Refused("start a program, which was not shown")
        if event == "open":
            path, _, flags = arguments
            if (flags or 0) & _WRITES:
                check(path, follows=True)
        for number in _CHANGES.get(event, ()):
            check(arguments[number], follows=event in _FOLLOWS)

    def check(path: Any, *, follows: bool) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # the number of a file that is open already
        name = os.fsdecode(path)
        folder, last = os.path.split(os.path.abspath(name))  # noqa: PTH100
        place = os.path.realpath(name) if follows else os.path.join(os.path.realpath(folder), last)  # noqa: PTH118
        is_inside = any(place == top or place.startswith(top + os.sep) for top in allowed)
        if not is_inside and not place.startswith(_DEVICES):
            raise Refused(f"write `{name}`, which is outside of the project")

    sys.addaudithook(look)


def main(job_path: str) -> int:
    job: dict[str, Any] = json.loads(Path(job_path).read_text(encoding="utf-8"))
    engine = _copier if job["kind"] == "Copier" else _cookiecutter
    run = engine(job)
    fence(job["folders"], starts=job["starts"])
    said: dict[str, Any]
    try:
        said = {"made": run()}
    except Refused as refused:
        said = {"refused": str(refused)}
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:
        said = {"error": f"it ended with exit code {leaving.code}"}
    except Exception as error:  # whatever a template's own code raises is the template's failure
        said = {"error": _told(error), "answer": _refused_answer(error, job["answers"])}
    Path(job["result"]).write_text(json.dumps(said), encoding="utf-8")
    return 0


def _told(error: Exception) -> str:
    """What went wrong. Where the template's own code raised it, a traceback says where; an engine's error
    says it itself, after which Cookiecutter prints all of its variables."""
    if _is_the_engines(error):
        return str(error).partition(" Context: ")[0] or type(error).__name__
    traceback.print_exc()
    return f"{type(error).__name__}: {error}".strip()


def _refused_answer(error: Exception, answers: Mapping[str, Any]) -> str | None:
    """The question whose answer the engine would not take: it names the one, or the other in quotes."""
    if not isinstance(error, ValueError | TypeError) or not _is_the_engines(error):
        return None
    said = str(error)
    for key, word in answers.items():
        if re.search(rf"\b{re.escape(key)}\b", said) or repr(word) in said:
            return key
    return None


def _is_the_engines(error: Exception) -> bool:
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _ENGINES


def _cookiecutter(job: Mapping[str, Any]) -> Callable[[], str]:
    if job["kind"] == "Cookiecutter Data Science":
        import ccds.__main__  # noqa: F401 - teaches Cookiecutter to read `ccds.json`

    from cookiecutter.main import cookiecutter

    def run() -> str:
        made: str = cookiecutter(
            job["template"],
            no_input=bool(job["defaults"]) and not job["replay"],
            extra_context=None if job["replay"] else job["answers"],
            replay=bool(job["replay"]),
            output_dir=job["out"],
        )
        return made

    return run


def _copier(job: Mapping[str, Any]) -> Callable[[], str]:
    from copier import run_copy

    def run() -> str:
        target = Path(job["out"], job["name"])
        run_copy(
            job["template"],
            target,
            data=job["answers"],
            user_defaults=job["suggested"],
            defaults=bool(job["defaults"]),
            vcs_ref="HEAD",
            unsafe=True,  # it was shown, and agreed to
        )
        return str(target)

    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
