"""What a word that somebody types may name: the beginning of a run's id, or a version's number."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlproj.base.errors import ConfigError
from mlproj.flows.reading import REGISTERED, World, read_bytes, table
from mlproj.provenance import history
from mlproj.provenance.things import listed

_VERSION = re.compile(r"v?(\d{1,6})")
_HEX = re.compile(r"[0-9a-f]{4,64}")


def version(word: str) -> int | None:
    """The number in `3` or `v3`; None for other words."""
    matched = _VERSION.fullmatch(word)
    return int(matched[1]) if matched else None


def run(word: str, known: Iterable[str]) -> str | None:
    """The run among those known whose id is, or begins with, the word; None if there is none.

    Raises ConfigError if several begin so.
    """
    if not _HEX.fullmatch(word):
        return None
    runs = sorted({each for each in known if each.startswith(word)})
    if len(runs) > 1:
        raise ConfigError(
            f"`{word}` begins the ids of {len(runs)} runs: {listed(runs)}",
            hint="write more of the one you mean",
        )
    return runs[0] if runs else None


def registrations(world: World) -> dict[str, int]:
    """Which version each run was registered as, by what its snapshot holds."""
    runs = list(world.kept.values())
    asked = [(run.commit, REGISTERED) for run in runs]
    said = [table(text) for text in history.read(world.project.root, asked)]
    said.append(table(read_bytes(world.project.root / REGISTERED)))
    return {
        str(each["run_id"]): each["version"]
        for each in said
        if isinstance(each.get("version"), int) and "run_id" in each
    }


def versions(world: World) -> dict[int, str]:
    """The run of each version that was registered or served; what was served wins."""
    project = world.project
    known = {number: run for run, number in registrations(world).items()}
    if project.postgres is not None or (project.home / "serving.db").exists():
        from mlproj.serving import store

        with store.open(project.home, project.postgres) as opened:
            known |= {each.number: each.run for each in opened.versions()}
    return known
