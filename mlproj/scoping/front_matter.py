"""The front matter of a document as YAML nodes, which know their lines; or what keeps it from being read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlproj.scoping.scope import Problem, ProblemKind

# libyaml's composer is recursive and ends the process where Python's would raise: what could be nested deeper
# than this goes to Python's, a hundred times slower. Measured: 5,000 levels pass, 100,000 crash.
_DEEP = 3_000
_LARGEST_FILE = 4 << 20
_LARGEST_FRONT_MATTER = 256 << 10

_FENCE = re.compile(r"---[ \t]*(?:\r\n|\n|\r|\Z)")
_END = re.compile(r"(?<=[\r\n])(?:---|\.\.\.)[ \t]*(?=[\r\n]|\Z)")
_QUOTE_IT = "put the whole text in quotes if it is meant as text"
# A part of what the parser says; what that means to somebody who edits a document; what to do about it.
_SYNTAX = (
    ("mapping values are not allowed", "a `: ` where no key can be", "quote a text with `: ` in it"),
    ("did not find expected ',' or ']'", "a `[` is never closed, or a comma is missing", "close the list"),
    ("expected ',' or ']'", "a `[` is never closed, or a comma is missing", "close the list"),
    ("did not find expected ',' or '}'", "a `{` is never closed, or a comma is missing", "close it"),
    ("expected ',' or '}'", "a `{` is never closed, or a comma is missing", "close it"),
    ("expected ':'", "this line has no `key: value`", "write a `:` and a space after the key"),
    ("expected '-' indicator", "this line is in a list and is no entry of it", "check the indentation"),
    ("but found '?'", "this line is in a list and is no entry of it", "check the indentation"),
    ("expected alphabetic or numeric", "a text cannot begin with `*` or `&`", _QUOTE_IT),
    ("undefined alias", "a word that begins with `*` stands for an anchor, and there is none", _QUOTE_IT),
    ("escape character", "`\\` has a meaning between double quotes", "use single quotes"),
    ("expected key", "this cannot follow what stands before it", "check indentation and quotes here"),
    ("but found", "this cannot follow what stands before it", "check indentation and quotes here"),
)


@dataclass(frozen=True, kw_only=True)
class FrontMatter:
    """`text` is the whole file as it is; its front matter goes from `begin` to the closing fence at `end`."""

    text: str
    begin: int
    end: int
    root: yaml.MappingNode

    def start_of(self, line: int) -> int:
        """Where in `text` a line begins; lines count from 0, as in YAML's marks."""
        return self.begin + sum(map(len, self.text[self.begin :].splitlines(keepends=True)[:line]))


def parse(path: Path, text: str) -> FrontMatter | Problem:
    """The front matter of `text`, which was read from `path`. Never raises for what is in it."""
    begin = 1 if text.startswith("\ufeff") else 0
    if not _FENCE.match(text, begin):
        return _problem(
            path,
            1,
            "there is no front matter: the first line is not `---`",
            "the file begins with a line `---`, then the answers, then a line `---`",
        )
    end = _END.search(text, begin + 3)
    if end is None:
        return _problem(
            path,
            1,
            "the front matter begins here and never ends",
            "write a line `---` after its last key",
        )
    if end.start() - begin > _LARGEST_FRONT_MATTER:
        return _problem(
            path,
            1,
            f"the front matter is longer than {_LARGEST_FRONT_MATTER >> 10} KB",
            "move long texts below it, where people read them",
        )
    root = _compose(path, text[begin : end.start()])
    if isinstance(root, Problem):
        return root
    if not isinstance(root, yaml.MappingNode):
        line = root.start_mark.line + 1 if root else 1
        return _problem(
            path,
            line,
            "the front matter holds no keys",
            "it has keys such as `problem:` and `targets:`, each on a line of its own",
        )
    return FrontMatter(text=text, begin=begin, end=end.start(), root=root)


def read(path: Path) -> str | Problem:
    """The file's text, with its line ends as they are."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return _problem(
                path,
                1,
                f"the file is larger than {_LARGEST_FILE >> 20} MB",
                "keep pictures and data in files of their own",
            )
        content = path.read_bytes()
    except FileNotFoundError:
        return _problem(
            path, 1, "there is no such file", "bring it back with `git checkout`, or mend `mlproj.toml`"
        )
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        return _problem(path, 1, f"the file cannot be read: {said}", "")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _problem(
            path,
            line,
            f"the file is not UTF-8: byte 0x{content[error.start]:02x} here",
            "save it as UTF-8",
        )


def _compose(path: Path, text: str) -> yaml.Node | Problem | None:
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    nested = text.count("[") + text.count("{") + max(map(len, text.splitlines()))
    loader = fast if nested <= _DEEP else yaml.SafeLoader
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=loader)
    except RecursionError:
        return _problem(path, 1, "the front matter is nested too deeply", "it needs five levels at most")
    except yaml.reader.ReaderError:
        return _unreadable(path, text)
    except yaml.MarkedYAMLError as error:
        return _syntax(path, text, error)
    return node


def _syntax(path: Path, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = error.problem or error.context or "it cannot be read"
    lines = text.splitlines()
    here = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    message, hint = said, "check indentation and quotes here"
    if here.startswith("\t"):
        message, hint = "a tab indents this line", "indent it with spaces"
    elif "cannot start any token" in said:
        message, hint = f"a text cannot begin with `{here[:1]}`", _QUOTE_IT
    else:
        for part, meaning, remedy in _SYNTAX:
            if part in said:
                message, hint = meaning, remedy
                break
    if opened := _quote_opened(text, error):
        # The parser notices at the next quote or at the end; what is to be mended is where the text began.
        line, column = opened.line + 1, opened.column + 1
        message, hint = "a quote is opened here and not closed on its line", "close it"
    return _problem(path, line, f"this is not YAML: {message}", hint, column=column)


def _quote_opened(text: str, error: yaml.MarkedYAMLError) -> yaml.Mark | None:
    """Where the quoted text begins that runs over several lines up to the error, if one does."""
    failed = error.problem_mark
    if failed is None:
        return None
    began: yaml.Mark | None = error.context_mark
    if began is not None and "quoted scalar" in (error.context or ""):
        return began if began.line < failed.line else None
    return next((begin for begin, end in _quoted(text) if begin.line < end.line == failed.line), None)


def _quoted(text: str) -> Iterator[tuple[yaml.Mark, yaml.Mark]]:
    """Begin and end of each quoted text, as far as the text can be scanned."""
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                yield token.start_mark, token.end_mark


def _unreadable(path: Path, text: str) -> Problem:
    # The two parsers count differently up to the character and name it differently: it is looked for again.
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    before = text[: found.start()] if found else ""
    character = found.group() if found else ""
    begin = max(before.rfind("\n"), before.rfind("\r")) + 1
    return _problem(
        path,
        len(before[:begin].splitlines()) + 1,
        f"character {character!r} is not allowed here",
        "take it out",
        column=len(before) - begin + 1,
    )


def _problem(path: Path, line: int, message: str, hint: str, *, column: int | None = None) -> Problem:
    kind = ProblemKind.FILE if column is None else ProblemKind.SYNTAX
    return Problem(path=path, line=line, message=message, hint=hint, kind=kind, column=column)
