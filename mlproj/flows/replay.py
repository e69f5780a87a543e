"""Predictions of the log given again: the same package, rows and environment; the same answer?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.flows import answered, kept_package, wheels
from mlproj.flows.kept_package import KeptPackage
from mlproj.flows.reading import World
from mlproj.flows.revived import Revived, revive
from mlproj.pipeline.scratch import Scratch, scratch
from mlproj.project import Project
from mlproj.provenance import agreement
from mlproj.provenance.agreement import TOLERANCE, Agreement, Answer, Grade, Verdict
from mlproj.provenance.objects import Objects
from mlproj.provenance.replay import Again, Replay, Replayed, Setting, Today
from mlproj.provenance.things import listed, plural
from mlproj.provenance.trace import Link
from mlproj.serving import answers, frames, ids, package, replaying, store
from mlproj.serving.deployment import PRIMARY, Deployment
from mlproj.serving.package import Package
from mlproj.serving.record import Record
from mlproj.serving.routing import Automation, Route
from mlproj.serving.store import Store

SAMPLE = 1000
_OK = 200


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to replay: one prediction, or a sample of what was answered within a time. `no_index` builds
    environments from the wheels that are kept, whether or not the package index can be reached."""

    prediction: str | None = None
    since: str | None = None
    until: str | None = None
    version: int | None = None
    sample: int = SAMPLE
    seed: int | None = None
    tolerance: float = TOLERANCE
    no_index: bool = False


@dataclass
class _Replaying:
    """What is open while predictions are replayed, and what has been found."""

    world: World
    store: Store | None
    scratch: Scratch
    wish: Wish
    say: Callable[[str], None]
    left: int = 0
    done: list[Replayed] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Records that one package answered. `deployed` is its digest, None where it was not recorded."""

    version: int
    run: str
    deployed: str | None
    records: Sequence[Record]


def replay(project: Project, wish: Wish, *, say: Callable[[str], None]) -> Replay:
    """Ask again what was asked, and compare; what stands in the way is told in `breaks`.

    Raises ConfigError for what cannot be wanted.
    """
    began = time.monotonic()
    _check(wish)
    world = World(project=project, objects=Objects(project.root))
    seed = wish.seed
    if wish.prediction is None and seed is None:
        seed = random.SystemRandom().randrange(1 << 31)
    if wish.prediction is not None:
        chosen = answered.one(world, wish.prediction)
    else:
        say("choosing from the prediction log")
        chosen = answered.sample(
            world, wish.sample, seed=seed, since=wish.since, until=wish.until, version=wish.version
        )
    with ExitStack() as stack:
        found = _Replaying(
            world=world,
            store=_opened(world, stack) if chosen.records else None,
            scratch=stack.enter_context(scratch(project)),
            wish=wish,
            say=say,
        )
        deployments = _deployments(found)
        for group in _groups(world, found.store, deployments, _with_inputs(found, chosen.records)):
            _replay(found, group, deployments)
        today = _today(found, chosen.records[0]) if wish.prediction and chosen.records else None
    return Replay(
        project=project.name,
        subject=wish.prediction or _subject(wish),
        tolerance=wish.tolerance,
        seed=seed,
        served=chosen.served,
        left=found.left,
        predictions=tuple(sorted(found.done, key=lambda each: each.id)),
        settings=tuple(found.settings),
        aside=chosen.aside,
        today=today,
        breaks=tuple(world.breaks),
        notes=tuple(world.notes),
        seconds=time.monotonic() - began,
    )


def _check(wish: Wish) -> None:
    if wish.prediction is not None and (wish.since or wish.until or wish.version is not None):
        raise ConfigError(
            "one prediction is replayed by its id, or many by `--since`, `--until` and `--version`",
            hint="leave one or the other out",
        )
    if wish.sample < 1:
        raise ConfigError(f"`--sample {wish.sample}` is no number of predictions", hint="give 1 or more")
    if wish.tolerance < 0:
        raise ConfigError(
            f"`--tolerance {wish.tolerance:g}` is below 0", hint=f"the default is {TOLERANCE:g}"
        )


def _subject(wish: Wish) -> str:
    words = [f"since {wish.since}"] if wish.since else []
    words += [f"until {wish.until}"] if wish.until else []
    words += [f"by version {wish.version}"] if wish.version is not None else []
    return " ".join(words) or "all that was answered"


# What answered


def _opened(world: World, stack: ExitStack) -> Store | None:
    """The store of deployments; None where there is none, or it cannot be read."""
    project = world.project
    if project.postgres is None and not (project.home / "serving.db").exists():
        return None
    try:
        return stack.enter_context(store.open(project.home, project.postgres))
    except MlprojError as error:
        world.broken(
            Link.DEPLOYMENT, f"the store of deployments cannot be read: {error.message}", hint=error.hint
        )
        return None


def _deployments(found: _Replaying) -> Mapping[int, Deployment]:
    return {each.id: each for each in found.store.deployments()} if found.store is not None else {}


def _with_inputs(found: _Replaying, chosen: Sequence[Record]) -> list[Record]:
    """Those whose inputs can be given again. Of the others, a line in somebody's table, it is told."""
    whole = [record for record in chosen if replaying.is_row(record.features)]
    lacking = [ids.text(record.id) for record in chosen if not replaying.is_row(record.features)]
    if lacking:
        found.left += len(lacking)
        found.world.broken(
            Link.RECORD,
            f"the inputs of {plural(len(lacking), 'prediction')} are not in the log: {listed(lacking)}",
            known="the answers are, and by whom they were given",
        )
    return whole


def _groups(
    world: World,
    opened: Store | None,
    deployments: Mapping[int, Deployment],
    chosen: Iterable[Record],
) -> list[_Group]:
    """The records by the package that answered them."""
    versions = {each.number: each for each in opened.versions()} if opened is not None else {}
    together: dict[tuple[int, str, str | None], list[Record]] = {}
    for record in chosen:
        deployment, known = deployments.get(record.deployment), versions.get(record.version)
        digest = deployment.plan.get("package") if deployment is not None else None
        if digest is None and known is not None and known.run == record.run:
            digest = known.digest
        together.setdefault((record.version, record.run, digest), []).append(record)
    for version, run, digest in together:
        if digest is None:
            world.note(
                f"version {version} of run `{run}` is not in the store of deployments: which package answered"
                " is not recorded, so the run's own is asked"
            )
    return [
        _Group(version=version, run=run, deployed=digest, records=records)
        for (version, run, digest), records in sorted(together.items(), key=lambda each: str(each[0]))
    ]


# Replaying


def _replay(found: _Replaying, group: _Group, deployments: Mapping[int, Deployment]) -> None:
    """Ask a package its records again, with the engine that answered and with the original."""
    setting = Setting(
        version=group.version,
        run=group.run,
        count=len(group.records),
        grade=Grade.UNAVAILABLE,
        deployed=group.deployed,
    )
    before = len(found.done)
    kept = _kept(found, group.version, group.run, group.deployed)
    if kept is not None:
        environment = package.load(kept.folder).environment
        stock = wheels.stock(
            found.world.project, found.world.objects, environment.lock, environment.lock_sha256
        )
        setting = replace(
            setting,
            package=kept.digest,
            package_from=kept.found,
            lock=environment.lock,
            wheels=f"{stock.state}; {stock.said}",
        )
        revived = revive(found.world, kept, no_index=found.wish.no_index, say=found.say)
        if revived is not None:
            setting = _ask(found, group, deployments, revived, setting)
    found.left += setting.count - (len(found.done) - before)
    found.settings.append(setting)


def _kept(found: _Replaying, number: int, run: str, digest: str | None) -> KeptPackage | None:
    return kept_package.find(found.world, found.store, found.scratch, number=number, run=run, expected=digest)


def _ask(
    found: _Replaying,
    group: _Group,
    deployments: Mapping[int, Deployment],
    revived: Revived,
    setting: Setting,
) -> Setting:
    again: dict[int, list[Again]] = {record.id: [] for record in group.records}
    by_engines: dict[tuple[str, ...], list[Record]] = {}
    for record in group.records:
        by_engines.setdefault(revived.engines(record.engine), []).append(record)
    otherwise = ""
    for engines, records in by_engines.items():
        for engine in engines:
            found.say(f"asking version {group.version} again, engine {engine}: {len(records):,}")
            try:
                said, differs = revived.ask(engine, [record.features for record in records])
            except MlprojError as error:
                found.world.broken(
                    Link.ENVIRONMENT,
                    f"the engine `{engine}` of version {group.version} cannot be asked: {error.message}",
                    known=f"its package is as it was deployed, and {revived.python} was found for it",
                )
                continue
            otherwise = otherwise or differs
            for record, said_now in zip(records, said, strict=True):
                deployment = deployments.get(record.deployment)
                answer, agreed = _compared(
                    record, said_now, deployment, revived.described, found.wish.tolerance
                )
                again[record.id].append(Again(engine=engine, answer=answer, agreement=agreed))
    done = [_replayed(record, again[record.id]) for record in group.records if again[record.id]]
    found.done += done
    suspects: tuple[str, ...] = ()
    if agreement.worst(each.verdict for each in done) in (Verdict.DECIDED, Verdict.DIFFERENT):
        suspects = agreement.blame(
            package=revived.kept.digest,
            expected=group.deployed,
            differs=revived.differs,
            starts_otherwise=otherwise,
        )
    return replace(
        setting,
        grade=revived.grade,
        python=revived.now.python,
        differs=tuple(each.said for each in revived.differs),
        unrecorded=revived.before.unknown,
        suspects=suspects,
    )


def _compared(
    record: Record, said: frames.Answer, deployment: Deployment | None, described: Package, tolerance: float
) -> tuple[Answer | None, Agreement]:
    if said.status != _OK:
        why = f"it is refused now: {answers.error_summary(said.body)}"
        return None, Agreement(verdict=Verdict.DIFFERENT, said=why)
    (row,) = said.rows
    answer = Answer.of(row.output.decode(), _decision(record, row, deployment))
    is_number = described.outputs.kind == "number"
    return answer, agreement.compare(_answered(record), answer, is_number=is_number, tolerance=tolerance)


def _answered(record: Record) -> Answer:
    return Answer.of(record.output or "", record.decision)


def _decision(record: Record, row: frames.Row, deployment: Deployment | None) -> str | None:
    """What would be decided on an answer by the rule of then; the record's own where the rule is lost, and
    where it left nothing to the model."""
    if record.decision is None or deployment is None:
        return record.decision
    route = Route(
        role=record.role,
        version=record.version,
        run=record.run,
        deployment=record.deployment,
        share=record.share,
        salt=b"",
        automation=Automation(deployment.automation),
        defer_below=deployment.defer_below,
        socket=None,
        engine=record.engine,
    )
    return answers.plain(answers.decide(route, row))


def _replayed(record: Record, again: Sequence[Again]) -> Replayed:
    moment = datetime.fromtimestamp(record.arrived_us / 1e6, UTC)
    return Replayed(
        id=ids.text(record.id),
        arrived=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        version=record.version,
        run=record.run,
        role=str(record.role),
        engine=record.engine,
        answered=_answered(record),
        again=tuple(again),
    )


def _today(found: _Replaying, record: Record) -> Today | None:
    """What the version that answers now says of the row; None where it is the same one, or none does."""
    primary = found.store.routes().get(PRIMARY) if found.store is not None else None
    if found.store is None or primary is None or primary.version == record.version:
        return None
    known = found.store.version(primary.version)
    if known is None:
        return None
    # What cannot be asked of the present version breaks no link of the past one's.
    aside = World(project=found.world.project, objects=found.world.objects)
    try:
        kept = kept_package.find(
            aside, found.store, found.scratch, number=known.number, run=known.run, expected=known.digest
        )
        revived = revive(aside, kept, no_index=found.wish.no_index, say=found.say) if kept else None
        if revived is None:
            why = aside.breaks[0].said if aside.breaks else "its package is lost"
            return Today(version=known.number, run=known.run, answer=None, said=why)
        (said,), _ = revived.ask(known.engine, [record.features])
    except MlprojError as error:
        return Today(version=known.number, run=known.run, answer=None, said=error.message)
    if said.status != _OK:
        why = f"it refuses the row: {answers.error_summary(said.body)}"
        return Today(version=known.number, run=known.run, answer=None, said=why)
    answer = Answer.of(said.rows[0].output.decode())
    return Today(version=known.number, run=known.run, answer=answer)
