"""Writing `meta: {phase: ...}` into somebody else's `dvc.yaml`: lines are put in, none is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mlproj.base.errors import ConfigError
from mlproj.pipeline import yaml12


def with_phases(text: str, phases: Mapping[str, str]) -> str:
    """The text with the phases of the stages named, comments and spelling as they were.

    Raises ConfigError, naming the stage, where that cannot be done without writing other lines anew.
    """
    for name, phase in phases.items():
        text = _with_phase(text, name, phase)
    return text


def _with_phase(text: str, name: str, phase: str) -> str:
    """One stage at a time, since what is put in moves what comes after it; the outcome is read to be sure."""
    wanted = yaml.load(text, Loader=yaml12.Loader)
    body = wanted["stages"][name]
    body = body.get("do", body)
    body["meta"] = {**(body.get("meta") or {}), "phase": phase}
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    stage = _value(_value(root, "stages"), name)
    stage = _value(stage, "do") or stage
    changed = _put(text, stage, phase)
    if changed is None or _meaning(changed) != wanted:
        raise ConfigError(
            f"`dvc.yaml` writes stage `{name}` in a way that its phase cannot be put into",
            hint=f"write `meta: {{phase: {phase}}}` below it yourself, commit, and run the command again",
        )
    return changed


def _put(text: str, stage: yaml.Node | None, phase: str) -> str | None:
    if not isinstance(stage, yaml.MappingNode) or not stage.value:
        return None
    meta = _value(stage, "meta")
    if isinstance(meta, yaml.MappingNode):
        if meta.flow_style:
            return _into_braces(text, meta, f"phase: {phase}")
        return _line(text, meta.start_mark.line, meta.start_mark.column, f"phase: {phase}")
    if meta is not None:
        return None
    if stage.flow_style:
        return _into_braces(text, stage, f"meta: {{phase: {phase}}}")
    first = stage.value[0][0].start_mark
    return _line(text, _end(stage), first.column, f"meta: {{phase: {phase}}}")


def _into_braces(text: str, node: yaml.MappingNode, words: str) -> str:
    lines = text.splitlines(keepends=True)
    line, column = node.start_mark.line, node.start_mark.column + 1
    comma = ", " if node.value else ""
    lines[line] = lines[line][:column] + words + comma + lines[line][column:]
    return "".join(lines)


def _line(text: str, number: int, column: int, words: str) -> str:
    lines = text.splitlines(keepends=True)
    end = "\r\n" if "\r\n" in text else "\n"
    if lines and number >= len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += end
    lines.insert(number, " " * column + words + end)
    return "".join(lines)


def _end(node: yaml.MappingNode) -> int:
    """The number of the line below the last that the mapping stands in, comments under it left out."""
    ends = [max(int(key.end_mark.line) + 1, _below(value)) for key, value in node.value]
    return max(ends)


def _below(node: yaml.Node) -> int:
    line: int = node.end_mark.line
    if isinstance(node, yaml.ScalarNode):
        # A block of text ends where the next thing begins.
        return line if node.style in ("|", ">") else line + 1
    if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        inside = [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
        return max(map(_below, inside))
    return line + 1


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return value  # type: ignore[no-any-return]
    return None


def _meaning(text: str) -> Any:
    try:
        return yaml.load(text, Loader=yaml12.Loader)
    except yaml.YAMLError:
        return None
