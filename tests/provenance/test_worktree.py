from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlproj.base.errors import ToolError
from mlproj.provenance import snapshot, worktree


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project in a subfolder of its repository, with a hook that would be noticed."""
    root = tmp_path / "repository"
    (root / "project").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / "project" / "code.py").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/hooked'\n")
    hook.chmod(0o755)
    return root


def test_a_checkout_of_its_own_touches_nothing_and_is_gone_afterwards(
    repository: Path, tmp_path: Path
) -> None:
    project = repository / "project"
    before = git(repository, "rev-parse", "HEAD")
    (project / "code.py").write_text("two\n")
    with worktree.place("run") as aside, worktree.added(project, aside / "tree", before) as tree:
        assert tree == aside / "tree" / "project"
        assert (tree / "code.py").read_text() == "one\n"
    assert not aside.exists()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert (project / "code.py").read_text() == "two\n"
    assert git(repository, "status", "--porcelain") == "M project/code.py"
    assert not (tmp_path / "hooked").exists()


def test_what_is_to_be_kept_stays_until_the_user_deletes_it(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    with (
        worktree.place("run", keep=True) as aside,
        worktree.added(repository, aside / "tree", commit, keep=True),
    ):
        pass
    with worktree.place("run"):
        assert (aside / "tree" / "project" / "code.py").exists()


def test_what_a_killed_process_left_is_cleared_by_the_next(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    program = (
        "import os; from pathlib import Path; from mlproj.provenance import worktree as w\n"
        f"with w.place('run') as aside, w.added(Path({str(repository)!r}), aside / 'tree', {commit!r}):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert len(list(worktree.folders().iterdir())) == 1
    with worktree.place("run") as aside, worktree.added(repository, aside / "tree", commit):
        assert [folder.name for folder in worktree.folders().iterdir()] == [aside.name]
        assert git(repository, "worktree", "list").count("\n") == 1


def test_a_clone_brings_the_snapshots_that_a_plain_one_does_not(repository: Path, tmp_path: Path) -> None:
    snapshot.keep(repository, "0123abcd", git(repository, "rev-parse", "HEAD"))
    worktree.clone(str(repository), tmp_path / "clone")
    assert snapshot.outcome(tmp_path / "clone", "0123abcd") is not None
    with pytest.raises(ToolError, match="could not be cloned"):
        worktree.clone(str(tmp_path / "none"), tmp_path / "other")


def test_a_clone_of_a_server_that_waits_for_another_branch_has_the_files(
    repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "elsewhere", "hub.git")
    git(repository, "push", "-q", str(tmp_path / "hub.git"), "HEAD:refs/heads/ours")
    worktree.clone(str(tmp_path / "hub.git"), tmp_path / "clone")
    assert git(tmp_path / "clone", "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    worktree.clone(
        str(tmp_path / "empty.git"), tmp_path / "nothing"
    )  # which has no project is said by others
