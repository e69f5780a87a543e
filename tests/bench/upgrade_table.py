"""What becomes of a user's edits when the template changes: mlproj, Copier and cruft side by side.

    make bench                              beside the other measurements
    python -m tests.bench upgrade-table     this one

One repository has a file or folder for each scenario; the user edits all of them, the template changes all of
them, and each tool updates once. Then the words of both are looked for. An edit of the user's is lost when it
is nowhere in the work tree; a change of the template's is lost in silence when it is in no file, reject files
included, and no conflict names the file. uv installs cruft for it; where it cannot, cruft is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlproj.scaffold.copier import template_dir
from tests.bench.upgrade import _commit, _git, _installed, _tagged, installed_cruft

_LINES = 30
_NAME = "bench"
Files = dict[str, bytes | None]


@dataclass(frozen=True)
class Scenario:
    """What the template has, what the user makes of it, and what the template becomes; None is no file.

    The words `YOURS` and `THEIRS`, with the scenario's number, stand for the two edits.
    """

    name: str
    before: Mapping[str, bytes | None]
    yours: Mapping[str, bytes | None]
    theirs: Mapping[str, bytes | None]
    moves: Mapping[str, str]  # of the user's


def _text(number: int, *, line: int = 0, says: str = "", title: str = "line") -> bytes:
    lines = [f"{title} {each} of file {number}, {each * 7919 % 1009}" for each in range(1, _LINES + 1)]
    if line:
        lines[line - 1] = f"{says} {number}"
    return ("\n".join(lines) + "\n").encode()


def scenarios() -> list[Scenario]:
    """The scenarios, each in a folder of its own so that none is taken for a rename of another's file."""
    found: list[Scenario] = []

    def add(
        name: str,
        before: Files,
        yours: Files,
        theirs: Files,
        moves: Mapping[str, str] | None = None,
    ) -> None:
        found.append(Scenario(name, before, yours, theirs, moves or {}))

    def path(name: str = "file.txt") -> str:
        return f"tools/{len(found):02}/{name}"

    def edit(line: int, says: str) -> bytes:
        return _text(len(found), line=line, says=says)

    def plain() -> bytes:
        return _text(len(found))

    add(
        "another place of one file",
        {path(): plain()},
        {path(): edit(3, "YOURS")},
        {path(): edit(25, "THEIRS")},
    )
    add("the same line", {path(): plain()}, {path(): edit(9, "YOURS")}, {path(): edit(9, "THEIRS")})
    add("the next line", {path(): plain()}, {path(): edit(9, "YOURS")}, {path(): edit(10, "THEIRS")})
    end = b"YOURS %d\n" % len(found), b"THEIRS %d\n" % len(found)
    add("both append", {path(): plain()}, {path(): plain() + end[0]}, {path(): plain() + end[1]})
    add(
        "you deleted it, the template changed it",
        {path(): plain()},
        {path(): None},
        {path(): edit(9, "THEIRS")},
    )
    add(
        "you renamed it",
        {path(): plain()},
        {path("renamed.txt"): plain()},
        {path(): edit(9, "THEIRS")},
        {path(): path("renamed.txt")},
    )
    add(
        "you renamed and edited it",
        {path(): plain()},
        {path("renamed.txt"): edit(3, "YOURS")},
        {path(): edit(25, "THEIRS")},
        {path(): path("renamed.txt")},
    )
    inside = [f"in/{name}.txt" for name in ("one", "two", "three")]
    add(
        "you renamed its folder",
        {path(name): _text(len(found), title=name) for name in inside},
        {path(name.replace("in/", "elsewhere/")): _text(len(found), title=name) for name in inside},
        {path(inside[0]): _text(len(found), title=inside[0], line=9, says="THEIRS")},
        {path(name): path(name.replace("in/", "elsewhere/")) for name in inside},
    )
    add(
        "the template renamed it",
        {path(): plain()},
        {path(): edit(3, "YOURS")},
        {path(): None, path("renamed.txt"): plain()},
    )
    add("the template deleted it", {path(): plain()}, {path(): edit(3, "YOURS")}, {path(): None})
    add("both added it", {}, {path(): edit(3, "YOURS")}, {path(): edit(5, "THEIRS")})
    spaced = edit(3, "YOURS").replace(b" of ", b"  of  ")
    add("you reformatted it", {path(): plain()}, {path(): spaced}, {path(): edit(25, "THEIRS")})
    head = bytes(range(256))
    number = len(found)
    add(
        "not text, both changed it",
        {path("logo.bin"): head},
        {path("logo.bin"): head + b"YOURS %d" % number},
        {path("logo.bin"): head + b"THEIRS %d" % number},
    )
    add("you ignore it", {path("local.cfg"): plain()}, {path("local.cfg"): edit(3, "YOURS")}, {})
    return found


def run(scratch: Path) -> None:
    place = scratch / "upgrade-table"
    place.mkdir()
    table = scenarios()
    columns = {
        "mlproj upgrade": _ours(place / "ours", table),
        "copier update": _copiers(place / "copier", table),
        "cruft update": _crufts(place / "cruft", table),
    }
    shown = {name: column for name, column in columns.items() if column is not None}
    print(f"\n{'what becomes of the edits':<42}" + "".join(f"{name:<24}" for name in shown))
    for number, scenario in enumerate(table):
        print(f"{scenario.name:<42}" + "".join(f"{column[0][number]:<24}" for column in shown.values()))
    for word in ("yours lost", "theirs lost"):
        counts = [sum(word in said for said in column[0]) for column in shown.values()]
        print(f"{word:<42}" + "".join(f"{count:<24}" for count in counts))
    print(f"{'exit code':<42}" + "".join(f"{column[1]:<24}" for column in shown.values()), flush=True)


Column = tuple[list[str], int]


def _ours(place: Path, table: list[Scenario]) -> Column:
    template = place / "template"
    shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns("__pycache__"))
    _put(template / "project", table, "before")
    env = _installed(place / "one", template, "0.1.0")
    words = ["--env-manager", "none", "--interpreter", sys.executable, "--defaults"]
    _run([sys.executable, "-m", "mlproj", "new", _NAME, *words], place, env)
    _put(template / "project", table, "theirs")
    env = _installed(place / "two", template, "0.2.0")
    return _updated(place / _NAME, table, [sys.executable, "-m", "mlproj", "upgrade"], env)


def _copiers(place: Path, table: list[Scenario]) -> Column:
    template = place / "template"
    (template / "project").mkdir(parents=True)
    (template / "copier.yml").write_text("_subdirectory: project\n", encoding="utf-8")
    answers = "{{ _copier_answers|to_nice_yaml }}"
    (template / "project/{{ _copier_conf.answers_file }}.jinja").write_text(answers, encoding="utf-8")
    copier = str(Path(sys.executable).parent / "copier")
    _put(template / "project", table, "before")
    _git(template, "init", "--quiet")
    _tagged(template, "0.1.0")
    _run([copier, "copy", "--defaults", "--quiet", f"git+file://{template}", _NAME], place)
    _put(template / "project", table, "theirs")
    _tagged(template, "0.2.0")
    root = place / _NAME
    _git(root, "init", "--quiet")
    _commit(root, "generated")
    return _updated(root, table, [copier, "update", "--defaults"], dict(os.environ))


def _crufts(place: Path, table: list[Scenario]) -> Column | None:
    place.mkdir()
    template = place / "template"
    cruft = installed_cruft(place)
    if cruft is None:
        return None
    project = template / "{{cookiecutter.name}}"
    project.mkdir(parents=True)
    (template / "cookiecutter.json").write_text(f'{{"name": "{_NAME}"}}\n', encoding="utf-8")
    _put(project, table, "before")
    _git(template, "init", "--quiet")
    _commit(template, "one")
    _run([cruft, "create", f"file://{template}", "--no-input"], place)
    _put(project, table, "theirs")
    _commit(template, "two")
    root = place / _NAME
    _git(root, "init", "--quiet")
    _commit(root, "generated")
    return _updated(root, table, [cruft, "update", "--skip-apply-ask"], dict(os.environ))


def _updated(root: Path, table: list[Scenario], command: list[str], env: Mapping[str, str]) -> Column:
    """The user's edits, the update, and what came of each scenario."""
    ignored = [path for path in _paths(table, "before") if path.endswith(".cfg")]
    with (root / ".gitignore").open("a", encoding="utf-8") as stream:
        stream.write("".join(f"/{path}\n" for path in ignored))
    _git(root, "rm", "--quiet", "--cached", *ignored)
    for scenario in table:
        for old, new in scenario.moves.items():
            (root / new).parent.mkdir(parents=True, exist_ok=True)
            _git(root, "mv", old, new)
    _put(root, table, "yours")
    _commit(root, "mine")
    done = subprocess.run(
        command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    conflicts = set(_git(root, "diff", "--name-only", "--diff-filter=U").splitlines())
    return [
        _said(root, number, scenario, conflicts) for number, scenario in enumerate(table)
    ], done.returncode


def _said(root: Path, number: int, scenario: Scenario, conflicts: set[str]) -> str:
    folder = f"tools/{number:02}"
    there = [path for path in (root / folder).rglob("*") if path.is_file()]
    text = b"\n".join(path.read_bytes() for path in there)
    is_told = any(path.startswith(folder) for path in conflicts) or any(
        path.suffix == ".rej" for path in there
    )
    words = {word: b"%s %d" % (word.upper().encode(), number) for word in ("yours", "theirs")}
    said = []
    for word, side in (("yours", scenario.yours), ("theirs", scenario.theirs)):
        is_edit = any(words[word] in (content or b"") for content in side.values())
        if is_edit and words[word] not in text and not (word == "theirs" and is_told):
            said.append(f"{word} lost")
    return ", ".join(said) or ("conflict" if is_told else "both kept")


def _paths(table: list[Scenario], side: str) -> list[str]:
    return [path for scenario in table for path in getattr(scenario, side)]


def _put(root: Path, table: list[Scenario], side: str) -> None:
    for scenario in table:
        files: Mapping[str, bytes | None] = getattr(scenario, side)
        for path, content in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.unlink()
            else:
                place.write_bytes(content)


def _run(command: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True)
