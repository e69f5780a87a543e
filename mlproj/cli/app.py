"""The command table, and `main`, which turns an error into a message and an exit code, once."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mlproj import __version__
from mlproj.base.errors import ConfigError, Exit, MlprojError

if TYPE_CHECKING:
    import typer

_EPILOG = "Start with `mlproj new NAME`; inside a repository, bare `mlproj` says what to type next."

# A full disk or a read-only folder is the machine's state, not a fault of ours that a traceback would help.
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Bare `mlproj` is typed all day long, so it goes straight to the status page: building the command
    table would take as long again.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # What tidies up after Ctrl-C tidies up as well when a service manager or `timeout` asks us to go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not words:
            from mlproj.cli.status import show

            return show()
        table()(args=words, prog_name="mlproj")
    except MlprojError as error:
        return _failed(error, words)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader (`| head`) has left; point stdout at nothing so that the exit flush does not complain.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return int(Exit.DONE)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        where = f"`{error.filename}`: " if error.filename else ""
        return _failed(MlprojError(f"{where}{error.strerror}"), words)
    except SystemExit as leaving:
        # Typer turns Ctrl-C into an exit code of 1 of its own; the shell's convention says more.
        if _came_from(leaving, KeyboardInterrupt):
            return _interrupted()
        _tell_misuse(leaving, words)
        return leaving.code if isinstance(leaving.code, int) else int(Exit.DONE)
    return int(Exit.DONE)


def table() -> typer.Typer:
    """Every command, in the order a project meets them."""
    import typer

    from mlproj.cli.commands import COMMANDS
    from mlproj.cli.lazily import group

    # Plain help: Rich would double the time that `--help` takes, and pipes and logs want text anyway.
    app = typer.Typer(
        cls=group(COMMANDS),
        help="From an idea to a model on live traffic, held to what the scoping document promises.",
        epilog=_EPILOG,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def print_version(asked: bool) -> None:
        if asked:
            print(f"mlproj {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", help="Print the version and exit.", is_eager=True, callback=print_version
        ),
    ) -> None:
        pass

    return app


def _failed(error: MlprojError, words: Sequence[str]) -> int:
    from mlproj.cli import render

    render.error(error)
    if _wants_json(words):
        render.as_json(render.error_json(error))
    return int(error.exit_code)


def _tell_misuse(leaving: SystemExit, words: Sequence[str]) -> None:
    """Tell a script of an unknown option or the like, which Typer has told on stderr."""
    said = getattr(leaving.__context__, "format_message", None)
    if leaving.code == Exit.USAGE and said is not None and _wants_json(words):
        from mlproj.cli import render

        render.as_json(render.error_json(ConfigError(said())))


def _wants_json(words: Sequence[str]) -> bool:
    """Read from the words alone: an error may come before any command has read its options."""
    options = words[: words.index("--")] if "--" in words else words
    return bool({"--json", "--format=json"} & {*options}) or ("--format", "json") in pairwise(options)


def _interrupted() -> int:
    sys.stderr.write("\ninterrupted: nothing was left half done; run the command again to go on\n")
    return int(Exit.INTERRUPTED)


def _came_from(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
