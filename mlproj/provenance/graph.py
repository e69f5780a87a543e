"""A trace as nodes and arrows, in the order of time: what the picture and the exports are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mlproj.provenance import lineage
from mlproj.provenance.things import File, Kept, Stage, plural
from mlproj.provenance.trace import (
    Origin,
    Prediction,
    Rollout,
    Trace,
    Version,
)


class Kind(StrEnum):
    DATA = "data"
    CODE = "code"
    ENVIRONMENT = "environment"
    TARGETS = "targets"
    STAGE = "stage"
    VERSION = "version"
    DEPLOYMENT = "deployment"
    PREDICTION = "prediction"
    FEEDBACK = "feedback"
    DECISION = "decision"
    PERSON = "person"

    @property
    def is_activity(self) -> bool:
        return self in (Kind.STAGE, Kind.DEPLOYMENT)


class Relation(StrEnum):
    """What an arrow says, read from its source to its target."""

    USED_BY = "was used by"
    MADE = "made"
    BECAME = "became"
    ABOUT = "was judged by"
    BESIDE = "answered the same request as"
    DID = "did"
    SIGNED = "signed"
    DECIDED = "was decided on in"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A thing or something that was done. `facts` are shown and exported; `at` is None if not recorded."""

    id: str
    kind: Kind
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    kept: Kept | None = None
    at: str | None = None
    until: str | None = None


@dataclass(frozen=True, kw_only=True)
class Arrow:
    source: str
    target: str
    relation: Relation


@dataclass(frozen=True, kw_only=True)
class Graph:
    nodes: Mapping[str, Node]
    arrows: tuple[Arrow, ...]


def of(trace: Trace, *, with_all_files: bool = False) -> Graph:
    """The graph of a trace. Files in git and figures say little in a picture: left out unless asked for."""
    made = _Making()
    for origin in trace.origins:
        _origin(made, origin, with_all_files=with_all_files)
    for content in trace.contents:
        made.node(_data(content.file))
    if trace.prediction is not None:
        _prediction(made, trace.prediction)
    if trace.chain is not None and trace.prediction is not None:
        for call in trace.chain.calls:
            if (call.project, call.version) == (trace.prediction.project, trace.prediction.version):
                continue
            version = Node(
                id=f"version/{call.project}/{call.version}",
                kind=Kind.VERSION,
                title=f"{call.model} version {call.version}",
                facts={"run": call.run, "role": call.role, "rows": str(call.rows), "first": call.first},
            )
            made.node(version)
            made.arrow(version.id, f"prediction/{trace.prediction.id}", Relation.BESIDE)
    return made.graph()


class _Making:
    """Nodes and arrows being gathered; what was there first stays."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._arrows: dict[Arrow, None] = {}

    def node(self, node: Node) -> str:
        self._nodes.setdefault(node.id, node)
        return node.id

    def arrow(self, source: str, target: str, relation: Relation) -> None:
        self._arrows.setdefault(Arrow(source=source, target=target, relation=relation))

    def has(self, name: str) -> bool:
        return name in self._nodes

    def person(self, name: str, did: str, relation: Relation = Relation.DID) -> None:
        self.arrow(self.node(Node(id=f"person/{name}", kind=Kind.PERSON, title=name)), did, relation)

    def graph(self) -> Graph:
        arrows = [arrow for arrow in self._arrows if {arrow.source, arrow.target} <= self._nodes.keys()]
        return Graph(nodes=self._nodes, arrows=tuple(arrows))


def _origin(made: _Making, origin: Origin, *, with_all_files: bool) -> None:
    trained = lineage.trained_by(origin.stages)
    for stage in origin.stages:
        ran = made.node(_stage(origin, stage, is_run=stage is trained))
        for path in stage.reads:
            if (file := origin.files.get(path)) and (with_all_files or _is_shown(origin, file)):
                made.arrow(made.node(_data(file)), ran, Relation.USED_BY)
        for path in stage.writes:
            if (file := origin.files.get(path)) and (with_all_files or _is_shown(origin, file)):
                made.arrow(ran, made.node(_data(file)), Relation.MADE)
    run = f"stage/{origin.run}/{trained.name}" if trained else made.node(_bare_run(origin))
    code = origin.code
    if code is not None:
        commit = code.snapshot or code.commit_id or ""
        node = Node(
            id=f"code/{commit}",
            kind=Kind.CODE,
            title="code",
            facts={
                "commit": commit,
                "command": code.command or "",
                **({"on": code.commit_id} if code.commit_id not in (None, commit) else {}),
            },
            kept=Kept.GIT if code.is_here else Kept.LOST,
        )
        made.arrow(made.node(node), run, Relation.USED_BY)
        if code.commit is not None:
            made.person(code.commit.by, node.id)
    environment = origin.environment
    if environment is not None and environment.sha256 is not None:
        node = Node(
            id=f"environment/{environment.sha256}",
            kind=Kind.ENVIRONMENT,
            title=environment.lock or "environment",
            facts={"sha256": environment.sha256, "python": environment.python or ""},
            kept=environment.kept,
        )
        made.arrow(made.node(node), run, Relation.USED_BY)
    _promises(made, origin, run)
    for version in origin.versions:
        _version(made, origin, version, run)


def _promises(made: _Making, origin: Origin, run: str) -> None:
    holding = [approval for approval in origin.approvals if approval.holds]
    if holding:
        node = Node(
            id=f"targets/{holding[0].of}",
            kind=Kind.TARGETS,
            title=plural(len(origin.targets), "target"),
            facts={"sha256": holding[0].of},
        )
        made.arrow(made.node(node), run, Relation.USED_BY)
        for approval in holding:
            made.person(approval.name, node.id, Relation.SIGNED)
    for decision in origin.decisions:
        node = Node(
            id=f"decision/{decision.path}",
            kind=Kind.DECISION,
            title=decision.title,
            facts={"path": decision.path, "why": decision.why, "kind": decision.kind},
            at=decision.on,
        )
        made.arrow(run, made.node(node), Relation.DECIDED)


def _version(made: _Making, origin: Origin, version: Version, run: str) -> None:
    node = made.node(
        Node(
            id=f"version/{origin.project}/{version.number}",
            kind=Kind.VERSION,
            title=f"{version.model} version {version.number}",
            facts={
                "run": version.run,
                **({"sha256": version.digest} if version.digest else {}),
                **({"engine": version.engine} if version.engine else {}),
                **({"predictions": f"{version.served.count:,}"} if version.served else {}),
            },
            kept=version.package,
            at=version.added,
        )
    )
    package = next((file for path, file in origin.files.items() if path == "models/package"), None)
    made.arrow(_data(package).id if package else run, node, Relation.BECAME if package else Relation.MADE)
    for rollout in version.rollouts:
        deployed = made.node(_rollout(origin, rollout))
        made.arrow(node, deployed, Relation.USED_BY)
        made.person(rollout.by, deployed)


def _prediction(made: _Making, found: Prediction) -> None:
    output = found.output or {}
    said = output.get("prediction", f"status {found.status}")
    node = made.node(
        Node(
            id=f"prediction/{found.id}",
            kind=Kind.PREDICTION,
            title=f"prediction {found.id}",
            facts={"answer": str(said), "request": found.request, "role": found.role},
            at=found.arrived,
        )
    )
    deployed = f"deployment/{found.project}/{found.deployment}"
    # Through its deployment a version answered; where that is lost, the version is all there is.
    by = deployed if made.has(deployed) else f"version/{found.project}/{found.version}"
    made.arrow(by, node, Relation.MADE)
    for number, told in enumerate(found.feedback, start=1):
        heard = Node(
            id=f"feedback/{found.id}/{number}",
            kind=Kind.FEEDBACK,
            title=f"{told.kind}: {told.value}",
            facts={"source": told.source},
            at=told.at,
        )
        made.arrow(node, made.node(heard), Relation.ABOUT)


def _stage(origin: Origin, stage: Stage, *, is_run: bool) -> Node:
    """A stage as it ran. Only training has its times in the manifest; DVC records none of the others."""
    facts = {"command": stage.command}
    if is_run:
        facts |= {"run": origin.run, **({"seed": str(origin.seed)} if origin.seed is not None else {})}
    return Node(
        id=f"stage/{origin.run}/{stage.name}",
        kind=Kind.STAGE,
        title=f"{stage.name}, run {origin.run[:8]}" if is_run else stage.name,
        facts=facts,
        at=origin.started if is_run else None,
        until=origin.finished if is_run else None,
    )


def _bare_run(origin: Origin) -> Node:
    return Node(
        id=f"stage/{origin.run}/train",
        kind=Kind.STAGE,
        title=f"run {origin.run[:8]}",
        facts={"run": origin.run},
    )


def _rollout(origin: Origin, rollout: Rollout) -> Node:
    return Node(
        id=f"deployment/{origin.project}/{rollout.id}",
        kind=Kind.DEPLOYMENT,
        title=f"{rollout.mode}, deployment {rollout.id}",
        facts={"mode": rollout.mode, "state": rollout.state, "by": rollout.by},
        at=rollout.started,
        until=rollout.ended,
    )


def _data(file: File) -> Node:
    facts = {"path": file.path, **({"md5": file.md5} if file.md5 else {})}
    if file.rows is not None:
        facts["rows"] = f"{file.rows:,}"
    return Node(
        id=f"data/{file.md5 or file.path}/{file.path}",
        kind=Kind.DATA,
        title=file.path.rpartition("/")[2],
        facts=facts,
        kept=file.kept,
    )


def _is_shown(origin: Origin, file: File) -> bool:
    """Data, models and packages; code and reports stand in git with the snapshot, figures lead nowhere."""
    return file.kept is not Kept.GIT and not lineage.is_aside(origin.stages, file.path)
