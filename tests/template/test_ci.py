"""The workflows of a generated repository: well formed, and their commands run as a runner runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlproj.catalog.infer import infer
from tests.template.rendered import Rendered, render

ENVIRONMENTS = ("uv", "venv", "conda", "pixi", "poetry", "none")
STORAGES = {"s3": "s3://b/f", "gcs": "gs://b/f", "azure": "azure://b/f", "ssh": "ssh://h/f"}
GITHUB = ".github/workflows/ci.yml"
GITLAB = ".gitlab-ci.yml"


@dataclass(frozen=True)
class Step:
    """A command of a job, and the variables it is given."""

    command: str
    env: Mapping[str, str]


def read(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return said


def github_steps(workflow: Path, job: str, values: Mapping[str, str]) -> Iterator[Step]:
    """The commands of a job with every `${{ ... }}` given its value, those of other events left out."""

    def filled(text: Any) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values[found[1]], str(text))

    said = read(workflow)
    for step in said["jobs"][job]["steps"]:
        condition = step.get("if")
        if "run" in step and (condition is None or values[condition] == "true"):
            env = {**said.get("env", {}), **step.get("env", {})}
            yield Step(filled(step["run"]), {name: filled(value) for name, value in env.items()})


def gitlab_steps(pipeline: Path, job: str) -> Iterator[Step]:
    """The commands of a job, those before every job first."""
    said = read(pipeline)
    for command in [*said["default"]["before_script"], *said[job]["script"]]:
        yield Step(command, said["variables"])


@pytest.fixture(scope="module")
def findings(shared_data: Path) -> dict[str, Any]:
    return infer(shared_data / "penguins_raw.csv", "Species").to_json()


@pytest.mark.slow
def test_each_workflow_is_what_its_service_reads(tmp_path: Path, findings: dict[str, Any]) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed here")
    for ci, name, schema in (("github", GITHUB, "github-workflows"), ("gitlab", GITLAB, "gitlab-ci")):
        made = []
        for number, manager in enumerate(ENVIRONMENTS):
            storage = list(STORAGES)[number % len(STORAGES)]
            words = {"env_manager": manager, "storage": storage, "storage_url": STORAGES[storage]}
            found = findings if number < 5 else None
            made.append(str(render(tmp_path / f"{ci}_{manager}", found, ci=ci, **words) / name))
        check = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *made]
        done = subprocess.run([sys.executable, *check], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_both_services_run_the_same_commands_and_only_where_the_data_can_be_had(
    tmp_path: Path, findings: dict[str, Any]
) -> None:
    check = ["requirements", "lint", "hooks", "test"]
    pipeline = ["requirements", "sync_data_down", "train", "metrics", "metrics_diff"]
    for storage, expected in (("local", check), ("s3", [*check, *pipeline])):
        words = {"storage": storage, "storage_url": STORAGES.get(storage, "")}
        github = render(tmp_path / f"github_{storage}", findings, ci="github", **words) / GITHUB
        gitlab = render(tmp_path / f"gitlab_{storage}", findings, ci="gitlab", **words) / GITLAB
        text = github.read_text(encoding="utf-8")
        assert re.findall(r"^ .*\bmake (\w+)", text, re.MULTILINE) == expected
        said = read(gitlab)
        jobs = [job for name, job in said.items() if name in ("check", "pipeline")]
        lines = [line for job in jobs for line in [*said["default"]["before_script"], *job["script"]]]
        assert re.findall(r"\bmake (\w+)", "\n".join(lines)) == expected


@pytest.fixture(scope="module")
def pushed(
    penguins: Rendered, findings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Rendered:
    """A trained repository with its workflows, its data pushed to a folder that stands for a bucket."""
    base = tmp_path_factory.mktemp("ci")
    project = Rendered(base / "penguins", penguins.python, penguins.home)
    shutil.copytree(penguins.root, project.root)
    storage = {"storage": "s3", "storage_url": STORAGES["s3"]}
    for ci, name in (("github", GITHUB), ("gitlab", GITLAB)):
        made = render(base / ci / "penguins", findings, ci=ci, **storage)
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / name, project.root / name)
    project.run("dvc", "add", "--quiet", "data/raw/penguins_raw.csv")
    project.run("dvc", "remote", "add", "--default", "--force", "store", base / "bucket")
    project.run("dvc", "push", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "In CI")
    project.git("branch", "--force", "main")
    return project


class Runner:
    """A machine with a fresh checkout and the environment on PATH; nothing of ours but what is said."""

    def __init__(self, origin: Rendered, place: Path) -> None:
        self.root, self.place = place / "penguins", place
        subprocess.run(["git", "clone", "--quiet", origin.root, self.root], check=True)
        self.summary = place / "summary.md"
        shims = place / "shims"
        shims.mkdir()
        # Installing needs a network: what is installed is there already.
        for name, text in (
            ("pip", "exit 0"),
            ("uvx", f'test "$1" = --from && shift 2\nshift\nexec "{sys.executable}" -m mlproj "$@"'),
        ):
            (shims / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (shims / name).chmod(0o755)
        self.path = f"{shims}{os.pathsep}{origin.python.parent}{os.pathsep}{os.environ['PATH']}"

    def run(self, step: Step) -> subprocess.CompletedProcess[str]:
        # `make requirements` would install into the environment that all tests share.
        command = step.command.replace("make requirements", "make --dry-run requirements")
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.root,
            env={
                **os.environ,
                **step.env,
                "PATH": self.path,
                "CI": "true",
                "GITHUB_STEP_SUMMARY": str(self.summary),
                # All of the generated tests are run by `test_generated_pipeline.py`, which takes a minute.
                "PYTEST_ADDOPTS": "tests/test_metrics.py",
                "DVC_SITE_CACHE_DIR": str(self.place / "dvc"),
            },
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=600,
            check=False,
        )


VALUES = {
    "github.event_name == 'pull_request'": "true",
    "github.base_ref": "main",
    "vars.MLPROJ != ''": "true",
    "vars.MLPROJ": "mlproj",
    "secrets.AWS_ACCESS_KEY_ID": "id",
    "secrets.AWS_SECRET_ACCESS_KEY": "key",
}


@pytest.mark.slow
def test_the_commands_of_the_check_job_pass_in_a_fresh_checkout(pushed: Rendered, tmp_path: Path) -> None:
    runner = Runner(pushed, tmp_path)
    commands = []
    for step in github_steps(runner.root / GITHUB, "check", VALUES):
        done = runner.run(step)
        assert done.returncode == 0, (step.command, done.stdout, done.stderr)
        commands.append(step.command)
    assert commands == ["make requirements", "make lint", "make hooks", "make test"]


@pytest.mark.slow
def test_the_commands_of_the_pipeline_job_pull_run_compare_and_annotate(
    pushed: Rendered, tmp_path: Path
) -> None:
    runner = Runner(pushed, tmp_path)
    params = runner.root / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("splits: [dev, test]", "splits: [dev]"), encoding="utf-8")
    *steps, gates = github_steps(runner.root / GITHUB, "pipeline", VALUES)
    for step in steps:
        done = runner.run(step)
        assert done.returncode == 0, (step.command, done.stdout, done.stderr)
        if step.command == "make train":
            assert "Running stage 'evaluate'" in done.stdout
            assert "Running stage 'train'" not in done.stdout, "what was pulled is not made again"
    header, _, *rows = table(runner.summary)
    assert header == ["Path", "Metric", "origin/main", "workspace", "Change"]
    assert "test.accuracy" in [row[1] for row in rows]

    done = runner.run(gates)
    assert done.returncode == 3, done.stdout + done.stderr
    (one,) = [line for line in done.stdout.splitlines() if "title=scoping gate questions" in line]
    assert re.match(r"::error file=docs/scoping\.md,line=\d+,title=scoping gate questions::\d+ quest", one)

    # GitLab's own commands; the others are the same, word for word.
    diff, gates = list(gitlab_steps(runner.root / GITLAB, "pipeline"))[-2:]
    request = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    for step, env, code in (
        (diff, {}, 0),
        (diff, request, 0),
        (gates, {}, 0),
        (gates, {"MLPROJ": "mlproj"}, 3),
    ):
        (runner.root / "metrics.md").unlink(missing_ok=True)
        done = runner.run(Step(step.command, {**step.env, **env}))
        assert done.returncode == code, done.stdout + done.stderr
        assert (runner.root / "metrics.md").exists() is (env == request)
        if env == request:
            assert table(runner.root / "metrics.md")[2:] == rows


@pytest.mark.parametrize(
    ("manager", "storage"), [("uv", "s3"), ("conda", "gcs"), ("pixi", "azure"), ("none", "ssh")]
)
def test_gitlab_runs_what_github_runs_word_for_word_but_for_a_few(
    tmp_path: Path, findings: dict[str, Any], manager: str, storage: str
) -> None:
    words = {"env_manager": manager, "storage": storage, "storage_url": STORAGES[storage]}
    github = render(tmp_path / "one" / "penguins", findings, ci="github", **words) / GITHUB
    gitlab = render(tmp_path / "two" / "penguins", findings, ci="gitlab", **words) / GITLAB
    shared = {step["run"] for job in read(github)["jobs"].values() for step in job["steps"] if "run" in step}
    steps = [step for job in ("check", "pipeline") for step in gitlab_steps(gitlab, job)]
    own = list(dict.fromkeys(step.command for step in steps if step.command not in shared))
    for command in own:
        subprocess.run(["bash", "-n", "-c", command], check=True)

    *others, diff, gates = own
    assert "make metrics_diff" in diff, "run in a test of its own"
    assert "mlproj check" in gates, "and so is this"
    if manager in ("conda", "pixi"):
        assert others.pop(0).startswith("apt-get update && apt-get install ")
    if storage == "ssh":
        key = tmp_path / "key"
        key.write_text("key\n", encoding="utf-8")
        env = {**os.environ, "HOME": str(tmp_path), "SSH_KEY": str(key)}
        subprocess.run(["bash", "-e", "-c", others.pop(0)], env=env, check=True)
        assert (tmp_path / ".ssh" / "id_ed25519").stat().st_mode & 0o777 == 0o600
    # Where GitHub writes the credential in the same command.
    assert others == (["make sync_data_down"] if storage in ("gcs", "ssh") else [])


def table(path: Path) -> list[list[str]]:
    """The cells of a Markdown table, its header and the rule below it included."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
