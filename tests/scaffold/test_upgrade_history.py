"""Whatever became of the repository's history, an upgrade needs its files alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold import lock
from mlproj.scaffold.copier import Template
from tests.scaffold import upgrading
from tests.scaffold.test_upgrade import changed, yours
from tests.scaffold.upgrading import REPORT, Today, commit, fingerprint, git, put, run, status

REPORT_PATH = "tools/report.py"


def upgraded_on_a_branch(root: Path, template: Template) -> None:
    """Edits on main, an upgrade on a branch with edits of its own, more on main: as a pull request has it."""
    put(root, {REPORT_PATH: yours(3)})
    commit(root, "mine")
    git(root, "switch", "--quiet", "--create", "upgrade")
    assert not run(root, template).conflicts
    commit(root, "upgrade")
    put(root, {REPORT_PATH: yours(20)})
    commit(root, "mine after it")
    git(root, "switch", "--quiet", "main")
    put(root, {"notes.txt": "meanwhile\n"})
    commit(root, "meanwhile")


MERGES = {
    "a merge commit": ["merge --quiet --no-ff --no-edit upgrade"],
    "a squash": ["merge --quiet --squash upgrade", "commit --quiet --no-verify -m squashed"],
    "a rebase": [
        "switch --quiet upgrade",
        "rebase --quiet main",
        "switch --quiet main",
        "merge --quiet --ff-only upgrade",
    ],
    "an orphaned history": [
        "merge --quiet --no-edit upgrade",
        "checkout --quiet --orphan anew",
        "commit --quiet --no-verify -m imported",
        "branch --quiet --delete --force main upgrade",
        "branch --quiet --move main",
    ],
}


@pytest.mark.parametrize("shape", MERGES)
def test_after_an_upgrade_that_came_by(shape: str, repository: Path, today: Today) -> None:
    upgraded_on_a_branch(repository, today({REPORT_PATH: changed(30)}))
    for command in MERGES[shape]:
        git(repository, *command.split())
    done = run(repository, today({REPORT_PATH: lambda text: changed(36)(changed(30)(text))}, "0.0.3"))
    assert not done.conflicts
    expected = REPORT
    for change in (yours(3), yours(20), changed(30), changed(36)):
        expected = change(expected)
    assert (repository / REPORT_PATH).read_text() == expected
    assert (repository / "notes.txt").exists()


def test_in_a_shallow_clone(repository: Path, today: Today, tmp_path: Path) -> None:
    put(repository, {REPORT_PATH: yours(3)})
    commit(repository, "mine")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "clone")
    done = run(tmp_path / "clone", today({REPORT_PATH: changed(30)}))
    assert not done.conflicts
    assert (tmp_path / "clone" / REPORT_PATH).read_text() == yours(3)(changed(30)(REPORT))


def test_in_a_linked_work_tree(repository: Path, today: Today, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    assert not run(tmp_path / "linked", today({REPORT_PATH: changed(30)})).conflicts
    assert (tmp_path / "linked" / REPORT_PATH).read_text() == changed(30)(REPORT)
    assert status(repository) == []


def test_in_a_folder_of_a_larger_repository(repository: Path, today: Today, tmp_path: Path) -> None:
    larger = tmp_path / "larger"
    shutil.copytree(repository, larger / "teams/visits", ignore=shutil.ignore_patterns(".git"))
    root = larger / "teams/visits"
    put(larger, {"tools/report.py": REPORT, "other.txt": "theirs\n"})
    git(larger, "init", "--quiet")
    commit(larger, "all of it")
    git(larger, "mv", "teams/visits/tools", "teams/visits/instruments")
    put(root, {"instruments/report.py": yours(3), "Makefile": "mine:\n"})
    commit(larger, "mine")
    put(larger, {"other.txt": "work in progress elsewhere\n"})
    before = fingerprint(larger)

    template = today({REPORT_PATH: changed(30), "Makefile.jinja": lambda text: "more:\n" + text})
    assert [left.what for left in run(root, template).conflicts] == ["Makefile"]
    assert (root / "instruments/report.py").read_text() == yours(3)(changed(30)(REPORT))
    assert (larger / "tools/report.py").read_text() == REPORT
    assert "UU teams/visits/Makefile" in status(larger)

    from mlproj.flows.upgrade import abort

    assert abort(root) == "0.0.2"
    assert fingerprint(larger) == before


def test_when_versions_were_skipped(repository: Path, today: Today) -> None:
    put(repository, {REPORT_PATH: yours(3)})
    commit(repository, "mine")
    skipped = today({REPORT_PATH: changed(30), "tools/two.py": changed(9)})
    assert skipped.version == "0.0.2"
    newest = today(
        {REPORT_PATH: None, "tools/summary.py": changed(30)(REPORT), "tools/two.py": None}, "0.0.3"
    )
    assert not run(repository, newest).conflicts
    assert (repository / "tools/summary.py").read_text() == yours(3)(changed(30)(REPORT))
    assert not (repository / "tools/two.py").exists()


def test_a_change_of_the_template_s_that_the_user_took_back_stays_so(repository: Path, today: Today) -> None:
    run(repository, today({REPORT_PATH: changed(30)}))
    commit(repository, "upgrade")
    put(repository, {REPORT_PATH: REPORT})
    commit(repository, "not for us")
    done = run(repository, today({REPORT_PATH: lambda text: changed(9)(changed(30)(text))}, "0.0.3"))
    assert not done.conflicts
    assert (repository / REPORT_PATH).read_text() == changed(9)(REPORT)


def test_the_record_is_of_the_new_rendering_and_of_what_was_seeded(repository: Path, today: Today) -> None:
    seeded = (repository / "README.md").read_bytes()
    run(repository, today({REPORT_PATH: changed(30), "README.md.jinja": "another\n"}))
    kept = lock.read(repository)
    base = lock.checked_base(repository, kept)
    assert base[REPORT_PATH].content.decode() == changed(30)(REPORT)
    assert base["README.md"].content == seeded
    assert str(upgrading.INPUTS.project_id) == kept.inputs.project_id


def test_a_base_and_a_lock_of_different_renderings_are_refused(repository: Path, today: Today) -> None:
    former = (repository / lock.BASE).read_bytes()
    run(repository, today({REPORT_PATH: changed(30)}))
    (repository / lock.BASE).write_bytes(former)
    commit(repository, "a merge gone wrong")
    with pytest.raises(ConfigError, match="not of the same rendering") as caught:
        run(repository, today({}, "0.0.3"))
    assert "git checkout COMMIT" in caught.value.hint
