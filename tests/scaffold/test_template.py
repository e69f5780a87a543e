"""`mlproj new --template`: other people's templates run when somebody agreed, and write where they may."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from mlproj.base.errors import ConfigError, ToolError
from mlproj.project import Project
from mlproj.scaffold import foreign
from mlproj.scaffold.foreign import Kind
from tests.scaffold.existing import STAGES, answered
from tests.scaffold.upgrading import commit, git, put
from tests.support import Run

ROOT = "{{cookiecutter.folder}}"
# Says that code of the template was run, wherever that happens.
TELL = "open({told!r}, 'a').write('ran ')"


def cookiecutter(place: Path, files: Mapping[str, str] | None = None, **asked: object) -> Path:
    """A small Cookiecutter template."""
    questions = {
        "project_name": "thing",
        "folder": "{{ cookiecutter.project_name }}",
        "package": "visits",
        "author": "nobody",
        **asked,
    }
    put(
        place,
        {
            "cookiecutter.json": json.dumps(questions),
            f"{ROOT}/{{{{cookiecutter.package}}}}/__init__.py": "NAME = '{{cookiecutter.project_name}}'\n",
            f"{ROOT}/README.md": "# {{cookiecutter.project_name}} by {{cookiecutter.author}}\n",
            **(files or {}),
        },
    )
    return place


def copier(place: Path, settings: str = "", files: Mapping[str, str] | None = None) -> Path:
    """A small Copier template."""
    put(
        place,
        {
            "copier.yml": "project_name:\n  type: str\npackage:\n  type: str\n  default: visits\n" + settings,
            "{{ package }}/__init__.py.jinja": "NAME = '{{ project_name }}'\n",
            "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}",
            **(files or {}),
        },
    )
    return place


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where code of a template says that it was run."""
    return tmp_path / "told"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where the user stands."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_cookiecutter_template_gets_the_lifecycle_on_top(tmp_path: Path, work: Path, mlproj: Run) -> None:
    hook = "from pathlib import Path\nPath('hooked').write_text('{{cookiecutter.project_name}}')\n"
    files = {f"{ROOT}/dvc.yaml": STAGES, "hooks/post_gen_project.py": hook}
    source = cookiecutter(tmp_path / "theirs", files)
    done = mlproj("new", "alpha", "--template", source, "--trust", "--answer", "author=Tester", cwd=work)
    assert done.returncode == 0, done.stderr
    for line in (
        f"{source}: a Cookiecutter template of 5 files",
        "  asks for   project_name, folder, package, author",
        "  runs       the program hooks/post_gen_project.py",
    ):
        assert line in done.stdout.splitlines()
    root = work / "alpha"
    assert list(work.iterdir()) == [work / "alpha"]
    assert (root / "README.md").read_text() == "# alpha by Tester\n"
    assert (root / "hooked").read_text() == "alpha"
    assert git(root, "log", "--format=%s").splitlines() == [
        "Add the lifecycle of mlproj",
        f"Begin alpha from {source}",
    ]
    assert git(root, "status", "--porcelain") == ""
    project = Project.load(root)
    assert (project.name, project.module) == ("alpha", "visits")
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    assert [stage["meta"]["phase"] for stage in stages.values()] == ["data", "modeling"]
    assert mlproj(cwd=root).returncode == 0


def test_a_copier_template_gets_it_too_and_is_recorded_by_its_address(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    source = copier(tmp_path / "theirs", '_tasks:\n  - "touch from-a-task"\n')
    git(source, "init", "--quiet")
    commit(source, "one")
    git(source, "tag", "v1.9.0")
    put(source, {"new.txt": "later\n"})
    commit(source, "two")
    git(source, "tag", "v1.10.0")
    put(source, {"newer.txt": "not a version yet\n"})
    commit(source, "three")
    address = source.as_uri()

    done = mlproj("new", "alpha", "--template", address, "--trust", cwd=work)
    assert done.returncode == 0, done.stderr
    assert "  runs       the task touch from-a-task" in done.stdout.splitlines()
    root = work / "alpha"
    assert (root / "visits/__init__.py").read_text() == "NAME = 'alpha'\n"
    assert (root / "from-a-task").is_file()
    assert (root / "new.txt").is_file()
    assert not (root / "newer.txt").exists()
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text())
    assert (answers["_src_path"], answers["_commit"]) == (address, "v1.10.0")

    words = ("--template", address, "--trust", "--checkout", "v1.9.0", "--answer", "package=calls")
    assert mlproj("new", "beta", *words, cwd=work).returncode == 0
    assert (work / "beta/calls/__init__.py").is_file()
    assert not (work / "beta/new.txt").exists()


@pytest.mark.parametrize("kind", [Kind.COOKIECUTTER, Kind.COPIER])
def test_nothing_of_a_template_runs_before_somebody_agreed(
    tmp_path: Path, work: Path, told: Path, mlproj: Run, kind: Kind
) -> None:
    tell = TELL.format(told=str(told))
    expression = f"{{{{ cycler.__init__.__globals__['__builtins__']['exec']({tell!r}) }}}}"
    if kind is Kind.COPIER:
        (tmp_path / "theirs").mkdir()
        settings = (
            f"_tasks:\n  - {json.dumps([sys.executable, '-c', tell])}\n_jinja_extensions: [evil.Extension]\n"
        )
        source = copier(tmp_path / "theirs", settings)
    else:
        files = {
            "hooks/pre_prompt.py": tell,
            "hooks/pre_gen_project.py": tell,
            "hooks/post_gen_project.py": tell,
            "local_extensions.py": tell,
            f"{ROOT}/evil": expression,
        }
        extensions = ["local_extensions.Evil"]
        source = cookiecutter(tmp_path / "theirs", files, evil=expression, _extensions=extensions)
    git(source, "init", "--quiet")
    # Git would run these, and what they name.
    git(source, "config", "core.fsmonitor", f"{sys.executable} -c {tell!r}")
    commit(source, "one")
    for hook in ("post-checkout", "post-commit", "pre-commit"):
        put(source, {f".git/hooks/{hook}": f"#!/bin/sh\necho ran >> {told}\n"})
        (source / ".git/hooks" / hook).chmod(0o755)
    told.unlink(missing_ok=True)  # git itself, when the template was committed

    refused = mlproj("new", "alpha", "--template", source, "--defaults", cwd=work)
    assert refused.returncode == 2
    assert "nobody can be asked whether it may run" in refused.stderr
    assert "the program hooks/post_gen_project.py" in refused.stdout or kind is Kind.COPIER
    assert "the Jinja extension " in refused.stdout
    shown = mlproj("new", "alpha", "--template", source, "--dry-run", cwd=work)
    assert shown.returncode == 0, shown.stderr
    assert "nothing of it was run, and nothing was written" in shown.stdout
    assert answered(work, ["new", "alpha", "--template", str(source)], ["n"]) == 3
    assert not told.exists()
    assert list(work.iterdir()) == []

    mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert told.exists() or kind is Kind.COPIER


def test_inside_another_repository_it_is_said_first(tmp_path: Path, work: Path, mlproj: Run) -> None:
    source = cookiecutter(tmp_path / "theirs")
    git(work, "init", "--quiet")
    done = mlproj("new", "alpha", "--template", source, "--dry-run", cwd=work)
    assert f"inside the git repository `{work}`" in done.stderr.splitlines()[0]


def test_a_person_is_asked_and_answers_the_templates_own_questions(tmp_path: Path, work: Path) -> None:
    source = cookiecutter(tmp_path / "theirs")
    words = ["new", "alpha", "--template", str(source)]
    assert answered(work, words, ["y", "", "", "calls", "Tester"]) == 0
    assert (work / "alpha/calls/__init__.py").is_file()
    assert (work / "alpha/README.md").read_text() == "# alpha by Tester\n"


def test_an_answer_that_a_question_does_not_take_is_a_users_mistake_and_the_choices_are_named(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    theirs = cookiecutter(tmp_path / "one", license=["MIT", "BSD"], public=True)
    settings = (
        "license:\n  type: str\n  default: MIT\n  choices: [MIT, BSD]\nseats:\n  type: int\n  default: 1\n"
        "  validator: '{% if seats > 9 %}at most 9 seats{% endif %}'\n"
    )
    others = copier(tmp_path / "two", settings)
    for source, answer, says in (
        (theirs, "license=GPL", "['MIT', 'BSD']"),
        (theirs, "public=perhaps", "boolean"),
        (others, "license=GPL", "'MIT', 'BSD'"),
        (others, "seats=many", "invalid literal for int()"),
        (others, "seats=10", "at most 9 seats"),
    ):
        words = ("--template", source, "--trust", "--defaults", "--answer", answer)
        done = mlproj("new", "alpha", *words, cwd=work)
        assert done.returncode == 2, done.stderr
        assert f"error: `--answer {answer}` is not taken: " in done.stderr
        assert says in done.stderr
        assert list(work.iterdir()) == []


def test_a_question_without_a_default_that_nobody_answers_is_named(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    source = copier(tmp_path / "theirs", "license:\n  type: str\n  choices: [MIT, BSD]\n")
    done = mlproj("new", "alpha", "--template", source, "--trust", "--defaults", cwd=work)
    assert done.returncode == 2
    assert "answer it with `--answer license=VALUE`" in done.stderr


def test_an_error_of_the_templates_own_code_is_the_templates_whatever_it_names(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    hook = "raise ValueError('author')"
    source = cookiecutter(tmp_path / "theirs", {"hooks/pre_gen_project.py": hook})
    done = mlproj("new", "alpha", "--template", source, "--trust", "--answer", "author=Ada", cwd=work)
    assert done.returncode == 4, done.stderr


def test_the_answers_of_last_time_are_replayed(tmp_path: Path, work: Path, mlproj: Run) -> None:
    source = cookiecutter(tmp_path / "theirs")
    words = ("--template", source, "--trust")
    assert mlproj("new", "alpha", *words, "--answer", "author=Tester", cwd=work).returncode == 0
    again = mlproj("new", "beta", *words, "--replay", cwd=work)
    assert again.returncode == 0, again.stderr
    assert (work / "beta/README.md").read_text() == "# alpha by Tester\n"
    assert Project.load(work / "beta").name == "beta"


@pytest.mark.parametrize(
    ("files", "asked", "where"),
    [
        ({}, {"folder": "../../escaped"}, "../../escaped"),
        ({}, {"folder": "{{ '..' }}/../escaped"}, "../../escaped"),
        ({}, {"folder": "{absolute}"}, "escaped"),
        ({}, {"package": "../../../escaped"}, "../../../escaped"),
        ({}, {"package": "{absolute}"}, "escaped"),
        ({f"{ROOT}/{{{{cookiecutter.up}}}}evil.txt": "x"}, {"up": "../../../"}, "evil.txt"),
    ],
    ids=["folder up", "folder up by expression", "absolute folder", "file up", "absolute", "file name up"],
)
def test_a_name_that_leads_out_is_refused_before_anything_is_written_there(
    tmp_path: Path, work: Path, mlproj: Run, files: dict[str, str], asked: dict[str, str], where: str
) -> None:
    absolute = str(tmp_path / "escaped")
    asked = {key: value.replace("{absolute}", absolute) for key, value in asked.items()}
    source = cookiecutter(tmp_path / "theirs", files, **asked)
    before = sorted(tmp_path.rglob("*"))
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 2, done.stderr
    assert "which is outside of the project" in done.stderr
    assert where in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_python_code_of_a_template_that_writes_elsewhere_is_stopped(
    tmp_path: Path, work: Path, told: Path, mlproj: Run
) -> None:
    expression = (
        "{{ cycler.__init__.__globals__['__builtins__']['exec'](" + repr(TELL.format(told=str(told))) + ") }}"
    )
    source = cookiecutter(tmp_path / "theirs", {f"{ROOT}/evil": expression})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 2
    assert not told.exists()
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("call", ["os.system({0!r})", "subprocess.run({0!r}, shell=True)", "os.popen({0!r})"])
def test_an_expression_cannot_start_a_program_that_was_not_shown(
    tmp_path: Path, work: Path, told: Path, mlproj: Run, call: str
) -> None:
    code = "import os, subprocess; " + call.format(f"echo ran >> {told}")
    expression = "{{ cycler.__init__.__globals__['__builtins__']['exec'](" + repr(code) + ") }}"
    source = cookiecutter(tmp_path / "theirs", {f"{ROOT}/evil": expression})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 2
    assert "the template wants to start a program, which was not shown" in done.stderr
    assert not told.exists()
    assert list(work.iterdir()) == []


def test_a_copier_template_cannot_lead_out_either(tmp_path: Path, work: Path, mlproj: Run) -> None:
    for number, name in enumerate(("../../evil", str(tmp_path / "evil"))):
        source = copier(tmp_path / f"theirs-{number}", files={"{{ way }}.txt.jinja": "x"})
        with (source / "copier.yml").open("a") as stream:
            stream.write(f"way:\n  default: {name}\n")
        done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
        assert done.returncode in (2, 4), done.stderr
        assert list(work.iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


def test_links_that_leave_the_template_are_refused_before_it_is_agreed_to(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key\n")
    for number, target in enumerate((str(secret), "../../../secret")):
        source = cookiecutter(tmp_path / f"theirs-{number}")
        (source / ROOT / "leak").symlink_to(target)
        done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
        assert done.returncode == 2
        assert f"`{ROOT}/leak` points to `{target}`" in done.stderr
    assert list(work.iterdir()) == []


def test_links_that_leave_what_was_made_are_refused(tmp_path: Path, work: Path, mlproj: Run) -> None:
    hook = "import os\nos.symlink('/etc', 'etc')\n"
    source = cookiecutter(tmp_path / "theirs", {"hooks/post_gen_project.py": hook})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 2
    assert "what the template made has a link that leaves it: `etc` points to `/etc`" in done.stderr
    assert list(work.iterdir()) == []


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    source = cookiecutter(tmp_path / "theirs")
    os.mkfifo(source / ROOT / "pipe")
    assert stat.S_ISFIFO((source / ROOT / "pipe").stat().st_mode)
    with pytest.raises(ConfigError, match=r"could not be copied: .* is a named pipe"):
        foreign.fetch(str(source), tmp_path / "place")


def test_a_template_without_hooks_cannot_bring_settings_for_git(
    tmp_path: Path, work: Path, told: Path, mlproj: Run
) -> None:
    config = f'[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "echo ran >> {told}"\n'
    files = {
        f"{ROOT}/{{{{cookiecutter.git}}}}/config": config,
        f"{ROOT}/{{{{cookiecutter.git}}}}/HEAD": "ref: refs/heads/main\n",
    }
    source = cookiecutter(tmp_path / "theirs", files, git=".git")
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 2
    assert "the template brought `.git`" in done.stderr
    assert not told.exists()
    assert list(work.iterdir()) == []


def test_a_zip_file_is_unpacked_and_one_with_names_that_lead_out_is_not(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    source = cookiecutter(tmp_path / "theirs")
    archive = shutil.make_archive(str(tmp_path / "good"), "zip", tmp_path, "theirs")
    done = mlproj("new", "alpha", "--template", archive, "--trust", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "alpha/visits/__init__.py").is_file()
    assert source.is_dir()

    for number, name in enumerate(("../evil.txt", "/evil.txt", "theirs/../../evil.txt")):
        bad = tmp_path / f"bad-{number}.zip"
        with zipfile.ZipFile(bad, "w") as stream:
            stream.writestr("theirs/cookiecutter.json", "{}")
            stream.writestr(name, "x")
        done = mlproj("new", "beta", "--template", bad, "--trust", cwd=work)
        assert done.returncode == 2
        assert f"a name that leaves it: `{name}`" in done.stderr
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_git_address_and_a_folder_in_it_are_fetched(tmp_path: Path) -> None:
    source = tmp_path / "many"
    cookiecutter(source / "templates/one")
    git(source, "init", "--quiet")
    commit(source, "one")
    found = foreign.fetch(source.as_uri(), tmp_path / "place", directory="templates/one")
    assert (found.kind, found.commit) == (Kind.COOKIECUTTER, git(source, "rev-parse", "HEAD").strip())
    with pytest.raises(ConfigError, match="neither `cookiecutter"):
        foreign.fetch(source.as_uri(), tmp_path / "place-2")
    with pytest.raises(ConfigError, match=r"no folder `\.\./"):
        foreign.fetch(source.as_uri(), tmp_path / "place-3", directory="../place")
    with pytest.raises(ConfigError, match="no branch, tag or commit `nowhere`"):
        foreign.fetch(source.as_uri(), tmp_path / "place-4", checkout="nowhere")
    with pytest.raises(ConfigError, match="is not a branch"):
        foreign.fetch(source.as_uri(), tmp_path / "place-5", checkout="--orphan=x")
    with pytest.raises(ToolError, match="could not be cloned"):
        foreign.fetch((tmp_path / "nothing").as_uri(), tmp_path / "place-6")


def test_abbreviations_are_cookiecutters_and_the_users_own(
    tmp_path: Path, work: Path, isolate: Path, mlproj: Run
) -> None:
    assert foreign._expanded("gh:someone/template") == "https://github.com/someone/template.git"
    assert foreign._expanded("gl:someone/template.git") == "https://gitlab.com/someone/template.git"
    assert foreign._expanded("https://host/x.git") == "https://host/x.git"
    source = cookiecutter(tmp_path / "theirs")
    git(source, "init", "--quiet")
    commit(source, "one")
    (isolate / ".cookiecutterrc").write_text(f'abbreviations:\n  house: "{tmp_path.as_uri()}/{{0}}"\n')
    shown = mlproj("new", "alpha", "--template", "house:theirs", "--dry-run", cwd=work)
    assert shown.returncode == 0, shown.stderr
    assert f"  commit     {git(source, 'rev-parse', 'HEAD').strip()}" in shown.stdout.splitlines()


@pytest.mark.parametrize(
    "hook", ["raise SystemExit(3)", "import os, signal\nos.kill(os.getppid(), signal.SIGINT)"]
)
def test_a_template_that_fails_leaves_nothing(tmp_path: Path, work: Path, mlproj: Run, hook: str) -> None:
    source = cookiecutter(tmp_path / "theirs", {"hooks/post_gen_project.py": hook})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode in (4, 130), done.stderr
    assert list(work.iterdir()) == []


def test_what_the_engine_refuses_is_said_without_a_traceback(tmp_path: Path, work: Path, mlproj: Run) -> None:
    source = cookiecutter(
        tmp_path / "theirs", {f"{ROOT}/a": "{{cookiecutter.auhtor}}"}, kind=["api", "batch"]
    )
    done = mlproj("new", "alpha", "--template", source, "--trust", "--answer", "kind=api", cwd=work)
    assert done.returncode == 4
    assert "could not make the files: Unable to create file 'a'." in done.stderr
    assert "Traceback" not in done.stderr
    assert "OrderedDict([" not in done.stderr
    assert list(work.iterdir()) == []


def test_options_that_do_not_go_together_are_said(tmp_path: Path, work: Path, mlproj: Run) -> None:
    source = cookiecutter(tmp_path / "theirs")
    for words, message in (
        (
            ("--template", source, "--license", "MIT", "--python", "3.12"),
            "`--license`, `--python`: that",
        ),
        (("--answer", "author=Tester"), "are for others' templates"),
        (("--template", source, "--trust", "--answer", "autor=Tester"), "did you mean `author`?"),
        (("--template", source, "--trust", "--answer", "author"), "is not KEY=VALUE"),
        (("--template", tmp_path / "their"), f"did you mean `{source}`?"),
        (("--template", work), "is no template"),
    ):
        done = mlproj("new", "alpha", *words, cwd=work)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    assert list(work.iterdir()) == []


def test_an_environment_that_a_hook_made_is_left_out(tmp_path: Path, work: Path, mlproj: Run) -> None:
    hook = (
        "import os\nos.makedirs('.venv/bin')\nopen('.venv/pyvenv.cfg', 'w').close()\n"
        "os.symlink('/x', '.venv/bin/y')"
    )
    source = cookiecutter(tmp_path / "theirs", {"hooks/post_gen_project.py": hook})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 0, done.stderr
    assert "note: `.venv` was left out" in done.stdout
    assert not (work / "alpha/.venv").exists()


@pytest.mark.skipif(importlib.util.find_spec("ccds") is not None, reason="the package is installed here")
def test_a_template_of_cookiecutter_data_science_2_needs_its_own_package(
    tmp_path: Path, work: Path, mlproj: Run
) -> None:
    source = cookiecutter(tmp_path / "theirs", {"ccds.json": '{"project_name": "x"}'})
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    assert done.returncode == 5
    assert "the package ccds, which changes Cookiecutter" in done.stdout
    assert "needs the package `cookiecutter-data-science`" in done.stderr
    assert list(work.iterdir()) == []


def test_the_real_cookiecutter_data_science_template_works(work: Path, mlproj: Run) -> None:
    source = os.environ.get("MLPROJ_TEST_CCDS")
    if not source:
        pytest.skip(
            "MLPROJ_TEST_CCDS names no checkout of cookiecutter-data-science; its package has no template"
        )
    done = mlproj("new", "alpha", "--template", source, "--trust", cwd=work)
    if done.returncode == 5:
        pytest.skip("the package cookiecutter-data-science is not installed beside mlproj")
    assert done.returncode == 0, done.stderr
    assert (work / "alpha/data/raw").is_dir()
    assert Project.load(work / "alpha").name == "alpha"
