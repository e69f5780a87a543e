"""The hooks that look at what git, DVC and the documents say of each other, in real repositories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mlproj.catalog import datasheet
from mlproj.decisions import store
from mlproj.decisions.record import Decision
from tests.hooks.started import HOOKS, hook, lines, loaded
from tests.support import REPOSITORY, fenced, made_once

DVC_YAML = """\
# Two stages, of which the second has code and parameters of its own.
vars:
  - folder: out
stages:
  ingest:
    cmd: python code.py data/raw/t.csv table.csv
    deps: [code.py, data/raw/t.csv]
    outs: [table.csv]
  train:
    desc: learn
    cmd: python code.py table.csv metrics.json
    deps:
      - code.py
      - table.csv
    params:
      - rate
      - train.words
      - other.toml: [depth]
    metrics:
      - metrics.json:
          cache: false
  filled:
    cmd: echo ${folder}
"""
PARAMS = """\
rate: 1e-05  # a number to DVC, a word to YAML 1.1
train:
  words: [yes, 'no', 010]
"""


@pytest.fixture(scope="session")
def piped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository whose pipeline has run, everything committed."""

    def make(root: Path) -> None:
        (root / "home").mkdir()
        env, work = fenced(root / "home"), root / "work"
        (work / "data" / "raw").mkdir(parents=True)
        (work / "data" / "raw" / "t.csv").write_text("a,b\n1,2\n")
        (work / "code.py").write_text(
            "import shutil, sys\n\nshutil.copyfile(sys.argv[1], sys.argv[2])\n", encoding="utf-8"
        )
        (work / "dvc.yaml").write_text(DVC_YAML)
        (work / "params.yaml").write_text(PARAMS)
        (work / "other.toml").write_text("depth = 3\n")
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        for words in (
            ["git", "init", "--quiet"],
            ["dvc", "init", "--quiet"],
            ["dvc", "add", "--quiet", "data/raw/t.csv"],
            ["dvc", "repro", "--quiet"],
            ["git", "add", "--all"],
            ["git", "commit", "--quiet", "--message", "Run"],
        ):
            subprocess.run(words, cwd=work, env=env, check=True)

    return made_once(tmp_path_factory, "piped", make) / "work"


@pytest.fixture
def work(piped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(piped, tmp_path / "work", symlinks=True))


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a hook prints in a folder of the test's own; it refuses if that is anything."""

    def asked(name: str, *args: str) -> str:
        refused = loaded(name).main(args)
        said = capsys.readouterr().out
        assert bool(refused) is bool(said)
        return said

    monkeypatch.chdir(tmp_path)
    return asked


def git(root: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def replaced(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


# dvc.lock


def test_a_lock_of_this_pipeline_passes(work: Path) -> None:
    for words in (["dvc.lock", "dvc.yaml"], ["dvc.yaml"], ["dvc.lock"]):
        done = hook("dvc_lock", *words, cwd=work)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("file", "before", "after", "place", "alone"),
    [
        ("dvc.yaml", "python code.py table.csv m", "python -O code.py table.csv m", "dvc.yaml:9", True),
        ("dvc.yaml", "deps: [code.py, ", "deps: [", "dvc.yaml:5", True),
        ("dvc.yaml", "outs: [table.csv]", "outs: [table.csv, more.csv]", "dvc.yaml:5", True),
        ("dvc.yaml", "      - rate\n", "", "dvc.yaml:9", True),
        ("params.yaml", "1e-05", "1e-04", "params.yaml:1", False),
        ("params.yaml", "'no'", "'yes'", "params.yaml:2", False),
        ("other.toml", "3", "4", "other.toml:1", False),
        ("code.py", "import shutil", "import shutil as s", "code.py:1", False),
        ("metrics.json", "a", "c", "metrics.json:1", False),
    ],
)
def test_a_lock_of_another_pipeline_is_refused_where_it_differs(
    work: Path, file: str, before: str, after: str, place: str, alone: bool
) -> None:
    replaced(work / file, before, after)
    done = hook("dvc_lock", "dvc.lock", "dvc.yaml", cwd=work)
    assert done.returncode == 1
    assert place in lines(done.stdout)
    assert "dvc repro" in done.stdout
    # Without the lock in the commit nothing says that it was run: that may come afterwards.
    assert hook("dvc_lock", "dvc.yaml", cwd=work).returncode == int(alone)


def test_a_stage_that_was_not_run_again_is_not_held_to_what_came_after_it(work: Path) -> None:
    """Ingest with new code, commit; train later: the lock says itself that train is of older data."""
    replaced(work / "code.py", "import shutil, sys", "import sys\nimport shutil")
    replaced(work / "params.yaml", "1e-05", "1e-04")
    replaced(work / "data" / "raw" / "t.csv", "1,2", "3,4")
    done = hook("dvc_lock", "dvc.lock", cwd=work)
    assert lines(done.stdout) == ["code.py:1", "params.yaml:1", "code.py:1"], "nothing was run yet"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", "ingest"]
    subprocess.run(command, cwd=work, env={**os.environ, "PATH": path}, check=True)
    assert hook("dvc_lock", "dvc.lock", cwd=work).stdout == ""
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "New data")
    assert hook("dvc_lock", "dvc.lock", cwd=work).stdout == "", "as in CI"
    replaced(work / "code.py", "import sys\n", "import sys as _\n")
    assert lines(hook("dvc_lock", "dvc.lock", cwd=work).stdout) == ["code.py:1"]


def test_a_lock_that_read_other_raw_data_is_refused(work: Path) -> None:
    (work / "data" / "raw" / "t.csv").write_text("a,b\n3,4\n")
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "data/raw/t.csv"], cwd=work, check=True)
    done = hook("dvc_lock", "dvc.lock", cwd=work)
    assert lines(done.stdout) == ["data/raw/t.csv.dvc:1"]
    assert "stage `ingest` read other data: run `dvc repro ingest`" in done.stdout
    (work / "hooks").mkdir()
    (work / "hooks" / "run").touch()
    assert "run `hooks/run dvc repro ingest`" in hook("dvc_lock", "dvc.lock", cwd=work).stdout


def test_what_has_never_run_or_is_filled_in_by_dvc_is_not_judged(work: Path) -> None:
    replaced(work / "dvc.yaml", "  filled:", "  new:\n    cmd: echo new\n  filled:")
    replaced(work / "dvc.yaml", "echo ${folder}", "echo ${folder} again")
    replaced(work / "dvc.yaml", "    desc: learn", "    desc: learn more\n    frozen: true")
    replaced(work / "params.yaml", "1e-05", "1e-04")
    assert hook("dvc_lock", "dvc.lock", "dvc.yaml", cwd=work).stdout == ""
    (work / "dvc.lock").unlink()
    assert hook("dvc_lock", "dvc.lock", "dvc.yaml", cwd=work).returncode == 0


def test_a_pipeline_that_cannot_be_read_is_refused_without_a_traceback(work: Path) -> None:
    replaced(work / "dvc.yaml", "deps: [code.py", "deps: [[code.py")
    done = hook("dvc_lock", "dvc.yaml", cwd=work)
    assert (done.returncode, done.stderr) == (1, "")
    assert lines(done.stdout)[0].startswith("dvc.yaml:")
    (work / "dvc.yaml").write_text("- a list\n")
    assert hook("dvc_lock", "dvc.yaml", cwd=work).stderr == ""


# Raw data


def changed_digest(work: Path) -> str:
    path = work / "data" / "raw" / "t.csv.dvc"
    said = path.read_text().split("md5: ")[1].split()[0]
    replaced(path, said, "0" * 32)
    git(work, "add", "--all")
    return "data/raw/t.csv.dvc"


def test_changed_raw_data_are_refused_and_said_how_to_add_instead(work: Path) -> None:
    name = changed_digest(work)
    done = hook("raw_data", name, cwd=work)
    assert done.returncode == 1
    assert lines(done.stdout) == [f"{name}:2"]
    assert "such as `data/raw/t-2.csv`" in done.stdout
    assert "SKIP=raw-data" in done.stdout


def test_the_way_back_works_in_a_shell_with_nothing_activated(work: Path) -> None:
    (work / "hooks").mkdir()
    shutil.copy(HOOKS / "run", work / "hooks" / "run")
    (work / "mlproj.toml").write_text(f'python = "{sys.executable}"\n', encoding="utf-8")
    (work / "data/raw/t.csv").write_text("a,b\n3,4\n", encoding="utf-8")
    command = [sys.executable, "-m", "dvc", "add", "--quiet", "data/raw/t.csv"]
    subprocess.run(command, cwd=work, check=True)
    git(work, "add", "--all")
    said = hook("raw_data", "data/raw/t.csv.dvc", cwd=work).stdout
    for command in re.findall(r"`((?:git|hooks/run dvc) checkout .*?)`", said):
        subprocess.run(["sh", "-c", command], cwd=work, env={**os.environ, "PATH": os.defpath}, check=True)
    assert (work / "data/raw/t.csv").read_text(encoding="utf-8") == "a,b\n1,2\n"


def test_adding_moving_describing_and_deleting_raw_data_passes(work: Path) -> None:
    raw = work / "data" / "raw"
    (raw / "u.csv.dvc").write_text((raw / "t.csv.dvc").read_text().replace("t.csv", "u.csv"))
    (raw / "README.md").write_text("# Where they come from\n")
    replaced(raw / "t.csv.dvc", "outs:", "desc: from the registry\nouts:")
    git(work, "add", "--all")
    names = ["data/raw/u.csv.dvc", "data/raw/README.md", "data/raw/t.csv.dvc", "data/raw/.gitignore"]
    assert hook("raw_data", *names, cwd=work).returncode == 0
    git(work, "rm", "--quiet", "--force", "data/raw/t.csv.dvc")
    assert hook("raw_data", "data/raw/t.csv.dvc", cwd=work).returncode == 0
    assert hook("raw_data", cwd=work).returncode == 0


def test_a_small_raw_file_that_git_keeps_may_not_change_either(work: Path) -> None:
    (work / "data" / "raw" / "codes.csv").write_text("a\n")
    git(work, "add", "--force", "data/raw/codes.csv")
    assert hook("raw_data", "data/raw/codes.csv", cwd=work).returncode == 0
    git(work, "commit", "--quiet", "--message", "Codes")
    (work / "data" / "raw" / "codes.csv").write_text("b\n")
    assert hook("raw_data", "data/raw/codes.csv", cwd=work).returncode == 0, "not in the commit"
    git(work, "add", "data/raw/codes.csv")
    assert lines(hook("raw_data", "data/raw/codes.csv", cwd=work).stdout) == ["data/raw/codes.csv:1"]


def test_a_merge_may_bring_what_another_branch_has_and_nothing_else(work: Path) -> None:
    git(work, "switch", "--quiet", "--create", "other")
    name = changed_digest(work)
    git(work, "commit", "--quiet", "--message", "With a reason")
    git(work, "switch", "--quiet", "-")
    (work / "note.txt").write_text("here\n")
    git(work, "add", "note.txt")
    git(work, "commit", "--quiet", "--message", "Here")
    git(work, "merge", "--no-commit", "--no-ff", "other")
    assert hook("raw_data", name, cwd=work).returncode == 0
    replaced(work / name, "0" * 32, "1" * 32)
    git(work, "add", name)
    assert hook("raw_data", name, cwd=work).returncode == 1


def test_a_range_of_commits_is_judged_in_ci(work: Path) -> None:
    name = changed_digest(work)
    git(work, "commit", "--quiet", "--message", "Changed")
    assert hook("raw_data", name, cwd=work).returncode == 0
    span = {"PRE_COMMIT_FROM_REF": "HEAD~1", "PRE_COMMIT_TO_REF": "HEAD"}
    assert lines(hook("raw_data", name, cwd=work, **span).stdout) == [f"{name}:2"]


def test_before_the_first_commit_nothing_is_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.csv.dvc").write_text("outs:\n- md5: 1\n")
    git(tmp_path, "add", "--all")
    done = hook("raw_data", "a.csv.dvc", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


# Decisions


def test_a_decision_that_the_program_writes_passes(ask: Callable[..., str], tmp_path: Path) -> None:
    for title in ("Drop tenure: it leaks", "'quoted' - # no comment", "été 😀", "null", "2026-01-01"):
        decision = Decision(title=title, on=date(2026, 12, 1), commit="0123456789" * 4, run="ab" * 16)
        path = store.add(tmp_path, decision)
        assert ask("decision_records", path.name) == "", path.read_text()


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        ("drop.md", "# Drop it\n", 1, "its name has no date"),
        ("2026-02-30-drop.md", "# Drop it\n", 1, "its name has no date"),
        ("2026-12-01-drop.md", "because\n", 1, "it has no title"),
        ("2026-12-01-drop.md", "---\ntitle: x\n", 1, "never ends"),
        ("2026-12-01-drop.md", "---\ntitle: [x\n---\n", 3, "is not YAML"),
        ("2026-12-01-drop.md", "---\n- x\n---\n", 2, "holds no keys"),
        ("2026-12-01-drop.md", "---\ntitle: ''\n---\n", 2, "`title` is empty"),
        ("2026-12-01-drop.md", "---\ntitle: x\nkind: note\n---\n", 3, "write decision or forced"),
        ("2026-12-01-drop.md", "---\ntitle: x\ndate: soon\n---\n", 3, "`soon` is no date"),
        ("2026-12-01-drop.md", "---\ntitle: x\ndate: 2026-12-02\n---\n", 3, "2026-12-01 in the file's name"),
        ("2026-12-01-drop.md", "---\ntitle: x\ncommit: the last\n---\n", 3, "`commit` is no identifier"),
    ],
)
def test_a_decision_that_cannot_be_found_again_is_refused(
    ask: Callable[..., str], name: str, text: str, line: int, says: str
) -> None:
    Path(name).write_text(text)
    said = ask("decision_records", name)
    assert lines(said) == [f"{name}:{line}"]
    assert says in said


def test_a_page_written_by_hand_needs_a_date_in_its_name_and_a_title(tmp_path: Path) -> None:
    (tmp_path / "2026-12-01-drop.md").write_text("# Drop it\n\nIt leaks.\n")
    (tmp_path / "README.md").write_text("How to\n")
    assert hook("decision_records", "2026-12-01-drop.md", "README.md", cwd=tmp_path).returncode == 0


# Dictionary

SCHEMA = """\
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "age": pa.Column(float),
        "a | b": pa.Column(str),
        " with `ticks`": pa.Column(str),
    },
    strict=True,
)
"""
DICTIONARY = """\
# Data

| other | table |
| --- | --- |
| x | y |

## Dictionary

| column | type | meaning |
| :--- | --- | --- |
| `age` | numeric | in years |
| `a \\| b` | text | one of two |
| with `ticks` | text | as typed |

More prose.
"""


@pytest.fixture
def described(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "data.md").write_text(DICTIONARY)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "schema.py").write_text(SCHEMA)
    return tmp_path


def test_a_dictionary_in_step_with_the_schema_passes(described: Path) -> None:
    done = hook("dictionary", cwd=described)
    assert (done.returncode, done.stdout) == (0, "")
    rows, last = loaded("dictionary").rows_of(DICTIONARY.splitlines())
    assert tuple(rows) == datasheet.load(described / "docs" / "data.md").columns
    assert last == 13


def test_a_column_that_nobody_describes_is_refused_and_added_when_asked(described: Path) -> None:
    schema, document = described / "model" / "schema.py", described / "docs" / "data.md"
    replaced(
        schema, '        "age"', '        "new": pa.Column(str),\n        "x|y": pa.Column(),\n        "age"'
    )
    done = hook("dictionary", cwd=described)
    assert done.returncode == 1
    assert lines(done.stdout) == ["model/schema.py:5", "model/schema.py:6"]
    assert "add a row below docs/data.md:13, or run" in done.stdout

    done = hook("dictionary", "--fix", cwd=described)
    assert done.returncode == 1, "as with every hook that mends, the commit is looked at again"
    rows = "| `new` | TODO |  |  | TODO |\n| `x\\|y` | TODO |  |  | TODO |\n"
    assert document.read_text() == DICTIONARY.replace("\nMore prose", f"{rows}\nMore prose")
    assert hook("dictionary", cwd=described).returncode == 0


def test_a_row_without_a_column_is_refused_and_never_taken_away(described: Path) -> None:
    replaced(described / "model" / "schema.py", '        "age": pa.Column(float),\n', "")
    done = hook("dictionary", "--fix", cwd=described)
    assert lines(done.stdout) == ["docs/data.md:11"]
    assert (described / "docs" / "data.md").read_text() == DICTIONARY


@pytest.mark.parametrize(
    "schema",
    ["", "x = (", "schema = pa.DataFrameSchema(columns)\n", "schema = DataFrameSchema({**more, 'a': 1})\n"],
)
def test_a_schema_whose_names_are_not_written_out_is_not_judged(described: Path, schema: str) -> None:
    (described / "model" / "schema.py").write_text(schema)
    done = hook("dictionary", cwd=described)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Credentials. None of these is one; each is put together, so that this file passes too.

AWS = "AKIA" + "ABCDEFGHIJ234567"
RANDOM = "q7Zr2kPx" + "9LmV4tBn8WcY"
SECRETS = [
    ("a.py", f'key = "{AWS}"\n', 1),
    ("notes.md", "x\ny ghp_" + "a1B2" * 9 + "\n", 2),
    ("a.txt", "hf_" + "aBcDeFgHiJ" * 3 + "aBcD" + "\n", 1),
    ("key.pem", "-----BEGIN RSA " + "PRIVATE KEY-----\nMII\n", 1),
    ("key.json", '{"private_key": "-----BEGIN ' + 'PRIVATE KEY-----\\nMII"}\n', 1),
    ("a.py", 'url = "postgresql://ann:' + 's3cretword@db.internal/x"\n', 1),
    ("params.yaml", f"a: 1\napi_key: {RANDOM}\n", 2),
    ("config", f"x\n    secret_access_key = {RANDOM}\n", None),
    (".dvc/config", f"x\n    secret_access_key = {RANDOM}\n", 2),
    ("params.yaml", "db: {user: ann, password: Tr0ub4" + "dor&3}\n", 1),
    ("a.ipynb", '{"cells": [{"source": ["x\\n",\n"TOKEN = \\"' + RANDOM + '\\"\\n"]}]}\n', 2),
    (".env", "A=1\n", 1),
    (".env.local", "A=1\n", 1),
]
HARMLESS = [
    ("params.yaml", "tokenizer: bert-base-uncased-20240101-final\nmax_tokens: 512\nkey: Individual ID\n"),
    ("params.yaml", "password: ${DB_PASSWORD}\ntoken: your-token-goes-here-12345\nsecret: TODO\n"),
    ("params.yaml", "token_column: user_identifier_2024_v2_x\nprivate_key: ~/.ssh/id_ed25519.pem\n"),
    ("ci.yml", "  KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}\n  password: $PASSWORD\n"),
    ("a.py", f'token = "{RANDOM}"  # code is judged by the form of known keys only\n'),
    ("a.md", "postgresql://user:password@host/db postgresql://user@host ssh://git@host:22/x\n"),
    ("params.yaml", f"api_key: {RANDOM}  # pragma: allowlist secret\n"),
    ("params.yaml", "password: null\nsecret: ''\ntoken: data/processed/tokens_2024_01_01.parquet\n"),
    (".env.example", "AWS_SECRET_ACCESS_KEY=\nDB_PASSWORD=change-me\n"),
    ("lock.json", '{"sha256": "' + "0a1b2c3d" * 8 + '"}\n'),
]


@pytest.mark.parametrize(("name", "text", "line"), SECRETS)
def test_a_credential_is_refused_and_not_repeated(
    ask: Callable[..., str], name: str, text: str, line: int | None
) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    said = ask("credentials", name)
    assert lines(said) == ([] if line is None else [f"{name}:{line}"])
    assert not any(secret in said for secret in (AWS, RANDOM, "s3cretword", "dor&3"))


@pytest.mark.parametrize(("name", "text"), HARMLESS)
def test_what_only_looks_like_one_passes(ask: Callable[..., str], name: str, text: str) -> None:
    Path(name).write_text(text)
    assert ask("credentials", name) == ""


def test_nothing_in_this_repository_looks_like_a_credential() -> None:
    tracked = git(REPOSITORY, "ls-files", "-z").rstrip("\0").split("\0")
    done = hook("credentials", *tracked, cwd=REPOSITORY)
    assert done.stdout == ""
