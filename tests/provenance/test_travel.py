"""Real git on both ends: what a plain `git push` and `git fetch` bring."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import git as gitpython
import pytest
from dulwich.config import ConfigFile, StackedConfig

from mlproj.provenance import history, snapshot, travel

RUN = "0123456789abcdef0123456789abcdef"


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(root: Path, name: str) -> str:
    (root / name).write_text(f"{name}\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", name)
    return git(root, "rev-parse", "HEAD")


def refs(root: Path) -> dict[str, str]:
    said = git(root, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in said)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    return tmp_path / "hub.git"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository without a remote, in which a run was kept."""
    git(tmp_path, "init", "-q", "-b", "main", "work")
    root = tmp_path / "work"
    head = committed(root, "code.py")
    snapshot.keep(root, RUN, head)
    snapshot.keep(root, f"{snapshot.STARTED}1", head)
    snapshot.anchor(root, RUN, head)
    return root


def joined(work: Path, hub: Path, name: str = "origin") -> None:
    git(work, "remote", "add", name, str(hub))
    assert travel.look(work).lacking == (name,)
    assert travel.set_up(work) == (name,)
    assert travel.set_up(work) == ()


def test_without_a_remote_there_is_nothing_to_see_to(work: Path) -> None:
    assert travel.set_up(work) == ()
    assert travel.look(work) == travel.Travel(remotes=(), lacking=())


def test_a_plain_push_brings_branch_snapshots_and_tags(work: Path, hub: Path) -> None:
    joined(work, hub)
    git(work, "push")
    assert refs(hub).keys() == {
        "refs/heads/main",
        f"refs/mlproj/runs/{RUN}",
        f"refs/tags/mlproj/run/{RUN}",
    }
    assert travel.look(work) == travel.Travel(remotes=("origin",), lacking=())


def test_other_programs_still_read_the_remotes(work: Path, hub: Path) -> None:
    # MLflow reads them with GitPython, DVC with dulwich; without a remote first, as most first runs are made.
    for urls in ([], [str(hub)]):
        for _ in urls:
            joined(work, hub)
        travel.set_up(work)
        with gitpython.Repo(work) as repository:
            assert [remote.url for remote in repository.remotes] == urls
        config = StackedConfig([ConfigFile.from_path(str(work / ".git/config"))])
        said = config.get((b"remote", b"origin"), b"url") if urls else b""
        assert said == "".join(urls).encode()


def test_a_plain_push_goes_on_pushing_the_current_branch_only(work: Path, hub: Path) -> None:
    joined(work, hub)
    git(work, "push")
    before = refs(hub)["refs/heads/main"]
    committed(work, "more.py")
    git(work, "switch", "-qc", "idea")
    git(work, "push")
    assert refs(hub)["refs/heads/main"] == before
    assert refs(hub)["refs/heads/idea"] == refs(work)["refs/heads/idea"]
    git(work, "push", "origin", "main")
    assert refs(hub)["refs/heads/main"] == refs(work)["refs/heads/main"]


def test_an_outcome_that_was_kept_anew_takes_the_place_of_the_one_before(work: Path, hub: Path) -> None:
    joined(work, hub)
    git(work, "push")
    later = committed(work, "more.py")
    snapshot.keep(work, RUN, later)
    snapshot.anchor(work, RUN, later)
    git(work, "push")
    assert refs(hub)[f"refs/mlproj/runs/{RUN}"] == refs(hub)[f"refs/tags/mlproj/run/{RUN}"] == later


def test_a_fetch_that_prunes_brings_the_runs_of_others_and_takes_none_of_ours(
    work: Path, hub: Path, tmp_path: Path
) -> None:
    joined(work, hub)
    git(work, "push")
    git(tmp_path, "clone", "-q", str(hub), "other")
    other = tmp_path / "other"
    assert travel.set_up(other) == ("origin",)
    theirs = snapshot.keep(other, "fedcba98", git(other, "rev-parse", "HEAD")).rpartition("/")[2]
    git(other, "push")
    git(work, "push", str(hub), f":refs/mlproj/runs/{RUN}")
    git(work, "fetch", "--prune")
    assert refs(work).keys() >= {f"refs/mlproj/runs/{RUN}", f"refs/mlproj/fetched/{theirs}"}
    assert snapshot.outcome(work, theirs) is not None
    assert {RUN, theirs} <= history.kept_runs(work).keys()


def test_every_remote_is_seen_to(work: Path, hub: Path) -> None:
    joined(work, hub)
    joined(work, hub, "team")
    git(work, "push", "team")
    assert f"refs/mlproj/runs/{RUN}" in refs(hub)


def test_refspecs_of_the_user_s_own_stay_and_count(work: Path, hub: Path) -> None:
    git(work, "remote", "add", "origin", str(hub))
    git(work, "config", "--add", "remote.origin.push", "refs/heads/main:refs/heads/trunk")
    travel.set_up(work)
    git(work, "push")
    assert refs(hub).keys() == {
        "refs/heads/trunk",
        f"refs/mlproj/runs/{RUN}",
        f"refs/tags/mlproj/run/{RUN}",
    }


def test_where_git_is_told_to_push_otherwise_nothing_is_changed_and_it_is_said(
    tmp_path: Path, hub: Path
) -> None:
    git(tmp_path, "clone", "-q", str(hub), "work")
    git(tmp_path / "work", "config", "push.default", "nothing")
    assert travel.set_up(tmp_path / "work") == ()
    found = travel.look(tmp_path / "work")
    assert found.lacking == ("origin",)
    assert "`push.default` is `nothing`" in found.hindered


def test_what_has_got_to_a_remote_is_asked_of_the_remote(work: Path, hub: Path) -> None:
    joined(work, hub)
    git(work, "push", "-q", "-u", "origin", "main")  # which names a branch, and brings nothing else
    assert travel.arrived(work, "origin") == travel.Arrived(runs=1, there=0)
    git(work, "push", "-q", "origin")
    assert travel.arrived(work, "origin") == travel.Arrived(runs=1, there=1)
    snapshot.keep(work, RUN, committed(work, "more.py"))  # kept anew since
    assert travel.arrived(work, "origin") == travel.Arrived(runs=1, there=0)


def test_a_remote_that_does_not_answer_is_not_waited_for(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(work, "remote", "add", "gone", str(tmp_path / "gone.git"))
    assert travel.arrived(work, "gone") is None
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 2; :")
    git(work, "remote", "add", "slow", "ssh://nobody@localhost/slow.git")
    began = time.monotonic()
    assert travel.arrived(work, "slow", patience_s=0.6) is None
    assert time.monotonic() - began < 30
