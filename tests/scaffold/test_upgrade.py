"""What a user did beside what the template did, and that nothing of either is lost.

The scenarios are those of Copier's and cruft's users. What `copier update` 9.19 does where it differs is said
in a line at each.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from mlproj.scaffold import lock
from mlproj.scaffold.copier import Template, template_dir
from tests.scaffold.upgrading import (
    LOGO,
    REPORT,
    YESTERDAY,
    Edit,
    Today,
    commit,
    git,
    put,
    run,
    status,
    version,
)


def changed(number: int, text: str = "the template's") -> Callable[[str], str]:
    """Change one line of a report."""
    return lambda report: report.replace(f"line {number} of", f"line {number}, {text}, of", 1)


def yours(number: int) -> Callable[[str], str]:
    return changed(number, "yours")


def unmerged(root: Path) -> list[str]:
    return sorted(set(git(root, "diff", "--name-only", "--diff-filter=U").split()))


def test_edits_in_different_places_of_a_file_come_together(repository: Path, today: Today) -> None:
    put(repository, {"tools/report.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(30)}))
    assert (repository / "tools/report.py").read_text() == yours(3)(changed(30)(REPORT))
    assert not done.conflicts
    assert [(change.path, change.is_merged) for change in done.changes] == [("tools/report.py", True)]
    assert "M  tools/report.py" in status(repository)
    assert lock.read(repository).template_version == "0.0.2"
    assert "M  .mlproj/lock.json" in status(repository)
    assert "M  .mlproj/base.tar.gz" in status(repository)


def test_edits_of_one_line_are_an_ordinary_conflict_that_blocks_a_commit(
    repository: Path, today: Today
) -> None:
    # copier: marks in the file, exit code 0
    put(repository, {"tools/report.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(3), "tools/one.py": changed(9)}))
    assert [left.what for left in done.conflicts] == ["tools/report.py"]
    text = (repository / "tools/report.py").read_text()
    assert "<<<<<<< yours\nline 3, yours, of the report\n" in text
    assert ">>>>>>> mlproj-0.0.2\n" in text
    assert unmerged(repository) == ["tools/report.py"]
    assert "M  tools/one.py" in status(repository)

    refused = subprocess.run(
        ["git", "commit", "-m", "too early"], cwd=repository, capture_output=True, check=False
    )
    assert refused.returncode != 0
    put(repository, {"tools/report.py": yours(3)(REPORT)})
    commit(repository, "resolved as mine")
    newest = today({"tools/report.py": changed(3), "tools/one.py": changed(9), "more": "x\n"}, "0.0.3")
    again = run(repository, newest)
    assert not again.conflicts, "what was decided is not asked again"
    assert (repository / "tools/report.py").read_text() == yours(3)(REPORT)


def test_a_deleted_file_stays_deleted_while_the_template_leaves_it_alone(
    repository: Path, today: Today
) -> None:
    put(repository, {"tools/report.py": None})
    commit(repository, "mine")
    done = run(repository, today({"tools/one.py": changed(3)}))
    assert not (repository / "tools/report.py").exists()
    assert [change.path for change in done.changes] == ["tools/one.py"]


def test_a_deleted_file_that_the_template_changed_is_asked_about(repository: Path, today: Today) -> None:
    # copier: stays deleted, in silence
    put(repository, {"tools/report.py": None})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(3)}))
    assert "you deleted it" in done.conflicts[0].why
    assert "DU tools/report.py" in status(repository)


def test_a_change_follows_a_file_that_the_user_renamed_and_edited(repository: Path, today: Today) -> None:
    # copier: the template's change is lost, in silence
    git(repository, "mv", "tools/report.py", "tools/summary.py")
    put(repository, {"tools/summary.py": lambda text: yours(3)(yours(5)(text))})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(30)}))
    assert not done.conflicts
    assert (repository / "tools/summary.py").read_text() == yours(3)(yours(5)(changed(30)(REPORT)))
    assert not (repository / "tools/report.py").exists()


def test_changes_and_new_files_follow_a_folder_that_the_user_renamed(repository: Path, today: Today) -> None:
    # copier: the folder is there again, with the new file in it
    git(repository, "mv", "tools", "instruments")
    commit(repository, "mine")
    done = run(repository, today({"tools/one.py": changed(9), "tools/four.py": "print(4)\n"}))
    assert "line 9, the template's," in (repository / "instruments/one.py").read_text()
    assert (repository / "instruments/four.py").read_text() == "print(4)\n"
    assert not (repository / "tools").exists()
    assert [left.what for left in done.conflicts] == ["instruments/four.py"], "where it went is for a person"


def test_edits_follow_a_file_that_the_template_renames(repository: Path, today: Today) -> None:
    # copier: the user's edit is dropped from the work tree, exit code 0
    put(repository, {"tools/report.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": None, "tools/summary.py": changed(30)(REPORT)}))
    assert not done.conflicts
    assert (repository / "tools/summary.py").read_text() == yours(3)(changed(30)(REPORT))
    assert not (repository / "tools/report.py").exists()
    assert [(change.letter, change.former, change.path) for change in done.changes] == [
        ("R", "tools/report.py", "tools/summary.py")
    ]


def test_an_edited_file_that_the_template_deletes_is_kept_and_asked_about(
    repository: Path, today: Today
) -> None:
    # copier: deleted, in silence
    put(repository, {"tools/report.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": None}))
    assert "the template has it no more" in done.conflicts[0].why
    assert (repository / "tools/report.py").read_text() == yours(3)(REPORT)
    assert "UD tools/report.py" in status(repository)


def test_a_file_that_nobody_touched_goes_with_the_template_s(repository: Path, today: Today) -> None:
    done = run(repository, today({"tools/report.py": None, "tools/logo.bin": LOGO + b"2"}))
    assert not done.conflicts
    assert not (repository / "tools/report.py").exists()
    assert (repository / "tools/logo.bin").read_bytes() == LOGO + b"2"


def test_a_file_that_both_added_is_a_conflict(repository: Path, today: Today) -> None:
    put(repository, {"tools/four.py": "mine = 4\n"})
    commit(repository, "mine")
    done = run(repository, today({"tools/four.py": "print(4)\n"}))
    assert "you and the template added it" in done.conflicts[0].why
    assert "AA tools/four.py" in status(repository)
    assert "mine = 4" in (repository / "tools/four.py").read_text()


def test_a_file_that_the_user_formatted_anew_is_a_conflict(repository: Path, today: Today) -> None:
    put(repository, {"tools/report.py": lambda text: text.replace("line", "    line")})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(3)}))
    assert [left.what for left in done.conflicts] == ["tools/report.py"]
    assert "    line 40" in (repository / "tools/report.py").read_text()


def test_a_binary_file_that_both_changed_is_a_conflict_with_the_user_s_in_place(
    repository: Path, today: Today
) -> None:
    # copier: the user's is overwritten, exit code 0
    put(repository, {"tools/logo.bin": LOGO + b"yours"})
    commit(repository, "mine")
    done = run(repository, today({"tools/logo.bin": LOGO + b"theirs"}))
    assert "it is not text" in done.conflicts[0].why
    assert (repository / "tools/logo.bin").read_bytes() == LOGO + b"yours"
    assert unmerged(repository) == ["tools/logo.bin"]
    git(repository, "checkout", "--theirs", "tools/logo.bin")
    assert (repository / "tools/logo.bin").read_bytes() == LOGO + b"theirs"


def test_a_secret_that_git_ignores_is_never_written(repository: Path, today: Today) -> None:
    # copier: overwritten with the template's text, exit code 0, and nothing has the old one
    put(repository, {".env": "KEY=my-secret\n", "data/raw/extra.csv": "mine\n"})
    done = run(repository, today({".env": "KEY=default\n", "data/raw/extra.csv": "the template's\n"}))
    assert (repository / ".env").read_text() == "KEY=my-secret\n"
    assert (repository / "data/raw/extra.csv").read_text() == "mine\n"
    assert done.ignored == ("data/raw/extra.csv",)
    assert not done.conflicts


def test_a_template_s_file_that_the_user_took_out_of_git_is_theirs(repository: Path, today: Today) -> None:
    git(repository, "rm", "--quiet", "--cached", "tools/report.py")
    put(repository, {".gitignore": lambda text: text + "tools/report.py\n", "tools/report.py": "mine\n"})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(3)}))
    assert not done.conflicts
    assert (repository / "tools/report.py").read_text() == "mine\n"


def test_what_is_the_user_s_own_is_never_touched_but_offered(repository: Path, today: Today) -> None:
    own = ("README.md", "docs/scoping.md", "tests/conftest.py", "visit_model/features.py")
    before = {path: (repository / path).read_text() for path in own}
    sources = [path.replace("visit_model", "{{ module_name }}") + ".jinja" for path in own]
    done = run(repository, today({source: lambda text: text + "\n# newer\n" for source in sources}))
    assert {path: (repository / path).read_text() for path in own} == before
    assert done.offers == own
    assert not done.conflicts


def test_a_new_file_of_the_user_s_class_comes_in_unless_they_have_one(repository: Path, today: Today) -> None:
    put(repository, {"docs/runbook.md": "mine\n"})
    commit(repository, "mine")
    run(repository, today({"docs/runbook.md": "the template's\n", "docs/privacy.md": "new\n"}))
    assert (repository / "docs/runbook.md").read_text() == "mine\n"
    assert (repository / "docs/privacy.md").read_text() == "new\n"
    assert "docs/runbook.md" not in lock.read(repository).files


def test_a_program_s_bit_comes_with_it(repository: Path, today: Today) -> None:
    template = today({"hooks/extra": "#!/bin/sh\n"})
    (template.folder / "project/hooks/extra").chmod(0o755)
    run(repository, template)
    assert (repository / "hooks/extra").stat().st_mode & 0o100
    assert git(repository, "ls-files", "--stage", "hooks/extra").startswith("100755")


def test_generated_files_never_conflict(repository: Path, today: Today) -> None:
    put(repository, {".copier-answers.yml": "mine: true\n"})
    commit(repository, "mine")
    done = run(repository, today({}))
    assert not done.conflicts
    assert '_commit: "0.0.2"' in (repository / ".copier-answers.yml").read_text()
    assert "_src_path" not in (repository / ".copier-answers.yml").read_text()


def test_an_upgrade_to_the_same_template_touches_nothing(repository: Path, yesterday: Template) -> None:
    done = run(repository, yesterday)
    assert not done.changes
    assert status(repository) == []


def test_nothing_is_written_through_a_folder_that_leads_elsewhere(
    repository: Path, today: Today, tmp_path: Path
) -> None:
    shutil.move(repository / "tools", tmp_path / "shared")
    (repository / "tools").symlink_to(tmp_path / "shared")
    commit(repository, "shared with others")
    done = run(repository, today({"tools/report.py": changed(3), "tools/four.py": "print(4)\n"}))
    assert done.ignored == ("tools/four.py",)
    assert not done.conflicts
    assert (tmp_path / "shared/report.py").read_text() == REPORT
    assert not (tmp_path / "shared/four.py").exists()


def test_what_was_found_in_the_data_is_not_inferred_again(made: Path, tmp_path: Path) -> None:
    (made / "data/raw/visits.csv").unlink()
    edits: dict[str, Edit] = {"params.yaml.jinja": lambda text: text + "\nmore: 1\n"}
    template = version(tmp_path / "template", "0.2.0", template_dir(), edits)
    before = (made / "params.yaml").read_text()
    assert not run(made, template).conflicts
    assert (made / "params.yaml").read_text() == before + "\nmore: 1\n"


def test_a_repository_that_names_its_objects_by_sha256(repository: Path, today: Today) -> None:
    shutil.rmtree(repository / ".git")
    git(repository, "init", "--quiet", "--object-format=sha256")
    put(repository, {"tools/report.py": yours(3), "tools/one.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": changed(30), "tools/one.py": changed(3)}))
    assert (repository / "tools/report.py").read_text() == yours(3)(changed(30)(REPORT))
    assert unmerged(repository) == ["tools/one.py"]
    assert [left.what for left in done.conflicts] == ["tools/one.py"]


def test_a_file_that_both_renamed_is_there_under_both_names(repository: Path, today: Today) -> None:
    git(repository, "mv", "tools/report.py", "tools/mine.py")
    put(repository, {"tools/mine.py": yours(3)})
    commit(repository, "mine")
    done = run(repository, today({"tools/report.py": None, "tools/theirs.py": REPORT}))
    assert [left.what for left in done.conflicts] == ["tools/mine.py", "tools/report.py", "tools/theirs.py"]
    assert (repository / "tools/mine.py").read_text() == yours(3)(REPORT)
    git(repository, "add", "tools/mine.py")
    git(repository, "rm", "--quiet", "tools/report.py", "tools/theirs.py")
    assert unmerged(repository) == []


def test_a_user_s_file_moves_with_the_folder_that_the_template_renames(
    repository: Path, today: Today
) -> None:
    put(repository, {"tools/mine.py": "mine = 1\n"})
    commit(repository, "mine")
    gone: dict[str, Edit] = dict.fromkeys(YESTERDAY)
    moved: dict[str, Edit] = {path.replace("tools", "instruments"): text for path, text in YESTERDAY.items()}
    done = run(repository, today({**gone, **moved}))
    assert (repository / "instruments/mine.py").read_text() == "mine = 1\n"
    assert [left.what for left in done.conflicts] == ["instruments/mine.py"]
    assert "yours, in a folder that the template renamed" in done.conflicts[0].why
