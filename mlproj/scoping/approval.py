"""Signing the targets off: the one place that writes into a scoping document."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import yaml

from mlproj.base.errors import ConfigError
from mlproj.base.files import write_text
from mlproj.scoping import document, front_matter
from mlproj.scoping.front_matter import FrontMatter
from mlproj.scoping.scope import Approval, Problem, Scope, digest

_CHECK = "run `mlproj check scoping` to see all of it"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """`added` is False if the same person had signed the same targets in the same role already."""

    approval: Approval
    added: bool


def approve(
    path: Path,
    role: str,
    name: str,
    on: date,
    *,
    task: str | None = None,
    columns: Collection[str] = (),
    classes: Collection[str] = (),
) -> Signed:
    """Add a sign-off of the targets as they are now; the rest of the document stays as it is, byte for byte.

    Raises ConfigError if the document has errors or open questions, if role or name is no plain text, or if
    `approvals` is written in a way that nothing can be added to.
    """
    role, name = _plain("role", role), _plain("name", name)
    before = front_matter.read(path)
    if isinstance(before, Problem):
        raise ConfigError(f"`{path}`: {before.message}", hint=before.hint)
    scope = _signable(document.parse(path, before, task=task, columns=columns, classes=classes))
    for earlier in scope.sign_offs:
        if (earlier.role, earlier.name) == (role, name):
            return Signed(approval=earlier, added=False)
    approval = Approval(role=role, name=name, date=on, of=digest(scope.targets))
    after = _with(path, before, approval)
    added = _added(path, before, after)
    if added is None or replace(added, line=approval.line) != approval:
        raise ConfigError(
            f"`{path}`: nothing can be added to `approvals` as it is written",
            hint="write it as a list, one entry a line beginning with `- `, or as `approvals: []`",
        )
    write_text(path, after)
    return Signed(approval=added, added=True)


def _plain(what: str, said: str) -> str:
    said = said.strip()
    if not said:
        raise ConfigError(f"a sign-off needs a {what}", hint=f'say `--{what} "..."`')
    if not said.isprintable():
        raise ConfigError(f"the {what} {said!r} has characters that cannot be shown", hint="take them out")
    return said


def _signable(found: document.Document) -> Scope:
    if found.scope is not None and not found.errors and not found.unanswered:
        return found.scope
    lacks = []
    if found.errors:
        first = found.errors[0]
        lacks.append(f"{_count(found.errors, 'error')}, the first on line {first.line} ({first.message})")
    if found.unanswered:
        open_question = found.unanswered[0]
        lacks.append(
            f"{_count(found.unanswered, 'open question')}, the first on line {open_question.line} "
            f"(`{open_question.key}` is {open_question.why})"
        )
    raise ConfigError(f"`{found.path}` cannot be signed yet: it has {' and '.join(lacks)}", hint=_CHECK)


def _count(things: Collection[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _with(path: Path, text: str, approval: Approval) -> str:
    """The text with one more approval. Whether it landed where it should is for the caller to see."""
    matter = _matter(path, text)
    newline = "\r\n" if "\r\n" in text[: matter.end] else "\n"
    value = _approvals(matter)
    if value is None:
        entry = _block(approval, "  ", newline)
        return _spliced(text, matter.end, matter.end, f"approvals:{newline}{entry}")
    if isinstance(value, yaml.SequenceNode) and value.value:
        if value.flow_style:
            mark = value.value[-1].end_mark
            at = matter.start_of(mark.line) + mark.column
            return _spliced(text, at, at, f", {_flow(approval)}")
        at = matter.start_of(_last_line(value) + 1)
        entry = _block(approval, " " * value.start_mark.column, newline)
        return _spliced(text, at, at, entry)
    # Nothing yet: `approvals:`, `approvals: []` or `approvals: null`, perhaps with a comment behind it.
    begin = matter.start_of(value.start_mark.line) + value.start_mark.column
    end = matter.start_of(value.end_mark.line) + value.end_mark.column
    next_line = matter.start_of(value.end_mark.line + 1)
    rest = text[end:next_line]
    if not rest.strip():
        begin = len(text[:begin].rstrip(" \t"))
    return _spliced(text, begin, next_line, rest + _block(approval, "  ", newline))


def _spliced(text: str, begin: int, end: int, put: str) -> str:
    return text[:begin] + put + text[end:]


def _block(approval: Approval, indent: str, newline: str) -> str:
    first, *others = _items(approval)
    lines = [f"{indent}- {first}", *(f"{indent}  {other}" for other in others)]
    return "".join(f"{line}{newline}" for line in lines)


def _flow(approval: Approval) -> str:
    return "{" + ", ".join(_items(approval)) + "}"


def _items(approval: Approval) -> list[str]:
    role, name = (json.dumps(said, ensure_ascii=False) for said in (approval.role, approval.name))
    return [f"role: {role}", f"name: {name}", f"date: {approval.date}", f'of: "{approval.of}"']


def _matter(path: Path, text: str) -> FrontMatter:
    matter = front_matter.parse(path, text)
    if isinstance(matter, Problem):
        raise ConfigError(f"`{path}`: {matter.message}", hint=matter.hint)
    return matter


def _approvals(matter: FrontMatter) -> yaml.Node | None:
    return next((value for key, value in matter.root.value if key.value == "approvals"), None)


def _last_line(node: yaml.Node) -> int:
    """The last line that holds something of the node; a block's own mark lies beyond comments after it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1])
    in_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") and node.end_mark.column == 0
    return int(node.end_mark.line) - in_block


def _added(path: Path, before: str, after: str) -> Approval | None:
    """The approval by which the two texts differ; None if they differ otherwise."""
    old, new = front_matter.parse(path, before), front_matter.parse(path, after)
    if isinstance(old, Problem) or isinstance(new, Problem):
        return None
    was, now = document.parse(path, before).scope, document.parse(path, after).scope
    if was is None or now is None or now.approvals[:-1] != was.approvals or _others(old) != _others(new):
        return None
    return now.approvals[-1] if len(now.approvals) == len(was.approvals) + 1 else None


def _others(matter: FrontMatter) -> str:
    """Everything but the approvals, as YAML would write it."""
    pairs = [(key, value) for key, value in matter.root.value if key.value != "approvals"]
    return str(yaml.serialize(yaml.MappingNode(matter.root.tag, pairs)))
