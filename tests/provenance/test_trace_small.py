"""Traces in a repository of a few files: two runs, the second after the data had changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError
from mlproj.cli import render_trace
from mlproj.flows.trace import Options, trace
from mlproj.project import Project
from mlproj.provenance import snapshot
from mlproj.provenance.things import Kept
from mlproj.provenance.trace import Link, Trace

FIRST, SECOND = "a1" * 16, "a2" * 16


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write(root: Path, path: str, content: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content, encoding="utf-8")


def run(root: Path, run_id: str, rows: str, version: int) -> None:
    """What a run leaves: its manifest and its lock in a commit with a tag, its data in the cache."""
    raw = rows.encode()
    for content in (raw, b"model of " + raw):
        kept = root / ".dvc" / "cache" / "files" / "md5" / md5(content)[:2] / md5(content)[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    commit = git(root, "rev-parse", "HEAD")
    code = (root / "train.py").read_bytes()
    manifest: dict[str, Any] = {
        "run_id": run_id,
        "code": {"commit": commit, "dirty": False, "snapshot": commit},
        "data": {"raw": {"path": "raw.csv", "md5": md5(raw)}},
        "environment": {"lock": "uv.lock", "lock_sha256": hashlib.sha256(b"pins\n").hexdigest()},
    }
    write(root, "models/run.json", json.dumps(manifest))
    write(root, "models/registered.json", json.dumps({"version": version, "run_id": run_id}))
    lock = {
        "stages": {
            "train": {
                "cmd": "python train.py",
                "deps": [
                    {"path": "raw.csv", "md5": md5(raw), "size": len(raw)},
                    {"path": "train.py", "md5": md5(code)},
                ],
                "outs": [
                    {"path": "models/model", "md5": md5(b"model of " + raw)},
                    {"path": "models/run.json", "md5": md5((root / "models/run.json").read_bytes())},
                ],
            }
        }
    }
    write(root, "dvc.lock", json.dumps(lock))  # JSON is YAML too
    git(root, "add", "-A")
    git(root, "commit", "-qm", f"Version {version}")
    snapshot.anchor(root, run_id, git(root, "rev-parse", "HEAD"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    root = tmp_path / "small"
    root.mkdir()
    write(
        root,
        "mlproj.toml",
        '[project]\nid = "0123456789ab"\nname = "small"\nmodule = "small"\nmodel = "small"\n',
    )
    write(root, "uv.lock", "pins\n")
    write(root, "train.py", "print(1)\n")
    write(root, ".gitignore", "/.dvc/cache\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Begin")
    run(root, FIRST, "1,2\n", 1)
    run(root, SECOND, "1,2\n3,4\n", 2)
    return root


def traced(root: Path, word: str, **options: Any) -> Trace:
    return trace(Project.load(root), word, Options(**options))


def test_a_file_that_changed_is_told_of_with_each_of_its_contents(root: Path) -> None:
    found = traced(root, "raw.csv")
    assert [(content.file.md5, content.runs, content.is_current) for content in found.contents] == [
        (md5(b"1,2\n"), (FIRST,), False),
        (md5(b"1,2\n3,4\n"), (SECOND,), True),
    ]
    assert [version.number for version in found.versions] == [1, 2]
    assert found.is_whole, found.breaks
    assert found.contents[0].file.kept is Kept.HERE


def test_a_digest_leads_to_the_runs_that_read_that_content_only(root: Path) -> None:
    found = traced(root, md5(b"1,2\n"))
    assert [origin.run for origin in found.origins] == [FIRST]
    assert found.contents[0].read_by == ("train",)


def test_a_run_comes_before_a_digest_since_both_look_alike(root: Path) -> None:
    assert [origin.run for origin in traced(root, FIRST).origins] == [FIRST]


def test_the_beginning_of_two_runs_is_refused(root: Path) -> None:
    run(root, "a1a1" + "b" * 28, "5,6\n", 3)
    with pytest.raises(ConfigError, match="`a1a1` begins the ids of 2 runs"):
        traced(root, "a1a1")


def test_a_version_that_was_never_registered_is_nothing(root: Path) -> None:
    with pytest.raises(ConfigError, match="`v3` is no prediction") as refused:
        traced(root, "v3")
    assert "the versions are 1 and 2" in refused.value.hint


def test_the_first_version_is_traced_though_the_work_tree_has_moved_on(root: Path) -> None:
    write(root, "train.py", "print(2)\n")
    write(root, "uv.lock", "other pins\n")
    (origin,) = traced(root, "1").origins
    assert origin.run == FIRST
    assert traced(root, "1").is_whole
    raw = origin.input("raw")
    assert raw is not None
    assert raw.md5 == md5(b"1,2\n")


def test_a_commit_leads_to_the_runs_made_from_it(root: Path) -> None:
    assert [origin.run for origin in traced(root, "HEAD~1").origins] == [FIRST, SECOND]


def test_a_commit_from_which_no_run_was_made_says_which_model_stood_in_it(root: Path) -> None:
    git(root, "commit", "-q", "--allow-empty", "-m", "Words")
    found = traced(root, "HEAD")
    assert [origin.run for origin in found.origins] == [SECOND]
    assert found.notes[0].startswith("no run was made from this commit; the model that stood in it")
    assert found.commit is not None
    assert found.commit.title == "Words"


def test_code_that_is_not_what_ran_breaks_the_link(root: Path) -> None:
    write(root, "train.py", "print(3)\n")
    git(root, "commit", "-qam", "Edited afterwards")
    snapshot.anchor(root, SECOND, git(root, "rev-parse", "HEAD"))
    found = traced(root, SECOND)
    assert [each.link for each in found.breaks] == [Link.CODE]
    assert "`train.py` in the snapshot is not the file" in found.breaks[0].said


def test_a_manifest_that_contradicts_the_lock_breaks_the_link(root: Path) -> None:
    said = json.loads((root / "models/run.json").read_text(encoding="utf-8"))
    said["data"]["raw"]["md5"] = md5(b"1,2\n")
    write(root, "models/run.json", json.dumps(said))
    git(root, "commit", "-qam", "Edited afterwards")
    snapshot.anchor(root, SECOND, git(root, "rev-parse", "HEAD"))
    links = [each.link for each in traced(root, SECOND).breaks]
    assert set(links) == {Link.PIPELINE}
    assert len(links) == 2  # the manifest is not what the stage wrote, and says another digest


def test_a_run_without_a_snapshot_is_read_from_the_work_tree(root: Path) -> None:
    git(root, "update-ref", "-d", f"refs/tags/mlproj/run/{SECOND}")
    found = traced(root, SECOND)
    assert [each.link for each in found.breaks] == [Link.SNAPSHOT]
    assert found.origins[0].read_from == "the work tree"
    assert found.origins[0].stages


def test_outside_of_git_nothing_can_be_traced(tmp_path: Path) -> None:
    write(tmp_path, "mlproj.toml", '[project]\nid = "0"\nname = "a"\nmodule = "a"\nmodel = "a"\n')
    with pytest.raises(ConfigError, match="is not in a git repository"):
        traced(tmp_path, "v1")


def test_another_project_that_is_none_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither an mlproj repository nor the data folder of one"):
        traced(root, "v1", others=(tmp_path,))


def test_a_request_id_is_refused_with_what_is_looked_up_instead(root: Path) -> None:
    with pytest.raises(ConfigError, match="`order-17` is no prediction") as refused:
        traced(root, "order-17")
    assert "a caller's request id is not looked up: give the `prediction_id`" in refused.value.hint


def test_the_two_commits_of_a_run_are_told_apart(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = traced(root, FIRST)
    (origin,) = found.origins
    assert origin.code is not None
    assert origin.outcome is not None
    assert origin.code.snapshot not in (None, origin.outcome)
    render_trace.show(found)
    shown = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert f"(its outcome, commit {origin.outcome[:12]})" in shown
    assert f"code as training began: commit {origin.code.snapshot}" in shown


@pytest.mark.parametrize(
    ("damaged", "kept", "says"),
    [
        (("cache",), Kept.REMOTE, "is whole on the remote, but in the cache the object is damaged"),
        (("remote",), Kept.HERE, "is whole here, but on the remote the object is damaged"),
        (("cache", "remote"), Kept.LOST, "whole neither in the cache nor on the remote; in the cache the"),
    ],
)
def test_a_damaged_object_is_said_of_the_store_that_has_it(
    root: Path, damaged: tuple[str, ...], kept: Kept, says: str
) -> None:
    stores = {"cache": root / ".dvc" / "cache", "remote": root.parent / "remote"}
    shutil.copytree(stores["cache"], stores["remote"])
    write(
        root, ".dvc/config", f"[core]\n    remote = far\n['remote \"far\"']\n    url = {stores['remote']}\n"
    )
    digest = md5(b"1,2\n")
    places = [stores[name] / "files" / "md5" / digest[:2] / digest[2:] for name in damaged]
    for place in places:
        place.write_bytes(b"1,3\n")  # of the same size, so that only reading it tells
    found = traced(root, FIRST, verify=True)
    assert found.origins[0].files["raw.csv"].kept is kept
    (told,) = [
        *found.notes,
        *(f"{each.said} {each.hint}" for each in found.breaks if each.link is Link.OBJECT),
    ]
    assert says in told
    assert f"run `rm {' '.join(map(str, places))}`, which DVC takes for whole, then `" in told
    # Without one that is whole nothing mends it; with it, DVC copies it over once the other is gone.
    mends = {Kept.REMOTE: "dvc fetch", Kept.HERE: "dvc push", Kept.LOST: "make sync_data_up"}
    assert mends[kept] in told.rpartition("then ")[2]
