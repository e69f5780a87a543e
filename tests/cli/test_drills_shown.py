"""Drills as people and scripts read them: what was rebuilt counts as much as what was replayed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mlproj.cli import render_replay
from mlproj.flows import drill
from mlproj.flows.drill import Drill, Rebuilt
from mlproj.project import Project
from tests.support import fenced, run_mlproj

_MARKER = (
    '[project]\nid = "drilled"\nname = "drilled"\nmodule = "toys"\nmodel = "toys"\nenv_manager = "none"\n'
)

GOOD = Drill(at="2026-11-16T05:00:00Z", by="tester", seed=1, asked=100, replayed=100, agreed=100)
LOST = Rebuilt(run="f" * 32, is_reproduced=False, level=None, lacks=("the raw data is lost",))
SAME = Rebuilt(run="e" * 32, is_reproduced=True, level="same learned parameters", seconds=31.5)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "mlproj.toml").write_text(_MARKER, encoding="utf-8")
    return Project.load(tmp_path)


def _write(project: Project, *drills: Drill) -> None:
    project.home.mkdir(parents=True)
    lines = [json.dumps(dataclasses.asdict(each)) + "\n" for each in drills]
    (project.home / "drills.jsonl").write_text("".join(lines), encoding="utf-8")


def test_a_drill_passes_only_if_all_that_was_tried_could_be_done() -> None:
    assert GOOD.passes
    assert dataclasses.replace(GOOD, rebuilt=SAME).passes
    for changes in ({"rebuilt": LOST}, {"agreed": 99}, {"lacks": ("the log cannot be read",)}):
        assert not dataclasses.replace(GOOD, **changes).passes


def test_what_was_kept_of_a_drill_is_read_back_as_it_was(project: Project) -> None:
    kept = (GOOD, dataclasses.replace(GOOD, rebuilt=SAME), dataclasses.replace(GOOD, rebuilt=LOST))
    _write(project, *kept)
    assert drill.past(project) == kept
    said = render_replay.drills_json(kept)
    assert (said["drills"], said["passed"], said["rate"]) == (3, 2, pytest.approx(2 / 3))
    assert [each["passes"] for each in said["past"]] == [True, True, False]


def test_people_see_each_drill_and_the_rate(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    failed = dataclasses.replace(GOOD, agreed=98, different=("0safxhkj40400",), rebuilt=LOST)
    _write(project, GOOD, failed)
    render_replay.drills(drill.past(project), failed)
    shown = capsys.readouterr().out
    assert "drill failed" in shown
    assert "`mlproj replay 0safxhkj40400` tells more" in shown
    assert "✗ the raw data is lost" in shown
    assert "98 of 100" in shown
    assert "1 of 2 drills passed (50.0%)" in shown


def test_a_project_that_never_answered_has_nothing_to_try(project: Project, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    env = {**fenced(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = run_mlproj("drill", cwd=project.root, env=env)
    assert (done.returncode, "nothing was answered yet" in done.stderr) == (2, True), done.stderr
    assert "no drill yet" in run_mlproj("drill", "--list", cwd=project.root, env=env).stdout
    assert "nothing was ever deployed" in run_mlproj("wheels", cwd=project.root, env=env).stdout
