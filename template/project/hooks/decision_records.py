#!/usr/bin/env python3
"""Refuse a decision that cannot be found again: by its name, or by what stands at its top.

    decision_records.py FILE...

A page is called `2026-12-01-drop-tenure.md`, so that two branches do not collide. Its front matter (title,
date, kind, commit, run) may be left out, since the name has the date and a heading the title; what it says has
to be right.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

try:
    import yaml
except ImportError:
    sys.exit(
        f"PyYAML is not installed for `{sys.executable}`: install it (`python3 -m pip install pyyaml`), "
        "or commit where the environment that has DVC is active"
    )

NAME = re.compile(r"(\d{4}-\d{2}-\d{2})-\w[\w.-]*\.md")
FENCED = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^# \S", re.MULTILINE)
KINDS = ("decision", "forced")
RUN_OR_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def main(argv: Sequence[str] | None = None) -> int:
    failed = False
    for name in sys.argv[1:] if argv is None else argv:
        path = Path(name)
        if path.name == "README.md" or not path.is_file():
            continue
        try:
            found = [*problems(path.name, path.read_text(encoding="utf-8"))]
        except UnicodeDecodeError as error:
            found = [(1, f"not UTF-8 text ({error}): save it as UTF-8")]
        for line, message in found:
            failed = True
            print(f"{path}:{line}: {message}")
    return int(failed)


def problems(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Each line with a mistake, and what is wrong there and what to do about it."""
    named = NAME.fullmatch(name)
    on = day(named[1]) if named else None
    if on is None:
        yield 1, "its name has no date: call it like `2026-12-01-drop-tenure.md`"
    fenced = FENCED.match(text)
    if fenced is None:
        if text.removeprefix("\ufeff").startswith("---"):
            yield 1, "the front matter begins here and never ends: write a line `---` after it"
        elif not HEADING.search(text):
            yield 1, "it has no title: write `# What was decided`"
        return
    try:
        root = yaml.compose(fenced[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        yield mark.line + 2 if mark else 1, "the front matter is not YAML: check quotes and colons"
        return
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        yield 2, "the front matter holds no keys: write `title:`, `date:` and so on"
        return
    yield from front_matter(root, on)


def front_matter(root: yaml.MappingNode, on: datetime.date | None) -> Iterator[tuple[int, str]]:
    """What is wrong in it; `on` is the date in the file's name."""
    said = {
        key.value: (key.start_mark.line + 2, value.value.strip())
        for key, value in root.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    if "title" in said and not said["title"][1]:
        yield said["title"][0], "`title` is empty: write what was decided"
    if "kind" in said and said["kind"][1] not in KINDS:
        yield said["kind"][0], f"`kind` cannot be `{said['kind'][1]}`: write {' or '.join(KINDS)}"
    if "date" in said:
        line, written = said["date"]
        found = day(written[:10])
        if found is None:
            yield line, f"`{written}` is no date: write it as in 2026-12-01"
        elif on is not None and found != on:
            yield line, f"the date is {found} here and {on} in the file's name: mend one of them"
    for key in ("commit", "run"):
        line, written = said.get(key, (0, ""))
        if written and written != "null" and not RUN_OR_COMMIT.fullmatch(written):
            yield (
                line,
                f"`{key}` is no identifier: copy it from `git log` or MLflow, or take it out",
            )


def day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


if __name__ == "__main__":
    sys.exit(main())
