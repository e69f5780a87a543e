"""The guides are followed to the letter: the first one, and those that go on where it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.files import write_text
from tests.docs.markdown import Block, blocks
from tests.docs.test_docs_reference import shape
from tests.support import REPOSITORY, fenced

GUIDES = REPOSITORY / "docs" / "guides"

# Those about what was done before, whose commands name runs, days and files that no reader has.
PAST = (
    "trace-a-prediction.md",
    "replay-a-prediction.md",
    "find-past-work.md",
    "compare-runs.md",
    "data-of-a-past-day.md",
)
# What builds environments or trains once more, which other tests do for real, and what needs another project.
NOT_FOLLOWED = ("--floor", "drill", "--no-index", "mlproj wheels", "--with", "RUN")
MUST_HOLD = (
    "mlproj trace",
    "mlproj replay",
    "mlproj runs",
    "mlproj data at",
    "mlproj decide",
    "mlproj litter",
)

_ID = re.compile(r"\b0s[0-9a-z]{11}\b")
_SAVED_AS = re.compile(r"# python (\w+\.py)")

# One worker runs all of them: the later guides go on in the repository of the first.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("guides")]


@dataclass
class Reader:
    """Somebody who types what a guide shows, edits what its diffs say and saves its programs.

    They take four liberties: an environment that is there, since making one takes minutes and a network; a
    free port; shorter traffic; and the ids of their own predictions.
    """

    place: Path
    env: Mapping[str, str]
    python: Path
    port: int
    typed: list[str] = field(default_factory=list)
    last_id: str = ""

    def follow(self, guide: Path) -> None:
        for block in blocks(guide):
            if block.kind == "diff":
                apply(block.text, self.place / "params.yaml")
            elif block.kind == "python" and (named := _SAVED_AS.match(block.text)):
                write_text(self.place / named[1], self._ours(block.text))
            elif block.kind == "console":
                self._type(block)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.place,
            env=self.env,
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=600,
            check=False,
        )

    def _type(self, block: Block) -> None:
        for command in block.commands:
            self.typed.append(command)
            if command.startswith("cd "):
                self.place /= command.removeprefix("cd ")
                continue
            done = self.run(self._ours(command))
            said = done.stdout + done.stderr
            assert done.returncode == block.exits, f"$ {command}\n{said}"
            must_be_said(block.text, command, said)
            self.last_id = next(iter(re.findall(r'"prediction_id": ?"(\w+)"', said)), self.last_id)

    def _ours(self, text: str) -> str:
        if text.startswith("mlproj new "):
            text += f" --env-manager none --interpreter '{self.python}'"
        text = text.replace("customers.py 10", "customers.py 2")
        text = re.sub(r"\b8000\b", str(self.port), text)
        return _ID.sub(self.last_id, text) if self.last_id else text


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, project_python: Path) -> Iterator[Reader]:
    """A reader who has followed the first guide."""
    folder = tmp_path_factory.mktemp("guides")
    programs = folder / "bin"
    programs.mkdir()
    # As an installed mlproj would be: a program on PATH, in an environment that is nobody else's business.
    (programs / "mlproj").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlproj "$@"\n', encoding="utf-8")
    (programs / "mlproj").chmod(0o755)
    env = {
        **fenced(tmp_path_factory.mktemp("guides-home")),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "MLPROJ": str(REPOSITORY),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    reader = Reader(place=folder, env=env, python=project_python, port=port)
    reader.follow(GUIDES / "first-project.md")
    with (reader.place / "mlproj.toml").open("a", encoding="utf-8") as stream:
        stream.write(f"\n[serving]\nport = {port}\n")
    yield reader
    reader.run("mlproj serve --stop")


def test_the_first_guide_works_as_written(reader: Reader) -> None:
    assert reader.typed[-1] == "mlproj"


def test_the_example_has_something_to_teach(reader: Reader) -> None:
    ingest = json.loads((reader.place / "reports" / "ingest.json").read_text())
    assert ingest["dropped"]["duplicates"]
    assert ingest["dropped"]["missing_target"]
    evaluation = json.loads((reader.place / "reports" / "evaluation.json").read_text())
    found = evaluation["splits"]["dev"]["metrics"]["roc_auc"]["value"]
    assert evaluation["baseline"]["dev"]["value"] < found < 0.9
    assert "TODO" not in (reader.place / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served(reader: Reader) -> Reader:
    """The same reader, once they have deployed as the next guide has it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed, and the guides to a deployed model have it typed")
    reader.follow(GUIDES / "deploy-a-model.md")
    return reader


def test_the_guides_to_deploying_and_to_calling_a_model_work_as_written(served: Reader) -> None:
    reader = served
    assert (reader.place / "predictions.csv").stat().st_size > 0

    # The second guide calls what the first one has left.
    guide = GUIDES / "call-a-model.md"
    assert reader.run("mlproj deploy --automation assist").returncode == 0
    reader.follow(guide)
    infer, retry = (reader._ours(block.text) for block in blocks(guide) if block.kind == "python")
    names: dict[str, Any] = {}
    exec(retry, names)
    row = json.loads((reader.place / "models" / "package" / "package.json").read_text())["example"]
    told = names["predict"](row, "C010612", "guide-1")
    assert told["prediction"] in ("no", "yes")
    if importlib.util.find_spec("tritonclient"):
        done = subprocess.run([sys.executable, "-c", infer], capture_output=True, text=True, check=False)
        assert done.stdout.startswith(f"['{told['prediction']}'] [["), done.stderr


def test_the_guides_about_past_work_can_be_followed(served: Reader) -> None:
    """With one's own run, version, prediction, table and day where the guides have theirs."""
    made = json.loads((served.place / "models" / "run.json").read_text())
    run, raw = str(made["run_id"]), made["data"]["raw"]
    own = {
        "train.model=random_forest": "train.model=hist_gradient_boosting",
        "recall>0.7": "recall>0",
        "9bca7137": run[:8],
        "398580a3": run[:8],
        "9d006d2a": "HEAD",
        "049da101568e078f9845c8b366481810": raw["md5"],
        "049da1": raw["md5"][:6],
        "--by demo": "--by test",
        "data/raw/telco.csv": raw["path"],
        "--version 3": "--version 1",
        "--since 2026-11-01": "--since 2020-01-01",
        "--until 2026-11-08": "--until 2999-01-01",
        "data at 2026-10-01": f"data at {date.today().isoformat()}",
        "tenure leak": "version",
        "runs tenure": "runs gradient",
    }
    typed = []
    for name in PAST:
        for shown in (command for block in blocks(GUIDES / name) for command in block.commands):
            if not shown.startswith("mlproj ") or any(word in shown for word in NOT_FOLLOWED):
                continue
            command = served._ours(re.sub("|".join(map(re.escape, own)), lambda found: own[found[0]], shown))
            done = served.run(command)
            said = f"{name}: $ {command}\n{done.stdout}{done.stderr}"
            # No is an answer: of a comparison, that the newer model is worse.
            assert done.returncode in ((0,) if command.startswith(MUST_HOLD) else (0, 3)), said
            assert "Traceback" not in done.stderr, said
            typed.append(command)
    assert len(typed) > len(PAST)
    assert json.loads((served.place / "origin.json").read_text())["entity"]
    assert (served.place / "origin.svg").read_text().startswith("<svg")
    assert list((served.place / "data" / "at" / date.today().isoformat()).rglob("*.csv"))


def apply(diff: str, path: Path) -> None:
    """Put the lines with a plus in the place of those with a minus, as a reader would."""
    text = path.read_text(encoding="utf-8")
    lines = diff.splitlines()
    old, new = ("".join(f"{line[1:]}\n" for line in lines if line.startswith(mark)) for mark in "-+")
    assert old, "the guide takes a line away"
    assert text.count(old) == 1, f"`{old}` is not in `{path.name}`"
    write_text(path, text.replace(old, new))


def must_be_said(shown: str, command: str, said: str) -> None:
    """What the guide shows below a command is what it said: marks and names of gates, keys of JSON."""
    lines = shown.splitlines()
    start = lines.index(f"$ {command}") + 1
    end = next((n for n in range(start, len(lines)) if lines[n].startswith("$ ")), len(lines))
    for line in lines[start:end]:
        if line.lstrip()[:1] in ("✓", "✗", "?"):
            assert line.partition(":")[0] in said, f"$ {command}\n{line}\nis not in\n{said}"
        if line.startswith("{") and "..." not in line:
            assert shape(json.loads(line)) == shape(json.loads(said)), f"$ {command}\n{said}"
