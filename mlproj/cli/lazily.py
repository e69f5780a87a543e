"""A command table that imports a command's module when the command is typed, and none for `--help`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (`module:function`, or `module:app` of a group), and what the list says of it."""

    where: str
    summary: str


class Commands(MutableMapping[str, Any]):
    """Typer's commands by name, each made at its first use. Raises KeyError for a name that is none."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self.entries[name].where)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def group(commands: Commands) -> type[TyperGroup]:
    """The class of a group that has these commands."""

    class Lazy(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = commands

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, entry.summary) for name, entry in commands.entries.items()])

    return Lazy


def _make(name: str, where: str) -> Any:
    module, attribute = where.split(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    # Completion is the whole program's, and a lone command would offer to install its own.
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)
