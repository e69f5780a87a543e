"""How a trace looks: a tree for people, JSON, a picture, and the formats of others."""

from __future__ import annotations

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.cli import render_breaks
from mlproj.cli.render import JSON_VERSION, line, style, talk
from mlproj.provenance import lineage, questions
from mlproj.provenance.questions import described, served, value
from mlproj.provenance.things import File, Kept, Stage, listed, plural
from mlproj.provenance.trace import (
    Call,
    Content,
    Environment,
    Origin,
    Prediction,
    Rollout,
    Trace,
    Version,
    moment,
)
from mlproj.serving.deployment import KEPT

_WIDEST = 110


@dataclass(frozen=True)
class _Branch:
    text: str
    twigs: tuple[_Branch, ...] = ()


def show(found: Trace) -> None:
    """The tree, the eight answers, and what is broken."""
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    line(style(_title(found), "bold"))
    _print(list(_branches(found)), "", width)
    line(f"\n{style('asked and answered', 'bold')}")
    for number, answer in enumerate(questions.answers(found), start=1):
        line(f"  {number}. {answer.question}")
        for row in textwrap.wrap(answer.answer, width - 5, break_long_words=False, break_on_hyphens=False):
            line(f"     {row if answer.known else style(row, 'yellow')}")
    for note in found.notes:
        line(f"\nnote: {note}")
    if found.breaks:
        line("")
        render_breaks.show(found.breaks)


def as_json(found: Trace) -> dict[str, Any]:
    """The versioned shape of `mlproj trace --json`; docs/concepts/trace.md has its keys."""
    said = dataclasses.asdict(found)
    for origin in said["origins"]:
        origin["files"] = list(origin["files"].values())
    return {
        "version": JSON_VERSION,
        **said,
        "whole": found.is_whole,
        "questions": [dataclasses.asdict(answer) for answer in questions.answers(found)],
    }


def draw(found: Trace, path: Path) -> None:
    """Write the picture. Raises MlprojError if the file cannot be written."""
    from mlproj.provenance import drawing, graph

    count = plural(len(found.breaks), "link", "links")
    subtitle = f"{found.project}: from the data to what came of them; " + (
        f"{count} broken" if found.breaks else "every link holds"
    )
    files.write_text(path, drawing.svg(graph.of(found), title=_title(found), subtitle=subtitle))
    talk(f"wrote `{path}`")


def exported(found: Trace, form: str) -> None:
    """Print the trace in a format of others: `prov` one document, `openlineage` an event a line."""
    from mlproj.provenance import export_openlineage, export_prov, graph

    whole = graph.of(found, with_all_files=True)
    if form == "prov":
        line(
            json.dumps(export_prov.document(whole, project_id=found.project_id), indent=2, ensure_ascii=False)
        )
        return
    for event in export_openlineage.events(found, whole):
        line(json.dumps(event, ensure_ascii=False))


def _title(found: Trace) -> str:
    subject = found.subject
    return f"{found.kind} {subject} of {found.project}"


def _print(branches: list[_Branch], before: str, width: int) -> None:
    for at, branch in enumerate(branches):
        last = at == len(branches) - 1
        stem, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        further = below + ("│  " if branch.twigs else "   ")
        room = max(width - len(before) - 6, 40)
        rows = textwrap.wrap(branch.text, room, break_long_words=False, break_on_hyphens=False) or [""]
        for number, row in enumerate(rows):
            line(f"{before}{further if number else stem}{row}")
        _print(list(branch.twigs), before + below, width)


def _branches(found: Trace) -> Iterator[_Branch]:
    if found.prediction is not None:
        yield from _prediction(found.prediction)
    if found.commit is not None:
        yield _Branch(f"by {found.commit.by} at {moment(found.commit.at)}: {found.commit.title}")
    for content in found.contents:
        yield _content(content)
    for origin in found.origins:
        for version in origin.versions:
            yield _version(version)
        yield _origin(origin)
    if found.chain is not None:
        yield _chain(found)
    if found.prediction is not None:
        yield _feedback(found.prediction)


# A prediction


def _prediction(found: Prediction) -> Iterator[_Branch]:
    confidence = (found.output or {}).get("confidence")
    sure = f", confidence {confidence:.3g}" if isinstance(confidence, float) else ""
    if found.output is not None:
        decided = "" if found.decision is None else f"; decision: {found.decision}"
        yield _Branch(f"answered {value(found.output.get('prediction'))}{sure}{decided}")
    else:
        yield _Branch(f"not answered: status {found.status}, {found.error}")
    share = f", which had {found.share:.0%} of entities," if found.role == "canary" else ""
    entity = f", for entity {found.entity}" if found.entity is not None else ""
    yield _Branch(
        f"asked at {moment(found.arrived)}, request {found.request}, row {found.row}{entity};"
        f" answered as {found.role}{share} in {found.latency_ms:.1f} ms"
    )
    if isinstance(found.inputs, dict):
        unseen = f"; never seen in training: {listed(found.unseen)}" if found.unseen else ""
        twigs = [_Branch(f"{name} = {value(each)}") for name, each in found.inputs.items()]
        yield _Branch(f"inputs, as received{unseen}", tuple(twigs))
    else:
        yield _Branch("inputs: a body that is no JSON object", (_Branch(str(found.inputs)[:500]),))


def _feedback(found: Prediction) -> _Branch:
    if not found.feedback:
        return _Branch("feedback: none so far")
    twigs = [
        _Branch(
            f"{each.kind} {each.value}, from {each.source}, true at {moment(each.at)}, told of {each.about}"
        )
        for each in found.feedback
    ]
    # Of several that speak of a prediction, the one that became true last counts.
    last = {each.kind: at for at, each in enumerate(found.feedback)}
    for at in last.values():
        twigs[at] = _Branch(f"{twigs[at].text}; it counts" if len(found.feedback) > 1 else twigs[at].text)
    return _Branch("feedback", tuple(twigs))


def _chain(found: Trace) -> _Branch:
    assert found.chain is not None
    chain = found.chain
    others = len(chain.models) > 1 or len(chain.calls) > 1
    logs = "log" if len(chain.asked) == 1 else "logs"
    looked = f"looked for in the {logs} of {listed(chain.asked)}, within two minutes"
    if not others:
        return _Branch(f"chain: no other model answered request {chain.request}; {looked}")
    return _Branch(
        f"chain: request {chain.request}, {plural(len(chain.models), 'model version')}; {looked}",
        tuple(map(_call, chain.calls)),
    )


def _call(call: Call) -> _Branch:
    rows = plural(call.rows, "row")
    said = f"{call.model} version {call.version}, {call.role}, {rows}: {listed(call.answers)}"
    data = f"; trained on {call.data}" if call.data else ""
    return _Branch(f"{moment(call.arrived)}  {said} (run {call.run[:8]}, first id {call.first}{data})")


# A version and its deployments


def _version(found: Version) -> _Branch:
    twigs = []
    if found.digest is not None:
        where = f" ({'on this machine' if found.package is Kept.HERE else found.package})"
        twigs.append(_Branch(f"package SHA-256 {found.digest}{where}, engine {found.engine}"))
    else:
        twigs.append(_Branch("registered; no deployment of it is known here"))
    if found.served is not None:
        twigs.append(_Branch(served(found).partition(": ")[2]))
    twigs += [_rollout(rollout) for rollout in found.rollouts]
    added = f", added at {moment(found.added)}" if found.added else ""
    return _Branch(f"version {found.number} of {found.model}{added}", tuple(twigs))


def _rollout(found: Rollout) -> _Branch:
    shares = (
        f" in steps of {listed([f'{share:.0%}' for share in found.shares])}" if found.mode == "canary" else ""
    )
    beside = f" beside version {found.baseline}" if found.baseline is not None else ""
    reason = f" ({found.reason})" if found.reason else ""
    state = "kept for a rollback" if found.state == KEPT else found.state
    until = f"; {found.state} since {moment(found.ended)}{reason}" if found.ended else f"; {state}"
    twigs = [
        _Branch(f"{moment(event.at)}  {event.kind}, by {event.by}: {event.said}") for event in found.events
    ]
    if found.verdict is not None:
        twigs.append(_Branch(f"last verdict: {found.verdict}"))
    return _Branch(
        f"deployment {found.id}: {found.mode}{shares}{beside}, {found.automation} automation,"
        f" started by {found.by} at {moment(found.started)}{until}",
        tuple(twigs),
    )


# A run


def _origin(found: Origin) -> _Branch:
    if found.read_from is None or (found.code is None and not found.stages):
        return _Branch(f"run {found.run}: what it was made from is not known", tuple(_decisions(found)))
    finished = f", finished at {moment(found.finished)}" if found.finished else ""
    tracked = f"; in the MLflow store here: {found.tracked}" if found.tracked else ""
    outcome = f" (its outcome, commit {found.outcome[:12]})" if found.outcome else ""
    return _Branch(
        f"run {found.run}{finished}, read from {found.read_from}{outcome}{tracked}",
        (
            *_code(found),
            *([_stages(found)] if found.stages else []),
            *_data(found),
            *([_environment(found.environment)] if found.environment else []),
            *_promises(found),
            *_decisions(found),
        ),
    )


def _code(found: Origin) -> Iterator[_Branch]:
    code = found.code
    if code is None:
        return
    commit = code.snapshot or code.commit_id or ""
    where = "here" if code.is_here else "not in this repository"
    twigs = []
    if code.snapshot and code.snapshot != code.commit_id:
        twigs.append(_Branch(f"a snapshot of work that was not committed, on commit {code.commit_id}"))
    if code.commit is not None:
        about = f"by {code.commit.by} at {moment(code.commit.at)}: {code.commit.title}"
        twigs.append(_Branch(f"commit {code.commit.id[:12]} is {about}"))
    seed = f", seed {found.seed}" if found.seed is not None else ""
    threads = f", {plural(found.threads, 'thread')}" if found.threads is not None else ""
    twigs.append(
        _Branch(f"ran `{code.command}`: {code.algorithm or 'algorithm not recorded'}{seed}{threads}")
    )
    yield _Branch(f"code as training began: commit {commit} ({where})", tuple(twigs))


def _stages(found: Origin) -> _Branch:
    return _Branch(
        "stages, in the order in which they lead to the model",
        tuple(_stage(found, stage) for stage in found.stages),
    )


def _stage(found: Origin, stage: Stage) -> _Branch:
    read = [found.files[path] for path in stage.reads if path in found.files]
    data = [file.path for file in read if file.kept is not Kept.GIT]
    in_git = [file.path for file in read if file.kept is Kept.GIT]
    made = [path for path in stage.writes if path in found.files]
    twigs = []
    if data:
        twigs.append(_Branch(f"read {listed(data, most=6)}"))
    if in_git:
        twigs.append(_Branch(f"with {listed(in_git, most=6)}, in git"))
    if stage.params:
        twigs.append(_Branch(f"parameters {listed(stage.params, most=8)}"))
    if made:
        twigs.append(_Branch(f"made {listed(made, most=6)}"))
    judged = stage.name not in {each.name for each in lineage.leading_to(found.stages, lineage.MANIFEST)}
    return _Branch(f"{stage.name}{' (after training)' if judged else ''}: {stage.command}", tuple(twigs))


def _data(found: Origin) -> Iterator[_Branch]:
    kept = sorted(
        (file for file in found.files.values() if file.kept is not Kept.GIT), key=lambda file: file.path
    )
    aside = [file for file in kept if lineage.is_aside(found.stages, file.path)]
    twigs = [_Branch(_file(file)) for file in kept if file not in aside]
    if aside:
        names = listed([file.path.rpartition("/")[2] for file in aside], most=9)
        where = listed(dict.fromkeys(str(file.kept) for file in aside))
        twigs.append(_Branch(f"drawn after training: {names} ({where})"))
    if twigs:
        yield _Branch("data and models, by digest", tuple(twigs))


def _file(file: File) -> str:
    size = f", {size_of(file.size)}" if file.size is not None else ""
    parts = f" in {plural(file.files, 'file')}" if file.files else ""
    commit = file.brought
    brought = f"; brought by {commit.by} at {moment(commit.at)} (commit {commit.id[:12]})" if commit else ""
    source = f", imported from {file.source}" if file.source else ""
    return f"{described(file)}{size}{parts}{brought}{source}"


def _environment(found: Environment) -> _Branch:
    pins = [f"{name} {version}" for name, version in found.packages.items()]
    twigs = [_Branch(f"Python {found.python} on {found.platform}")]
    if pins:
        twigs.append(_Branch(f"with {listed(pins, most=8)}"))
    twigs.append(_Branch(f"wheels: {found.wheels or 'not kept, a package index is needed to build it'}"))
    return _Branch(f"environment: {found.lock}, SHA-256 {found.sha256} ({found.kept})", tuple(twigs))


def _promises(found: Origin) -> Iterator[_Branch]:
    if found.targets:
        rows = []
        for each in found.targets:
            interval = (
                f" ({each.low:.3g} to {each.high:.3g})"
                if each.low is not None and each.high is not None
                else ""
            )
            if each.value is not None:
                measured = f"measured {each.value:.3g}{interval}{f', by {each.by}' if each.by else ''}"
            else:
                measured = f"measured by {each.by}" if each.by else "not measured in the run"
            rows.append(_Branch(f"{each.target}: {measured}"))
        yield _Branch("promised", tuple(rows))
    if not found.approvals:
        yield _Branch("approvals: none in the run's snapshot")
        return
    yield _Branch(
        "approvals",
        tuple(
            _Branch(
                f"{each.name} ({each.role}) on {each.on}, of targets SHA-256 {each.of[:12]}: "
                + ("these targets" if each.holds else "other targets than the run was judged by")
            )
            for each in found.approvals
        ),
    )


def _decisions(found: Origin) -> Iterator[_Branch]:
    if not found.decisions:
        yield _Branch("decisions: none in the notebook speaks of it")
        return
    yield _Branch(
        "decisions",
        tuple(
            _Branch(f"{each.on}  {each.title}: {each.why or 'no reason was written'} (`{each.path}`)")
            for each in found.decisions
        ),
    )


# A data file


def _content(found: Content) -> _Branch:
    twigs = []
    if found.made_by:
        twigs.append(_Branch(f"made by stage {found.made_by}"))
    if found.read_by:
        twigs.append(_Branch(f"read by {_stages_named(found.read_by)}"))
    runs = listed([run[:8] for run in found.runs], most=12)
    twigs.append(
        _Branch(f"touched {plural(len(found.runs), 'run')}: {runs}" if found.runs else "touched no run")
    )
    now = "as recorded now" if found.is_current else "an earlier content"
    return _Branch(f"{now}: {_file(found.file)}", tuple(twigs))


def _stages_named(names: Iterable[str]) -> str:
    found = list(names)
    return f"{'stage' if len(found) == 1 else 'stages'} {listed(found, most=8)}"


def size_of(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
