"""The quick reader of DVC's files must say what DVC says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlproj.base import files
from mlproj.base.errors import ConfigError
from mlproj.pipeline import stages, status
from mlproj.pipeline.hashes import Hashes
from mlproj.pipeline.stages import Freshness

PARAMS = """\
numbers: [1, 2.5, 1e-05, "1e-05", 0o17, 017, .inf, "2", ~, 1:30]
more:
  deep: {yes: Yes, no: "no", on: true, empty: }
  other: 3
"""

PIPELINE = """\
stages:
  first:
    cmd: python first.py
    deps: [first.py, raw.csv]
    params: [numbers, more.deep]
    outs: [middle, note.txt]
    meta: {phase: data}
  second:
    cmd: python second.py
    deps: [second.py, middle]
    metrics:
      - score.json: {cache: false}
    meta: {phase: modeling}
"""
FIRST = """\
from pathlib import Path
Path("middle/deep").mkdir(parents=True, exist_ok=True)
Path("middle/a.txt").write_text(Path("raw.csv").read_text())
Path("middle/deep/b.txt").write_text("b")
Path("middle/a-b.txt").write_text("the hyphen sorts before the slash")
Path("note.txt").write_text("n")
"""
SECOND = """\
from pathlib import Path
Path("score.json").write_text('{"n": %d}' % len(Path("middle/a.txt").read_text()))
"""


def dvc(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reproduced")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    dvc(root, "init", "-q")
    texts = {
        ".dvcignore": "# What Python leaves\n__pycache__\n",
        "dvc.yaml": PIPELINE,
        "first.py": FIRST,
        "second.py": SECOND,
        "raw.csv": "a,b\n1,2\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / "params.yaml").write_text(PARAMS)
    dvc(root, "repro", "-q")
    return root


@pytest.fixture
def repository(reproduced: Path, tmp_path: Path) -> Path:
    return shutil.copytree(reproduced, tmp_path / "repository")


def quick(root: Path) -> dict[str, Freshness]:
    pipeline = stages.load(root)
    assert pipeline is not None
    assert status.can_answer(root, pipeline)
    found = status.of(root, pipeline, Hashes(root, root / ".cache.json"))
    return {each.stage.name: each.freshness for each in found}


def dvc_says(root: Path) -> dict[str, Freshness]:
    said = json.loads(dvc(root, "status", "--json"))
    return {name: Freshness.STALE if name in said else Freshness.FRESH for name in ("first", "second")}


def rewrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "a dependency": rewrite("raw.csv", "a,b\n3,4\n"),
    "code": rewrite("second.py", SECOND + "# more\n"),
    "a file in an output folder": rewrite("middle/deep/b.txt", "other"),
    "a file more in an output folder": rewrite("middle/new.txt", "new"),
    "an ignored file in an output folder": lambda root: files.write_text(
        root / "middle" / "__pycache__" / "x.pyc", "x"
    ),
    "an output gone": lambda root: (root / "note.txt").unlink(),
    "a metric": rewrite("score.json", "{}"),
    "a parameter that is read": rewrite("params.yaml", PARAMS.replace("2.5", "3")),
    "a parameter that is not read": rewrite("params.yaml", PARAMS.replace("other: 3", "other: 4")),
    "a parameter missing": rewrite("params.yaml", PARAMS.partition("more")[0]),
    "the order in params.yaml": rewrite(
        "params.yaml", "more" + PARAMS.partition("more")[2] + PARAMS.partition("more")[0]
    ),
    "a word that YAML 1.1 would read as true": rewrite("params.yaml", PARAMS.replace("Yes", "'Yes'")),
    "a word that is true": rewrite("params.yaml", PARAMS.replace("Yes", "true")),
    "a command": rewrite("dvc.yaml", PIPELINE.replace("python first.py", "python  first.py -v")),
    "a dependency more": rewrite(
        "dvc.yaml", PIPELINE.replace("[second.py, middle]", "[second.py, middle, raw.csv]")
    ),
    "a dependency less": rewrite("dvc.yaml", PIPELINE.replace("[second.py, middle]", "[middle]")),
    "only the description": rewrite(
        "dvc.yaml", PIPELINE.replace("    meta: {phase: data}", "    desc: first")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_quick_reader_agrees_with_dvc_after_a_change_of(change: str, repository: Path) -> None:
    CHANGES[change](repository)
    assert quick(repository) == dvc_says(repository)


def test_a_stage_that_never_ran_says_so(repository: Path) -> None:
    (repository / "dvc.lock").unlink()
    assert set(quick(repository).values()) == {Freshness.NEVER_RUN}


def test_a_remembered_digest_is_dropped_when_the_file_changes(repository: Path) -> None:
    store = repository / ".cache.json"
    old = time.time() - 60
    os.utime(repository / "raw.csv", (old, old))
    hashes = Hashes(repository, store)
    first = hashes.md5("raw.csv")
    hashes.save()
    assert "raw.csv" in json.loads(store.read_text())
    (repository / "raw.csv").write_text("a,b\n9,9\n")
    assert Hashes(repository, store).md5("raw.csv") != first


def test_a_digest_of_a_file_written_just_now_is_not_remembered(repository: Path) -> None:
    """Two writes within the clock's grain leave the same time stamp; only the second's content is true."""
    store = repository / ".cache.json"
    (repository / "raw.csv").write_text("now")
    hashes = Hashes(repository, store)
    hashes.md5("raw.csv")
    hashes.save()
    assert not store.exists() or "raw.csv" not in json.loads(store.read_text())


def test_patterns_that_only_dvc_can_match_are_left_to_dvc(repository: Path) -> None:
    (repository / ".dvcignore").write_text("*.tmp\n")
    pipeline = stages.load(repository)
    assert pipeline is not None
    assert not status.can_answer(repository, pipeline)


@pytest.mark.parametrize(
    "text",
    [
        "vars: [{n: 1}]\nstages: {a: {cmd: 'echo ${n}'}}",
        "stages: {a: {foreach: [1, 2], do: {cmd: 'echo ${item}'}}}",
        "stages: {a: {matrix: {n: [1]}, cmd: 'echo ${item.n}'}}",
        "stages: {a: {cmd: ls, wdir: sub}}",
    ],
)
def test_what_only_dvc_can_resolve_is_left_to_dvc(text: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    pipeline = stages.load(tmp_path)
    assert pipeline is not None
    assert not status.can_answer(tmp_path, pipeline)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: [a, b]", "`stages` must be a mapping"),
        ("stages: {a: 3}", "stage `a` must be a mapping"),
        ("stages: {a: {deps: [x]}}", "stage `a` has no `cmd`"),
        ("stages: {a: {cmd: ls, deps: x}}", "`deps` of stage `a` must be a list"),
        ("just words", "it must be a mapping"),
        ("stages:\n  a: [", "line 3"),
        ("stages:\n\ta: 1", "line 2, column 1"),
    ],
)
def test_nonsense_in_dvc_yaml_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        stages.load(tmp_path)
    assert "git checkout dvc.yaml" in caught.value.hint
