"""The Dockerfile of a generated repository, as its linter and its reader see it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.template.dockerfile import ignored, last, read
from tests.template.rendered import render

# Versions of Debian's packages and of the tool that makes the environment: they move with the base image,
# whose tag moves too; what the models depend on is in the lock file.
NOT_PINNED = ("--ignore", "DL3008", "--ignore", "DL3013")

SETS = [
    *({"env_manager": manager} for manager in ("uv", "venv", "conda", "pixi", "poetry", "none")),
    {"env_manager": "uv", "scaffold": "bare", "license": "none"},
]


@pytest.mark.parametrize("words", SETS, ids=lambda words: "-".join(words.values()))
def test_the_linter_finds_nothing_and_no_stage_runs_as_root(tmp_path: Path, words: dict[str, str]) -> None:
    root = render(tmp_path / "churn", None, **words)
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.is_file():
        pytest.skip("hadolint is not installed here")
    done = subprocess.run(
        [linter, *NOT_PINNED, root / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")

    instructions = read(root / "Dockerfile")
    stages = ["project"] if words.get("scaffold") == "bare" else ["project", "serve"]
    assert list(dict.fromkeys(each.stage for each in instructions)) == stages
    for stage in stages:
        own = [each for each in instructions if each.stage == stage]
        assert last(own, "USER").value == "10001"
        assert last(own, "CMD").words
        for each in own:
            if each.name == "RUN":
                subprocess.run(["sh", "-n", "-c", each.value], check=True)
            if each.name == "COPY" and "--from" not in each.value:
                *names, _ = [word for word in each.value.split() if not word.startswith("--")]
                # Lock files are made after the rendering, by the tool itself.
                assert all((root / name).exists() or "lock" in name for name in names), each.value


@pytest.mark.parametrize("words", SETS, ids=lambda words: "-".join(words.values()))
def test_the_devcontainer_is_json_and_what_it_runs_first_exists(
    tmp_path: Path, words: dict[str, str]
) -> None:
    root = render(tmp_path / "churn", None, **words)
    said = json.loads((root / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert {"name", "image", "postCreateCommand"} <= said.keys()
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("pip", "curl"):  # these want a network
        (shims / name).write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        (shims / name).chmod(0o755)
    command, changed = re.subn(r"\bmake ", "make --dry-run ", said["postCreateCommand"])
    assert changed
    env = {**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-e", "-c", command], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_credential_gets_into_the_image_and_what_dvc_needs_does(tmp_path: Path) -> None:
    names = ignored(render(tmp_path / "churn", None))
    assert {".env", ".env.*", ".dvc/cache", "mlflow.db", ".venv"} <= set(names)
    assert ".git" not in names, "DVC runs nothing outside a git repository"
