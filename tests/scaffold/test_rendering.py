"""The generated files: exactly which, well formed, and at home with the tools that read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlproj.scaffold import copier
from mlproj.scaffold.answers import Inputs
from tests.support import REPOSITORY

Render = Callable[..., Path]

ALWAYS = [
    ".copier-answers.yml",
    ".devcontainer/devcontainer.json",
    ".dockerignore",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".mlproj/findings.json",
    ".pre-commit-config.yaml",
    "Dockerfile",
    "Makefile",
    "README.md",
    "mlproj.toml",
    "pyproject.toml",
    "data/external/.gitkeep",
    "data/interim/.gitkeep",
    "data/processed/.gitkeep",
    "data/raw/.gitkeep",
    "docs/.gitkeep",
    "docs/data.md",
    "docs/labeling.md",
    "docs/model_card.md",
    "docs/scoping.md",
    "hooks/credentials.py",
    "hooks/decision_records.py",
    "hooks/dictionary.py",
    "hooks/dvc_lock.py",
    "hooks/large_files.py",
    "hooks/merge_markers.py",
    "hooks/notebook_outputs.py",
    "hooks/raw_data.py",
    "hooks/run",
    "hooks/scoping_document.py",
    "hooks/valid_files.py",
    "models/.gitkeep",
    "notebooks/.gitkeep",
    "references/.gitkeep",
    "reports/.gitkeep",
    "reports/figures/.gitkeep",
    "visit_model/__init__.py",
]

FULL = [
    "dvc.yaml",
    "params.yaml",
    "notebooks/1.0-initial-exploration.ipynb",
    "tests/conftest.py",
    "tests/test_data.py",
    "tests/test_deployment.py",
    "tests/test_metrics.py",
    "tests/test_model.py",
    "visit_model/config.py",
    "visit_model/dataset.py",
    "visit_model/deployment/__init__.py",
    "visit_model/deployment/bench.py",
    "visit_model/deployment/compile.py",
    "visit_model/deployment/convert.py",
    "visit_model/deployment/edges.py",
    "visit_model/deployment/engines.py",
    "visit_model/deployment/package.py",
    "visit_model/deployment/tables.py",
    "visit_model/features.py",
    "visit_model/metrics.py",
    "visit_model/plots.py",
    "visit_model/schema.py",
    "visit_model/split.py",
    "visit_model/targets.py",
    "visit_model/tracking.py",
    "visit_model/validate.py",
    "visit_model/modeling/__init__.py",
    "visit_model/modeling/baseline.py",
    "visit_model/modeling/evaluate.py",
    "visit_model/modeling/models.py",
    "visit_model/modeling/predict.py",
    "visit_model/modeling/sanity.py",
    "visit_model/modeling/train.py",
]

BARE = ["tests/test_package.py"]

MKDOCS = [
    "docs/README.md",
    "docs/mkdocs.yml",
    "docs/mkdocs_hooks.py",
    "docs/mkdocs_pages.py",
    "docs/docs/getting-started.md",
    "docs/docs/index.md",
    "docs/docs/site.css",
]

CI = {"github": [".github/workflows/ci.yml"], "gitlab": [".gitlab-ci.yml"], "none": []}

ENVIRONMENT = {
    "uv": [".python-version"],
    "venv": ["requirements.txt"],
    "conda": ["environment.yml"],
    "pixi": ["pixi.toml"],
    "poetry": [".python-version", "poetry.toml"],
    "none": ["requirements.txt"],
}

# What Cookiecutter Data Science v2 generates: its users miss nothing. `.env.example` stands for `.env`.
CCDS = [
    ".env.example",
    ".gitignore",
    "Makefile",
    "README.md",
    "pyproject.toml",
    "LICENSE",
    "visit_model/__init__.py",
    "data/external/.gitkeep",
    "data/interim/.gitkeep",
    "data/processed/.gitkeep",
    "data/raw/.gitkeep",
    "docs/.gitkeep",
    "models/.gitkeep",
    "notebooks/.gitkeep",
    "references/.gitkeep",
    "reports/.gitkeep",
    "reports/figures/.gitkeep",
    "visit_model/config.py",
    "visit_model/dataset.py",
    "visit_model/features.py",
    "visit_model/plots.py",
    "visit_model/modeling/__init__.py",
    "visit_model/modeling/train.py",
    "visit_model/modeling/predict.py",
    "docs/mkdocs.yml",
    "docs/README.md",
    "docs/docs/index.md",
    "docs/docs/getting-started.md",
    "tests/test_data.py",
]

CCDS_TARGETS = [
    "requirements",
    "clean",
    "lint",
    "format",
    "test",
    "data",
    "sync_data_down",
    "sync_data_up",
    "create_environment",
    "help",
]


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# Each choice of each question at least once, and no more renderings than that takes.
SETS: list[dict[str, str]] = [
    {"env_manager": "uv", "storage": "local"},
    {"env_manager": "venv", "scaffold": "bare", "ci": "gitlab", "storage": "s3", "storage_url": "s3://b/f"},
    {"env_manager": "conda", "docs": "none", "storage": "gcs", "storage_url": "gs://b/f"},
    {
        **{"env_manager": "pixi", "license": "Apache-2.0", "ci": "gitlab"},
        **{"storage": "azure", "storage_url": "azure://b/f"},
    },
    {"env_manager": "poetry", "license": "BSD-3-Clause", "storage": "ssh", "storage_url": "ssh://h/f"},
    {"env_manager": "none", "scaffold": "bare", "docs": "none", "license": "none", "ci": "none"},
]
each_set = pytest.mark.parametrize("words", SETS, ids=[each["env_manager"] for each in SETS])


@each_set
def test_each_set_of_answers_gives_exactly_its_files(render: Render, words: dict[str, str]) -> None:
    expected = {
        *ALWAYS,
        *(BARE if words.get("scaffold") == "bare" else FULL),
        *([] if words.get("docs") == "none" else MKDOCS),
        *([] if words.get("license") == "none" else ["LICENSE"]),
        *ENVIRONMENT[words["env_manager"]],
        *CI[words.get("ci", "github")],
    }
    assert files(render(**words)) == sorted(expected)


def test_every_file_of_cookiecutter_data_science_is_there_under_its_name(render: Render) -> None:
    assert set(CCDS) <= set(files(render()))


@each_set
def test_every_make_target_of_cookiecutter_data_science_is_there(
    render: Render, words: dict[str, str]
) -> None:
    root = render(**words)
    shown = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Available rules:")
    listed = {line.split()[0] for line in shown.splitlines()[2:]}
    assert set(CCDS_TARGETS) <= listed
    for target in listed:
        subprocess.run(["make", "--dry-run", target], cwd=root, capture_output=True, check=True)


@each_set
def test_no_braces_are_left_and_every_file_parses(render: Render, words: dict[str, str]) -> None:
    root = render(**words)
    for path in files(root):
        text = (root / path).read_text(encoding="utf-8")
        if path.startswith(".github/"):
            text = re.sub(r"\$\{\{.*?\}\}", "secret", text)
        assert not re.search(r"\{\{|\{%|\{#", text), path
        assert not text.startswith("\n"), path
        assert text == "" or text.endswith("\n"), path
        # In Markdown, blanks at the end of a line say something.
        assert path.endswith(".md") or not re.search(r"[ \t]+$", text, re.MULTILINE), path
    check = [sys.executable, "hooks/valid_files.py", *files(root)]
    done = subprocess.run(check, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


NASTY = "Quotes \"here\", a \\ and <é> & 日本: #1 'so'"


def test_answers_with_quotes_and_signs_survive_every_file_they_go_into(render: Render) -> None:
    root = render(author=NASTY, description=NASTY)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["description"] == NASTY
    assert project["authors"] == [{"name": NASTY}]
    answers = yaml.safe_load((root / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["author"] == answers["description"] == NASTY
    site = yaml.safe_load((root / "docs/mkdocs.yml").read_text(encoding="utf-8"))
    assert site["site_description"] == NASTY
    assert NASTY in (root / "LICENSE").read_text(encoding="utf-8")


def test_findings_are_kept_as_they_came(render: Render, findings: dict[str, Any]) -> None:
    kept = (render() / ".mlproj/findings.json").read_text(encoding="utf-8")
    assert json.loads(kept) == findings
    assert list(json.loads(kept)) == list(findings)


def test_answers_are_kept_and_no_path_of_this_machine_with_them(render: Render) -> None:
    root = render()
    text = (root / ".copier-answers.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["module_name"] == "visit_model"
    for path in files(root):
        assert str(REPOSITORY) not in (root / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("license", "begins"),
    [
        ("MIT", "The MIT License (MIT)\nCopyright (c) 2026, The Team\n"),
        ("BSD-3-Clause", "BSD 3-Clause License\n\nCopyright (c) 2026, The Team\n"),
        ("Apache-2.0", "                                 Apache License\n"),
    ],
)
def test_a_licence_names_its_year_and_holder(render: Render, license: str, begins: str) -> None:
    text = (render(license=license, author="The Team") / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip("\n").startswith(begins)
    assert "2026" in text
    assert "The Team" in text


def test_the_same_inputs_give_the_same_files(render: Render) -> None:
    first, second = render(), render(own=True)
    assert {path: (first / path).read_bytes() for path in files(first)} == {
        path: (second / path).read_bytes() for path in files(second)
    }


def test_the_interpreter_of_an_unmanaged_project_is_named(render: Render) -> None:
    inputs = Inputs(project_id="0123456789ab", year="2026", interpreter="/opt/a b/bin/python")
    root = render(env_manager="none", inputs=inputs)
    said = tomllib.loads((root / "mlproj.toml").read_text(encoding="utf-8"))
    assert said["project"]["python"] == "/opt/a b/bin/python"
    assert said["project"]["lock"] == "requirements.lock"


def test_what_dvc_init_would_write_is_there(render: Render, tmp_path: Path) -> None:
    root = render()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=fresh, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=fresh, check=True)
    assert (root / ".dvc/.gitignore").read_text() == (fresh / ".dvc/.gitignore").read_text()
    ignored = (root / ".dvcignore").read_text()
    assert ignored.startswith((fresh / ".dvcignore").read_text())
    assert ignored.splitlines()[-1] == "__pycache__", "it lies beside the code that travels with a model"
    tracked = subprocess.run(["git", "ls-files"], cwd=fresh, capture_output=True, text=True, check=True)
    assert tracked.stdout.split() == [".dvc/.gitignore", ".dvc/config", ".dvcignore"]


@pytest.mark.parametrize(
    ("storage", "url"),
    [("local", "{home}/.local/share/mlproj/0123456789ab/dvc"), ("s3", "s3://bucket/folder")],
)
def test_dvc_finds_its_storage(render: Render, isolate: Path, storage: str, url: str) -> None:
    root = render(own=True, storage=storage, storage_url=url if storage != "local" else "")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    code = (
        "from dvc.repo import Repo; r = Repo(); print(r.config['remote'][r.config['core']['remote']]['url'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    found = Path(done.stdout.strip()).expanduser() if storage == "local" else done.stdout.strip()
    assert str(found) == url.format(home=isolate)


def test_git_keeps_data_out_and_what_dvc_says_about_it_in(render: Render) -> None:
    root = render(own=True)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    kept = ["data/raw/t.csv.dvc", "data/raw/.gitignore", "models/run.json", ".env.example", "mlproj.toml"]
    ignored = ["data/raw/t.csv", "data/interim/deep/t.parquet", ".env", "mlflow.db", ".mlproj/cache/x"]
    done = subprocess.run(
        ["git", "check-ignore", *kept, *ignored], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ignored


@pytest.mark.parametrize("scaffold", ["full", "bare"])
@pytest.mark.parametrize("project_name", ["v", "a-name-as-long-as-a-name-can-be1"])
def test_the_code_is_as_ruff_would_write_it(render: Render, scaffold: str, project_name: str) -> None:
    root = render(scaffold=scaffold, project_name=project_name)
    for command in (["format", "--check", "--diff"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_works_without_mlproj(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"),
            *("--data", "project_name=plain", str(copier.template_dir()), str(tmp_path / "plain")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = yaml.safe_load((tmp_path / "plain" / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["_src_path"] == str(copier.template_dir())
    assert (tmp_path / "plain" / "plain" / "features.py").is_file()


@pytest.mark.slow
def test_a_wheel_carries_the_whole_template(tmp_path: Path) -> None:
    from uv import find_uv_bin

    subprocess.run(
        [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", tmp_path, REPOSITORY], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("mlproj/template/")}
    tracked = subprocess.run(
        ["git", "ls-files", "template"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert packed == {f"mlproj/{path}" for path in tracked.stdout.splitlines()}
