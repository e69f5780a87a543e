"""What a trace finds, as values: a prediction, the runs behind it, what they were made from, what is missing.

Everything here is plain: times are texts in UTC (ISO 8601), digests are hexadecimal, commits are whole.
None means that nobody recorded it, or that what recorded it is gone; then a `Break` says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mlproj.provenance.things import Commit, File, Kept, Stage


class Subject(StrEnum):
    """What a trace can begin at."""

    PREDICTION = "prediction"
    VERSION = "version"
    RUN = "run"
    COMMIT = "commit"
    DATA = "data"


class Link(StrEnum):
    """The kinds of link that can be broken; the words are those of `--json`."""

    RECORD = "record"
    VERSION = "version"
    DEPLOYMENT = "deployment"
    RUN = "run"
    SNAPSHOT = "snapshot"
    TAG = "tag"
    CODE = "code"
    PIPELINE = "pipeline"
    OBJECT = "object"
    REMOTE = "remote"
    ENVIRONMENT = "environment"
    PACKAGE = "package"
    LOG = "log"


@dataclass(frozen=True, kw_only=True)
class Break:
    """A link of the chain that does not hold: what is so, what is known all the same, what mends it."""

    link: Link
    said: str
    known: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Feedback:
    kind: str
    value: str
    at: str
    arrived: str
    source: str
    about: str


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A record of the log. `inputs` is what was received: fields, or a text where that was no JSON object."""

    id: str
    arrived: str
    project: str
    model: str
    request: str
    row: int
    role: str
    share: float
    version: int
    run: str
    deployment: int
    engine: str
    entity: str | None
    sticky: bool
    inputs: Any
    output: Mapping[str, Any] | None
    decision: str | None
    status: int
    error: str | None
    latency_ms: float
    unseen: tuple[str, ...]
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Call:
    """Records of a request that one version answered in one role; `data` is what its model learnt from."""

    project: str
    model: str
    version: int
    run: str
    role: str
    first: str
    arrived: str
    rows: int
    answers: tuple[str, ...]
    data: str | None = None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """All records that share a request id. `asked` are the projects whose logs were looked into."""

    request: str
    calls: tuple[Call, ...]
    asked: tuple[str, ...]

    @property
    def models(self) -> tuple[tuple[str, int], ...]:
        """The models that answered, with their versions, in the order of their answers."""
        return tuple(dict.fromkeys((call.model, call.version) for call in self.calls))


@dataclass(frozen=True, kw_only=True)
class Happened:
    at: str
    by: str
    kind: str
    said: str


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A deployment with its history. `shares` are the canary's steps; `verdict` the last look at it."""

    id: int
    mode: str
    version: int
    baseline: int | None
    by: str
    started: str
    ended: str | None
    state: str
    reason: str
    automation: str
    shares: tuple[float, ...]
    verdict: str | None
    events: tuple[Happened, ...]


@dataclass(frozen=True, kw_only=True)
class Served:
    """Predictions of a version: how many are in the log, from when to when.

    `complete` is False where counting was stopped for the time it takes: then there are more.
    """

    count: int
    first: str | None
    last: str | None
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Version:
    """A packaged version. `digest` stands for every file of its package; None where it was never deployed."""

    number: int
    run: str
    model: str
    digest: str | None = None
    engine: str | None = None
    added: str | None = None
    package: Kept | None = None
    rollouts: tuple[Rollout, ...] = ()
    served: Served | None = None


@dataclass(frozen=True, kw_only=True)
class Code:
    """What ran. `snapshot` is the work tree just before; with nothing uncommitted it is `commit` itself."""

    commit: Commit | None
    commit_id: str | None
    snapshot: str | None
    uncommitted: bool
    is_here: bool
    command: str | None
    algorithm: str | None


@dataclass(frozen=True, kw_only=True)
class Environment:
    lock: str | None
    sha256: str | None
    python: str | None
    platform: str | None
    packages: Mapping[str, str]
    kept: Kept
    wheels: Kept | None = None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A sign-off. `holds` where it was given for the very targets that the run was judged by."""

    role: str
    name: str
    on: str
    of: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A promise and what came of it. `by` is what measured it or does so; empty for training's evaluation."""

    target: str
    value: float | None
    low: float | None
    high: float | None
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A page of the notebook that speaks of the run, and by what it is linked to it."""

    title: str
    on: str
    kind: str
    path: str
    why: str
    by_what: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a run comes from. `outcome` is the commit read, `read_from` how it was found."""

    run: str
    project: str
    model: str
    read_from: str | None = None
    outcome: str | None = None
    started: str | None = None
    finished: str | None = None
    seed: int | None = None
    threads: int | None = None
    code: Code | None = None
    stages: tuple[Stage, ...] = ()
    files: Mapping[str, File] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    environment: Environment | None = None
    targets: tuple[Measured, ...] = ()
    approvals: tuple[Approval, ...] = ()
    decisions: tuple[Decided, ...] = ()
    versions: tuple[Version, ...] = ()
    tracked: str | None = None

    def input(self, name: str) -> File | None:
        """What a run calls `raw`, `train`, `dev` or `test`."""
        path = self.inputs.get(name)
        return self.files.get(path) if path is not None else None


@dataclass(frozen=True, kw_only=True)
class Content:
    """One content that a data file has had, with the runs that read or made it."""

    file: File
    made_by: str | None
    read_by: tuple[str, ...]
    runs: tuple[str, ...]
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer to one of the eight questions. One that is not known says what was not recorded."""

    question: str
    answer: str
    known: bool


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All that was found from one subject, both ways. `notes` are remarks that break nothing; `repository` is
    the URL that git pushes to."""

    kind: Subject
    subject: str
    project: str
    project_id: str
    model: str
    repository: str | None = None
    prediction: Prediction | None = None
    chain: Chain | None = None
    commit: Commit | None = None
    contents: tuple[Content, ...] = ()
    origins: tuple[Origin, ...] = ()
    breaks: tuple[Break, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.breaks

    @property
    def versions(self) -> tuple[Version, ...]:
        return tuple(version for origin in self.origins for version in origin.versions)


def moment(at: str | None) -> str:
    """A time as people write it, in UTC where it is so; the zone that git wrote is kept."""
    if at is None:
        return "a time that was not recorded"
    text = at.replace("T", " ")
    for ending in ("Z", "+00:00"):
        if text.endswith(ending):
            return f"{text.removesuffix(ending)[:19]} UTC"
    return text
