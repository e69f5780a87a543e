"""Two versions, made with different scikit-learn releases, answer side by side in their own environments."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from tests.e2e.serving.conftest import Live, Serve, git

pytestmark = pytest.mark.slow

OTHER = "1.8.0"


def make_environment(folder: Path, lock: Path) -> Path:
    """An environment as the lock file says; returns its interpreter."""
    uv = find_uv_bin()
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", "3.11", folder], check=True, timeout=120)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "--requirement", lock], check=True, timeout=300
    )
    return python


def edit(path: Path, pattern: str, to: str) -> str:
    """Replace the one place that matches; returns what stood there."""
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(pattern, text, re.MULTILINE)
    path.write_text(re.sub(pattern, lambda _: to, text, flags=re.MULTILINE), encoding="utf-8")
    return str(found)


def release_in(pid: int) -> str:
    """The scikit-learn release in the environment of a process: where its compiled modules were loaded from.

    NumPy's are looked for, since the fastest engine may have no need of scikit-learn's own.
    """
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    (site,) = set(re.findall(r"(/\S+/site-packages)/numpy/\S+\.so", maps))
    (about,) = Path(site).glob("scikit_learn-*.dist-info")
    return about.name.removeprefix("scikit_learn-").removesuffix(".dist-info")


def worker(live: Live, version: int) -> Any:
    (found,) = [one for one in live.overview()["processes"]["workers"] if one["version"] == version]
    assert found["ready"], found
    return found


def test_versions_with_different_scikit_learn_releases_answer_side_by_side(
    place: Serve, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    live = place()
    live.deploy()
    first = live.ask("/predict", rows).json()["predictions"]
    live.stop()

    made_in = live.package()["environment"]["lock_sha256"]
    lock = live.root / "requirements.lock"
    before = edit(lock, r"^scikit-learn==.*$", f"scikit-learn=={OTHER}").partition("==")[2]
    assert before != OTHER
    python = make_environment(tmp_path / "other", lock)
    edit(live.root / "mlproj.toml", r"^python = .*$", f"python = {json.dumps(str(python))}")
    edit(live.root / "params.yaml", r"learning_rate: \S+", "learning_rate: 0.08")
    git(live.root, "commit", "-qam", "Another scikit-learn", env=live.env)
    for phase in ("modeling", "deployment"):
        live.must("stage", phase)
    assert live.package()["environment"]["lock_sha256"] not in (None, made_in)

    # The lock file has changed since version 1: its environment is built from the one in its own commit.
    said = live.run("deploy", "--version", "1", "--port", live.url.rpartition(":")[2])
    assert said.returncode == 0, said.stdout + said.stderr
    assert "building the environment of that version" in said.stderr
    live.deploy("--mode", "canary", "--steps", "50,100", "--hold", "1h")

    assert release_in(worker(live, 1)["pid"]) == before
    assert release_in(worker(live, 2)["pid"]) == OTHER
    answers: dict[int, list[Any]] = {1: [], 2: []}
    for at in range(60):
        answer = live.ask("/predict", rows, headers={"X-Entity-Id": f"bird {at}"})
        assert answer.status == 200, answer.body
        answers[int(answer.headers["x-model-version"])].append(answer.json()["predictions"])
    assert min(map(len, answers.values())) > 10
    told = [one["probabilities"] for one in first]
    assert all([one["probabilities"] for one in found] == told for found in answers[1])
    assert all([one["probabilities"] for one in found] != told for found in answers[2])
    assert all(one["restarts"] == 0 for one in live.overview()["processes"]["workers"])
