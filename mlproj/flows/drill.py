"""A fire drill: past predictions replayed, a past run rebuilt, and the result kept beside those before."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproj.base import clock
from mlproj.base.errors import ConfigError
from mlproj.flows import replay
from mlproj.project import Project
from mlproj.provenance.agreement import Verdict
from mlproj.serving import store

SAMPLE = 100
_NAME = "drills.jsonl"


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """A deployed run that was built again; `level` says how near it came, `lacks` what kept it from that."""

    run: str
    is_reproduced: bool
    level: str | None
    lacks: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What came of one drill. `at` is a time in UTC; `agreed` of `asked` predictions had the same decision,
    and `verdicts` count them by the worse of the engine that answered and the original."""

    at: str
    by: str
    seed: int
    asked: int
    replayed: int
    agreed: int
    verdicts: Mapping[str, int] = field(default_factory=dict)
    different: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    rebuilt: Rebuilt | None = None
    seconds: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether all that was tried could be done."""
        whole = self.agreed == self.asked and not self.lacks
        return whole and (self.rebuilt is None or self.rebuilt.is_reproduced)


def drill(
    project: Project,
    *,
    sample: int = SAMPLE,
    reproduce: bool = False,
    seed: int | None = None,
    by: str,
    say: Callable[[str], None],
) -> Drill:
    """Replay a random sample of all that was ever answered, rebuild one of the deployed runs if wanted, and
    keep what came of it. Raises ConfigError where nothing was answered yet, for that would be no drill."""
    chosen = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    found = replay.replay(project, replay.Wish(sample=sample, seed=chosen), say=say)
    if not found.served and not found.breaks:
        raise ConfigError(
            "nothing was answered yet, so there is nothing to try",
            hint="run `mlproj deploy`, and come back when there is traffic",
        )
    verdicts = dict.fromkeys(Verdict, 0)
    for each in found.predictions:
        verdicts[each.verdict] += 1
    made = Drill(
        at=clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        by=by,
        seed=chosen,
        asked=len(found.predictions) + found.left,
        replayed=len(found.predictions),
        agreed=len(found.predictions) - len(found.different),
        verdicts={str(verdict): count for verdict, count in verdicts.items()},
        different=tuple(each.id for each in found.different),
        lacks=tuple(each.said for each in found.breaks),
        rebuilt=_rebuilt(project, chosen, say) if reproduce else None,
        seconds=round(found.seconds, 1),
    )
    _add(project, made)
    return made


def past(project: Project) -> tuple[Drill, ...]:
    """Every drill there was, the oldest first; a line that was not written whole is passed over."""
    try:
        lines = _path(project).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    found = []
    for line in lines:
        try:
            said = json.loads(line)
            rebuilt = said.pop("rebuilt", None)
            found.append(Drill(**_tuples(said), rebuilt=Rebuilt(**_tuples(rebuilt)) if rebuilt else None))
        except (ValueError, TypeError, AttributeError):
            continue
    return tuple(found)


def _rebuilt(project: Project, seed: int, say: Callable[[str], None]) -> Rebuilt | None:
    """One of the runs that were deployed, whichever the seed says; None where none is known."""
    from mlproj.flows.reproduce import Options
    from mlproj.flows.reproduce import reproduce as rebuild

    if project.postgres is None and not (project.home / "serving.db").exists():
        return None
    with store.open(project.home, project.postgres) as opened:
        runs = sorted({version.run for version in opened.versions()})
    if not runs:
        return None
    run = random.Random(seed).choice(runs)
    say(f"rebuilding run {run[:8]}, one of {len(runs)} that were deployed")
    found = rebuild(project, run, Options(), say)
    return Rebuilt(
        run=run,
        is_reproduced=found.answers_yes,
        level=found.level.said if found.level is not None else None,
        # Where nothing could be compared though nothing is broken, its notes say why.
        lacks=tuple(each.said for each in found.breaks) or (found.notes if found.level is None else ()),
        seconds=round(found.seconds, 1),
    )


def _add(project: Project, made: Drill) -> None:
    """One line at the end, on disk before it is told of."""
    path = _path(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(dataclasses.asdict(made), ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _tuples(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}


def _path(project: Project) -> Path:
    return project.home / _NAME
