"""The questions that somebody asks who has been given a wrong answer, answered from a trace.

They are those of Kästner's course on engineering machine learning in production (CMU 17-445, "Versioning,
Provenance, and Reproducibility"). What nobody recorded is said to be unknown, and by what it would be known.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlproj.provenance import lineage
from mlproj.provenance.things import File, Kept, listed, plural
from mlproj.provenance.trace import (
    Answer,
    Chain,
    Link,
    Origin,
    Prediction,
    Trace,
    Version,
    moment,
)

_INPUTS = "What were the inputs?"
_VERSION = "Exactly which version answered?"
_DATA = "What was it trained on?"
_CODE = "Which code learnt it?"
_SOURCE = "Where do the data come from, and what was done to them?"
_OTHERS = "Were other models involved?"
_PARTS = "Which parts of the input are responsible?"
_REPRODUCE = "Can it be reproduced?"

_BEFORE = (
    ". Unknown: where they were before that, no import was recorded; people's words are in the datasheet"
)
_MOST_INPUTS = 12


def answers(trace: Trace) -> tuple[Answer, ...]:
    """The eight, in their order, whatever the trace began at."""
    return (
        _inputs(trace),
        _version(trace),
        _data(trace),
        _code(trace),
        _source(trace),
        _others(trace),
        _parts(trace),
        _reproduce(trace),
    )


def _known(question: str, answer: str) -> Answer:
    return Answer(question=question, answer=answer, known=True)


def _unknown(question: str, why: str) -> Answer:
    return Answer(question=question, answer=f"unknown: {why}", known=False)


def _inputs(trace: Trace) -> Answer:
    found = trace.prediction
    if found is not None:
        if isinstance(found.inputs, dict):
            shown = [f"{name} = {value(each)}" for name, each in found.inputs.items()]
            said = f"{plural(len(shown), 'field')}, as received: {listed(shown, most=_MOST_INPUTS)}"
        else:
            said = "a body that was refused: its text is in the record"
        return _known(_INPUTS, f"{said}; " + (_unseen(found) or "no category that training had not seen"))
    if trace.kind == "prediction":
        return _unknown(_INPUTS, "the record of the prediction was not found in the log")
    made = [version for version in trace.versions if version.served and version.served.count]
    if not made:
        return _known(_INPUTS, "none: no prediction of it is in the log")
    return _known(
        _INPUTS,
        f"each record has its own; {listed([served(version) for version in made])}: trace one by its id",
    )


def _unseen(found: Prediction) -> str:
    if not found.unseen:
        return ""
    return f"training had never seen the category given for {listed(found.unseen)}"


def _version(trace: Trace) -> Answer:
    found = trace.prediction
    if found is not None and found.run:
        digest = next((each.digest for each in trace.versions if each.number == found.version), None)
        said = f"version {found.version} of {found.model}, engine `{found.engine}`, made by run {found.run}"
        if digest is None:
            return _known(_VERSION, f"{said}; unknown: which package, its digest was not found")
        return _known(_VERSION, f"{said}, package SHA-256 {digest}")
    if found is not None:
        return _known(_VERSION, f"none: the attempt failed with status {found.status} ({found.error})")
    numbers = [f"version {version.number} (run {version.run[:8]})" for version in trace.versions]
    if trace.kind == "prediction":
        then = f"; live at that time: {listed(numbers)}" if numbers else ""
        return _unknown(_VERSION, f"the record of the prediction was not found{then}")
    return _known(_VERSION, listed(numbers) if numbers else "none was registered of it")


def _data(trace: Trace) -> Answer:
    said = []
    for origin in trace.origins:
        train = origin.input("train")
        if train is not None and train.md5 is not None:
            said.append(f"{_of(trace, origin)}{described(train)}")
    if said:
        return _known(_DATA, "; ".join(said))
    if not trace.origins:
        return _unknown(_DATA, "no run was found")
    return _unknown(_DATA, "the manifest of the run, which names its training rows, was not found")


def _code(trace: Trace) -> Answer:
    said = []
    for origin in trace.origins:
        code = origin.code
        if code is None:
            continue
        commit = code.snapshot or code.commit_id or ""
        words = f"commit {commit[:12]}"
        if code.snapshot and code.snapshot != code.commit_id:
            words += f", a snapshot of uncommitted work on {(code.commit_id or 'no commit')[:12]}"
        if code.algorithm:
            words += f": {code.algorithm}, by `{code.command}`"
        said.append(f"{_of(trace, origin)}{words} ({'here' if code.is_here else 'not in this repository'})")
    if said:
        return _known(_CODE, "; ".join(said))
    return _unknown(_CODE, "no commit and no snapshot was recorded" if trace.origins else "no run was found")


def _source(trace: Trace) -> Answer:
    said = []
    for origin in trace.origins:
        made = lineage.leading_to(origin.stages, lineage.MANIFEST)
        written = {path for stage in made for path in stage.writes}
        begun = [
            file
            for file in origin.files.values()
            if file.path not in written
            and file.kept is not Kept.GIT
            and any(file.path in stage.reads for stage in made)
        ]
        begun = begun or [file for file in (origin.input("raw"),) if file is not None]
        if not begun:
            continue
        steps = [stage.name for stage in made if lineage.MANIFEST not in stage.writes]
        through = f"; then the stages {listed(steps, most=8)}" if steps else ""
        before = "" if any(file.source for file in begun) else _BEFORE
        said.append(f"{_of(trace, origin)}{listed([_brought(file) for file in begun])}{through}{before}")
    if said:
        return _known(_SOURCE, "; ".join(said))
    return _unknown(_SOURCE, "no run names its raw data" if trace.origins else "no run was found")


def _brought(file: File) -> str:
    said = described(file)
    if file.source is not None:
        said += f", imported from {file.source}"
    if file.brought is not None:
        said += f", brought by {file.brought.by} at {moment(file.brought.at)} (commit {file.brought.id[:12]})"
    return said


def _others(trace: Trace) -> Answer:
    chain = trace.chain
    if chain is None:
        if trace.kind == "prediction":
            return _unknown(_OTHERS, "the record of the prediction, with its request id, was not found")
        return _known(_OTHERS, "that is a question about a prediction: trace one by its id")
    logs = "log" if len(chain.asked) == 1 else "logs"
    looked = f"looked for in the {logs} of {listed(chain.asked)}, within two minutes"
    calls = list(_other_calls(chain, trace.prediction))
    if not calls:
        only = "" if len(chain.asked) > 1 else "; other projects were not given (`--with PATH`)"
        return _known(_OTHERS, f"none that answered request {chain.request}; {looked}{only}")
    return _known(_OTHERS, f"{'; '.join(calls)} ({looked})")


def _other_calls(chain: Chain, found: Prediction | None) -> Iterator[str]:
    own = (found.project, found.version, found.role) if found else None
    for call in chain.calls:
        if (call.project, call.version, call.role) == own:
            continue
        data = (
            f"trained on {call.data}" if call.data else "unknown: on which data, its repository was not given"
        )
        yield (
            f"{call.model} version {call.version} as {call.role}, {plural(call.rows, 'row')}:"
            f" {listed(call.answers)}, {data}"
        )


def _parts(trace: Trace) -> Answer:
    """Honest: nothing in a record says why. An explanation made later would be of another moment."""
    if trace.prediction is None:
        if trace.kind == "prediction":
            return _unknown(_PARTS, "the record of the prediction was not found")
        return _known(_PARTS, "that is a question about a prediction: trace one by its id")
    return _unknown(
        _PARTS,
        "no explanation was recorded with the prediction. The record has every input, so the same version can"
        " be asked again with one input changed at a time (`POST /predict`), to see what the answer hangs on",
    )


def _reproduce(trace: Trace) -> Answer:
    if not trace.origins:
        return _unknown(_REPRODUCE, "no run was found")
    lacks = [each.said for each in trace.breaks if each.link not in (Link.RECORD, Link.TAG)]
    needs = []
    for origin in trace.origins:
        if origin.code is None or origin.environment is None or not origin.files:
            lacks.append(f"run {origin.run[:8]} does not say all that it was made from")
    if trace.kind == "prediction" and trace.prediction is None:
        lacks.append("the inputs are not in the log")
    if lacks:
        return _known(_REPRODUCE, f"not as it stands: {listed(dict.fromkeys(lacks), most=3)}")
    origin = trace.origins[0]
    if trace.prediction is not None:
        needs.append("the inputs")
    if any(version.package and version.package.is_kept for version in trace.versions):
        needs.append("the package of the version")
    needs += ["the code", "the lock file of the environment"]
    needs.append(f"{plural(sum(file.kept is not Kept.GIT for file in origin.files.values()), 'data object')}")
    return _known(
        _REPRODUCE,
        f"all that it takes is kept: {listed(needs, most=9)}. This looked at what is there, and ran nothing",
    )


def _of(trace: Trace, origin: Origin) -> str:
    return f"run {origin.run[:8]}: " if len(trace.origins) > 1 else ""


def described(file: File) -> str:
    """A file as it is named in a sentence: path, digest, rows, where it is."""
    rows = f"{plural(file.rows, 'row')}, " if file.rows is not None else ""
    remark = f", {file.remark}" if file.remark and not file.kept.is_here else ""
    return f"{file.path} ({rows}MD5 {file.md5}, {file.kept}{remark})"


def served(version: Version) -> str:
    """How many predictions a version made, and when."""
    found = version.served
    if found is None:
        return f"version {version.number}: predictions were not counted"
    if not found.count:
        return f"version {version.number}: no prediction in the log"
    more = "" if found.complete else "more than "
    first, last = moment(found.first), moment(found.last)
    span = f" from {first} to {last}" if found.complete else f", the first at {first}"
    return f"version {version.number}: {more}{plural(found.count, 'prediction')}{span}"


def value(each: object) -> str:
    """A JSON value as people write it: `missing` for null."""
    if each is None:
        return "missing"
    return str(each).lower() if isinstance(each, bool) else str(each)
