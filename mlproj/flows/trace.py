"""From a prediction, version, run, commit or data file to all that it came from and all that it reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from mlproj.base import clock, git
from mlproj.base.errors import ConfigError, MlprojError, nearest
from mlproj.flows import chained, origins, served, words
from mlproj.flows.chained import Other
from mlproj.flows.reading import LOCK, World, parsed, read_bytes, table
from mlproj.flows.served import Serving
from mlproj.project import Project
from mlproj.provenance import history, lineage, objects
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, Kept, listed
from mlproj.provenance.trace import (
    Content,
    Feedback,
    Link,
    Prediction,
    Served,
    Subject,
    Trace,
    Version,
)
from mlproj.serving import ids, shown

_PREDICTION = re.compile(r"[0-9a-z]{13}")
_MD5 = re.compile(r"(?:md5:)?([0-9a-f]{32}(?:\.dir)?)")
# Counting reads a day that is not sealed from end to end; the command is to answer within a second.
_PATIENCE_S = 0.4
# Of a file that very many runs read, this many are told in full.
_MOST_ORIGINS = 12


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for beside the subject. `others` are roots or data folders of other projects."""

    others: tuple[Path, ...] = ()
    ask_remote: bool = False
    verify: bool = False
    count_all: bool = False


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The word that was typed, and what it is looked for in."""

    world: World
    serving: Serving
    word: str
    others: tuple[Other, ...]
    options: Options

    @property
    def folded(self) -> str:
        return self.word.lower()


def trace(project: Project, subject: str, options: Options) -> Trace:
    """Everything that is known of a subject. What is broken on the way is told in `breaks`.

    Raises ConfigError if the subject is nothing that this project knows, or `options.others` are no projects.
    """
    if git.toplevel(project.root) is None:
        raise ConfigError(
            f"`{project.root}` is not in a git repository, so nothing of the past is kept",
            hint="run `git init`, then `git add -A` and `git commit -m start`",
        )
    others = tuple(chained.other(path) for path in options.others)
    world = World(project=project, objects=Objects(project.root, verify=options.verify))
    if options.ask_remote:
        world.objects = _after_asking(world, verify=options.verify)
    serving = served.read(world, verify=options.verify)
    found = _of(_Asked(world=world, serving=serving, word=subject.strip(), others=others, options=options))
    return replace(found, breaks=tuple(world.breaks), notes=tuple(world.notes))


def _of(asked: _Asked) -> Trace:
    """The first reading of the word that fits; what could be two things is what is rarer."""
    for reading in (_prediction, _version, _digest, _run, _data_file, _commit, _lost_prediction):
        found = reading(asked)
        if found is not None:
            return found
    raise _nothing(asked)


# What the log says


def _prediction(asked: _Asked) -> Trace | None:
    """The trace of a prediction; None if its record is not in the log."""
    number = _number(asked.word) if _PREDICTION.fullmatch(asked.folded) else None
    if number is None:
        return None
    from mlproj.monitoring import chains, records

    world, serving, project = asked.world, asked.serving, asked.world.project
    try:
        with chains.told(project.home):
            found = records.get(project.home, number, postgres=project.postgres)
    except MlprojError as error:
        world.broken(Link.LOG, f"the prediction log cannot be read: {error.message}", hint=error.hint)
        return None
    if found is None:
        return None
    record = found.record
    prediction = Prediction(
        id=ids.text(record.id),
        arrived=served.time_of(record.arrived_us),
        project=project.name,
        model=project.model,
        request=record.request_id,
        row=record.row,
        role=str(record.role),
        share=record.share,
        version=record.version,
        run=record.run,
        deployment=record.deployment,
        engine=record.engine,
        entity=record.entity,
        sticky=bool(record.sticky),
        inputs=shown.features(record),
        output=shown.output(record),
        decision=record.decision,
        status=record.status,
        error=record.error,
        latency_ms=record.latency_us / 1000,
        unseen=tuple(shown.unseen(record)),
        feedback=tuple(
            Feedback(
                kind=one.kind.value,
                value=one.value,
                at=served.time_of(one.at_us),
                arrived=served.time_of(one.arrived_us),
                source=one.source,
                about="this prediction"
                if one.prediction_id == number
                else _about(one.entity, one.prediction_id),
            )
            for one in found.feedback
        ),
    )
    chain = chained.chain(world, prediction, number, asked.others)
    if not record.run:
        world.note("no version answered: the attempt was refused or failed before one was asked")
        return _trace(world, Subject.PREDICTION, prediction.id, prediction=prediction, chain=chain)
    version = _answering(world, serving, prediction)
    origin = origins.origin(world, record.run, (version,), known=served.known_of(version))
    return _trace(
        world, Subject.PREDICTION, prediction.id, prediction=prediction, chain=chain, origins=(origin,)
    )


def _answering(world: World, serving: Serving, prediction: Prediction) -> Version:
    """The version that gave an answer, with the deployment under which it did."""
    known = next((each for each in serving.versions if each.number == prediction.version), None)
    bare = Version(number=prediction.version, run=prediction.run, model=prediction.model)
    if known is None:
        world.broken(
            Link.VERSION,
            f"version {prediction.version} is not in the store of deployments",
            known=f"the record says that run `{prediction.run}` made it",
        )
    elif known.run != prediction.run:
        world.broken(
            Link.VERSION,
            f"version {prediction.version} is another one now, of run `{known.run}`: it was registered anew",
            known=f"the record says that run `{prediction.run}` made the one that answered",
        )
    else:
        bare = served.with_package(world, serving, known)
    rollouts = tuple(
        served.rollout(deployment, events, serving.routes)
        for deployment, events in serving.past
        if deployment.id == prediction.deployment
    )
    if not rollouts:
        world.broken(
            Link.DEPLOYMENT,
            f"deployment {prediction.deployment} is not in the store of deployments",
            known=f"the record says that it answered as {prediction.role}",
        )
    return replace(bare, rollouts=rollouts)


def _lost_prediction(asked: _Asked) -> Trace | None:
    """What an id says by itself, where its record is not in the log; None for what cannot be an id."""
    world, serving, word = asked.world, asked.serving, asked.folded
    number = _number(word) if _PREDICTION.fullmatch(word) else None
    if number is None or ids.moment(number) > clock.now() + timedelta(days=1):
        return None
    moment = ids.moment(number)
    at = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    us = int(moment.timestamp() * 1e6)
    live = [
        deployment
        for deployment, _ in serving.past
        if deployment.started_us <= us and (deployment.ended_us is None or us < deployment.ended_us)
    ]
    if not any(each.link is Link.LOG for each in world.breaks):
        day = ids.day(number).isoformat()
        says = [f"by the id itself, it was given at {at}"]
        if live:
            numbers = listed([f"version {each.version} ({each.mode}, deployment {each.id})" for each in live])
            says.append(f"on live traffic then: {numbers}")
        else:
            says.append("nothing of this project was on live traffic then")
        folder = world.project.home / "log"
        there = any((folder / f"{day}{ending}").exists() for ending in (".db", ".parquet"))
        says.append(f"the log of that day is {'here' if there else 'not here'}")
        world.broken(
            Link.RECORD,
            f"prediction `{word}` is not in the log",
            known="; ".join(says),
            hint="was it made in another project, or on another machine? `mlproj trace` reads "
            f"`{world.project.home}`",
        )
    known = {each.number: each for each in serving.versions}
    then = [known[each.version] for each in live if each.version in known]
    return _trace(
        world,
        Subject.PREDICTION,
        word,
        origins=tuple(
            origins.origin(world, each.run, (served.whole_version(world, serving, each),)) for each in then
        ),
    )


def _number(word: str) -> int | None:
    try:
        return ids.parse(word)
    except ConfigError:
        return None


def _about(entity: str | None, prediction: int | None) -> str:
    if prediction is not None:
        return f"prediction {ids.text(prediction)}, the primary's answer to the same row"
    return f"entity {entity}"


# Versions, runs, commits


def _version(asked: _Asked) -> Trace | None:
    number = words.version(asked.folded)
    if number is None:
        return None
    known = next((each for each in asked.serving.versions if each.number == number), None)
    if known is not None:
        return _served(asked, Subject.VERSION, str(number), [known.run], only=number)
    runs = [run for run, registered in words.registrations(asked.world).items() if registered == number]
    return _served(asked, Subject.VERSION, str(number), runs) if runs else None


def _digest(asked: _Asked) -> Trace | None:
    """A whole MD5; the ids of runs have the same form, and come first."""
    matched = _MD5.fullmatch(asked.folded)
    if matched is None or matched[1] in _runs(asked):
        return None
    return _data(asked, None, matched[1])


def _run(asked: _Asked) -> Trace | None:
    """A run by its id or the beginning of it. Raises ConfigError if several begin so."""
    run = words.run(asked.folded, _runs(asked))
    return _served(asked, Subject.RUN, run, [run]) if run else None


def _commit(asked: _Asked) -> Trace | None:
    """The runs that were made from a commit, or whose snapshot or outcome it is."""
    world = asked.world
    commit = history.commit(world.project.root, asked.word)
    if commit is None:
        return None
    runs = []
    for run, said in world.manifests.items():
        code = said.get("code")
        code = code if isinstance(code, dict) else {}
        kept = world.kept.get(run)
        if commit.id in (code.get("commit"), code.get("snapshot"), kept.commit if kept else None):
            runs.append(run)
    if not runs:
        (text,) = history.read(world.project.root, [(commit.id, lineage.MANIFEST)])
        held = table(text).get("run_id")
        if isinstance(held, str):
            world.note(
                f"no run was made from this commit; the model that stood in it is that of run `{held}`"
            )
            runs = [held]
        else:
            world.note("no run was made from this commit, and it holds no model")
    return replace(_served(asked, Subject.COMMIT, commit.id, runs), commit=commit)


def _served(
    asked: _Asked, kind: Subject, subject: str, runs: Iterable[str], *, only: int | None = None
) -> Trace:
    """Runs with what came of them: versions, deployments, and how many predictions."""
    world, serving = asked.world, asked.serving
    chosen = list(dict.fromkeys(runs))
    told = _foremost(serving, chosen)
    if len(told) < len(chosen):
        rest = [run for run in chosen if run not in told]
        world.note(f"{len(rest)} more runs, not told here: {listed([run[:8] for run in rest], most=12)}")
    found = []
    for run in told:
        known = served.versions_of(world, serving, run, only)
        found.append(origins.origin(world, run, known, known=served.known_of(*known)))
    counts = _counts(asked) if any(origin.versions for origin in found) else {}
    for at, origin in enumerate(found):
        versions = tuple(
            replace(
                version,
                served=counts.get((version.number, origin.run), Served(count=0, first=None, last=None)),
            )
            for version in origin.versions
        )
        found[at] = replace(origin, versions=versions)
    return _trace(world, kind, subject, origins=tuple(found))


def _foremost(serving: Serving, runs: Sequence[str]) -> list[str]:
    """At most a dozen, those that were deployed first."""
    deployed = {each.run for each in serving.versions}
    return sorted(runs, key=lambda run: run not in deployed)[:_MOST_ORIGINS]


def _counts(asked: _Asked) -> Mapping[tuple[int, str], Served]:
    """How many predictions each version made, by its number and run."""
    world, project = asked.world, asked.world.project
    from mlproj.monitoring import chains

    patience_s = None if asked.options.count_all else _PATIENCE_S
    try:
        with chains.told(project.home):
            counted = chains.count(project.home, patience_s=patience_s, postgres=project.postgres)
    except MlprojError as error:
        world.broken(Link.LOG, f"the prediction log cannot be read: {error.message}", hint=error.hint)
        return {}
    if any(not each.complete for each in counted):
        world.note(
            "not all of today's predictions were counted: `mlproj trace` with `--count-all` does, in its time"
        )
    return {
        (each.version, each.run): Served(
            count=each.count,
            first=_moment(each.first),
            last=_moment(each.last),
            complete=each.complete,
        )
        for each in counted
    }


# Data


def _data_file(asked: _Asked) -> Trace | None:
    """A file by its path, or by its bare name where only one is called so."""
    found = _data(asked, _path(asked.world.project, asked.word), None)
    if found is None:
        paths = {path for path in _data_paths(asked.world) if PurePosixPath(path).name == asked.word}
        found = _data(asked, paths.pop(), None) if len(paths) == 1 else None
    return found


def _data(asked: _Asked, path: str | None, digest: str | None) -> Trace | None:
    """A data file by its path or digest; None if no run and no `.dvc` file knows it."""
    world = asked.world
    runs = list(world.kept.values())
    texts = history.read(world.project.root, [(run.commit, LOCK) for run in runs])
    here = read_bytes(world.project.root / LOCK)
    wanted = (digest or path or "").encode()
    parsed_before: dict[bytes, Mapping[str, Any]] = {}
    contents: dict[str, Content] = {}
    places: list[tuple[str, bytes | None]] = [(run.run, text) for run, text in zip(runs, texts, strict=True)]
    for run, text in [*places, ("", here)]:
        # Most locks do not name it, and reading text is a hundred times faster than reading YAML.
        if text is None or not wanted or wanted not in text:
            continue
        if text not in parsed_before:
            parsed_before[text] = parsed(text)
        _gather(contents, parsed_before[text], run, path, digest)
    for file in _added(world, path, digest):
        contents.setdefault(
            file.md5 or "",
            Content(file=file, made_by=None, read_by=(), runs=(), is_current=True),
        )
    if not contents:
        return None
    found = tuple(replace(content, file=_looked(world, content.file)) for content in contents.values())
    touched = [run for content in found for run in content.runs]
    traced = _served(asked, Subject.DATA, digest or path or "", touched)
    told = {file.md5: file for origin in traced.origins for file in origin.files.values() if file.md5}
    return replace(
        traced,
        contents=tuple(
            replace(content, file=told.get(content.file.md5 or "", content.file)) for content in found
        ),
    )


def _looked(world: World, file: File) -> File:
    """Where a file is kept: code and reports in git, data in DVC's stores."""
    if git.output(world.project.root, "ls-files", "--", f":(literal){file.path}"):
        return replace(file, kept=Kept.GIT)
    return world.objects.look(file)


def _data_paths(world: World) -> tuple[str, ...]:
    said = parsed(read_bytes(world.project.root / LOCK))
    return tuple(lineage.locked_files(said, [stage.name for stage in lineage.stages(said)]))


def _gather(
    contents: dict[str, Content], locked: Mapping[str, Any], run: str, path: str | None, digest: str | None
) -> None:
    """Add what one lock says of the file; `run` empty for the lock of the work tree."""
    stages = lineage.stages(locked)
    files = lineage.locked_files(locked, [stage.name for stage in stages])
    for file in files.values():
        if file.md5 is None or (file.path != path and file.md5 != digest):
            continue
        before = contents.get(file.md5)
        made = next((stage.name for stage in stages if file.path in stage.writes), None)
        read = [stage.name for stage in stages if file.path in stage.reads]
        contents[file.md5] = Content(
            file=file,
            made_by=made or (before.made_by if before else None),
            read_by=tuple(dict.fromkeys([*(before.read_by if before else ()), *read])),
            runs=tuple(dict.fromkeys([*(before.runs if before else ()), *([run] if run else [])])),
            is_current=not run or (before is not None and before.is_current),
        )


def _added(world: World, path: str | None, digest: str | None) -> list[File]:
    """What `.dvc` files of the work tree say of a file that may not have been read by a run yet."""
    root = world.project.root
    found = []
    listed_files = git.git(root, "ls-files", "-z", "--cached", "--others", "--", "*.dvc", check=False).stdout
    for name in filter(None, listed_files.split("\0")):
        said = parsed(read_bytes(root / name))
        for out in said.get("outs") or ():
            if not isinstance(out, dict) or "path" not in out:
                continue
            where = (PurePosixPath(name).parent / str(out["path"])).as_posix()
            md5 = out.get("md5")
            if where == path or (md5 is not None and md5 == digest):
                found.append(File(path=where, md5=md5, size=out.get("size"), files=out.get("nfiles")))
    return found


def _path(project: Project, word: str) -> str:
    """A path as DVC writes it, from the project's root, wherever it was typed."""
    typed = Path(word).expanduser()
    for candidate in (Path.cwd() / typed, project.root / typed):
        try:
            found = candidate.resolve().relative_to(project.root.resolve()).as_posix()
        except ValueError:
            continue
        if candidate.exists() or not (project.root / word).exists():
            return found
    return PurePosixPath(word).as_posix()


# What there is


def _runs(asked: _Asked) -> frozenset[str]:
    return frozenset(asked.world.manifests) | {each.run for each in asked.serving.versions}


def _nothing(asked: _Asked) -> ConfigError:
    world, word = asked.world, asked.word
    numbers = sorted(
        {each.number for each in asked.serving.versions} | set(words.registrations(world).values())
    )
    known = [str(number) for number in numbers]
    data = _data_paths(world)
    near = nearest(word, [*data, *(PurePosixPath(path).name for path in data)])
    hint = f"did you mean `{near}`?" if near else ""
    if not hint:
        versions = f"the versions are {listed(known)}" if known else "no version is registered yet"
        runs = listed([run[:8] for run in sorted(_runs(asked))])
        hint = (
            f"{versions}; the runs are {runs}; a caller's request id is not looked up:"
            " give the `prediction_id` of the answer, or its header `X-Prediction-Id`"
        )
    return ConfigError(
        f"`{word[:80]}` is no prediction, version, run, commit or data file of {world.project.name}",
        hint=hint,
    )


def _after_asking(world: World, *, verify: bool) -> Objects:
    """The same stores, with the remote asked for every object that some run's lock names."""
    remote, project = world.objects.remote, world.project
    if remote is None or remote.folder is not None:
        return world.objects
    digests = set()
    texts = history.read(project.root, [(run.commit, LOCK) for run in world.kept.values()])
    for said in map(parsed, {text for text in texts if text}):
        files = lineage.locked_files(said, [stage.name for stage in lineage.stages(said)])
        digests |= {file.md5 for file in files.values() if file.md5}
    try:
        has = objects.ask(project.root, project.python, remote.name, digests)
    except MlprojError as error:
        world.broken(Link.REMOTE, error.message, hint=error.hint)
        return world.objects
    return Objects(project.root, verify=verify, asked=has)


def _trace(world: World, kind: Subject, subject: str, **found: Any) -> Trace:
    project = world.project
    return Trace(
        kind=kind,
        subject=subject,
        project=project.name,
        project_id=project.id,
        model=project.model,
        repository=history.remote_of(project.root),
        **found,
    )


def _moment(number: int) -> str:
    return ids.moment(number).isoformat(timespec="seconds").replace("+00:00", "Z")
