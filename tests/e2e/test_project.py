"""A trained repository, and what people do to it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.people import fill_datasheet, fill_scoping
from tests.support import Run

pytestmark = pytest.mark.slow


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def manifest(root: Path) -> dict[str, object]:
    said: dict[str, object] = json.loads((root / "models" / "run.json").read_text())
    return said


def test_the_status_page_says_all_is_done(project: Path, mlproj: Run) -> None:
    done = mlproj(cwd=project)
    assert done.returncode == 0, done.stderr
    for phase in ("scoping", "data", "modeling"):
        assert re.search(rf"✓ {phase}\s+done", done.stdout)
    assert "reached  a model that is good enough" in done.stdout
    assert "registered as `candidate`" in done.stdout
    assert git(project, "status", "--porcelain") == ""


def test_check_exits_0_when_open_and_changes_nothing(project: Path, mlproj: Run) -> None:
    done = mlproj("check", cwd=project)
    assert done.returncode == 0, done.stdout
    assert mlproj("check", "deployment", cwd=project).returncode == 3
    assert git(project, "status", "--porcelain") == ""


def test_check_prints_versioned_json(project: Path, mlproj: Run) -> None:
    said = json.loads(mlproj("check", "--json", cwd=project).stdout)
    assert said["version"] == 1
    assert [phase["phase"] for phase in said["phases"]] == ["scoping", "data", "modeling", "deployment"]
    assert {"name", "outcome", "reason", "hint", "details", "metric"} == said["phases"][0]["checks"][0].keys()


def test_everything_works_with_mlproj_out_of_reach(project: Path, tool: Run) -> None:
    assert tool(project, "sh", "-c", "command -v mlproj").returncode != 0
    again = tool(project, "dvc", "repro", "evaluate")
    assert again.returncode == 0, again.stderr
    assert "Running stage" not in again.stdout + again.stderr
    for words in (
        ["dvc", "repro", "package"],
        ["pre-commit", "run", "--all-files"],
        ["python", "-m", "pytest", "-q"],
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["dvc", "dag"],
        ["dvc", "metrics", "show"],
        ["dvc", "plots", "show"],
        ["dvc", "push"],
    ):
        done = tool(project, *words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    code = "\n".join(path.read_text() for path in project.rglob("*.py"))
    assert "import mlproj" not in code
    assert "from mlproj" not in code


def test_the_runs_can_be_looked_at_in_mlflow(project: Path, tool: Run, project_python: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ("--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1")
    server = subprocess.Popen(
        [project_python.parent / "mlflow", "ui", *store, "--host", "127.0.0.1", "--port", str(port)],
        cwd=project,
        env={**os.environ, "PATH": f"{project_python.parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/get?name=penguins"
        for _ in range(120):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    said = json.load(answer)
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.5)
        else:
            pytest.fail("mlflow ui did not answer within a minute")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
    (alias,) = said["registered_model"]["aliases"]
    assert (alias["alias"], str(alias["version"])) == ("candidate", "1")


def test_mlflow_knows_where_a_run_comes_from_what_it_read_and_how_it_was_judged(trained: Path) -> None:
    run = json.loads((trained / "models" / "run.json").read_text())
    judged = json.loads((trained / "models" / "evaluation.json").read_text())["run_id"]
    with closing(sqlite3.connect(f"file:{trained / 'mlflow.db'}?mode=ro", uri=True)) as store:

        def table(query: str, *words: str) -> dict[str, str]:
            return dict(store.execute(query, words).fetchall())

        tags, judged_tags = (
            table("SELECT key, value FROM tags WHERE run_uuid = ?", each) for each in (run["run_id"], judged)
        )
        runs = table(
            "SELECT r.run_uuid, r.name FROM runs r JOIN experiments e USING (experiment_id) WHERE e.name = ?",
            "penguins",
        )
        read = table(
            "SELECT t.value, d.digest FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
            " JOIN input_tags t ON t.input_uuid = i.input_uuid"
            " WHERE i.destination_id = ? AND t.name = 'mlflow.data.context'",
            run["run_id"],
        )
        figures = table("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", judged)
    assert runs == {run["run_id"]: run["params"]["train"]["model"], judged: "evaluate"}
    assert {key: value for key, value in tags.items() if key.startswith("origin.")} == {
        "origin.commit": run["code"]["commit"],
        "origin.dirty": "true",
        "origin.snapshot": run["code"]["snapshot"],
        "origin.dvc_lock": run["dvc_lock_sha256"],
        "origin.env_lock": run["environment"]["lock_sha256"],
        "origin.seed": str(run["seed"]),
    }
    files = {name: trained / "data" / "processed" / f"{name}.parquet" for name in ("train", "dev", "test")}
    # Of the whole file: MLflow's own digest looks at the first rows only.
    assert read == {name: hashlib.md5(file.read_bytes()).hexdigest() for name, file in files.items()}
    assert judged_tags["mlflow.parentRunId"] == run["run_id"]
    report = json.loads((trained / "reports" / "evaluation.json").read_text())
    for split in ("dev", "test"):
        told = report["splits"][split]["metrics"]["f1"]["value"]
        assert figures[f"{split}_f1"] == pytest.approx(told, abs=1e-5)
    drawn = trained / "mlartifacts" / judged / "artifacts" / "figures"
    shown = trained / "reports" / "figures"
    assert {each.name for each in drawn.iterdir()} == {each.name for each in shown.glob("*.png")} != set()


def test_a_prose_edit_in_the_scoping_document_undoes_nothing(project: Path, mlproj: Run) -> None:
    with (project / "docs" / "scoping.md").open("a") as document:
        document.write("\nWe talked to the keepers again.\n")
    assert mlproj("check", cwd=project).returncode == 0


def test_changing_a_bound_closes_the_sign_off_until_it_is_given_again(project: Path, mlproj: Run) -> None:
    text = (project / "docs" / "scoping.md").read_text()
    bound = re.search(r"metric: balanced_accuracy.*\n\s+at_least: (\S+)", text)
    assert bound
    edit(project / "docs" / "scoping.md", bound[0], bound[0].replace(bound[1], "0.6"))
    done = mlproj("check", "scoping", cwd=project)
    assert done.returncode == 3
    assert "changed since they were signed off" in done.stdout
    refused = mlproj("stage", "data", cwd=project)
    assert refused.returncode == 3
    assert "scoping is not done, so data does not begin" in refused.stdout
    assert "mlproj approve" in refused.stdout
    assert mlproj("approve", "--role", "owner", cwd=project).returncode == 0
    assert mlproj("check", cwd=project).returncode == 0, (
        "the model was measured against the metric, not the bound"
    )


def test_going_on_all_the_same_is_kept_as_a_decision(project: Path, mlproj: Run) -> None:
    edit(project / "docs" / "scoping.md", "verdict: go", "verdict: TODO")
    done = mlproj("stage", "data", "--force", "the owner is away", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = (project / "docs" / "decisions").glob("*.md")
    text = page.read_text()
    assert "the owner is away" in text
    assert "questions: 1 question not answered yet" in text
    listed = mlproj("decisions", "owner", "away", cwd=project)
    assert "(forced)" in listed.stdout
    assert mlproj("decisions", "nothing", "like", "it", cwd=project).returncode == 3
    assert mlproj("stage", "data", "--force", " ", cwd=project).returncode == 2


def test_changed_raw_data_are_noticed_and_named(project: Path, mlproj: Run) -> None:
    raw = project / "data" / "raw" / "penguins_raw.csv"
    raw.chmod(0o644)
    raw.write_text(raw.read_text() + raw.read_text().splitlines()[-1] + "\n")
    done = mlproj("check", "data", cwd=project)
    assert done.returncode == 3
    assert "✗ raw data: data/raw/penguins_raw.csv differs from what DVC recorded" in done.stdout
    assert "✗ pipeline" in done.stdout


def test_uncommitted_code_is_snapshotted_and_the_index_left_alone(project: Path, mlproj: Run) -> None:
    edit(project / "params.yaml", "learning_rate: 0.05", "learning_rate: 0.1")
    (project / "idea.py").write_text("# not committed\n")
    (project / "staged.py").write_text("# staged\n")
    git(project, "add", "staged.py")
    staged, branch = git(project, "diff", "--cached", "--name-only"), git(project, "rev-parse", "main")
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "registered: penguins version 2, alias `candidate`" in done.stdout
    assert (git(project, "diff", "--cached", "--name-only"), git(project, "rev-parse", "main")) == (
        staged,
        branch,
    )
    run = manifest(project)
    code = run["code"]
    assert isinstance(code, dict)
    assert git(project, "show", f"{code['snapshot']}:idea.py") == "# not committed"
    outcome = git(project, "rev-parse", f"mlproj/run/{run['run_id']}^{{commit}}")
    # The outcome of the stages, then that of the registration, on top of the code that made them.
    assert git(project, "rev-parse", f"{outcome}~2") == code["snapshot"]
    assert json.loads(git(project, "show", f"{outcome}:models/registered.json"))["version"] == 2
    assert json.loads(git(project, "show", f"{outcome}:models/run.json"))["run_id"] == run["run_id"]
    assert "started-" not in git(project, "for-each-ref")


def test_a_bare_dvc_repro_is_told_what_it_lacks_and_mended(project: Path, mlproj: Run, tool: Run) -> None:
    edit(project / "params.yaml", "learning_rate: 0.05", "learning_rate: 0.1")
    assert tool(project, "dvc", "repro", "evaluate").returncode == 0
    check = mlproj("check", "modeling", cwd=project)
    assert check.returncode == 3
    assert "lacks a snapshot of its uncommitted code" in check.stdout
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "training again" in done.stderr


def test_an_evaluation_run_again_is_what_the_anchor_holds(project: Path, mlproj: Run) -> None:
    before = git(project, "rev-parse", f"mlproj/run/{manifest(project)['run_id']}")
    edit(project / "params.yaml", "bootstrap: 1000", "bootstrap: 500")
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    anchored = f"mlproj/run/{manifest(project)['run_id']}"
    assert git(project, "rev-parse", f"{anchored}^") == before, "it is the child of the outcome kept before"
    assert "bootstrap: 500" in git(project, "show", f"{anchored}:params.yaml")


def test_a_store_that_was_lost_takes_nothing_with_it(project: Path, mlproj: Run) -> None:
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlartifacts")
    assert mlproj("check", cwd=project).returncode == 0
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "the MLflow store here does not know run" in done.stderr
    git(project, "tag", "-d", f"mlproj/run/{manifest(project)['run_id']}")
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 4
    assert "dvc repro --force --single-item train" in done.stderr


def test_a_moved_repository_registers_what_can_be_loaded(
    project: Path, mlproj: Run, tool: Run, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "penguins"
    moved.parent.mkdir()
    shutil.move(project, moved)
    assert mlproj("stage", "modeling", cwd=moved).returncode == 0
    program = (
        "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db');"
        "print(type(mlflow.sklearn.load_model('models:/penguins@candidate')).__name__)"
    )
    done = tool(moved, "python", "-c", program)
    assert done.stdout.strip().endswith("Pipeline"), done.stderr


def test_a_program_error_is_no_answer_of_an_earlier_run(project: Path, mlproj: Run) -> None:
    report = project / "reports" / "sanity.json"
    report.write_text(report.read_text().replace("true", "false"))
    edit(project / "penguins" / "features.py", "def make_transformer", "1 / 0\n\n\ndef make_transformer")
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode in (3, 4)
    assert "✗ sanity" not in done.stdout


def test_a_changed_environment_asks_for_another_run(project: Path, mlproj: Run) -> None:
    with (project / "requirements.lock").open("a") as lock:
        lock.write("another-package==1.0\n")
    assert "lock file has changed" in mlproj("check", "modeling", cwd=project).stdout
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "training again: the environment has changed" in done.stderr


def test_a_clone_with_the_data_pulled_has_nothing_to_run(
    project: Path, mlproj: Run, tool: Run, tmp_path: Path
) -> None:
    pushed = tool(project, "dvc", "push")
    assert pushed.returncode == 0, pushed.stderr
    git(tmp_path, "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    assert "make sync_data_down" in mlproj(cwd=clone).stdout
    refused = mlproj("stage", "data", cwd=clone)
    assert refused.returncode == 2
    assert "data/raw/penguins_raw.csv` is recorded but not here" in refused.stderr
    assert "is recorded but not here" in mlproj("check", "data", cwd=clone).stdout
    pulled = tool(clone, "make", "sync_data_down")
    assert pulled.returncode == 0, pulled.stderr
    assert mlproj("check", cwd=clone).returncode == 0


def test_the_second_of_two_at_once_is_told_who_works(project: Path, mlproj: Run) -> None:
    edit(project / "params.yaml", "learning_rate: 0.05", "learning_rate: 0.1")
    with start(project, "stage", "modeling") as first:
        wait_for(first, "Running stage")
        second = mlproj("stage", "data", cwd=project)
        os.killpg(first.pid, signal.SIGINT)
    assert second.returncode == 1
    assert "another command works in this repository: `mlproj stage modeling` by" in second.stderr


@pytest.mark.parametrize("moment", ["Running stage 'train'", "Running stage 'evaluate'", "registering"])
def test_ctrl_c_leaves_a_repository_that_goes_on_where_it_stopped(
    moment: str, project: Path, mlproj: Run
) -> None:
    edit(project / "params.yaml", "learning_rate: 0.05", "learning_rate: 0.1")
    with start(project, "stage", "modeling") as child:
        wait_for(child, moment)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to every process in the foreground
        assert child.stderr is not None
        said = child.stderr.read()
    assert child.returncode == 130
    assert "interrupted" in said
    done = mlproj("stage", "modeling", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    anchored = f"mlproj/run/{manifest(project)['run_id']}"
    for file in ("models/run.json", "dvc.lock", "reports/evaluation.json"):
        assert git(project, "show", f"{anchored}:{file}") == (project / file).read_text().strip()
    assert "started-" not in git(project, "for-each-ref")
    registered = json.loads((project / "models" / "registered.json").read_text())
    assert registered == {"name": "penguins", "version": 2, "run_id": manifest(project)["run_id"]}


@pytest.mark.parametrize("stage", ["ingest", "split"])
def test_ctrl_c_in_the_data_phase_costs_one_stage(stage: str, project: Path, mlproj: Run) -> None:
    edit(project / "penguins" / "dataset.py", "def main() -> None:", "def main() -> None:\n    # as before\n")
    with start(project, "stage", "data") as child:
        wait_for(child, f"Running stage '{stage}'")
        os.killpg(child.pid, signal.SIGINT)
        assert child.stderr is not None
        said = child.stderr.read()
    assert child.returncode == 130
    assert "interrupted" in said
    done = mlproj("stage", "data", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("Running stage 'ingest'" in done.stderr) is (stage == "ingest"), "what was finished is kept"


def test_another_table_takes_the_place_of_the_first_and_is_judged_by_its_own_columns(
    project: Path, mlproj: Run, shared_data: Path
) -> None:
    table = shared_data / "telco_churn.csv"
    edited = mlproj("data", "add", table, "--target", "Churn", cwd=project)
    assert edited.returncode == 2
    assert "docs/scoping.md` changed here and with the new data" in edited.stderr
    assert git(project, "status", "--porcelain") == ""
    added = mlproj("data", "add", table, "--target", "Churn", "--overwrite", cwd=project)
    assert added.returncode == 0, added.stderr
    fill_scoping(project)
    fill_datasheet(project)
    assert mlproj("approve", "--role", "owner", cwd=project).returncode == 0
    for phase in ("scoping", "data"):
        done = mlproj("stage", phase, cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "21 columns described" in done.stdout


def test_a_failing_stage_is_an_error_that_says_how_to_go_on(project: Path, mlproj: Run) -> None:
    (project / "penguins" / "split.py").write_text("raise SystemExit('no such column: colour')\n")
    done = mlproj("stage", "data", cwd=project)
    assert done.returncode == 4
    assert "no such column: colour" in done.stderr
    assert "`dvc repro` failed in the data phase" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_data_are_an_answer_not_an_error(project: Path, mlproj: Run) -> None:
    edit(project / "penguins" / "schema.py", "nullable", "unique=True, nullable")
    done = mlproj("stage", "data", cwd=project)
    assert done.returncode == 3, done.stderr
    assert "✗ validation" in done.stdout


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("dvc.yaml", "stages: [a, b]", "`dvc.yaml`: `stages` must be a mapping"),
        ("dvc.yaml", "stages:\n  a: [", "`dvc.yaml`, line"),
        ("dvc.yaml", "stages: {split: {cmd: ls, meta: {phase: dta}}}", "which is not a phase"),
        ("params.yaml", "data: {", "`params.yaml`, line"),
        ("dvc.lock", "stages: {", "`dvc.lock`, line"),
        ("mlproj.toml", "[project", "is not TOML"),
        ("mlproj.toml", '[project]\nnamee = "x"', "must be a text"),
    ],
)
def test_a_broken_file_is_named_with_the_way_back(
    file: str, text: str, said: str, project: Path, mlproj: Run
) -> None:
    (project / file).write_text(text)
    for words in ([], ["check"], ["stage", "data"]):
        done = mlproj(*words, cwd=project)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
        assert "hint:" in done.stderr
        assert "Traceback" not in done.stderr


SCOPING_FAULTS = {
    "yaml": ("verdict: go", "verdict: [go", "document"),
    "unknown key": ("verdict: go", "verdikt: go", "questions"),
    "impossible bound": (
        "metric: balanced_accuracy",
        "metric: recall\n      at_least: 1.7\n    - metric: balanced_accuracy",
        "document",
    ),
    "a date that does not exist": ("due: 2099-12-31", "due: 2026-02-30", "document"),
}


@pytest.mark.parametrize("fault", SCOPING_FAULTS)
def test_a_fault_in_the_scoping_document_closes_a_gate_with_its_line(
    fault: str, project: Path, mlproj: Run
) -> None:
    old, new, gate = SCOPING_FAULTS[fault]
    edit(project / "docs" / "scoping.md", old, new)
    done = mlproj("check", "scoping", cwd=project)
    assert done.returncode == 3, done.stderr
    assert f"✗ {gate}:" in done.stdout
    assert re.search(r"line \d+", done.stdout)
    assert "Traceback" not in done.stderr


def test_without_git_or_dvc_the_missing_program_is_named(project: Path, mlproj: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = mlproj("stage", "data", cwd=project, env={"PATH": str(empty)})
    assert done.returncode == 5
    assert "`git` is not installed, or not on PATH" in done.stderr
    edit(project / "mlproj.toml", 'python = "', f'python = "{sys.executable}-none')
    done = mlproj("stage", "data", cwd=project)
    assert done.returncode == 5
    assert "names the interpreter" in done.stderr


def test_an_environment_without_dvc_says_so(project: Path, mlproj: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    toml = project / "mlproj.toml"
    toml.write_text(re.sub(r"(?m)^python = .*$", f'python = "{bare}/bin/python"', toml.read_text()))
    path = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "dvc").exists()
    )
    done = mlproj("stage", "data", cwd=project, env={"PATH": path})
    assert done.returncode == 5
    assert f"`{bare}/bin/python` has no DVC" in done.stderr
    assert "`python` below `[project]`" in done.stderr
    doctor = mlproj("doctor", cwd=project, env={"PATH": path})
    assert doctor.returncode == 3
    assert "lacks dvc" in doctor.stdout


def test_a_repository_that_cannot_be_written_to_can_still_be_looked_at(project: Path, mlproj: Run) -> None:
    """A file in the place of the cache's folder: root, too, is refused."""
    shutil.rmtree(project / ".mlproj" / "cache")
    (project / ".mlproj" / "cache").write_text("in the way")
    assert mlproj("check", cwd=project).returncode == 0
    done = mlproj("stage", "data", cwd=project)
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_nothing_to_mend(project: Path, mlproj: Run) -> None:
    done = mlproj("doctor", cwd=project)
    assert done.returncode == 0, done.stdout


def test_outside_a_repository_the_way_in_is_named(tmp_path: Path, mlproj: Run) -> None:
    done = mlproj(cwd=tmp_path)
    assert done.returncode == 2
    assert "mlproj new NAME" in done.stderr


def test_a_repository_in_which_nothing_has_run_says_what_to_do_first(project: Path, mlproj: Run) -> None:
    shutil.rmtree(project / "reports")
    (project / "dvc.lock").unlink()
    (project / "models" / "run.json").unlink()
    done = mlproj(cwd=project)
    assert done.returncode == 0
    assert "next: run `mlproj stage data`" in done.stdout


def test_filling_in_answers_every_question_of_the_template(project: Path) -> None:
    """The helper that the other tests stand on leaves no placeholder, so they test gates, not themselves."""
    fill_scoping(project)
    assert "TODO" not in (project / "docs" / "scoping.md").read_text().split("---\n")[1].replace(
        "# TODO marks", ""
    )


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlproj", *words],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(child: subprocess.Popen[str], text: str) -> None:
    assert child.stderr is not None
    for line in child.stderr:
        if text in line:
            return
    pytest.fail(f"it ended without saying {text!r}")
