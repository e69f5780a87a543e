"""`mlproj upgrade` as it is typed, from an mlproj of another version."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

import mlproj as package
from mlproj.scaffold import environment, lock
from tests.scaffold.test_upgrade import changed, yours
from tests.scaffold.upgrading import REPORT, Edit, Today, commit, fingerprint, generate, git, put, status
from tests.support import Run

REPORT_PATH = "tools/report.py"
Installed = Callable[[Mapping[str, Edit]], dict[str, str]]


@pytest.fixture
def installed(tmp_path: Path, today: Today) -> Installed:
    """Lay out an mlproj of version 0.0.2 as its wheel does; returns the environment that runs it."""

    def made(edits: Mapping[str, Edit]) -> dict[str, str]:
        place = tmp_path / "site-packages"
        shutil.copytree(Path(package.__file__).parent, place / "mlproj")
        shutil.move(today(edits).folder, place / "mlproj/template")
        put(place, {"mlproj/__init__.py": lambda text: re.sub(r'"\d.*"', '"0.0.2"', text)})
        return {"PYTHONPATH": str(place)}

    return made


def test_it_says_what_came_in_and_what_is_left_and_exits_3_until_it_is_settled(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    env = installed(
        {
            REPORT_PATH: changed(3),
            "tools/one.py": None,
            "tools/first.py": REPORT.replace("report", "first tool"),
            "tools/two.py": changed(9),
            "tools/three.py": None,
            "tools/four.py": "print(4)\n",
            "README.md.jinja": lambda text: text + "\nMore.\n",
            "data/raw/notes.txt": "ignored here\n",
        }
    )
    put(repository, {REPORT_PATH: yours(3), "tools/two.py": yours(30)})
    commit(repository, "mine")
    before = fingerprint(repository)
    objects = sorted((repository / ".git").rglob("*"))

    shown = mlproj("upgrade", "--dry-run", cwd=repository, env=env)
    assert shown.returncode == 3, shown.stderr
    assert fingerprint(repository) == before
    assert sorted((repository / ".git").rglob("*")) == objects

    done = mlproj("upgrade", cwd=repository / "docs", env=env)
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "from the template of mlproj 0.0.1 to that of 0.0.2"
    for line in (
        "  moved    tools/one.py to tools/first.py",
        "  merged   tools/two.py",
        "  removed  tools/three.py",
        "  new      tools/four.py",
        "  left to you: tools/report.py: you and the template changed it in the same place",
        "not written, because git does not keep it here: data/raw/notes.txt",
        "yours, and newer in the template: README.md",
    ):
        assert line in lines
        assert line in shown.stdout.splitlines()

    for words in ((), ("--dry-run",)):
        waiting = mlproj("upgrade", *words, cwd=repository, env=env)
        assert waiting.returncode == 2
        assert "waits to be committed" in waiting.stderr
    assert "`mlproj upgrade --abort`" in waiting.stderr

    put(repository, {REPORT_PATH: yours(3)(REPORT)})
    commit(repository, "upgrade")
    again = mlproj("upgrade", cwd=repository, env=env)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert status(repository) == []


def test_an_abort_undoes_it_whole_and_leaves_other_work_alone(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    # The marks of the conflict are in the very file that says what the project is.
    env = installed(
        {
            "mlproj.toml.jinja": lambda text: text.replace("# Also the", "# And the"),
            "tools/more/new.py": "new\n",
            REPORT_PATH: None,
        }
    )
    put(repository, {"mlproj.toml": lambda text: text.replace("# Also the", "# Mine: the")})
    git(repository, "mv", "tools/two.py", "tools/second.py")
    commit(repository, "mine")
    before = fingerprint(repository)
    assert mlproj("upgrade", cwd=repository, env=env).returncode == 3
    put(repository, {"notes.txt": "mine\n", "Makefile": "mine:\n"})
    done = mlproj("upgrade", "--abort", cwd=repository, env=env)
    assert done.returncode == 0, done.stderr
    assert (repository / "notes.txt").read_text() == "mine\n"
    assert (repository / "Makefile").read_text() == "mine:\n"
    git(repository, "checkout", "Makefile")
    (repository / "notes.txt").unlink()
    assert fingerprint(repository) == before
    assert not (repository / "tools/more").exists()

    # One that was undone by git is not undone again, over what has come since.
    assert mlproj("upgrade", cwd=repository, env=env).returncode == 3
    git(repository, "reset", "--quiet", "--hard")
    put(repository, {"tools/more/new.py": "mine\n"})
    none = mlproj("upgrade", "--abort", cwd=repository, env=env)
    assert none.returncode == 2
    assert "nothing to undo" in none.stderr
    assert (repository / "tools/more/new.py").read_text() == "mine\n"


def test_newer_forms_of_one_s_own_files_are_a_patch_that_git_applies(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    env = installed(
        {
            "README.md.jinja": lambda text: text + "\nMore.\n",
            "docs/labeling.md.jinja": lambda text: text + "\nMore.\n",
            "docs/data.md.jinja": lambda text: text + "\nMore.\n",
        }
    )
    put(repository, {"README.md": lambda text: "Mine.\n" + text, "docs/data.md": None})
    git(repository, "mv", "docs/labeling.md", "docs/labels.md")
    commit(repository, "mine")
    assert mlproj("upgrade", cwd=repository, env=env).returncode == 0
    commit(repository, "upgrade")
    shown = mlproj("upgrade", "--show", cwd=repository, env=env)
    assert shown.returncode == 0
    subprocess.run(["git", "apply"], input=shown.stdout, cwd=repository, text=True, check=True)
    assert (repository / "README.md").read_text().startswith("Mine.\n")
    assert (repository / "README.md").read_text().endswith("\nMore.\n")
    assert (repository / "docs/labels.md").read_text().endswith("\nMore.\n")
    assert not (repository / "docs/data.md").exists()
    commit(repository, "taken")
    assert mlproj("upgrade", "--show", cwd=repository, env=env).stdout == "", "what is taken is not offered"


def test_both_appended_to_the_pipeline_its_parameters_and_the_packages(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    env = installed(
        {
            "dvc.yaml.jinja": lambda text: text.replace(
                "\nplots:", "\n  theirs: # new\n    cmd: theirs\n\nplots:"
            ),
            "params.yaml.jinja": lambda text: text + "\ntheirs:\n  deep: 1 # why\n",
            "pyproject.toml.jinja": lambda text: text + "\n[tool.theirs]\nx = 1\n",
        }
    )
    put(
        repository,
        {
            "dvc.yaml": lambda text: text.replace(
                "\nplots:", "\n  # for us\n  mine:\n    cmd: mine\n\nplots:"
            ),
            "params.yaml": lambda text: (
                text.replace("max_iter: 150", "max_iter: 90 # enough") + "\nmine: 2\n"
            ),
            "pyproject.toml": lambda text: text + "\n[tool.mine]\nx = 2\n",
        },
    )
    commit(repository, "mine")
    done = mlproj("upgrade", cwd=repository, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"  merged   dvc.yaml", "  merged   params.yaml", "  merged   pyproject.toml"} <= {
        *done.stdout.splitlines()
    }
    assert "  mlproj stage data " in done.stdout  # a hook refuses a commit with the `dvc.lock` of before
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert stages["mine"] == {"cmd": "mine"}
    assert stages["theirs"] == {"cmd": "theirs"}
    params = (repository / "params.yaml").read_text()
    assert "max_iter: 90 # enough\n" in params
    assert params.endswith("\ntheirs:\n  deep: 1 # why\n\nmine: 2\n")
    assert "# for us" in (repository / "dvc.yaml").read_text()
    assert (
        (repository / "pyproject.toml").read_text().endswith("[tool.theirs]\nx = 1\n\n[tool.mine]\nx = 2\n")
    )


def test_one_value_that_both_changed_is_the_only_conflict_of_its_file(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    env = installed(
        {"params.yaml.jinja": lambda text: text.replace("0.05", "0.1") + "\ntheirs: 1\n"},
    )
    put(repository, {"params.yaml": lambda text: text.replace("0.05", "0.2") + "\nmine: 2\n"})
    commit(repository, "mine")
    assert mlproj("upgrade", cwd=repository, env=env).returncode == 3
    text = (repository / "params.yaml").read_text()
    assert (
        "<<<<<<< yours\n    learning_rate: 0.2\n=======\n    learning_rate: 0.1\n>>>>>>> mlproj-0.0.2\n"
        in text
    )
    assert text.endswith("\ntheirs: 1\n\nmine: 2\n")


def test_a_question_that_is_new_takes_its_default(
    repository: Path, mlproj: Run, installed: Installed
) -> None:
    put(repository, {lock.LOCK: lambda text: text.replace('    "docs": "mkdocs",\n', "")})
    commit(repository, "from before the question")
    done = mlproj("upgrade", "--defaults", cwd=repository, env=installed({}))
    assert done.returncode == 0, done.stderr
    assert lock.read(repository).answers["docs"] == "mkdocs"


def test_a_question_that_is_new_is_asked(repository: Path, installed: Installed) -> None:
    put(repository, {lock.LOCK: lambda text: text.replace('    "docs": "mkdocs",\n', "")})
    commit(repository, "from before the question")
    env = installed({})
    person, terminal = pty.openpty()
    with os.fdopen(person, "wb", buffering=0) as typed:
        typed.write(b"none\n")
        done = subprocess.run(
            [sys.executable, "-m", "mlproj", "upgrade"],
            cwd=repository,
            env={**os.environ, **env},
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
    os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert "Documentation site: mkdocs, none [mkdocs]" in done.stderr
    assert lock.read(repository).answers["docs"] == "none"
    assert not (repository / "docs/mkdocs_hooks.py").exists()


def edited(root: Path) -> None:
    put(root, {"Makefile": "mine:\n"})


def staged(root: Path) -> None:
    edited(root)
    git(root, "add", "Makefile")


def in_the_way(root: Path) -> None:
    put(root, {"tools/four.py": "mine\n"})


def in_a_folder_s_way(root: Path) -> None:
    put(root, {"more": "mine\n"})


def from_a_newer(root: Path) -> None:
    put(root, {lock.LOCK: lambda text: text.replace('"0.0.1"', '"0.10.0"')})
    commit(root, "newer")


def without_findings(root: Path) -> None:
    put(root, {lock.FINDINGS: None})
    commit(root, "gone")


def with_an_answer_of_old(root: Path) -> None:
    put(root, {lock.LOCK: lambda text: text.replace('"license": "MIT"', '"license": "GPL"')})
    commit(root, "an answer")


def without_a_repository(root: Path) -> None:
    shutil.rmtree(root / ".git")


def without_a_commit(root: Path) -> None:
    without_a_repository(root)
    git(root, "init", "--quiet")


def while_git_works(root: Path) -> None:
    (root / ".git/index.lock").touch()


@pytest.mark.parametrize(
    ("state", "says", "hint"),
    [
        (edited, "`Makefile` changed since the last commit", "git stash"),
        (staged, "`Makefile` changed since the last commit", "git stash"),
        (in_the_way, "`tools/four.py`, which is here already and is not in git", "move it away"),
        (in_a_folder_s_way, "`more`, which is here already", "move it away"),
        (from_a_newer, "from the template of mlproj 0.10.0, and this is mlproj 0.0.2", "upgrade mlproj"),
        (without_findings, ".mlproj/findings.json", "git checkout"),
        (with_an_answer_of_old, "`--license GPL` is not one of", "`.mlproj/lock.json`, and commit it"),
        (without_a_repository, "not in a git repository", "git init"),
        (without_a_commit, "not in the last commit", "git commit"),
        (while_git_works, "index.lock", "remove it"),
    ],
)
def test_what_stops_it_is_said_and_nothing_is_touched(
    repository: Path,
    mlproj: Run,
    installed: Installed,
    state: Callable[[Path], None],
    says: str,
    hint: str,
) -> None:
    env = installed({"tools/four.py": "print(4)\n", "more/one.py": "one\n"})
    state(repository)
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    done = mlproj("upgrade", cwd=repository, env=env)
    assert done.returncode == 2
    assert says in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    after = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    ours = {
        path for path in after if "cache" in path.parts or "objects" in path.parts or path.name == "index"
    }
    assert {p: c for p, c in after.items() if p not in ours} == {
        p: c for p, c in before.items() if p not in ours
    }


def test_options_that_exclude_each_other_are_refused(repository: Path, mlproj: Run) -> None:
    done = mlproj("upgrade", "--abort", "--dry-run", cwd=repository)
    assert done.returncode == 2
    assert "do not go together" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_while_files_are_written_it_can_be_run_again(
    repository: Path,
    mlproj: Run,
    installed: Installed,
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    env = installed({REPORT_PATH: changed(9), "tools/one.py": changed(9), "tools/two.py": changed(9)})
    # Git writes this one through a program, which the first time takes for ever.
    once = tmp_path / "once"
    put(repository, {".gitattributes": lambda text: text + "tools/report.py filter=slow\n"})
    git(repository, "config", "filter.slow.smudge", f"if mkdir {once} 2>/dev/null; then sleep 300; fi; cat")
    put(repository, {REPORT_PATH: yours(30)})
    commit(repository, "mine")
    before = fingerprint(repository)

    with subprocess.Popen(
        [sys.executable, "-m", "mlproj", "upgrade"],
        cwd=repository,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        until = time.monotonic() + 120
        while not once.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert once.exists()
        os.killpg(child.pid, number)
        child.wait(timeout=60)

    if number is signal.SIGINT:
        assert child.returncode == 130
        assert fingerprint(repository) == before
        assert not (repository / ".git/mlproj-upgrade.json").exists()
    done = mlproj("upgrade", cwd=repository, env=env)
    assert done.returncode == 0, done.stderr
    assert (repository / REPORT_PATH).read_text() == yours(30)(changed(9)(REPORT))
    assert "line 9, the template's," in (repository / "tools/two.py").read_text()


def without_packages(text: str) -> str:
    """A project that uv can lock without a network."""
    text = re.sub(r"(?s)\ndependencies = \[.*?\n\]\n", "\n", text)
    return re.sub(r"(?s)\n\[dependency-groups\].*?\n\[tool.hatch", "\n[tool.hatch", text)


@pytest.fixture
def locked(tmp_path: Path, today: Today, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of yesterday's version with an environment by uv, and no network."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    template = today({"pyproject.toml.jinja": without_packages}, "0.0.1")
    root = generate(tmp_path / "visit-model", template, env_manager="uv")
    environment.relock(root)
    commit(root, "locked")
    return root


def test_uv_s_lock_is_made_anew_with_what_it_is_made_from(
    locked: Path, mlproj: Run, installed: Installed
) -> None:
    before = (locked / "uv.lock").read_text()
    env = installed(
        {"pyproject.toml.jinja": lambda text: without_packages(text).replace('"~={{ python', '">={{ python')}
    )
    done = mlproj("upgrade", cwd=locked, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (locked / "uv.lock").read_text() != before
    assert 'requires-python = ">=3.11' in (locked / "uv.lock").read_text()
    assert "M  uv.lock" in status(locked)
    assert mlproj("upgrade", "--abort", cwd=locked, env=env).returncode == 0
    assert (locked / "uv.lock").read_text() == before
    assert status(locked) == []


def test_a_lock_that_cannot_be_made_without_a_network_is_left_to_the_user(
    locked: Path, mlproj: Run, installed: Installed
) -> None:
    group = '\n[dependency-groups]\nmore = ["no-such-package-anywhere"]\n'
    env = installed({"pyproject.toml.jinja": lambda text: without_packages(text) + group})
    done = mlproj("upgrade", cwd=locked, env=env)
    assert done.returncode == 3
    assert "left to you: uv.lock: the packages that the project needs have changed" in done.stdout
    assert "`uv sync`, then `git add uv.lock`" in done.stdout
    assert "M  pyproject.toml" in status(locked)
