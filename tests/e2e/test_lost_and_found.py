"""Everything that can be lost is lost, and the first run is built again from what was pushed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Tool
from tests.e2e.serving.conftest import Live, free_port
from tests.people import fill_datasheet, fill_scoping
from tests.support import Run, fenced, made_once, run_mlproj

pytestmark = pytest.mark.slow

RAW = "data/raw/penguins_raw.csv"


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(["git", *words], cwd=root, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def run_of(root: Path) -> str:
    return str(json.loads((root / "models" / "run.json").read_text(encoding="utf-8"))["run_id"])


@dataclass(frozen=True)
class Place:
    """A repository whose run was pushed: the work tree, the repository it was pushed to, DVC's remote."""

    root: Path
    hub: Path
    remote: Path
    run: str

    def objects(self, md5: str) -> list[Path]:
        """Where the content of that digest lies, in the cache and on the remote."""
        stores = (self.root / ".dvc" / "cache", self.remote)
        return [store / "files" / "md5" / md5[:2] / md5[2:] for store in stores]


@pytest.fixture(scope="session")
def published(trained: Path, tmp_path_factory: pytest.TempPathFactory, project_python: Path) -> Path:
    """The trained repository, pushed by git and by DVC."""

    def make(folder: Path) -> None:
        (folder / "home").mkdir()
        path = f"{project_python.parent}{os.pathsep}{os.environ['PATH']}"
        env = {**fenced(folder / "home"), "PATH": path}
        root = shutil.copytree(trained, folder / "work", symlinks=True)
        git(folder, "init", "-q", "--bare", "-b", "main", "hub.git", env=env)
        git(root, "remote", "add", "origin", "../hub.git", env=env)
        assert "`git push` to `origin` brings" in run_mlproj("stage", "scoping", cwd=root, env=env).stderr
        git(root, "push", env=env)
        subprocess.run(["dvc", "push", "--quiet"], cwd=root, env=env, check=True)

    return made_once(tmp_path_factory, "published", make)


@pytest.fixture
def place(published: Path, isolate: Path, tmp_path: Path) -> Place:
    """A published repository of the test's own."""
    for name in ("work", "hub.git"):
        shutil.copytree(published / name, tmp_path / name, symlinks=True)
    data = isolate / ".local"
    shutil.copytree(published / "home" / ".local", data, symlinks=True)
    (remote,) = data.glob("share/mlproj/*/dvc")
    root = tmp_path / "work"
    return Place(root=root, hub=tmp_path / "hub.git", remote=remote, run=run_of(root))


ROWS = 1000
_AT_ONCE = 100
CHURN = "data/raw/telco_churn.csv"


def asked(live: Live, count: int) -> list[dict[str, object]]:
    """Rows of the raw table, as a client would send them."""
    inputs = {entry["name"]: entry for entry in live.package()["inputs"]}
    with (live.root / CHURN).open(encoding="utf-8", newline="") as stream:
        raw = list(csv.DictReader(stream))[:count]

    def value(name: str, text: str) -> object:
        if not text.strip():
            return None
        return float(text) if inputs[name]["kind"] == "number" else text

    return [{name: value(name, row[name]) for name in inputs} for row in raw]


@pytest.fixture
def churn(
    tmp_path: Path, isolate: Path, mlproj: Run, shared_data: Path, project_python: Path
) -> Iterator[Live]:
    """A model of the telco table that has answered, as a team leaves it: committed and pushed."""
    manager = ("--env-manager", "none", "--interpreter", project_python, "--defaults")
    table = ("--data", shared_data / "telco_churn.csv", "--target", "Churn")
    assert mlproj("new", "churn", *table, *manager, cwd=tmp_path).returncode == 0
    root = tmp_path / "churn"
    fill_scoping(root)
    fill_datasheet(root)
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    git(root, "remote", "add", "origin", str(tmp_path / "hub.git"))
    assert mlproj("approve", "--role", "owner", cwd=root).returncode == 0
    for phase in ("scoping", "data"):
        assert mlproj("stage", phase, cwd=root).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Data")
    for phase in ("modeling", "deployment"):
        done = mlproj("stage", phase, cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Trained and packaged")
    url = f"http://127.0.0.1:{free_port()}"
    live = Live(root, isolate / ".local" / "share", url, dict(os.environ))
    yield live
    if root.exists():  # else it was stopped before it was lost
        live.stop()


def test_the_first_run_survives_when_all_but_the_data_folder_and_the_remotes_is_lost(
    churn: Live, mlproj: Run, tool: Tool, tmp_path: Path
) -> None:
    root, run = churn.root, run_of(churn.root)
    churn.deploy()
    rows = asked(churn, ROWS)
    first = churn.ask("/predict", rows[:_AT_ONCE]).json()
    for at in range(_AT_ONCE, ROWS, _AT_ONCE):
        assert churn.ask("/predict", rows[at : at + _AT_ONCE]).status == 200
    prediction = re.findall(r'"prediction_id": "(\w+)"', json.dumps(first))[0]
    churn.must("serve", "--stop")

    # Code, data, recipe and lock go on; all of it is pushed, and then lost.
    assert tool(root, "dvc", "push").returncode == 0
    edit(root / "churn" / "features.py", "def make_transformer", "RENAMED = 1\n\n\ndef make_transformer")
    lines = (root / CHURN).read_text(encoding="utf-8").splitlines(keepends=True)
    (root / CHURN).unlink()
    (root / CHURN).write_text("".join(lines[:5000]), encoding="utf-8")
    assert tool(root, "dvc", "add", CHURN).returncode == 0
    edit(root / "params.yaml", "max_iter: 150", "max_iter: 20")
    with (root / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("newcomer==1.0\n")
    git(root, "commit", "-qam", "All is different now", "--no-verify")
    git(root, "push")
    assert tool(root, "dvc", "push", CHURN).returncode == 0
    shutil.rmtree(root)
    git(tmp_path, "clone", "-q", str(tmp_path / "hub.git"), "elsewhere")
    clone = tmp_path / "elsewhere"
    assert not (clone / "mlflow.db").exists()
    assert not (clone / ".dvc" / "cache").exists()

    traced = mlproj("trace", prediction, cwd=clone)
    assert traced.returncode == 0, traced.stdout
    assert f"run {run}" in traced.stdout
    replayed = mlproj("replay", "--since", "2020-01-01", "--sample", str(2 * ROWS), "--json", cwd=clone)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    said = json.loads(replayed.stdout)
    assert (said["holds"], said["replayed"]) == (True, ROWS)
    for engine in said["engines"].values():
        assert engine["verdicts"]["DIFFERENT"] == engine["verdicts"]["same decision"] == 0
    rebuilt = mlproj("reproduce", prediction, "--json", cwd=clone)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    found = json.loads(rebuilt.stdout)
    assert (found["run"], found["level"]["number"]) == (run, 1)
    assert found["predictions"]["differ"] == 0
    assert any("MLflow store `mlflow.db` is gone" in note for note in found["notes"])


def test_a_run_of_untracked_files_is_rebuilt_in_uv_s_environment_when_only_the_remotes_are_left(
    place: Place, mlproj: Run, tool: Tool, tmp_path: Path, isolate: Path
) -> None:
    root = place.root
    # From now on uv makes the environment, here and in the run's snapshot; at the last commit nobody does.
    edit(root / "mlproj.toml", 'env_manager = "none"', 'env_manager = "uv"')
    (root / "penguins" / "weights.py").write_text("MINE = {'learning_rate': 0.07}\n", encoding="utf-8")
    train = root / "penguins" / "modeling" / "train.py"
    edit(train, "from penguins import config, tracking\n", "from penguins import config, tracking, weights\n")
    edit(train, 'params["train"].get(model, {})', '{**params["train"].get(model, {}), **weights.MINE}')
    edit(
        root / "dvc.yaml",
        "      - penguins/modeling/train.py\n",
        "      - penguins/modeling/train.py\n      - penguins/weights.py\n",
    )
    worked = mlproj("stage", "modeling", cwd=root)
    assert worked.returncode == 0, worked.stdout + worked.stderr
    run = run_of(root)
    assert run != place.run
    assert "?? penguins/weights.py" in git(root, "status", "--porcelain", "--untracked-files=all")
    assert tool(root, "dvc", "push").returncode == 0
    git(root, "push")

    # All goes on, and then all is lost but the two remotes and the data folder.
    (root / "penguins" / "weights.py").unlink()
    git(root, "checkout", "-q", "--", ".")
    git(root, "gc", "-q", "--prune=now")
    shutil.rmtree(root)
    (tmp_path / "empty").mkdir()
    done = mlproj("reproduce", run[:10], "--from", place.hub, "--json", cwd=tmp_path / "empty")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["run"] == run
    assert found["level"]["number"] == 1, found["rungs"]
    assert found["predictions"]["differ"] == 0
    assert all(each["recorded"] == each["rebuilt"] for each in [*found["inputs"], *found["data"]])
    # From the lock file of then, and not the interpreter that is named.
    (built,) = (isolate / ".cache" / "mlproj" / "environments").glob("*/bin/python")
    assert (found["environment"]["grade"], found["environment"]["python"]) == ("exact", str(built))
    assert "building the environment of that version from `requirements.lock`" in done.stderr
    assert "**Reproduced: same" in Path(found["report"]).read_text(encoding="utf-8")
    assert not list((tmp_path / "empty").iterdir())


def test_a_rebuilt_run_leaves_everything_of_the_user_s_as_it_was(
    place: Place, mlproj: Run, isolate: Path
) -> None:
    root = place.root
    with closing(sqlite3.connect(root / "mlflow.db")) as store, store:
        store.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (place.run,))
    # What is in the cache is damaged, what is on the remote is whole; code and data have gone on since.
    cached, _ = place.objects(md5_of(root, RAW))
    cached.chmod(0o644)
    cached.write_bytes(cached.read_bytes().replace(b"Adelie", b"Gentoo", 1))
    (root / RAW).write_text("another table\n", encoding="utf-8")
    (root / "penguins" / "modeling" / "train.py").write_text("print('broken since')\n", encoding="utf-8")
    edit(root / "params.yaml", "seed: 20", "seed: 21")
    git(root, "add", "params.yaml")
    before = state(root)
    done = mlproj("reproduce", "1", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"run {place.run[:8]}: reproduced: same" in done.stdout
    assert "the run was deleted in MLflow" in done.stdout
    assert state(root) == before
    (row,) = re.findall(r"MLflow: run (\w+)", done.stdout)
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        tags = dict(
            store.execute("SELECT key, value FROM tags WHERE run_uuid LIKE ?", (f"{row}%",)).fetchall()
        )
    assert tags["reproduction.of"] == place.run
    assert tags["reproduction.reproduced"] == "true"
    assert list((isolate / ".cache" / "mlproj" / "reproductions").iterdir()) == []
    traced = mlproj("trace", place.run, cwd=root)
    assert traced.returncode == 3
    assert f"run: run `{place.run}` was deleted in MLflow" in traced.stdout


def test_ctrl_c_leaves_nothing_of_a_reproduction(place: Place, isolate: Path) -> None:
    before = state(place.root)
    with subprocess.Popen(
        [sys.executable, "-m", "mlproj", "reproduce", place.run],
        cwd=place.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stderr is not None
        assert any("Running stage" in line for line in child.stderr)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to every process in the foreground
        assert "interrupted" in child.stderr.read()
    assert child.returncode == 130
    assert state(place.root) == before
    assert list((isolate / ".cache" / "mlproj" / "reproductions").iterdir()) == []


def state(root: Path) -> dict[str, str]:
    """All that a reproduction could have changed, what it may change (MLflow's store) aside."""
    cache = sorted(str(path) for path in (root / ".dvc" / "cache").rglob("*") if path.is_file())
    return {
        "status": git(root, "status", "--porcelain", "--untracked-files=all"),
        "staged": git(root, "diff", "--cached"),
        "refs": git(root, "for-each-ref"),
        "head": (root / ".git" / "HEAD").read_text(encoding="utf-8"),
        "work trees": git(root, "worktree", "list"),
        "config": (root / ".dvc" / "config").read_text(encoding="utf-8"),
        "cache": "\n".join(cache),
    }


def md5_of(root: Path, path: str) -> str:
    (found,) = re.findall(r"md5: (\w+)", (root / f"{path}.dvc").read_text(encoding="utf-8"))
    return str(found)


# Each link in turn


def broken(mlproj: Run, root: Path, word: str) -> list[dict[str, str]]:
    """The broken links that `mlproj reproduce` names, which is an answer and no accident."""
    done = mlproj("reproduce", word, "--json", cwd=root)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["breaks"]
    assert found
    return found


def test_a_remote_that_is_gone_is_named(place: Place, mlproj: Run) -> None:
    shutil.rmtree(place.remote)
    shutil.rmtree(place.root / ".dvc" / "cache")
    remote, lost = broken(mlproj, place.root, place.run)
    assert remote["link"] == "remote"
    assert "`storage` cannot be reached" in remote["said"]
    assert "dvc remote modify storage url" in remote["hint"]
    assert (lost["link"], RAW in lost["said"]) == ("object", True)


def test_an_object_that_is_lost_here_and_damaged_there_is_named(place: Place, mlproj: Run) -> None:
    cached, there = place.objects(md5_of(place.root, RAW))
    cached.unlink()
    there.chmod(0o644)
    there.write_bytes(b"X" + there.read_bytes()[1:])
    (lost,) = broken(mlproj, place.root, place.run[:8])
    assert lost["link"] == "object"
    assert f"`{RAW}` (MD5 {md5_of(place.root, RAW)})" in lost["said"]
    assert "in the cache it is not there" in lost["said"]
    assert "on the remote `storage` the object is damaged: its digest differs" in lost["said"]
    # DVC would not push over it, since it looks at names only.
    assert f"`rm {there}`, which DVC takes for whole, then `make sync_data_up`" in lost["hint"]


def test_a_snapshot_that_was_not_pushed_is_named(place: Place, mlproj: Run, tmp_path: Path) -> None:
    git(place.root, "push", "origin", f":refs/mlproj/runs/{place.run}", f":refs/tags/mlproj/run/{place.run}")
    git(tmp_path, "clone", "-q", str(place.hub), "clone")
    (lost,) = broken(mlproj, tmp_path / "clone", place.run)
    assert lost["link"] == "snapshot"
    assert f"the tag `mlproj/run/{place.run}`" in lost["said"]
    assert "git fetch" in lost["hint"]
    (unknown,) = broken(mlproj, tmp_path / "clone", "0000aaaa")
    assert unknown["link"] == "run"
    assert "`0000aaaa`" in unknown["said"]


@pytest.mark.parametrize("name", ["requirements.lock", "dvc.lock", "penguins/features.py"])
def test_a_snapshot_that_was_edited_is_named(name: str, place: Place, mlproj: Run, tmp_path: Path) -> None:
    """The tag is moved to a commit that nobody ran, and what was run is nowhere."""
    root = place.root
    path = root / name
    if name == "dvc.lock":
        edit(path, md5_of(root, RAW), "0" * 32)
    else:
        path.write_text(f"# edited\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    git(root, "add", "-A")
    orphan = git(root, "commit-tree", git(root, "write-tree"), "-m", "Edited")
    git(root, "push", "origin", f"+{orphan}:refs/heads/main", f"+{orphan}:refs/tags/mlproj/run/{place.run}")
    git(tmp_path, "clone", "-q", f"file://{place.hub}", "clone")
    (lost,) = broken(mlproj, tmp_path / "clone", place.run)
    link, said = {
        "requirements.lock": ("environment", "`requirements.lock` in the snapshot is not the lock file that"),
        "dvc.lock": ("pipeline", f"`{RAW}`: the manifest says MD5 {md5_of(root, RAW)}"),
        "penguins/features.py": ("code", f"`{name}` in the snapshot is not what run"),
    }[name]
    assert (lost["link"], said in lost["said"]) == (link, True), lost


def test_without_a_run_to_rebuild_the_word_is_refused_with_those_there_are(place: Place, mlproj: Run) -> None:
    done = mlproj("reproduce", "yesterday's", cwd=place.root)
    assert done.returncode == 2
    assert "`yesterday's` is no run, version or prediction of penguins" in done.stderr
    assert place.run[:8] in done.stderr
    (unknown,) = broken(mlproj, place.root, "v7")
    assert unknown["link"] == "version"
    assert "the versions are 1" in unknown["known"]
    (record,) = broken(mlproj, place.root, "0safxhkk40400")
    assert record["link"] == "record"
    assert run_mlproj("reproduce", place.run, "--from", place.root / "none", cwd=place.root).returncode == 4
