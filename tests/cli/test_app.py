"""The command line itself: quick to start, clear when it is used wrongly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlproj import __version__
from mlproj.base.errors import MissingToolError, MlprojError, ToolError
from mlproj.cli import render
from mlproj.cli.commands import COMMANDS
from tests.support import Run

HEAVY = ("copier", "dvc", "mlflow", "duckdb", "pandas", "ruamel", "pydantic", "rich", "jinja2")


def imported(code: str, cwd: Path) -> set[str]:
    program = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "from mlproj.cli.app import main\nmain(['--help'])"
    assert imported(code, tmp_path).isdisjoint(HEAVY)


def write_project(root: Path) -> None:
    (root / "mlproj.toml").write_text(
        '[project]\nid = "a1"\nname = "a"\nmodule = "a"\nmodel = "a"\nenv_manager = "none"\n'
    )


def test_bare_mlproj_imports_nothing_heavy_and_not_even_typer(tmp_path: Path) -> None:
    write_project(tmp_path)
    code = "from mlproj.cli.app import main\nmain([])"
    assert imported(code, tmp_path).isdisjoint({*HEAVY, "typer"})


def test_the_version_is_printed(mlproj: Run) -> None:
    done = mlproj("--version")
    assert (done.returncode, done.stdout) == (0, f"mlproj {__version__}\n")


@pytest.mark.parametrize("command", [*(name for name in COMMANDS if name != "data"), "data add"])
def test_every_command_has_help_with_an_example(command: str, mlproj: Run) -> None:
    done = mlproj(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example: mlproj " in " ".join(done.stdout.split())


def test_help_has_a_line_for_every_command_and_imports_none(mlproj: Run, tmp_path: Path) -> None:
    lines = mlproj("--help").stdout.splitlines()
    said = [" ".join(line.split()) for line in lines]
    assert all(f"{name} {entry.summary}" in said for name, entry in COMMANDS.entries.items())
    program = (
        "import sys; from mlproj.cli.app import main; main(['--help'])\n"
        "print(*(name for name in sys.modules if name.startswith('mlproj.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules = done.stdout.splitlines()[-1].split()
    assert sorted(modules) == ["mlproj.cli.app", "mlproj.cli.commands", "mlproj.cli.lazily"]


@pytest.mark.parametrize(
    "words", [["stge"], ["stage"], ["stage", "data", "--no-such"], ["check", "modelling"]]
)
def test_a_word_typed_wrongly_exits_2_without_a_traceback(
    words: list[str], mlproj: Run, tmp_path: Path
) -> None:
    done = mlproj(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--json"],
        ["check", "--format", "json"],
        ["check", "--format=json"],
        ["status", "--json"],
        ["check", "modelling", "--json"],
        ["check", "--json", "--no-such"],
        ["deployments", "--json"],
        ["data", "at", "HEAD", "--json"],
    ],
)
def test_with_json_an_error_is_an_object_on_stdout_and_text_on_stderr(
    words: list[str], mlproj: Run, tmp_path: Path
) -> None:
    done = mlproj(*words, cwd=tmp_path)
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["version"], printed["error"]["kind"]) == (2, 1, "usage")
    assert set(printed["error"]) == {"kind", "message", "hint"}
    assert printed["error"]["message"] in " ".join(done.stderr.split())


def test_with_json_a_file_that_cannot_be_used_is_named_in_the_object(mlproj: Run, tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: [", encoding="utf-8")
    for command in ("check", "status"):
        done = mlproj(command, "--json", cwd=tmp_path)
        assert done.returncode == 2
        assert "`dvc.yaml`" in json.loads(done.stdout)["error"]["message"]


def test_with_json_what_a_tool_or_the_machine_refuses_has_a_kind_of_its_own() -> None:
    kinds = {ToolError: "tool_failed", MissingToolError: "tool_missing", MlprojError: "failed"}
    for error, kind in kinds.items():
        assert render.error_json(error("no", hint="so"))["error"] == {
            "kind": kind,
            "message": "no",
            "hint": "so",
        }


def test_without_json_an_error_leaves_stdout_empty(mlproj: Run, tmp_path: Path) -> None:
    assert mlproj("decide", "a page", "--why", "b", "--", "--json", cwd=tmp_path).stdout == ""


def test_completion_is_offered_for_the_shell() -> None:
    # The shell that started it is asked for, so one has to.
    command = f"{sys.executable} -m mlproj --show-completion; exit $?"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mlproj" in done.stdout


def test_a_reader_that_leaves_early_is_no_error(mlproj: Run) -> None:
    command = f"{sys.executable} -m mlproj --help | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
