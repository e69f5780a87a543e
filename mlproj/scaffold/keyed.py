"""Settings files merged by key: what two sides appended beside each other is no dispute.

Git merges by lines, and where two sides add at one place, the end of a list say, it sees a conflict. Here a
file is taken apart into its keys, at every depth, and each key is merged for itself. Lines are moved, never
written anew, so comments and spelling stay as somebody wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlproj.scaffold.keyed_items import Item, Unreadable

# The files, at the root of a repository, to which the user and the template both append.
FILES = ("dvc.yaml", "params.yaml", "pyproject.toml")

Reader = Callable[[str], Item]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Three files that are alike but for what is in dispute; all the same where nothing is."""

    base: bytes
    yours: bytes
    theirs: bytes


def merge(suffix: str, *, base: bytes, yours: bytes, theirs: bytes) -> Merged | None:
    """Merge three forms of a `.yaml` or `.toml` file by key; None where one cannot be taken apart."""
    read = _reader(suffix)
    if read is None:
        return None
    try:
        sides = [read(text.decode("utf-8")) for text in (base, yours, theirs)]
        out = _Out()
        meaning = _both(sides[0], sides[1], sides[2], out)
        # What was put together has to say what its parts say; if not, the lines are for a person to see.
        if _meaning(read(out.yours)) != meaning:
            return None
        read(out.theirs)
    except (Unreadable, UnicodeDecodeError):
        return None
    return Merged(base=out.base.encode(), yours=out.yours.encode(), theirs=out.theirs.encode())


def is_sound(suffix: str, content: bytes) -> bool:
    """Whether the text can be read, with no key twice where the reader would take the last in silence."""
    read = _reader(suffix)
    try:
        return read is None or read(content.decode("utf-8")) is not None
    except (Unreadable, UnicodeDecodeError):
        return False


def _reader(suffix: str) -> Reader | None:
    from mlproj.scaffold import keyed_toml, keyed_yaml

    return {".yaml": keyed_yaml.read, ".yml": keyed_yaml.read, ".toml": keyed_toml.read}.get(suffix)


@dataclass
class _Out:
    base: str = ""
    yours: str = ""
    theirs: str = ""

    def same(self, text: str) -> None:
        self.put(text, text, text)

    def put(self, base: str, yours: str, theirs: str) -> None:
        self.base += base
        self.yours += yours
        self.theirs += theirs

    def words(self, base: str, yours: str, theirs: str) -> None:
        """Text with no key of its own: the side that changed it has its way; both, and it is in dispute."""
        if yours in (base, theirs):
            self.same(theirs)
        elif theirs == base:
            self.same(yours)
        else:
            self.put(base, yours, theirs)


def _one(base: Item, yours: Item, theirs: Item, out: _Out) -> Any:
    """One key that all three have; returns its meaning with disputes decided for yours."""
    out.words(base.lead, yours.lead, theirs.lead)
    if yours.body == base.body:
        out.same(theirs.body)
        return _meaning(theirs)
    if theirs.body == base.body:
        out.same(yours.body)
        return _meaning(yours)
    if base.kind == yours.kind == theirs.kind != "leaf":
        return _both(base, yours, theirs, out)
    # Where the template says the same in other words, yours stand.
    if theirs.value in (base.value, yours.value):
        out.same(yours.body)
        return _meaning(yours)
    out.put(base.body, yours.body, theirs.body)
    return _meaning(yours)


def _both(base: Item, yours: Item, theirs: Item, out: _Out) -> dict[str, Any]:
    """A mapping or a sequence that all three have."""
    out.words(base.head, yours.head, theirs.head)
    before, mine, new = (
        {child.key: child for child in _moved(side.children, yours.indent - side.indent)}
        for side in (base, yours, theirs)
    )
    arriving = _places(mine, new)
    meaning: dict[str, Any] = {}

    def arrive(after: str | None) -> None:
        for item in arriving.get(after, ()):
            old = before.get(item.key)
            if old is None:
                out.same(item.text)
                meaning[item.key] = _meaning(item)
            elif item.value != old.value:
                out.put(old.text, "", item.text)  # you deleted it, the template changed it

    arrive(None)
    for key, own in mine.items():
        if key in new and key in before:
            meaning[key] = _one(before[key], own, new[key], out)
        elif key in before and own.text == before[key].text:
            pass  # the template has it no more, and you had nothing to say about it
        else:
            meaning[key] = _meaning(own)
            if key in new and own.value != new[key].value:
                out.put("", own.text, new[key].text)
            elif key in before:
                out.put(before[key].text, own.text, "")
            else:
                out.same(own.text)
        arrive(key)
    out.words(base.foot, yours.foot, theirs.foot)
    return meaning


def _places(mine: Mapping[str, Item], new: Mapping[str, Item]) -> dict[str | None, list[Item]]:
    """The template's entries that yours lacks, by the entry of yours that they come after."""
    found: dict[str | None, list[Item]] = {}
    after: str | None = None
    for key, item in new.items():
        if key in mine:
            after = key
        else:
            found.setdefault(after, []).append(item)
    return found


def _meaning(item: Item) -> Any:
    """What the item says, whatever its lines look like and in whatever order its entries stand."""
    if item.kind == "leaf":
        return item.value
    return {child.key: _meaning(child) for child in item.children}


def _moved(items: Sequence[Item], by: int) -> Sequence[Item]:
    """The items with all their lines moved right by so many spaces, or left."""
    if not by:
        return items
    return [
        replace(
            item,
            lead=_indented(item.lead, by),
            head=_indented(item.head, by),
            children=tuple(_moved(item.children, by)),
            foot=_indented(item.foot, by),
            indent=item.indent + by,
        )
        for item in items
    ]


def _indented(text: str, by: int) -> str:
    lines = text.splitlines(keepends=True)
    if by > 0:
        return "".join(" " * by + line if line.strip() else line for line in lines)
    return "".join(line[min(-by, len(line) - len(line.lstrip(" "))) :] for line in lines)
