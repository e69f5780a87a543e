"""Which phase a stage of somebody else's pipeline most likely belongs to, and why one would think so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlproj.pipeline.stages import Stage

# In the order of the phases; a stage cannot come before what it is made from.
PHASES = ("scoping", "data", "modeling", "deployment")

# Words that people name stages by. Of several in one name, the last phase's wins, as in `evaluate_features`
# and `package_model`.
_WORDS: Mapping[str, str] = {
    "scoping": "scoping targets",
    "data": """
        augment clean cleaning collect convert csv data dataset dedupe download etl export extract featurise
        featurize feature features fetch filter get import ingest interim join label load merge
        normalise normalize parse prepare preparation preprocess preprocessing process processing query raw
        sample scrape simulate split tokenize transform unzip validate validation wrangle
    """,
    "modeling": """
        baseline calibrate compare cv ensemble eval evaluate evaluation finetune fit forecast
        hyperparameters inference metrics model modeling modelling models optimize plot plots predict
        prediction report sanity score search select test train training tune tuning visualise visualize
    """,
    "deployment": "bench benchmark bundle deploy deployment docker image onnx"
    " package publish push register release serve",
}
_PHASE_OF = {word: phase for phase, words in _WORDS.items() for word in words.split()}
_FOLDERS = {"models": "modeling", "data": "data"}


@dataclass(frozen=True, kw_only=True)
class Guess:
    """`phase` is None where nothing says one; `because` ends the sentence "it is in that phase because"."""

    phase: str | None
    because: str


def phases(stages: Sequence[Stage]) -> dict[str, Guess]:
    """A guess for every stage, by name. One that says its phase itself is not second-guessed."""
    own = {stage.name: _declared(stage) or _by_itself(stage) for stage in stages}
    return {stage.name: _after(stage, stages, own) for stage in stages}


def _declared(stage: Stage) -> Guess | None:
    return Guess(phase=stage.phase, because="`dvc.yaml` says so") if stage.phase else None


def _by_itself(stage: Stage) -> Guess:
    named = _by_words(stage.name)
    if named is not None:
        phase, word = named
        return Guess(phase=phase, because=f"its name says `{word}`")
    for out in stage.outs:
        folder = out.split("/")[0]
        if folder in _FOLDERS:
            return Guess(phase=_FOLDERS[folder], because=f"it writes `{out}`")
    ran = _by_words(stage.cmd)
    if ran is not None:
        phase, word = ran
        return Guess(phase=phase, because=f"its command says `{word}`")
    return Guess(phase=None, because="neither its name nor what it writes says one")


def _by_words(text: str) -> tuple[str, str] | None:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    if "split" in words:  # `train_test_split` is none of the other two
        return "data", "split"
    known = [(_PHASE_OF[word], word) for word in words if word in _PHASE_OF]
    return max(known, key=lambda one: PHASES.index(one[0]), default=None)


def _after(stage: Stage, stages: Sequence[Stage], own: Mapping[str, Guess]) -> Guess:
    """The stage's guess, unless what it is made from belongs to a later phase: then that one."""
    guess = own[stage.name]
    if stage.phase or guess.phase is None:
        return guess
    latest, by = guess.phase, ""
    for before in _upstream(stage, stages):
        phase = own[before.name].phase
        if phase in PHASES and PHASES.index(phase) > PHASES.index(latest):
            latest, by = phase, before.name
    if not by:
        return guess
    return Guess(phase=latest, because=f"it needs what `{by}` makes, which is {latest}")


def _upstream(stage: Stage, stages: Sequence[Stage]) -> Iterable[Stage]:
    seen: dict[str, Stage] = {}
    waiting = [stage]
    while waiting:
        here = waiting.pop()
        for other in stages:
            if other.name not in seen and any(_holds(out, dep) for out in other.outs for dep in here.deps):
                seen[other.name] = other
                waiting.append(other)
    return [found for name, found in seen.items() if name != stage.name]


def _holds(out: str, dep: str) -> bool:
    return dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
