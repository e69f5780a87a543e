from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlproj.base.errors import MlprojError
from mlproj.provenance import snapshot


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / ".gitignore").write_text("*.log\n")
    (root / "kept.py").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    return root


def test_a_clean_tree_is_its_own_snapshot(repository: Path) -> None:
    taken = snapshot.take(repository, "a run")
    assert taken.is_head
    assert taken.commit == git(repository, "rev-parse", "HEAD")


def test_a_snapshot_holds_edits_and_new_files_and_touches_nothing(repository: Path) -> None:
    (repository / "kept.py").write_text("two\n")
    git(repository, "add", "kept.py")
    (repository / "kept.py").write_text("three\n")
    (repository / "new.py").write_text("new\n")
    (repository / "noise.log").write_text("ignored\n")
    before = (git(repository, "status", "--porcelain"), git(repository, "diff", "--cached"))
    branch = git(repository, "rev-parse", "main")
    taken = snapshot.take(repository, "a run")
    assert (git(repository, "status", "--porcelain"), git(repository, "diff", "--cached")) == before
    assert git(repository, "rev-parse", "main") == branch
    assert git(repository, "show", f"{taken.commit}:kept.py") == "three"
    assert git(repository, "show", f"{taken.commit}:new.py") == "new"
    assert "noise.log" not in git(repository, "ls-tree", "--name-only", taken.commit)
    assert git(repository, "rev-parse", f"{taken.commit}^") == branch


def test_a_kept_snapshot_outlives_gits_own_cleaning(repository: Path) -> None:
    (repository / "new.py").write_text("new\n")
    taken = snapshot.take(repository, "a run")
    snapshot.keep(repository, "abc", taken.commit)
    git(repository, "gc", "-q", "--prune=now")
    assert snapshot.holds(repository, taken.commit)
    assert snapshot.outcome(repository, "abc") == taken.commit
    assert snapshot.outcome(repository, "another") is None


def test_an_anchored_run_comes_along_with_a_clone(repository: Path, tmp_path: Path) -> None:
    (repository / "new.py").write_text("new\n")
    taken = snapshot.take(repository, "a run")
    snapshot.anchor(repository, "abc", taken.commit)
    git(tmp_path, "clone", "-q", str(repository), "clone")
    assert snapshot.anchors(tmp_path / "clone") == {"abc"}
    assert snapshot.holds(tmp_path / "clone", taken.commit)


def test_a_snapshot_before_the_first_commit_has_no_parent(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a\n")
    taken = snapshot.take(tmp_path, "a run")
    assert not taken.is_head
    assert git(tmp_path, "rev-list", "--count", taken.commit) == "1"


def test_a_snapshot_is_made_even_where_git_knows_nobody(repository: Path, isolate: Path) -> None:
    (isolate / ".gitconfig").unlink()
    (repository / "new.py").write_text("new\n")
    assert snapshot.holds(repository, snapshot.take(repository, "a run").commit)


def test_a_large_untracked_file_stays_out_and_is_named(repository: Path) -> None:
    (repository / "dump [1].csv").write_bytes(b"0" * 6_000_000)
    (repository / "new.py").write_text("new\n")
    taken = snapshot.take(repository, "a run")
    assert taken.left_out == ("dump [1].csv",)
    assert git(repository, "show", f"{taken.commit}:new.py") == "new"
    assert "dump" not in git(repository, "ls-tree", "--name-only", taken.commit)


def test_outside_git_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlprojError, match="not in a git repository") as caught:
        snapshot.take(tmp_path, "a run")
    assert "git init" in caught.value.hint
