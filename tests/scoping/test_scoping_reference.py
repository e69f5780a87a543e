from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlproj.scoping.keys import KEYS, Holds, Key
from mlproj.scoping.scope import METRICS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "scoping.md"


def sections() -> dict[str, str]:
    text = REFERENCE.read_text(encoding="utf-8")
    return {name: body for name, _, body in (part.partition("`\n") for part in text.split("\n### `")[1:])}


def leaves(keys: tuple[Key, ...]) -> Iterator[Key]:
    for key in keys:
        if key.holds in (Holds.KEYS, Holds.ENTRIES):
            yield from leaves(key.keys)
        else:
            yield key


def test_the_reference_has_every_key_and_every_word_it_can_be() -> None:
    described = sections()
    assert list(described) == [key.name for key in KEYS]
    for section in KEYS:
        for key in leaves((section,)):
            text = f"`{section.name}`\n{described[section.name]}"
            assert f"{key.name}`" in text
            for choice in key.choices:
                assert f"`{choice}`" in text


def test_the_reference_has_every_metric() -> None:
    text = sections()["targets"]
    for metrics in METRICS.values():
        for name in metrics:
            assert f"`{name}`" in text
