"""What is read of git, of `dvc.lock` and of DVC's stores."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from mlproj.provenance import history, lineage, snapshot
from mlproj.provenance.objects import Objects
from mlproj.provenance.things import File, Kept

LOCK = {
    "stages": {
        "evaluate": {
            "cmd": "evaluate",
            "deps": [{"path": "models/model", "md5": "m.dir"}],
            "outs": [{"path": "reports/plot.png", "md5": "p"}],
        },
        "train": {
            "cmd": "train",
            "deps": [{"path": "train.parquet", "md5": "t"}],
            "params": {"params.yaml": {"train": {"seed": 1}}},
            "outs": [{"path": "models/model", "md5": "m.dir"}, {"path": "models/run.json", "md5": "r"}],
        },
        "unrelated": {"cmd": "x", "deps": [], "outs": [{"path": "other", "md5": "o"}]},
        "split": {
            "cmd": ["split", "check"],
            "deps": [{"path": "raw.csv", "md5": "c"}],
            "outs": [{"path": "train.parquet", "md5": "t"}],
        },
    }
}


def test_the_stages_of_a_run_stand_in_the_order_in_which_they_led_to_it() -> None:
    found = lineage.of_run(lineage.stages(LOCK))
    assert [stage.name for stage in found] == ["split", "train", "evaluate"]
    assert found[0].command == "split; check"
    assert found[1].params == ("train",)


def test_a_plot_hangs_on_training_and_nothing_on_the_plot() -> None:
    found = lineage.of_run(lineage.stages(LOCK))
    assert [
        path for path in ("reports/plot.png", "models/model", "raw.csv") if lineage.is_aside(found, path)
    ] == ["reports/plot.png"]


@pytest.mark.parametrize(
    "lock", [{}, {"stages": None}, {"stages": {"a": None}}, {"stages": {"a": {"deps": [1]}}}]
)
def test_a_lock_of_another_form_has_no_stages_of_the_run(lock: dict[str, object]) -> None:
    assert lineage.of_run(lineage.stages(lock)) == ()


def kept(store: Path, content: bytes, *, ending: str = "") -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
    path = store / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A repository's root, its cache and its remote."""
    root, remote = tmp_path / "root", tmp_path / "remote"
    (root / ".dvc" / "cache").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        "[core]\n    remote = here\n['remote \"here\"']\n    url = ../../remote\n", encoding="utf-8"
    )
    remote.mkdir()
    return root, root / ".dvc" / "cache", remote


def look(root: Path, md5: str, *, size: int | None = None, verify: bool = False) -> File:
    return Objects(root, verify=verify).look(File(path="x", md5=md5, size=size))


def test_an_object_is_here_on_the_remote_both_or_lost(stores: tuple[Path, Path, Path]) -> None:
    root, cache, remote = stores
    here, there = kept(cache, b"here"), kept(remote, b"there")
    both = kept(cache, b"both")
    kept(remote, b"both")
    assert [look(root, md5).kept for md5 in (here, there, both, "f" * 32)] == [
        Kept.HERE,
        Kept.REMOTE,
        Kept.BOTH,
        Kept.LOST,
    ]


def test_a_folder_is_there_when_all_of_its_files_are(stores: tuple[Path, Path, Path]) -> None:
    root, cache, _ = stores
    files = [kept(cache, content) for content in (b"one", b"two")]
    listing = json.dumps([{"md5": md5, "relpath": md5} for md5 in [*files, "e" * 32]]).encode()
    found = look(root, kept(cache, listing, ending=".dir"))
    assert (found.kept, found.remark) == (Kept.LOST, "in the cache 1 of its 3 files is missing")


def test_a_damaged_object_is_found_by_its_size_and_with_verify_by_its_digest(
    stores: tuple[Path, Path, Path],
) -> None:
    root, cache, _ = stores
    md5 = kept(cache, b"content")
    (cache / "files" / "md5" / md5[:2] / md5[2:]).write_bytes(b"kontent")
    assert look(root, md5, size=7).kept is Kept.HERE
    assert "its digest differs" in look(root, md5, size=7, verify=True).remark
    assert "7 bytes instead of 8" in look(root, md5, size=8).remark


def test_a_remote_that_is_no_folder_is_not_asked(stores: tuple[Path, Path, Path]) -> None:
    root, _, _ = stores
    (root / ".dvc" / "config.local").write_text(
        "['remote \"here\"']\n    url = s3://bucket/data\n", encoding="utf-8"
    )
    assert look(root, "f" * 32).kept is Kept.NOT_ASKED
    asked = Objects(root, asked=frozenset(["f" * 32]))
    assert asked.look(File(path="x", md5="f" * 32)).kept is Kept.REMOTE
    assert asked.look(File(path="x", md5="e" * 32)).kept is Kept.LOST


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a file.txt").write_text("first\n", encoding="utf-8")
    (root / "models").mkdir()
    (root / "models" / "run.json").write_text('{"run_id": "abc"}', encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "One")
    return root


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_files_of_commits_are_read_byte_by_byte_and_folders_are_none(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    (repository / "bytes").write_bytes(b"\r\n\xff blob 3\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Two")
    wanted = [(head, "a file.txt"), (head, "models"), (head, "no such file"), ("HEAD", "bytes")]
    assert history.read(repository, wanted) == [b"first\n", None, None, b"\r\n\xff blob 3\n"]


def test_a_run_is_kept_by_its_tag_its_ref_or_both(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    snapshot.keep(repository, "one", head)
    snapshot.anchor(repository, "one", head)
    snapshot.keep(repository, "two", head)
    snapshot.keep(repository, "started-123", head)
    git(repository, "tag", "-a", "-m", "said", "mlproj/run/three", head)
    found = history.kept_runs(repository)
    assert {run: (each.has_tag, each.has_ref) for run, each in found.items()} == {
        "one": (True, True),
        "two": (False, True),
        "three": (True, False),
    }
    assert {each.commit for each in found.values()} == {head}


def test_a_commit_that_held_a_manifest_is_found_again(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "rm", "-q", "models/run.json")
    git(repository, "commit", "-qm", "Two")
    assert history.mentions(repository, "abc", "models/run.json") == head
    assert history.mentions(repository, "abd", "models/run.json") is None


def test_the_commit_that_replaced_a_run_by_the_next_is_not_taken_for_it(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    (repository / "models" / "run.json").write_text('{"run_id": "abd"}\n')
    git(repository, "commit", "-qam", "Two")
    assert history.mentions(repository, "abc", "models/run.json") == head


def test_an_option_is_no_commit(repository: Path) -> None:
    assert history.commit(repository, "--all") is None
    assert history.commit(repository, "nothing") is None
    found = history.commit(repository, "HEAD")
    assert found is not None
    assert (found.by, found.title) == ("Test User", "One")
