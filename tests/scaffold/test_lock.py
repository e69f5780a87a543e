from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold import lock
from mlproj.scaffold.answers import Answers, Inputs
from mlproj.scaffold.lock import File, FileClass

ANSWERS = Answers.from_words({"project_name": "churn-model", "python_version": "3.11"})
INPUTS = Inputs(project_id="0123456789ab", year="2026")


def file(text: str, *, executable: bool = False) -> File:
    return File(content=text.encode(), executable=executable)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Makefile", FileClass.MANAGED),
        ("hooks/run", FileClass.MANAGED),
        (".github/workflows/ci.yml", FileClass.MANAGED),
        (".env.example", FileClass.MANAGED),
        ("dvc.yaml", FileClass.MANAGED),
        ("churn_model/features.py", FileClass.SEEDED),
        ("churn_model/modeling/train.py", FileClass.SEEDED),
        ("docs/scoping.md", FileClass.SEEDED),
        ("docs/docs/index.md", FileClass.SEEDED),
        ("notebooks/1.0-explore.ipynb", FileClass.SEEDED),
        ("params.yaml", FileClass.MANAGED),
        ("README.md", FileClass.SEEDED),
        (".mlproj/findings.json", FileClass.GENERATED),
        (".copier-answers.yml", FileClass.GENERATED),
    ],
)
def test_a_file_belongs_to_the_template_the_user_or_a_program(path: str, kind: FileClass) -> None:
    assert lock.classify(path, module="churn_model") is kind


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    rendering = {
        "Makefile": file("all:\n"),
        "churn_model/__init__.py": file(""),
        "hooks/run": file("#!/bin/sh\n", executable=True),
        ".mlproj/findings.json": file("{}"),
    }
    lock.write(tmp_path, rendering, version="0.1.0", answers=ANSWERS, inputs=INPUTS)

    kept = lock.read(tmp_path)
    assert kept.template_version == "0.1.0"
    assert Answers.from_words(kept.answers) == ANSWERS
    assert kept.inputs == INPUTS
    assert {path: entry.kind for path, entry in kept.files.items()} == {
        "Makefile": "managed",
        "churn_model/__init__.py": "seeded",
        "hooks/run": "managed",
    }
    assert lock.base(tmp_path) == {path: rendering[path] for path in kept.files}


def test_the_same_rendering_gives_the_same_bytes(tmp_path: Path) -> None:
    rendering = {"b": file("2"), "a": file("1")}
    assert lock.pack(rendering) == lock.pack(dict(reversed(rendering.items())))


def test_secrets_and_compiled_files_are_never_recorded(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    for name in (".env", "__pycache__/x.pyc", "Makefile", ".env.example"):
        (tmp_path / name).write_text("x")
    assert list(lock.rendered(tmp_path)) == [".env.example", "Makefile"]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 1}', '{"version": 99}'])
def test_a_damaged_record_says_how_to_bring_it_back(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / ".mlproj").mkdir()
        (tmp_path / lock.LOCK).write_text(text)
    with pytest.raises(ConfigError) as caught:
        lock.read(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("content", [None, b"", b"not an archive"])
def test_a_damaged_base_says_how_to_bring_it_back(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / ".mlproj").mkdir()
        (tmp_path / lock.BASE).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        lock.base(tmp_path)
    assert "git checkout" in caught.value.hint


def test_the_record_is_a_text_that_git_can_show(tmp_path: Path) -> None:
    lock.write(tmp_path, {"a": file("1")}, version="0.1.0", answers=ANSWERS, inputs=INPUTS)
    assert json.loads((tmp_path / lock.LOCK).read_text())["files"]["a"]["class"] == "managed"
