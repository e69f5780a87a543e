"""Two runs of one project: held against each other, found again, spoken of, and tidied up after."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import fenced, made_once, run_mlproj

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("past-work")]

WHY = "Fewer rounds of boosting answer faster, and recall is what we promised"


def mlproj(root: Path, *words: str, exits: int = 0) -> str:
    done = run_mlproj(*words, cwd=root)
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout


def asked(root: Path, *words: str, exits: int = 0) -> Any:
    return json.loads(mlproj(root, *words, "--json", exits=exits))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def promise_few_flips(root: Path) -> None:
    promise = "    - metric: negative_flips\n      at_most: 0.02\n      slices: [Sex]\n  software:"
    edit(root / "docs" / "scoping.md", "  software:", promise)


@pytest.fixture(scope="module")
def twice(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained penguins with a second run, of a much weaker model. Look at it, change only copies."""

    def make(folder: Path) -> None:
        root = shutil.copytree(trained, folder / "penguins", symlinks=True)
        (folder / "home").mkdir()
        env = fenced(folder / "home")
        promise_few_flips(root)
        done = run_mlproj("approve", "--role", "owner", cwd=root, env=env)
        done = run_mlproj("decide", "Few rounds", "--why", WHY, cwd=root, env=env)
        assert done.returncode == 0, done.stderr
        edit(root / "params.yaml", "max_iter: 150", "max_iter: 1")
        with (root / "penguins" / "features.py").open("a", encoding="utf-8") as stream:
            stream.write("\n# A remark.\n")
        done = run_mlproj("stage", "modeling", cwd=root, env=env)
        assert done.returncode == 3, done.stdout + done.stderr
        (folder / "said.txt").write_text(done.stdout, encoding="utf-8")
        for words in (["add", "-A"], ["commit", "-qm", "Weaker", "--no-verify"]):
            subprocess.run(["git", *words], cwd=root, env=env, check=True)

    return made_once(tmp_path_factory, "twice", make) / "penguins"


@pytest.fixture
def copy(twice: Path, tmp_path: Path) -> Path:
    return shutil.copytree(twice, tmp_path / "penguins", symlinks=True)


def runs_of(root: Path) -> tuple[str, str]:
    """The older run and the newer."""
    newer, older = (row["run"] for row in asked(root, "runs")["runs"])
    return older, newer


def test_a_broken_promise_on_flips_keeps_the_model_from_being_registered(twice: Path) -> None:
    said = (twice.parent / "said.txt").read_text(encoding="utf-8")
    assert "✗ target negative_flips" in said
    assert "against run" in said
    assert "(version 1, candidate)" in said
    assert "registered:" not in said
    assert "✗ target negative_flips" in mlproj(twice, "check", "modeling", exits=3)


def test_a_first_model_has_nothing_to_be_held_against_and_passes(project: Path) -> None:
    promise_few_flips(project)
    checks = asked(project, "check", "modeling", exits=0)["phases"][0]["checks"]
    (found,) = (check for check in checks if check["metric"] == "negative_flips")  # and none of slices
    assert found["outcome"] == "pass"
    assert "nothing to compare with yet" in found["reason"]


def test_two_runs_are_compared_without_being_named(twice: Path) -> None:
    found = asked(twice, "compare")
    older, newer = runs_of(twice)
    assert (found["old"]["run"], found["new"]["run"]) == (older, newer)
    changed = {each["name"]: (each["before"], each["after"]) for each in found["params"]}
    assert changed == {"train.hist_gradient_boosting.max_iter": (150, 1)}
    assert [each["name"] for each in found["data"] if each["same"]] == ["raw", "train", "dev", "test"]
    assert [(each["path"], each["added"]) for each in found["code"]] == [("penguins/features.py", 2)]
    assert found["environment"] == []
    assert found["notes"] == []
    accuracy = next(each for each in found["metrics"] if each["name"] == "accuracy")
    flips = found["flips"]
    lost = (flips["worse"] - flips["better"]) / flips["rows"]
    assert accuracy["difference"] == pytest.approx(-lost, abs=1e-5)
    assert accuracy["low"] <= accuracy["difference"] <= accuracy["high"]
    assert found["drawn"] == "1,000 resamples of groups of `Individual ID`"


def test_the_worst_rows_are_told_with_what_is_in_them(twice: Path) -> None:
    flips = asked(twice, "compare", "1", "HEAD")["flips"]
    assert flips["worse"] == sum(each["worse"] for each in flips["classes"])
    by_sex = [each for each in flips["slices"] if each["column"] == "Sex"]
    assert flips["worse"] == sum(each["worse"] for each in by_sex)
    assert [each["lost"] for each in flips["worst"]] == sorted(
        (each["lost"] for each in flips["worst"]), reverse=True
    )
    worst = flips["worst"][0]
    assert worst["before"] == worst["actual"] != worst["after"]
    assert worst["features"]["Sex"] == worst["slices"]["Sex"]
    assert isinstance(worst["features"]["Body Mass (g)"], float)
    said = mlproj(twice, "compare", "1", "HEAD")
    assert f"row {worst['key'][:12]} is {worst['actual']}" in said
    assert "floor: not measured" in said


def test_runs_compare_when_the_store_and_the_models_are_gone(copy: Path) -> None:
    before = asked(copy, "compare")
    (copy / "mlflow.db").unlink()
    shutil.rmtree(copy / "models")
    older, newer = before["old"]["run"], before["new"]["run"]
    assert asked(copy, "compare", older[:8], newer[:8])["flips"] == before["flips"]


def test_answers_that_are_lost_are_named_and_the_rest_is_compared(copy: Path) -> None:
    shown = ("git", "show", f"mlproj/run/{runs_of(copy)[0]}:dvc.lock")
    lock = subprocess.run(shown, cwd=copy, capture_output=True, check=True).stdout
    outs = yaml.safe_load(lock)["stages"]["evaluate"]["outs"]
    md5 = next(out["md5"] for out in outs if out["path"] == "models/predictions.parquet")
    (copy / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    found = asked(copy, "compare")
    assert found["flips"] is None
    assert md5 in found["notes"][0]
    assert found["params"]
    (copy / ".mlproj" / "cache" / "flips.json").unlink()
    checks = asked(copy, "check", "modeling", exits=3)["phases"][0]["checks"]
    (gate,) = (each for each in checks if each["name"] == "target negative_flips")
    assert gate["outcome"] == "unknown"
    assert md5 in gate["reason"]


def test_the_floor_is_what_training_again_changes_and_is_remembered(copy: Path) -> None:
    status = ("git", "status", "--porcelain")
    before = subprocess.run(status, cwd=copy, capture_output=True, text=True, check=True).stdout
    floor = asked(copy, "compare", "--floor")["floor"]
    assert floor["seed"] == 21
    assert 0 <= floor["rate"] < 0.5
    assert asked(copy, "compare")["floor"] == floor
    assert subprocess.run(status, cwd=copy, capture_output=True, text=True, check=True).stdout == before
    assert len(asked(copy, "runs")["runs"]) == 2


def test_what_is_no_run_is_refused_with_those_there_are(twice: Path) -> None:
    done = run_mlproj("compare", "beefbeef", cwd=twice)
    assert done.returncode == 2
    assert "`beefbeef` is no run or version of penguins" in done.stderr
    assert runs_of(twice)[0][:8] in done.stderr
    assert run_mlproj("compare", "--split", "train", cwd=twice).returncode == 2
    assert "nothing is on live traffic" in run_mlproj("compare", "live", cwd=twice).stderr


def test_runs_are_found_by_metric_parameter_data_and_name(twice: Path) -> None:
    older, newer = runs_of(twice)

    def found(*words: str, exits: int = 0) -> list[str]:
        return [row["run"] for row in asked(twice, "runs", *words, exits=exits)["runs"]]

    assert found("--metric", "f1>0.9") == [older]
    assert found("--metric", "test.accuracy<=0.9", "--by", "test u") == [newer]
    assert found("--param", "train.hist_gradient_boosting.max_iter=1.0") == [newer]
    (row,) = asked(twice, "runs", "--limit", "1")["runs"]
    assert found("--data", row["data"]["test"][:6]) == [newer, older]
    assert found("--data", "0000", exits=3) == []
    for words in (
        ["--metric", "f2>0.9"],
        ["--metric", "high"],
        ["--param", "train.modle=x"],
        ["--data", "?"],
    ):
        assert run_mlproj("runs", *words, cwd=twice).returncode == 2
    assert "did you mean `train.model`?" in run_mlproj("runs", "--param", "train.modle=x", cwd=twice).stderr


def test_a_run_that_was_never_kept_is_told_from_the_store(copy: Path) -> None:
    _, newer = runs_of(copy)
    (kept,) = (row for row in asked(copy, "runs")["runs"] if row["run"] == newer)
    for words in (
        ["update-ref", "-d", f"refs/mlproj/runs/{newer}"],
        ["checkout", "-q", "HEAD~1", "--", "models"],
    ):
        subprocess.run(["git", *words], cwd=copy, check=True)
    (row, other) = asked(copy, "runs")["runs"]
    assert (row["run"], row["source"], other["source"]) == (newer, "MLflow store", "snapshot")
    assert row["params"]["train.model"] == kept["params"]["train.model"]
    assert asked(copy, "runs", "--metric", "f1<0.9")["runs"][0]["run"] == newer
    found = asked(copy, "compare", "1", newer[:8])
    assert found["flips"] is None
    assert "it was never kept" in " ".join(found["notes"])
    f1 = next(each for each in found["metrics"] if each["name"] == "f1")
    assert f1["before"] > f1["after"]


def test_words_are_found_in_decisions_notes_and_notebooks(copy: Path) -> None:
    older, newer = runs_of(copy)
    # As MLflow's own page keeps what is written there about a run.
    note = ("mlflow.note.content", "Tuned for the moulting season", older)
    with closing(sqlite3.connect(copy / "mlflow.db")) as store:
        store.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", note)
        store.commit()
    (row,) = asked(copy, "runs", "MOULTING")["runs"]
    assert (row["run"], row["note"]) == (older, "Tuned for the moulting season")
    found = asked(copy, "runs", "boosting", "rounds")
    # Written while the older was in the work tree, at the commit that the newer was made from.
    assert {row["run"] for row in found["runs"]} == {older, newer}
    assert [each["title"] for each in found["found"]] == ["Few rounds"]
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# Rounds\n", "Boosting, tried by hand."]}]
    (copy / "notebooks" / "2.0-rounds.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    kinds = [each["kind"] for each in asked(copy, "decisions", "boosting", "round")["found"]]
    assert kinds == ["notebook", "decision"]
    assert "no decision, note or notebook has `plesiosaur`" in mlproj(
        copy, "decisions", "plesiosaur", exits=3
    )


def test_a_decision_is_linked_to_what_it_names_and_shown_where_a_trace_passes(copy: Path) -> None:
    older, newer = runs_of(copy)
    said = mlproj(copy, "decide", "Back to version 1", "--why", "f1 fell", "--about", newer[:8])
    assert f"linked to version 1, run {newer[:8]}, run {older[:8]}, target f1" in said
    decisions = asked(copy, "decisions")["decisions"]
    about = next(each["about"] for each in decisions if each["title"] == "Back to version 1")
    assert about == {"runs": [newer, older], "versions": [1], "targets": ["f1"], "commits": []}
    assert "Back to version 1" in mlproj(copy, "trace", older)
    refused = run_mlproj("decide", "Another", "--about", "recal", cwd=copy)
    assert refused.returncode == 2
    assert "is no run, version, promised metric or commit" in refused.stderr


def test_a_decision_that_only_a_run_s_snapshot_has_is_shown(copy: Path) -> None:
    _, newer = runs_of(copy)
    (page,) = (copy / "docs" / "decisions").glob("*few-rounds.md")
    edit(page, "## Why", f"About run {newer}.\n\n## Why")
    # The outcome is kept anew with the page as it is now; then the page goes.
    mlproj(copy, "stage", "modeling", exits=3)
    page.unlink()
    said = asked(copy, "trace", newer)["origins"][0]["decisions"]
    assert [each["title"] for each in said] == ["Few rounds"]
    assert "in the run's snapshot only" in said[0]["by_what"]


def test_litter_names_the_command_and_spares_what_is_needed(copy: Path) -> None:
    older, _ = runs_of(copy)
    raw = copy / "data" / "raw" / "penguins_raw.csv"
    shutil.copy(raw, copy / "data" / "external" / "again.csv")
    (copy / "data" / "external" / "notes of 2019.csv").write_text("a\n1\n", encoding="utf-8")
    items = {item["name"]: item for item in asked(copy, "litter")["items"]}
    assert items["data/external/notes of 2019.csv"]["command"] == "rm 'data/external/notes of 2019.csv'"
    # The same bytes as the raw data of a version that may be deployed.
    assert "data/external/again.csv" not in items
    commands = " ".join(item["command"] for item in items.values())
    assert "git tag -d" not in commands
    page = next((copy / "docs" / "decisions").glob("*few-rounds.md"))
    page.unlink()
    (lonely,) = (item for item in asked(copy, "litter")["items"] if item["kind"] == "run")
    assert lonely["name"] == f"run {older[:8]} (version 1, candidate)"
    assert lonely["command"].startswith("mlproj decide")
    mlproj(copy, "decide", "Why version 1", "--about", "1")
    assert "run" not in [item["kind"] for item in asked(copy, "litter")["items"]]
