"""Write the reference pages that follow from the code.

python -m docs.generate            writes what has changed
python -m docs.generate --check    changes nothing; exits 1 if a page is not what the code says
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlproj.base import files

HERE = Path(__file__).resolve().parent
# Help text is broken where the terminal ends; the pages have one width wherever they are written.
_WIDTH = "80"

_COMMANDS = """\
<!-- Written by `python -m docs.generate` from the code. Edit the docstrings in mlproj/cli/, then run it. -->

# Commands

What `mlproj --help` and `mlproj COMMAND --help` print. Bare `mlproj`, in a generated repository, is
`mlproj status`. Results go to stdout, everything about them to stderr. The [exit codes](exit-codes.md) are
the same everywhere.

| command | does |
|---|---|
"""


def main(words: list[str]) -> int:
    """Write the pages, or with `--check` say which are not current; the exit code."""
    if words not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = [path for path, text in pages().items() if _read(path) != text]
    for path in stale:
        if words:
            print(f"`{path.relative_to(HERE.parent)}` is not current: run `python -m docs.generate`")
        else:
            files.write_text(path, pages()[path])
            print(f"wrote {path.relative_to(HERE.parent)}")
    return 1 if stale and words else 0


def pages() -> dict[Path, str]:
    """Every generated page with the text it should have."""
    return {HERE / "reference" / "commands.md": commands()}


def commands() -> str:
    """Every command with its help, in the order of the command table."""
    found = list(walk())
    rows = [
        f"| [`{' '.join(['mlproj', *path])}`](#{'-'.join(['mlproj', *path])}) | {_summary(command)} |"
        for path, command in found
    ]
    sections = [
        f"\n## {' '.join(['mlproj', *path])}\n\n```text\n{help_text(path)}```\n"
        for path, _ in [((), None), *found]
    ]
    return _COMMANDS + "\n".join(rows) + "\n" + "".join(sections)


def walk() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of every command, groups left out, with Typer's object for it."""

    def below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        inside = getattr(command, "commands", None)
        if inside is None:
            yield path, command
            return
        for name, child in inside.items():
            yield from below((*path, name), child)

    yield from below((), _app())


def help_text(path: tuple[str, ...]) -> str:
    """What `mlproj PATH --help` prints."""
    said = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            _app().main(args=[*path, "--help"], prog_name="mlproj")
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return said.getvalue()


def _app() -> Any:
    import typer

    from mlproj.cli.app import table

    return typer.main.get_command(table())


def _summary(command: Any) -> str:
    return " ".join(str(command.help).strip().split("\n\n", maxsplit=1)[0].split())


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
