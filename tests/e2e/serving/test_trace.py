"""From an answer that a client got to the data it was learnt from, and back, over a chain broken on purpose.

One project is deployed, asked and pushed once. Each test that breaks something does it to a copy.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openlineage.client import event_v2
from prov.model import ProvDocument

from mlproj.base.errors import MlprojError
from mlproj.provenance import objects as objects_of_dvc
from mlproj.serving import ids
from tests.e2e.serving.conftest import Serve, git
from tests.provenance.openlineage_client import as_openlineage
from tests.serving.log import world
from tests.support import run_mlproj

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("traced")]

REQUEST = "order-17"
QUESTIONS = 8


@dataclass
class Traced:
    """A project that has answered, with its records pushed and people's words added."""

    root: Path
    env: dict[str, str]
    home: Path
    prediction: str
    run: str

    def trace(self, *words: str | Path, root: Path | None = None) -> subprocess.CompletedProcess[str]:
        return run_mlproj("trace", *words, cwd=root or self.root, env=self.env)

    def json(self, *words: str | Path, root: Path | None = None, exits: int = 0) -> Any:
        done = self.trace(*words, "--json", root=root)
        assert done.returncode == exits, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def traced(place_for_all: Serve, project_python: Path) -> Traced:
    live = place_for_all()
    live.must("decide", "Serve the grouped split", "--why", "the same bird is in the table twice")
    git(live.root, "add", "-A", env=live.env)
    git(live.root, "commit", "-qm", "A decision", env=live.env)
    live.deploy()
    rows = live.package()["recorded"]["rows"]
    answers = [
        live.ask("/predict", row, headers={"X-Request-Id": f"{REQUEST}-{number}"}).json()
        for number, row in enumerate(rows)
    ]
    first = answers[0]["prediction_id"]
    told = {"prediction_id": first, "label": "Adelie", "source": "a keeper"}
    assert live.ask("/feedback", told).status == 200
    run_id = str(live.package()["run_id"])
    pushed = subprocess.run(
        [project_python.parent / "dvc", "push", "-q", "-r", "storage", "--all-tags"],
        cwd=live.root,
        env={**live.env, "PATH": f"{project_python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert pushed.returncode == 0, pushed.stderr
    home = live.home
    live.must("serve", "--stop")
    return Traced(root=live.root, env=dict(live.env), home=home, prediction=first, run=run_id)


@pytest.fixture
def copy(traced: Traced, tmp_path: Path) -> Traced:
    """The same project with a work tree and a data folder of its own, to be broken."""
    data = tmp_path / "data"
    shutil.copytree(traced.home, data / "mlproj" / traced.home.name, symlinks=True)
    root = shutil.copytree(traced.root, tmp_path / "penguins", symlinks=True)
    # Its remote is beside it, so that what one test takes away is there for the others.
    remote = shutil.copytree(_remote(traced), tmp_path / "remote")
    config = root / ".dvc" / "config"
    lines = config.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith("url ="))
    lines[at] = f"    url = {remote}"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    env = {**traced.env, "XDG_DATA_HOME": str(data)}
    return Traced(root, env, data / "mlproj" / traced.home.name, traced.prediction, traced.run)


def _remote(traced: Traced) -> Path:
    return Path(traced.env["HOME"]) / ".local" / "share" / "mlproj" / traced.home.name / "dvc"


def objects(found: Any) -> dict[str, str]:
    """Of a trace as JSON: where the content of each file is."""
    return {file["path"]: file["kept"] for origin in found["origins"] for file in origin["files"]}


def links(found: Any) -> list[str]:
    return [each["link"] for each in found["breaks"]]


def test_an_answer_is_followed_to_its_rows_its_code_and_the_people(traced: Traced) -> None:
    found = traced.json(traced.prediction)
    assert found["whole"]
    assert found["prediction"]["inputs"]["studyName"]
    assert found["prediction"]["request"] == f"{REQUEST}-0"
    (origin,) = found["origins"]
    assert origin["run"] == traced.run
    assert [stage["name"] for stage in origin["stages"]][:3] == ["ingest", "validate", "split"]
    files = {file["path"]: file for file in origin["files"]}
    assert files["data/processed/train.parquet"]["rows"] == 196
    assert files["data/raw/penguins_raw.csv"]["brought"]["by"] == "Test User"
    assert set(objects(found).values()) == {"here and on the remote", "in git"}
    assert [(each["name"], each["role"], each["holds"]) for each in origin["approvals"]] == [
        ("Test User", "owner", True)
    ]
    assert [each["why"] for each in origin["decisions"]] == ["the same bird is in the table twice"]
    # What is promised of software is measured of the package, by a load, and not by training.
    by = {each["target"].split()[0]: (each["by"], each["value"] is not None) for each in origin["targets"]}
    assert by["latency_p95_ms"] == ("the load on its package", True)
    assert by["f1"] == ("", True)
    assert by["hours_saved"] == ("people, once the model is in use", False)
    (version,) = origin["versions"]
    assert [rollout["mode"] for rollout in version["rollouts"]] == ["full"]
    (heard,) = found["prediction"]["feedback"]
    assert (heard["value"], heard["source"]) == ("Adelie", "a keeper")
    assert len(found["questions"]) == QUESTIONS
    unknown = [each["question"] for each in found["questions"] if not each["known"]]
    assert unknown == ["Which parts of the input are responsible?"]


def test_people_read_the_same_as_a_tree(traced: Traced) -> None:
    done = traced.trace(traced.prediction)
    assert done.returncode == 0, done.stderr
    for words in ("inputs, as received", "deployment 1: full", "train.parquet", "approvals", "a keeper"):
        assert words in done.stdout
    assert "unknown: no explanation was recorded" in done.stdout


def test_a_version_a_run_a_commit_and_data_lead_to_the_same_model_and_its_predictions(
    traced: Traced,
) -> None:
    snapshot = traced.json(traced.run[:8])["origins"][0]["code"]["snapshot"]
    raw = traced.root / "data" / "raw" / "penguins_raw.csv"
    md5 = traced.json(raw)["contents"][0]["file"]["md5"]
    for subject, kind in (("v1", "version"), (snapshot[:10], "commit"), (raw.name, "data"), (md5, "data")):
        found = traced.json(subject)
        assert found["kind"] == kind
        (version,) = found["origins"][0]["versions"]
        assert (version["run"], version["served"]["count"]) == (traced.run, 5)
    assert found["contents"][0]["runs"] == [traced.run]
    assert found["contents"][0]["read_by"] == ["ingest"]


def test_a_word_that_is_nothing_exits_2_and_offers_the_nearest(traced: Traced) -> None:
    done = traced.trace("train.parqet")
    assert done.returncode == 2
    assert "did you mean `train.parquet`" in done.stderr
    assert traced.trace("v1", "--graph", "picture.png").returncode == 2


def test_the_picture_and_the_exports_are_valid_in_the_eyes_of_others(traced: Traced, tmp_path: Path) -> None:
    drawn = tmp_path / "origin.svg"
    assert traced.trace(traced.prediction, "--graph", drawn).returncode == 0
    assert f"prediction {traced.prediction}" in drawn.read_text(encoding="utf-8")

    said = traced.trace(traced.prediction, "--export", "prov").stdout
    document = ProvDocument.deserialize(content=said)
    assert len(list(document.get_records())) > 100
    assert ProvDocument.deserialize(content=document.serialize()) == document

    lines = traced.trace(traced.prediction, "--export", "openlineage").stdout.splitlines()
    events = [as_openlineage(json.loads(line)) for line in lines]
    trained = [event for event in events if event.job.name == "penguins.train"]
    assert [event.eventType for event in trained] == [event_v2.RunState.START, event_v2.RunState.COMPLETE]
    assert trained[0].run.runId.replace("-", "") == traced.run
    assert any(event.job.name == "penguins.deploy" and event.outputs for event in events)


def test_models_that_share_a_request_are_one_chain_across_projects(traced: Traced, tmp_path: Path) -> None:
    near = ids.parse(traced.prediction)
    other = tmp_path / "fraud-model"
    world.put(other, [world.record(near + (40 << 22), request_id=f"{REQUEST}-0", version=2, run="f" * 32)])
    alone = traced.json(traced.prediction)["chain"]
    assert [(call["project"], call["rows"]) for call in alone["calls"]] == [("penguins", 1)]
    chain = traced.json(traced.prediction, "--with", other)["chain"]
    assert [(call["project"], call["version"]) for call in chain["calls"]] == [
        ("penguins", 1),
        ("fraud-model", 2),
    ]
    shown = traced.trace(traced.prediction, "--with", other).stdout
    assert "fraud-model version 2" in shown


def _cache(copy: Traced, path: str) -> Path:
    found = next(file for file in copy.json(copy.run)["origins"][0]["files"] if file["path"] == path)
    md5 = str(found["md5"])
    return copy.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def _lose_cache(copy: Traced) -> None:
    shutil.rmtree(copy.root / ".dvc" / "cache")


def _lose_remote(copy: Traced) -> None:
    _lose_cache(copy)
    shutil.rmtree(copy.root.parent / "remote")


def _damage(copy: Traced) -> None:
    damaged = _cache(copy, "data/processed/train.parquet")
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    shutil.rmtree(copy.root.parent / "remote")


def _delete_in_mlflow(copy: Traced) -> None:
    with closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        store.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (copy.run,))
        store.commit()


def _edit_lock(copy: Traced) -> None:
    with (copy.root / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another\n")
    git(copy.root, "commit", "-qam", "Edited", env=copy.env)
    git(copy.root, "update-ref", f"refs/tags/mlproj/run/{copy.run}", "HEAD", env=copy.env)


def _lose_tag(copy: Traced) -> None:
    git(copy.root, "update-ref", "-d", f"refs/tags/mlproj/run/{copy.run}", env=copy.env)


def _lose_snapshot(copy: Traced) -> None:
    _lose_tag(copy)
    git(copy.root, "update-ref", "-d", f"refs/mlproj/runs/{copy.run}", env=copy.env)
    (copy.root / "models" / "run.json").unlink()


def _lose_deployments(copy: Traced) -> None:
    for file in copy.home.glob("serving.db*"):
        file.unlink()


def _lose_package(copy: Traced) -> None:
    shutil.rmtree(copy.home / "versions")
    with closing(sqlite3.connect(copy.home / "serving.db")) as store:
        store.execute("DELETE FROM places")  # they are those of the project that this is a copy of
        store.commit()


@pytest.mark.parametrize(
    ("breaks", "link", "says"),
    [
        (_lose_remote, "remote", "is not there"),
        (_lose_remote, "object", "is in the work tree only"),
        (_damage, "object", "its digest differs"),
        (_delete_in_mlflow, "run", "was deleted in MLflow"),
        (_edit_lock, "environment", "is not the lock file that run"),
        (_lose_tag, "tag", "is missing"),
        (_lose_snapshot, "snapshot", "neither the tag"),
        (_lose_deployments, "deployment", "deployment 1 is not in the store"),
        (_lose_package, "package", "is not on this machine"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_a_broken_link_is_named_and_the_rest_is_told(
    copy: Traced, breaks: Callable[[Traced], None], link: str, says: str
) -> None:
    breaks(copy)
    verify = ["--verify"] if breaks is _damage else []
    found = copy.json(copy.prediction, *verify, exits=3)
    assert link in links(found)
    assert any(says in each["said"] for each in found["breaks"] if each["link"] == link), found["breaks"]
    assert found["prediction"]["inputs"]
    assert found["origins"][0]["run"] == copy.run
    # A run is told of from what is left, down to its training rows.
    assert "train.parquet" in found["questions"][2]["answer"]


def test_what_is_only_on_the_remote_breaks_nothing(copy: Traced) -> None:
    _lose_cache(copy)
    found = copy.json(copy.prediction)
    assert objects(found)["data/processed/train.parquet"] == "on the remote"


def test_a_remote_that_is_no_folder_is_asked_through_the_projects_own_dvc(
    traced: Traced, project_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", traced.env["HOME"])
    files = {file["path"]: file for file in traced.json("v1")["origins"][0]["files"]}
    train, model = (str(files[path]["md5"]) for path in ("data/processed/train.parquet", "models/model"))
    has = objects_of_dvc.ask(traced.root, project_python, "storage", [train, model, "f" * 32])
    assert {train, model} < has
    assert "f" * 32 not in has
    with pytest.raises(MlprojError, match="`nowhere` could not be asked"):
        objects_of_dvc.ask(traced.root, project_python, "nowhere", [train])


def test_a_clone_tells_the_same_of_an_old_answer(copy: Traced) -> None:
    """The work tree, MLflow's store and the cache are gone; git, the remote and the data folder remain."""
    remote = (copy.root / ".dvc" / "config").read_text(encoding="utf-8")
    clone = copy.root.parent / "clone"
    git(copy.root, "clone", "-q", "--no-local", ".", str(clone), env=copy.env)
    shutil.rmtree(copy.root)
    (clone / ".dvc" / "config").write_text(remote, encoding="utf-8")
    found = copy.json(copy.prediction, root=clone)
    assert objects(found)["models/model"] == "on the remote"
    assert found["origins"][0]["read_from"] == f"tag mlproj/run/{copy.run}"
    assert [each["why"] for each in found["origins"][0]["decisions"]] == [
        "the same bird is in the table twice"
    ]


def test_an_id_that_is_not_in_the_log_still_says_what_was_live(traced: Traced) -> None:
    lost = ids.text(ids.parse(traced.prediction) + 1)
    found = traced.json(lost, exits=3)
    assert links(found) == ["record"]
    assert "version 1 (full, deployment 1)" in found["breaks"][0]["known"]
    assert found["origins"][0]["run"] == traced.run


def test_an_answer_of_a_run_made_before_mlproj_is_told_from_its_record(copy: Traced) -> None:
    foreign = world.record(
        ids.parse(copy.prediction) + (90 << 22), run="d" * 32, version=9, deployment=4, request_id="old"
    )
    world.put(copy.home, [foreign])
    found = copy.json(ids.text(foreign.id), exits=3)
    assert links(found) == ["version", "deployment", "run"]
    assert "made before mlproj" in found["breaks"][2]["said"]
    assert found["prediction"]["output"]["prediction"] == "Yes"
