"""Which predictions of the log are given again: one by its id, or a sample of what was answered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlproj.base.errors import MlprojError
from mlproj.flows.predictions import id_at
from mlproj.flows.reading import World
from mlproj.provenance.trace import Link
from mlproj.serving import ids
from mlproj.serving.record import Record

_OK = 200
_OF_THE_SERVER = 500


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """`served` is how many answers there were to choose from; `aside` how many attempts ended in none."""

    records: tuple[Record, ...] = ()
    served: int = 0
    aside: Mapping[str, int] = field(default_factory=dict)


def one(world: World, shown: str) -> Chosen:
    """The prediction with that id; none, with the break told in `world`, where it is lost or was no answer.

    Raises ConfigError for what is no id.
    """
    from mlproj.monitoring import chains, records

    project, number = world.project, ids.parse(shown)
    try:
        with chains.told(project.home):
            found = records.get(project.home, number, postgres=project.postgres)
    except MlprojError as error:
        world.broken(Link.LOG, f"the prediction log cannot be read: {error.message}", hint=error.hint)
        return Chosen()
    if found is None:
        at = ids.moment(number).isoformat(timespec="seconds").replace("+00:00", "Z")
        world.broken(
            Link.RECORD,
            f"prediction `{shown}` is not in the log",
            known=f"by the id itself, it was given at {at}",
            hint="`mlproj trace` says what was live then; was it made in another project, or elsewhere?",
        )
        return Chosen()
    record = found.record
    if not _is_answer(record):
        world.broken(
            Link.RECORD,
            f"prediction `{shown}` was no answer: the attempt ended with status {record.status}",
            known=f"{record.error or 'no reason was recorded'}",
        )
        return Chosen()
    return Chosen(records=(record,), served=1)


def _is_answer(record: Record) -> bool:
    return record.status == _OK and record.output is not None


def sample(
    world: World,
    most: int,
    *,
    seed: int | None,
    since: str | None = None,
    until: str | None = None,
    version: int | None = None,
) -> Chosen:
    """Some of the answers within a time, whatever role their version had; each as likely as any other."""
    from mlproj.monitoring import chains, records

    chance, kept = random.Random(seed), list[Record]()
    served, aside = 0, Counter[str]()
    project = world.project
    first, past = id_at(since, "--since") or 0, id_at(until, "--until")
    try:
        with chains.told(project.home):
            for record in records.since(project.home, first, until=past, postgres=project.postgres):
                if version not in (None, record.version):
                    continue
                if not _is_answer(record):
                    aside["refused" if record.status < _OF_THE_SERVER else "failed"] += 1
                    continue
                served += 1
                # Vitter's algorithm R: the first fill the places, each later one may take one.
                place = len(kept) if served <= most else chance.randrange(served)
                if place < most:
                    kept[place : place + 1] = [record]
    except MlprojError as error:
        world.broken(Link.LOG, f"the prediction log cannot be read: {error.message}", hint=error.hint)
    return Chosen(records=tuple(kept), served=served, aside=dict(aside))
