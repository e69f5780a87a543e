"""A thousand answers given again, and what is said where that cannot be, or is not what it was.

One project is deployed and asked once. Each test that breaks something does it to a copy.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlproj.serving import package, replaying
from mlproj.serving.deployment import Place, Version
from mlproj.serving.store import Store
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live, Serve, git
from tests.support import run_mlproj

ROWS = 1000
_AT_ONCE = 50


@dataclass
class Answered:
    """A project that has answered, with its work tree, its data folder and its remote side by side."""

    root: Path
    env: dict[str, str]
    home: Path
    prediction: str
    refused: str
    run: str

    @property
    def remote(self) -> Path:
        return self.root.parent / "remote"

    def replay(self, *words: str | Path, root: Path | None = None) -> subprocess.CompletedProcess[str]:
        return run_mlproj("replay", *words, cwd=root or self.root, env=self.env)

    def json(self, *words: str | Path, exits: int = 0, root: Path | None = None) -> Any:
        done = self.replay(*words, "--json", root=root)
        assert done.returncode == exits, done.stdout + done.stderr
        return json.loads(done.stdout)

    def alter(self, statement: str, *values: Any, log: bool = False) -> None:
        """Change the store of deployments, or today's log, as nobody should."""
        file = next(self.home.glob("log/*.db")) if log else self.home / "serving.db"
        with closing(sqlite3.connect(file)) as opened:
            assert opened.execute(statement, values).rowcount > 0
            opened.commit()


def requests(live: Live, count: int) -> list[dict[str, Any]]:
    """Rows of the raw table, as a client would send them, over and over."""
    inputs = {entry["name"]: entry for entry in live.package()["inputs"]}
    with (live.root / "data" / "raw" / "penguins_raw.csv").open(encoding="utf-8", newline="") as stream:
        raw = list(csv.DictReader(stream))

    def value(name: str, text: str) -> Any:
        if text in ("", "NA"):
            return None
        return float(text) if inputs[name]["kind"] == "number" else text

    rows = [{name: value(name, row[name]) for name in inputs} for row in raw]
    rows = [row for row in rows if all(row[name] is not None or inputs[name]["nullable"] for name in inputs)]
    return (rows * (count // len(rows) + 1))[:count]


@pytest.fixture(scope="module")
def answered(place_for_all: Serve) -> Answered:
    live = place_for_all()
    live.deploy()
    rows = requests(live, ROWS)
    first = live.ask("/predict", rows[0]).json()["prediction_id"]
    assert live.ask("/predict", rows[1]).status == 200
    for at in range(2, ROWS, _AT_ONCE):
        assert live.ask("/predict", rows[at : at + _AT_ONCE]).status == 200
    refused = live.ask("/predict", {"nothing": 1})
    assert refused.status == 422
    home = live.home
    run_id = str(live.package()["run_id"])
    live.must("serve", "--stop")
    return Answered(live.root, dict(live.env), home, first, refused.headers["x-prediction-id"], run_id)


@pytest.fixture
def copy(answered: Answered, tmp_path: Path) -> Answered:
    """The same with a work tree, a data folder and a remote (so far empty) of its own, to be broken."""
    data = tmp_path / "data"
    home = data / "mlproj" / answered.home.name
    shutil.copytree(answered.home, home, symlinks=True)
    root = shutil.copytree(answered.root, tmp_path / "penguins", symlinks=True)
    (tmp_path / "remote").mkdir()
    config = root / ".dvc" / "config"
    lines = config.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith("url ="))
    lines[at] = f"    url = {tmp_path / 'remote'}"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    env = {**answered.env, "XDG_DATA_HOME": str(data)}
    found = Answered(root, env, home, answered.prediction, answered.refused, answered.run)
    # Where versions lie is kept as whole paths, which are those of the project that this is a copy of.
    found.alter("UPDATE places SET folder = replace(folder, ?, ?)", str(answered.home), str(home))
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("replayed")
class TestAThousandAnswers:
    def test_all_are_given_again_by_both_engines_with_the_same_decision(self, answered: Answered) -> None:
        found = answered.json("--since", "2020-01-01", "--sample", str(2 * ROWS))
        assert (found["holds"], found["served"], found["replayed"], found["left"]) == (True, ROWS, ROWS, 0)
        assert found["aside"] == {"refused": 1}
        for engine in ("answered", "original"):
            tally = found["engines"][engine]
            assert sum(tally["verdicts"].values()) == ROWS
            assert tally["verdicts"]["DIFFERENT"] == tally["verdicts"]["same decision"] == 0
            assert tally["largest_difference"] <= found["tolerance"]
        (setting,) = found["settings"]
        assert (setting["grade"], setting["differs"]) == ("exact", [])
        assert setting["package"] == setting["deployed"]

    def test_a_sample_is_the_same_one_for_the_same_seed(self, answered: Answered) -> None:
        done = answered.replay("--version", "1", "--sample", "7", "--seed", "3")
        assert done.returncode == 0, done.stderr
        assert f"7 of {ROWS:,} answers replayed, by version 1 (seed 3)" in done.stdout
        assert "aside: 1 refused" in done.stdout

    def test_people_read_the_verdict_first_and_what_it_was_reached_in(self, answered: Answered) -> None:
        done = answered.replay(answered.prediction)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"prediction {answered.prediction} of penguins: identical\n")
        assert "again, engine original:" in done.stdout
        assert "the one deployed (on this machine)" in done.stdout
        assert "environment: exact" in done.stdout

    def test_a_drill_replays_a_sample_rebuilds_a_run_and_keeps_how_often_drills_succeed(
        self, copy: Answered
    ) -> None:
        words = ("drill", "--sample", "20", "--reproduce")
        done = run_mlproj(*words, "--seed", "1", cwd=copy.root, env=copy.env)
        assert done.returncode == 0, done.stderr
        assert "20 of 20 predictions agreed: 20 identical" in done.stdout
        assert f"run {copy.run[:8]}: same learned parameters" in done.stdout
        assert "1 of 1 drill passed (100.0%)" in done.stdout
        _lose_objects(copy)
        # As after a crash in the middle of a line.
        with (copy.home / "drills.jsonl").open("a", encoding="utf-8") as stream:
            stream.write('{"at": "2026-\n')
        done = run_mlproj(*words, "--json", cwd=copy.root, env=copy.env)
        assert done.returncode == 3, done.stderr
        said = json.loads(done.stdout)
        assert (said["drills"], said["passed"], said["rate"]) == (2, 1, 0.5)
        failed = said["past"][1]
        assert (failed["asked"], failed["agreed"], failed["passes"]) == (20, 0, False)
        assert "is neither in DVC's cache nor on the remote" in failed["lacks"][0]
        before, after = (each["rebuilt"] for each in said["past"])
        assert (before["run"], before["is_reproduced"]) == (copy.run, True)
        assert (after["run"], after["is_reproduced"], after["level"]) == (copy.run, False, None)
        assert any("penguins_raw.csv" in lack for lack in after["lacks"])
        shown = run_mlproj("drill", "--list", cwd=copy.root, env=copy.env)
        assert (shown.returncode, "1 of 2 drills passed (50.0%)" in shown.stdout) == (0, True)

    @pytest.mark.parametrize(
        ("words", "exits", "says"),
        [
            (("0000000000000",), 3, "prediction `0000000000000` is not in the log"),
            (("nonsense",), 2, "`nonsense` is not the id of a prediction"),
            ((), 2, "nothing says which predictions to replay"),
            (("0000000000000", "--version", "1"), 2, "one prediction is replayed by its id"),
            (("--since", "yesterday"), 2, "`--since yesterday` is not a time"),
        ],
    )
    def test_what_cannot_be_replayed_is_said_with_an_exit_code(
        self, answered: Answered, words: tuple[str, ...], exits: int, says: str
    ) -> None:
        done = answered.replay(*words)
        assert (done.returncode, says in done.stdout + done.stderr) == (exits, True), (
            done.stdout + done.stderr
        )

    def test_an_attempt_that_was_refused_has_no_answer_to_give_again(self, answered: Answered) -> None:
        done = answered.replay(answered.refused)
        assert done.returncode == 3
        assert "was no answer: the attempt ended with status 422" in done.stdout
        assert "missing_field" in done.stdout

    def test_the_version_that_is_live_now_is_asked_too(self, copy: Answered) -> None:
        with Store(copy.home / "serving.db") as store:
            known = store.version(1)
            assert known is not None
            place = store.place(known)
            assert place is not None
            second = Version(number=2, run=known.run, digest=known.digest, engine="numpy", added_us=1)
            folder = shutil.copytree(place.folder, place.folder.with_name(f"2-{known.digest[:12]}"))
            store.add_version(
                second, Place(version=2, digest=known.digest, folder=folder, python=place.python)
            )
        copy.alter("UPDATE routes SET version = 2 WHERE role = 'primary'")
        found = copy.json(copy.prediction)
        assert found["today"]["version"] == 2
        assert found["today"]["answer"]["prediction"] == found["prediction"]["answered"]["prediction"]

    def test_an_answer_that_does_not_agree_is_told_with_by_how_much_and_where_to_look(
        self, copy: Answered
    ) -> None:
        answers = copy.json(copy.prediction)["prediction"]["answered"]["probabilities"]
        first, *others = answers
        told = dict.fromkeys(others, 0.25) | {first: 0.5}
        output = json.dumps({"prediction": others[0], "confidence": 0.5, "probabilities": told})[1:-1]
        copy.alter("UPDATE prediction SET output = ? WHERE row = 7", output, log=True)
        # Redeployed since, from another package, as far as the store knows.
        copy.alter("UPDATE deployments SET plan = json_set(plan, '$.package', ?)", "f" * 64)
        found = copy.json("--since", "2020-01-01", exits=3)
        verdicts = found["engines"]["answered"]["verdicts"]
        # Some had that very label, and differ by their probabilities only.
        assert verdicts["DIFFERENT"] + verdicts["same decision"] == ROWS // _AT_ONCE
        assert len(found["different"]) == verdicts["DIFFERENT"] > 0
        worst = found["different"][0]
        assert worst["difference"] == pytest.approx(0.75, abs=0.05)
        assert f"instead of `{others[0]}`" in worst["again"][0]["agreement"]["said"]
        assert worst["difference"] >= found["different"][-1]["difference"]
        (setting,) = found["settings"]
        assert setting["suspects"][0].startswith("model: package")
        shown = copy.replay("--since", "2020-01-01").stdout
        assert f"{verdicts['DIFFERENT']} predictions differ, the worst first" in shown
        assert "NOT the one deployed, which was ffffffffffff" in shown


def _lose_copies(copy: Answered) -> None:
    shutil.rmtree(copy.home / "versions")


def _damage_copy(copy: Answered) -> None:
    (damaged,) = copy.home.glob("versions/*/engines/numpy/*.json")
    damaged.write_text("{}", encoding="utf-8")


def _lose_objects(copy: Answered) -> None:
    _lose_copies(copy)
    shutil.rmtree(copy.root / ".dvc" / "cache")


def _lose_snapshot(copy: Answered) -> None:
    _lose_copies(copy)
    git(copy.root, "update-ref", "-d", f"refs/tags/mlproj/run/{copy.run}", env=copy.env)
    git(copy.root, "update-ref", "-d", f"refs/mlproj/runs/{copy.run}", env=copy.env)


def _edit_lock(copy: Answered) -> None:
    """The tag of the run moved to a commit with another lock file than it had."""
    with (copy.root / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("newcomer==1.0\n")
    git(copy.root, "commit", "-qam", "Edited", env=copy.env)
    git(copy.root, "update-ref", f"refs/tags/mlproj/run/{copy.run}", "HEAD", env=copy.env)
    git(copy.root, "update-ref", f"refs/mlproj/runs/{copy.run}", "HEAD", env=copy.env)


def _damage_object(copy: Answered) -> None:
    """The package is gone here, and a file of it in DVC's cache is not what it was."""
    (kept,) = copy.home.glob("versions/*/engines/numpy/*.json")
    md5 = hashlib.md5(kept.read_bytes(), usedforsecurity=False).hexdigest()
    _lose_copies(copy)
    damaged = copy.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    damaged.chmod(0o644)
    damaged.write_text("{}", encoding="utf-8")
    # As a disk does it, unseen: what can be written to, DVC would look at again.
    damaged.chmod(0o444)


def _lose_remote(copy: Answered) -> None:
    _lose_objects(copy)
    copy.remote.rmdir()


def _lose_lock(copy: Answered) -> None:
    """Another lock file, and none of the commits that had the one of the run."""
    (copy.root / "requirements.lock").write_text("numpy==1.0\n", encoding="utf-8")
    git(copy.root, "update-ref", "-d", f"refs/tags/mlproj/run/{copy.run}", env=copy.env)
    git(copy.root, "update-ref", "-d", f"refs/mlproj/runs/{copy.run}", env=copy.env)


@pytest.mark.slow
@pytest.mark.xdist_group("replayed")
class TestWhatIsLost:
    @pytest.mark.parametrize(
        ("breaks", "said"),
        [(_lose_copies, None), (_damage_copy, "the copy of version 1 on this machine is damaged")],
        ids=["lost", "damaged"],
    )
    def test_a_package_that_is_gone_here_comes_from_dvc_by_the_snapshot_of_its_run(
        self, copy: Answered, breaks: Callable[[Answered], None], said: str | None
    ) -> None:
        breaks(copy)
        before = git(copy.root, "status", "--porcelain", env=copy.env)
        found = copy.json(copy.prediction)
        assert found["prediction"]["verdict"] == "identical"
        (setting,) = found["settings"]
        assert setting["package"] == setting["deployed"]
        assert setting["package_from"].startswith("by DVC, from the snapshot of run")
        assert (said is None) == (found["notes"] == [])
        assert said is None or said in found["notes"][0]
        assert git(copy.root, "status", "--porcelain", env=copy.env) == before

    @pytest.mark.parametrize(
        ("breaks", "link", "says", "knows"),
        [
            (_lose_objects, "object", "is neither in DVC's cache nor on the remote", "`models/model`"),
            (_lose_remote, "remote", "is not there", "`models/model`"),
            (_lose_snapshot, "package", "no snapshot of run", "its record says"),
            (_damage_object, "object", "is not the file that was packaged", "`models/model`"),
            (_lose_lock, "environment", "its commit is not in this repository", "Python 3."),
            (_edit_lock, "environment", "is not the lock file that it had", "Python 3."),
        ],
        ids=lambda value: value.__name__.strip("_") if callable(value) else None,
    )
    def test_a_link_that_is_broken_is_named_with_what_is_known_all_the_same(
        self, copy: Answered, breaks: Callable[[Answered], None], link: str, says: str, knows: str
    ) -> None:
        breaks(copy)
        found = copy.json(copy.prediction, exits=3)
        (broken,) = found["breaks"]
        assert broken["link"] == link
        assert says in broken["said"]
        assert knows in broken["known"]
        assert (found["replayed"], found["left"]) == (0, 1)
        assert [setting["grade"] for setting in found["settings"]] == ["unavailable"]

    def test_inputs_that_were_not_recorded_and_a_log_that_cannot_be_read_are_told(
        self, copy: Answered
    ) -> None:
        copy.alter("UPDATE prediction SET features = ? WHERE row < 49", b"", log=True)
        found = copy.json("--since", "2020-01-01", exits=3)
        (broken,) = found["breaks"]
        assert broken["link"] == "record"
        assert f"the inputs of {found['left']:,} predictions are not in the log" in broken["said"]
        assert (found["replayed"] + found["left"], found["replayed"] > 0) == (ROWS, True)
        (log,) = copy.home.glob("log/*.db")
        for file in copy.home.glob("log/*.db-*"):
            file.unlink()
        log.write_bytes(b"no database" * 1000)
        for words in (["--since", "2020-01-01"], [copy.prediction]):
            (broken,) = copy.json(*words, exits=3)["breaks"]
            assert (broken["link"], "cannot be read" in broken["said"]) == ("log", True)

    def test_another_clone_gives_the_same_answers_after_the_lock_file_has_changed(
        self, copy: Answered, project_python: Path
    ) -> None:
        """Work tree, cache and copies are gone; git, the remote and the data folder remain."""
        done = subprocess.run(
            [project_python.parent / "dvc", "push", "-q", "models/package"],
            cwd=copy.root,
            env={**copy.env, "PATH": f"{project_python.parent}:{copy.env['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # A damaged object of the cache does no harm while the remote has it.
        _damage_object(copy)
        assert "DVC's cache is damaged" in copy.json(copy.prediction)["notes"][-1]
        lock = copy.root / "requirements.lock"
        lock.write_text(lock.read_text(encoding="utf-8") + "newcomer==1.0\n", encoding="utf-8")
        git(copy.root, "commit", "-qam", "Another environment, and the remote", env=copy.env)
        clone = copy.root.parent / "clone"
        git(copy.root, "clone", "-q", "--no-local", ".", str(clone), env=copy.env)
        shutil.rmtree(copy.root)
        found = copy.json("--since", "2020-01-01", "--sample", "50", root=clone)
        assert (found["holds"], found["replayed"]) == (True, 50)
        (setting,) = found["settings"]
        # The interpreter has all that the lock file of then asks for, so it is that environment.
        assert (setting["grade"], setting["package"]) == ("exact", setting["deployed"])


def test_a_worker_that_answers_otherwise_than_packaged_says_so_and_answers(tmp_path: Path) -> None:
    folder = toys.package(tmp_path, 25)
    said = json.loads((folder / package.NAME).read_text(encoding="utf-8"))
    said["recorded"]["probabilities"] = [[0.5, 0.5]]
    (folder / package.NAME).write_text(json.dumps(said), encoding="utf-8")
    rows = [json.dumps(toys.ROW).encode()] * 200
    with replaying.asked(Path(sys.executable), folder, digest=None, engine="numpy") as line:
        answers = line.ask(rows)
    assert "recorded row 0 had probabilities [0.5, 0.5], this engine says [0.75, 0.25]" in line.differs
    assert [answer.status for answer in answers] == [200] * 200
