"""The hooks that run on every commit, started as pre-commit starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.hooks.started import HOOKS, NAMES, hook, lines
from tests.support import REPOSITORY

# What only reads YAML cannot do without a reader of it.
NEED_YAML = ["decision_records", "dvc_lock", "scoping_document"]


def test_a_file_too_large_for_git_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "small.bin").write_bytes(b"\0" * 1024)
    (tmp_path / "large.bin").write_bytes(b"\0" * 2_000_000)
    (tmp_path / "uv.lock").write_bytes(b"\0" * 2_000_000)
    done = hook("large_files", "small.bin", "large.bin", "uv.lock", "absent.bin", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("large.bin: 1,953 KB is more than git should hold (1,024 KB)")
    assert "dvc add 'large.bin'" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert hook("large_files", "--limit-kb", "2000", "large.bin", cwd=tmp_path).returncode == 0


def test_a_merge_marker_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n" + "<" * 7 + " HEAD\ny = 2\n" + ">" * 7 + " other\n")
    (tmp_path / "b.md").write_text("Title\n=======\n\n>>>> quoted\n")
    done = hook("merge_markers", "a.py", "b.md", cwd=tmp_path)
    assert done.returncode == 1
    assert lines(done.stdout) == ["a.py:2", "a.py:4"]


@pytest.mark.parametrize(
    ("name", "good", "bad", "line"),
    [
        ("a.toml", "x = 1\n", "y = 1\nx = \n", 2),
        ("a.json", "{}\n", "{\n,}\n", 2),
        ("a.ipynb", "{}\n", "{\n", 2),
        ("a.yaml", "x: !custom 1\n---\ny: 2\n", "x: [1\n", 1),
        ("a.yml", "x: 1\n", "x: 1\n y: 2\n", 2),
        ("a.yaml", "a: {x: 1}\nb: {x: 1}\n", "a: 1\nb: 2\na: 3\n", 3),
        ("a.yaml", "1: a\n'1': b\n", "a:\n  - x: 1\n    'x': 2\n", 3),
        ("a.yaml", "a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: *a\n", "a: 1\n---\nb: {x: 1, y: 2, x: 3}\n", 3),
        ("a.yaml", "? [k]\n: 1\n? [k]\n: 2\n", "a: &a {b: *a}\na: 1\n", 2),
    ],
)
def test_a_file_that_does_not_parse_is_refused_with_the_line(
    tmp_path: Path, name: str, good: str, bad: str, line: int
) -> None:
    (tmp_path / name).write_text(good)
    assert hook("valid_files", name, cwd=tmp_path).returncode == 0
    (tmp_path / name).write_text(bad)
    done = hook("valid_files", name, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{name}:{line}: does not parse: ")
    assert len(done.stdout.splitlines()) == 1


def test_bytes_that_are_no_text_are_refused_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    done = hook("valid_files", "a.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ""


def notebook(*, outputs: bool) -> str:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# É"]},
        {
            "cell_type": "code",
            "execution_count": 3 if outputs else None,
            "metadata": {},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["secret"]}] if outputs else [],
            "source": ["print(1)"],
        },
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def test_a_notebook_with_outputs_is_refused_and_cleared_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(notebook(outputs=True))
    done = hook("notebook_outputs", "a.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert "--clear 'a.ipynb'" in done.stdout
    (line,) = lines(done.stdout)
    number = int(line.removeprefix("a.ipynb:"))
    assert '"execution_count": 3' in path.read_text().splitlines()[number - 1]
    assert path.read_text() == notebook(outputs=True)

    assert hook("notebook_outputs", "--clear", "a.ipynb", cwd=tmp_path).returncode == 0
    assert json.loads(path.read_text()) == json.loads(notebook(outputs=False))
    assert "É" in path.read_text()
    assert hook("notebook_outputs", "a.ipynb", cwd=tmp_path).returncode == 0


def test_what_is_no_notebook_is_refused_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("no")
    done = hook("notebook_outputs", "a.ipynb", "absent.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "hooks").mkdir()
    runner = tmp_path / "hooks" / "run"
    runner.write_bytes((HOOKS / "run").read_bytes())
    runner.chmod(0o755)
    return tmp_path


def environment(folder: Path, says: str) -> Path:
    """An environment whose programs say who they are."""
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "ruff"):
        (folder / "bin" / name).write_text(f'#!/bin/sh\necho "{says} {name} $*"\n')
        (folder / "bin" / name).chmod(0o755)
    return folder


def run(repository: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["hooks/run", *args],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_comes_from_the_project_s_own_environment_first(repository: Path, tmp_path: Path) -> None:
    active = environment(tmp_path / "active", "active")
    named = environment(tmp_path / "with space", "named")
    assert run(repository, "ruff", "a b", VIRTUAL_ENV=str(active)).stdout == "active ruff a b\n"
    (repository / "mlproj.toml").write_text(f'python = "{named}/bin/python"\n')
    assert run(repository, "ruff", VIRTUAL_ENV=str(active)).stdout == "named ruff \n"
    environment(repository / ".pixi" / "envs" / "default", "pixi")
    assert run(repository, "ruff", VIRTUAL_ENV=str(active)).stdout == "pixi ruff \n"
    environment(repository / ".venv", "own")
    assert run(repository, "python", "x.py", VIRTUAL_ENV=str(active)).stdout == "own python x.py\n"


def test_without_an_environment_the_system_s_programs_serve(repository: Path) -> None:
    assert run(repository, "sh", "-c", "echo here").stdout == "here\n"


def test_a_program_that_is_not_there_says_what_to_do(repository: Path) -> None:
    done = run(repository, "no-such-program")
    assert done.returncode == 127
    assert "`no-such-program` is not in the project's environment: run `make requirements`" in done.stderr


def test_the_published_hooks_are_the_generated_ones() -> None:
    published = sorted(path.name for path in (REPOSITORY / "hooks").glob("*.py"))
    assert published == sorted(path.name for path in HOOKS.glob("*.py"))
    for name in published:
        assert (REPOSITORY / "hooks" / name).read_bytes() == (HOOKS / name).read_bytes()
        assert os.access(HOOKS / name, os.X_OK)


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_imports_the_standard_library_only_or_says_what_it_lacks(name: str, tmp_path: Path) -> None:
    # `-S` leaves installed packages out.
    done = subprocess.run(
        [sys.executable, "-S", "-E", HOOKS / f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    if name in NEED_YAML:
        assert done.returncode == 1, "a check that cannot look must not let everything pass"
        assert f"PyYAML is not installed for `{sys.executable}`: install it" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_the_same_hooks_are_offered_to_every_repository_and_used_in_generated_ones() -> None:
    published = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    config = (HOOKS.parent / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    local = yaml.safe_load(config)["repos"][0]["hooks"]
    looks = ("id", "name", "files", "types", "types_or", "pass_filenames", "require_serial")
    assert [{key: each.get(key) for key in looks} for each in published] == [
        {key: each.get(key) for key in looks} for each in local if not each["id"].startswith("ruff")
    ]
    assert [each["entry"] for each in published] == [
        each["entry"].removeprefix("hooks/run python ") for each in local if "python" in each["entry"]
    ]
    assert sorted(each["entry"] for each in published) == [f"hooks/{name}.py" for name in NAMES]
