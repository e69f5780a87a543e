"""`mlproj adopt`: what it finds, what it adds, what it leaves alone, and that it is whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from mlproj.base.errors import ConfigError, ToolError
from mlproj.flows import adopt
from mlproj.flows.adopt import Plan, Wishes
from mlproj.flows.new import Table
from mlproj.project import Project
from mlproj.scaffold import adoption, lock
from mlproj.scaffold.answers import EnvManager
from mlproj.scaffold.survey import Layout
from tests.people import fill_datasheet, fill_scoping
from tests.scaffold.existing import (
    CCDS_1,
    CCDS_2,
    FOLDER,
    KEDRO,
    STAGES,
    TABLE,
    answered,
    make,
    put_store,
    with_stages,
)
from tests.scaffold.upgrading import Today, commit, fingerprint, git, put, run, status
from tests.support import Run

GUESSES = {"make_dataset": "data", "fit": "modeling"}


def silent(text: str) -> None:
    del text


def adopted(root: Path, wishes: Wishes | None = None) -> Plan:
    """Adopt as the command does, in this process."""
    found = adopt.look(root)
    guesses = {name: guess.phase for name, guess in found.guesses.items() if guess.phase}
    own = {stage.name for stage in found.without_phase}
    phases = {name: phase for name, phase in guesses.items() if name in own}
    made = adopt.plan(found, wishes or Wishes(phases=phases), say=silent)
    adopt.apply(made, say=silent)
    return made


@pytest.mark.slow
def test_the_stages_of_a_ccds_repository_run_in_their_phases(tmp_path: Path, mlproj: Run) -> None:
    root = with_stages(tmp_path / "visits")
    before = {
        path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)
    }

    done = mlproj("adopt", "--defaults", cwd=root)
    assert done.returncode == 0, done.stderr
    for line in (
        "found in visits/: Cookiecutter Data Science, version 2",
        "  package      visits",
        "  environment  venv, locked by requirements.txt",
        "  pipeline     dvc.yaml, 2 stages",
        "  make_dataset: data, a guess: its name says `dataset`",
        "  fit: modeling, a guess: its name says `fit`",
        '    -    meta: {owner: "the team"}',
        '    +    meta: {phase: modeling, owner: "the team"}',
    ):
        assert line in done.stdout.splitlines()
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert changed == [root / "dvc.yaml"]
    assert (root / "dvc.yaml").read_text() == STAGES.replace(
        "      - data/interim/visits.csv\n\n", "      - data/interim/visits.csv\n    meta: {phase: data}\n\n"
    ).replace("{owner", "{phase: modeling, owner")
    assert all(line[0] in "AM" and line[1] == " " for line in status(root))
    assert "A  docs/scoping.md" in status(root)
    commit(root, "adopt")

    fill_scoping(root)
    fill_datasheet(root)
    assert mlproj("approve", "--role", "owner", cwd=root).returncode == 0
    assert mlproj("stage", "scoping", cwd=root).returncode == 0
    worked = mlproj("stage", "data", cwd=root)
    assert worked.returncode == 3, worked.stderr
    assert (root / "data/interim/visits.csv").read_text().count("\n") == 51
    assert not (root / "models/model.txt").exists()
    for line in (
        "  ✗ raw data: DVC does not keep data/raw/visits.csv",
        "  ? validation: no stage of `dvc.yaml` writes `reports/validation.json`",
        "  ✓ pipeline: 1 stage up to date",
    ):
        assert line in worked.stdout.splitlines()
    assert mlproj("stage", "modeling", "--force", "only a try", cwd=root).returncode == 3
    assert (root / "models/model.txt").read_text().strip() == "51"


def test_every_gate_says_something_of_a_repository_without_our_reports(tmp_path: Path, mlproj: Run) -> None:
    root = with_stages(tmp_path / "visits")
    adopted(root)
    said = mlproj("check", "--json", cwd=root)
    assert said.returncode == 3, said.stderr
    phases = json.loads(said.stdout)["phases"]
    by_name = {check["name"]: check for phase in phases for check in phase["checks"]}
    assert [phase["phase"] for phase in phases] == ["scoping", "data", "modeling", "deployment"]
    for name in (
        "dictionary",
        "validation",
        "splits",
        "baseline",
        "sanity",
        "target recall",
        "origin",
        "package",
    ):
        assert by_name[name]["outcome"] == "unknown"
        assert by_name[name]["reason"].startswith("no stage of `dvc.yaml` writes `")
        assert by_name[name]["hint"].startswith("let a stage of yours write `")
    assert mlproj(cwd=root).returncode == 0


def test_a_dry_run_says_the_same_and_touches_nothing(tmp_path: Path, mlproj: Run) -> None:
    root = with_stages(tmp_path / "visits")
    before = fingerprint(root)
    objects = sorted((root / ".git").rglob("*"))
    done = mlproj("adopt", str(root), "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "    +    meta: {phase: data}" in done.stdout.splitlines()
    assert "not to add: a pipeline" not in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing was touched; `mlproj adopt` does this"
    assert fingerprint(root) == before
    assert sorted((root / ".git").rglob("*")) == objects


def test_phases_that_nobody_can_be_asked_for_are_not_taken_silently(tmp_path: Path, mlproj: Run) -> None:
    root = with_stages(tmp_path / "visits")
    before = fingerprint(root)
    done = mlproj("adopt", "--phase", "fit=modeling", cwd=root)
    assert done.returncode == 2
    assert "nobody can be asked for the phases of `make_dataset`\n" in done.stderr
    assert fingerprint(root) == before

    words = ("--phase", "fit=deployment", "--phase", "make_dataset=data", "--json")
    said = json.loads(mlproj("adopt", *words, cwd=root).stdout)
    assert said["phases"] == {"fit": "deployment", "make_dataset": "data"}
    assert said["found"]["layout"] == "ccds_2"
    assert yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["fit"]["meta"]["phase"] == "deployment"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fitt=data", "`dvc.yaml` has no stage `fitt`"),
        ("fit=modelling", "`modelling` is not a phase"),
        ("fit", "`--phase fit` is not STAGE=PHASE"),
    ],
)
def test_a_phase_that_is_misspelt_changes_nothing(
    tmp_path: Path, mlproj: Run, word: str, message: str
) -> None:
    root = with_stages(tmp_path / "visits")
    before = fingerprint(root)
    done = mlproj("adopt", "--defaults", "--phase", word, cwd=root)
    assert done.returncode == 2
    assert message in done.stderr
    assert fingerprint(root) == before


def test_a_person_is_asked_for_each_phase_and_before_anything_is_touched(tmp_path: Path) -> None:
    root = with_stages(tmp_path / "visits")
    before = fingerprint(root)
    assert answered(root, ["adopt"], ["", "", "n"]) == 3
    assert fingerprint(root) == before
    assert answered(root, ["adopt"], ["", "none", "y"]) == 0
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    assert stages["make_dataset"]["meta"] == {"phase": "data"}
    assert stages["fit"]["meta"] == {"owner": "the team"}


def test_a_repository_of_ccds_1_is_known_by_its_src(tmp_path: Path) -> None:
    root = make(tmp_path / "visits", CCDS_1)
    made = adopted(root)
    assert made.found.survey.layout is Layout.CCDS_1
    assert Project.load(root).module == "src"
    assert any("git ignores `data/raw`" in note for note in made.notes)
    assert (root / "docs/scoping.md").is_file()
    assert not (root / "dvc.yaml").exists()


def test_a_kedro_project_keeps_its_package_and_its_folder_of_raw_data(tmp_path: Path, mlproj: Run) -> None:
    root = make(tmp_path / "flow", KEDRO)
    made = adopted(root)
    assert made.found.survey.layout is Layout.KEDRO
    project = Project.load(root)
    assert (project.name, project.module, project.relative(project.raw)) == (
        "visits-flow",
        "visits_flow",
        "data/01_raw",
    )
    said = mlproj("check", "data", cwd=root)
    assert "  ✗ raw data: there is none in `data/01_raw`" in said.stdout.splitlines()


def test_a_folder_without_git_gets_a_repository_and_loses_nothing(tmp_path: Path, mlproj: Run) -> None:
    root = tmp_path / "My Visits (2026)"
    put(root, FOLDER)
    done = mlproj("adopt", "--defaults", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "to do: `git init`" in done.stdout.splitlines()
    makes = "`mlproj adopt --data visits.csv --target COLUMN` makes one as well"
    assert f"not to add: a pipeline; {makes}" in done.stdout.splitlines()
    assert Project.load(root).name == "My-Visits-2026"
    assert (root / "visits.csv").read_text() == TABLE
    assert "?? visits.csv" in status(root)
    assert mlproj(cwd=root).returncode == 0
    left = mlproj("handover", cwd=root)
    assert left.stdout.endswith("\n\nnext: close them, from the top\n"), left.stdout


@pytest.mark.slow
def test_a_table_makes_a_pipeline_where_there_is_none(tmp_path: Path, mlproj: Run) -> None:
    root = tmp_path / "visits"
    put(root, FOLDER)
    words = ("--data", "visits.csv", "--target", "left", "--defaults")
    done = mlproj("adopt", *words, cwd=root)
    assert done.returncode == 0, done.stderr
    assert (root / "data/raw/visits.csv").read_text() == TABLE
    assert (root / "visits.csv").read_text() == TABLE
    assert yaml.safe_load((root / "data/raw/visits.csv.dvc").read_text())["outs"][0]["path"] == "visits.csv"
    assert {"ingest", "train", "evaluate"} <= {*yaml.safe_load((root / "dvc.yaml").read_text())["stages"]}
    assert (root / "visits/modeling/train.py").is_file()
    assert "pandas" in (root / "requirements.txt").read_text()
    assert "`left`" in (root / "docs/data.md").read_text()
    staged = git(root, "diff", "--cached", "--name-only").splitlines()
    assert "data/raw/visits.csv.dvc" in staged
    assert not {"data/raw/visits.csv", "visits.csv"} & {*staged}
    again = mlproj("check", "data", cwd=root)
    assert "  ✓ raw data: data/raw/visits.csv under DVC, unchanged" in again.stdout.splitlines()


def test_a_pipeline_is_not_put_between_the_modules_of_another(tmp_path: Path) -> None:
    root = make(tmp_path / "visits", CCDS_2)
    (root / "data/raw/visits.csv").write_text(TABLE)
    before = fingerprint(root)
    table = Table(path=root / "data/raw/visits.csv", target="left")
    with pytest.raises(ConfigError, match=r"`visits/config\.py`") as refused:
        adopt.plan(adopt.look(root), Wishes(table=table), say=silent)
    assert "`--module visits_pipeline`" in refused.value.hint
    assert fingerprint(root) == before

    made = adopt.plan(
        adopt.look(root), Wishes(table=table, words={"module_name": "visits_pipeline"}), say=silent
    )
    adopt.apply(made, say=silent)
    assert (root / "visits_pipeline/modeling/train.py").is_file()
    assert "visits_pipeline.dataset" in (root / "dvc.yaml").read_text()
    assert (root / "pyproject.toml").read_text() == CCDS_2["pyproject.toml"]
    assert (root / "visits/config.py").read_text() == ""


def test_a_table_fills_the_documents_of_a_repository_with_stages(tmp_path: Path) -> None:
    root = with_stages(tmp_path / "visits")
    table = Table(path=root / "data/raw/visits.csv", target="left")
    made = adopted(root, Wishes(table=table, phases=GUESSES))
    assert made.raw is None
    assert "| `plan` | categorical |" in (root / "docs/data.md").read_text()
    assert not (root / "params.yaml").exists()


def test_an_mlflow_store_is_found_and_used(tmp_path: Path) -> None:
    for name, store in (("one", "runs.db"), ("two", "mlruns")):
        root = make(tmp_path / name, CCDS_2)
        if store == "mlruns":
            put(root, {"mlruns/0/meta.yaml": "name: Default\n"})
        else:
            put_store(root, store)
        adopted(root)
        assert Project.load(root).store == root / store
        assert lock.base(root)["mlproj.toml"].content != (root / "mlproj.toml").read_bytes()


def test_that_stages_would_run_in_mlprojs_own_environment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    root = with_stages(tmp_path / "visits")

    def is_said() -> bool:
        notes = adopt.plan(adopt.look(root), Wishes(), say=silent).notes
        return any("stages would run in mlproj's own" in note for note in notes)

    assert is_said()
    put(root, {"active/bin/python": ""})
    monkeypatch.setenv("VIRTUAL_ENV", str(root / "active"))
    assert not is_said()
    monkeypatch.delenv("VIRTUAL_ENV")
    put(root, {".venv/bin/python": ""})
    assert not is_said()


def test_a_database_of_something_else_is_no_store(tmp_path: Path) -> None:
    root = make(tmp_path / "visits", CCDS_2)
    (root / "things.db").write_bytes(b"not a database at all")
    assert adopt.look(root).survey.store is None


def test_files_of_ones_own_stay_and_what_to_add_to_them_is_said(tmp_path: Path) -> None:
    mine = "repos:\n  - repo: local\n    hooks: []\n"
    root = make(
        tmp_path / "visits",
        {
            **CCDS_2,
            ".pre-commit-config.yaml": mine,
            "docs/data.md": "# Ours\n",
            "requirements.txt": "pandas\n",
            "pyproject.toml": '[project]\nname = "visits"\n',
        },
    )
    made = adopted(root)
    assert (root / ".pre-commit-config.yaml").read_text() == mine
    assert (root / "docs/data.md").read_text() == "# Ours\n"
    [note] = [note for note in made.notes if ".pre-commit-config.yaml" in note]
    assert "entry: hooks/run python hooks/large_files.py" in note
    assert "ruff" not in note


def test_hooks_of_a_program_that_is_not_there_are_left_out(tmp_path: Path) -> None:
    root = make(tmp_path / "flow", KEDRO)
    adopted(root)
    text = (root / ".pre-commit-config.yaml").read_text()
    ids = [hook["id"] for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]
    assert "large-files" in ids
    assert not [each for each in ids if each.startswith("ruff")]


def test_what_is_adopted_already_dirty_or_empty_is_refused(tmp_path: Path, mlproj: Run) -> None:
    root = with_stages(tmp_path / "visits")
    (root / "README.md").write_text("# changed\n")
    with pytest.raises(ConfigError, match=r"`README\.md` changed since the last commit"):
        adopt.look(root)
    commit(root, "mine")
    adopted(root)
    commit(root, "adopt")
    before = fingerprint(root)
    again = mlproj("adopt", "--defaults", cwd=root)
    assert again.returncode == 2
    assert "`visits` is an mlproj repository already" in again.stderr
    assert fingerprint(root) == before

    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="is empty"):
        adopt.look(empty)
    with pytest.raises(ConfigError, match="is not a folder"):
        adopt.look(tmp_path / "nowhere")


def test_a_file_where_a_folder_is_to_be_and_a_link_out_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    one = make(tmp_path / "one", {**KEDRO, "hooks": "a file\n"})
    two = make(tmp_path / "two", KEDRO)
    (two / "docs").symlink_to(outside)
    commit(two, "a link")
    for root, place in ((one, "hooks"), (two, "docs")):
        before = fingerprint(root)
        with pytest.raises(ConfigError, match=f"`{place}` is in the way"):
            adopt.plan(adopt.look(root), Wishes(), say=silent)
        assert fingerprint(root) == before
    assert list(outside.iterdir()) == []


def test_what_git_would_ignore_is_not_put_there(tmp_path: Path) -> None:
    root = make(tmp_path / "visits", {**KEDRO, ".gitignore": "/docs/\n"})
    with pytest.raises(ConfigError, match=r"git ignores `docs/data\.md`"):
        adopt.plan(adopt.look(root), Wishes(), say=silent)


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "visits"
    put(root, FOLDER)
    before = sorted(root.rglob("*"))
    table = Table(path=root / "visits.csv", target="left")
    made = adopt.plan(adopt.look(root), Wishes(table=table), say=silent)

    def fails(root: Path, paths: object) -> None:
        raise ToolError("git is tired")

    monkeypatch.setattr(adoption, "stage", fails)
    with pytest.raises(ToolError, match="tired"):
        adopt.apply(made, say=silent)
    assert sorted(root.rglob("*")) == before
    assert (root / "visits.csv").read_text() == TABLE


KILLED = """
import os, signal, sys
from pathlib import Path
from mlproj.flows import adopt
from mlproj.flows.adopt import Wishes
from mlproj.scaffold import adoption

adoption.stage = lambda root, paths: os.kill(os.getpid(), signal.{how})
root = Path(sys.argv[1])
made = adopt.plan(adopt.look(root), Wishes(phases={{"fit": "modeling"}}), say=lambda text: None)
adopt.apply(made, say=lambda text: None)
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_one_that_was_killed_is_taken_back_by_the_next(tmp_path: Path, how: str) -> None:
    root = with_stages(tmp_path / "visits")
    before = fingerprint(root)
    program = [sys.executable, "-c", KILLED.format(how=how), str(root)]
    done = subprocess.run(program, capture_output=True, check=False)
    assert done.returncode != 0
    if how == "SIGKILL":
        assert (root / "mlproj.toml").exists()
        put(root, {"docs/scoping.md": lambda text: text + "mine\n"})
        with pytest.raises(ConfigError, match=r"`docs/scoping\.md` was edited since"):
            adopt.look(root)
        put(root, {"docs/scoping.md": lambda text: text.removesuffix("mine\n")})
        adopt.look(root)
    assert fingerprint(root) == before
    assert not (root / "docs/scoping.md").exists()
    adopted(root)
    assert Project.load(root).name == "visits"


def test_a_folder_of_a_larger_repository_is_adopted_alone(tmp_path: Path, mlproj: Run) -> None:
    top = make(tmp_path / "company", {f"teams/visits/{path}": text for path, text in CCDS_2.items()})
    (top / "other.txt").write_text("not of this project\n")
    root = top / "teams/visits"
    adopted(root)
    assert all(line.startswith(("A  teams/visits/", "?? other.txt")) for line in status(top))
    assert mlproj("check", cwd=root).returncode == 3


def test_an_upgrade_brings_what_was_taken_and_nothing_else(
    tmp_path: Path, today: Today, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt, "__version__", "0.0.1")
    root = make(tmp_path / "visits", {**CCDS_2, "docs/data.md": "# Ours\n", "dvc.yaml": STAGES})
    put_store(root)
    commit(root, "stages")
    adopted(root)
    commit(root, "adopt")
    put(root, {"hooks/large_files.py": lambda text: text + "# ours\n"})
    commit(root, "an edit")
    template = today(
        {
            "hooks/another.py": "print('new')\n",
            "hooks/large_files.py": lambda text: text.replace('"""', '"""Newer. ', 1),
            "mlproj.toml.jinja": lambda text: text.replace("[paths]\n", "[paths]\n# newer\n"),
            "tools/not_for_you.py": "print('no')\n",
            "docs/scoping.md.jinja": lambda text: text + "\nMore.\n",
            "docs/data.md.jinja": lambda text: text + "\nMore.\n",
            "dvc.yaml.jinja": lambda text: text + "\n# newer\n",
            "Makefile.jinja": lambda text: text + "\n# newer\n",
        }
    )
    done = run(root, template)
    assert done.conflicts == ()
    assert {change.path for change in done.changes} == {
        "hooks/another.py",
        "hooks/large_files.py",
        "mlproj.toml",
    }
    assert done.offers == ("docs/scoping.md",)
    assert (root / "hooks/large_files.py").read_text().endswith("# ours\n")
    assert "# newer" in (root / "mlproj.toml").read_text()
    assert tomllib.loads((root / "mlproj.toml").read_text())["paths"]["store"] == "runs.db"
    assert (root / "docs/data.md").read_text() == "# Ours\n"
    commit(root, "upgrade")
    assert run(root, template).changes == ()


def test_the_environment_is_told_by_its_lock(tmp_path: Path) -> None:
    for name, manager in (
        ("uv.lock", EnvManager.UV),
        ("poetry.lock", EnvManager.POETRY),
        ("pixi.lock", EnvManager.PIXI),
        ("environment.yml", EnvManager.CONDA),
    ):
        root = make(tmp_path / name, {"a.ipynb": "{}", name: "\n"})
        seen = adopt.look(root).survey
        assert (seen.env_manager, seen.lock) == (manager, name)


def test_the_repositorys_own_rules_of_style_are_not_for_what_was_added(tmp_path: Path) -> None:
    strict = CCDS_2["pyproject.toml"].replace("99", '60\n\n[tool.ruff.lint]\nselect = ["ALL"]')
    root = make(tmp_path / "visits", {**CCDS_2, "pyproject.toml": strict, "visits/config.py": "import os\n"})
    adopted(root)
    checked = [[sys.executable, "-m", "ruff", *words] for words in (["check"], ["format", "--check"])]
    done = [subprocess.run(words, cwd=root, capture_output=True, text=True, check=False) for words in checked]
    assert "hooks" not in done[0].stdout
    assert "visits/config.py" in done[0].stdout
    assert done[1].returncode == 0, done[1].stdout
