"""`mlproj data at`: the data of a past day, commit or run, from real git and DVC history."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Run, fenced, made_once

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "id,left\n1,no\n", "id,left\n1,no\n2,yes\n", "id,left\n1,no\n2,yes\n3,no\n"
RAW = "data/raw/visits.csv"
MARKER = f"""\
[project]
id = "0123456789ab"
name = "visits"
module = "visits"
model = "visits"
env_manager = "none"
python = {json.dumps(sys.executable)}
"""


class Story:
    """A repository whose commits have the dates and people that a test says."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root, self.env = root, env

    def run(self, *words: str, **env: str) -> str:
        done = subprocess.run(
            words, cwd=self.root, env={**self.env, **env}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def dvc(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "dvc", "--quiet", *words)

    def bring(self, text: str) -> None:
        path = self.root / RAW
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.dvc("add", RAW)

    def dated(self, at: str, who: str, *words: str) -> str:
        self.run(*words, GIT_AUTHOR_NAME=who, GIT_AUTHOR_DATE=at, GIT_COMMITTER_DATE=at)
        return self.run("git", "rev-parse", "HEAD")

    def commit(self, at: str, who: str, title: str) -> str:
        self.run("git", "add", "-A")
        return self.dated(at, who, "git", "commit", "-qm", title)


def tell(folder: Path) -> None:
    """No data in January, a first file in February, a second and photos in March, a merge in April."""
    root = folder / "visits"
    root.mkdir()
    (folder / "home").mkdir()
    story = Story(root, fenced(folder / "home"))
    story.run("git", "init", "-q")
    story.dvc("init")
    story.dvc("remote", "add", "-d", "here", str(folder / "remote"))
    (root / ".gitignore").write_text("/.mlproj/cache/\n", encoding="utf-8")
    (root / "mlproj.toml").write_text(MARKER, encoding="utf-8")
    story.commit("2026-01-10T12:00:00+00:00", "Ada", "Begin")
    story.bring(FIRST)
    story.commit("2026-02-10T12:00:00+00:00", "Ada", "First visits")
    (root / "reports").mkdir()
    md5 = re.findall(r"md5: (\w+)", (root / f"{RAW}.dvc").read_text(encoding="utf-8"))[0]
    ingest = {"rows_read": 1, "raw_md5": md5}
    (root / "reports/ingest.json").write_text(json.dumps(ingest), encoding="utf-8")
    story.commit("2026-02-11T12:00:00+00:00", "Eve", "What ingest counted")
    story.bring(SECOND)
    photos = root / "data" / "external" / "photos"
    (photos / "old").mkdir(parents=True)
    (photos / "a.txt").write_text("a", encoding="utf-8")
    (photos / "old" / "b.txt").write_text("b", encoding="utf-8")
    story.dvc("add", "data/external/photos")
    story.commit("2026-03-10T12:00:00+00:00", "Grace", "More visits")
    story.run("git", "switch", "-qc", "side")
    story.bring(THIRD)
    story.commit("2026-03-20T12:00:00+00:00", "Alan", "Visits of spring")
    story.run("git", "switch", "-q", "main")
    merge = ("git", "merge", "-q", "--no-ff", "-m", "Merge the spring", "side")
    story.dated("2026-04-01T12:00:00+00:00", "Grace", *merge)
    story.dvc("checkout")
    story.dvc("push", "--all-commits")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "data-story", tell)


@pytest.fixture
def root(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work tree; its remote is beside it, and the time zone is UTC."""
    for name in ("visits", "remote"):
        shutil.copytree(told / name, tmp_path / name, symlinks=True)
    config = tmp_path / "visits" / ".dvc" / "config"
    config.write_text(config.read_text(encoding="utf-8").replace(str(told), str(tmp_path)), encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "The remote moved"], cwd=tmp_path / "visits", check=True)
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "visits"


def objects(store: Path, text: str) -> Path:
    """Where a cache or remote has a content."""
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return store / "files" / "md5" / md5[:2] / md5[2:]


def status(root: Path) -> str:
    words = ["git", "status", "--porcelain"]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout


def test_a_day_gives_the_data_of_that_day_who_brought_them_and_their_rows(root: Path, mlproj: Run) -> None:
    done = mlproj("data", "at", "2026-02-20", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "(until 2026-02-20 23:59:59+0000)" in done.stdout
    assert f"✓ {RAW}: MD5 " in done.stdout
    assert ", 1 row, 13 bytes" in done.stdout
    assert "brought by Ada at 2026-02-10 12:00:00 UTC (commit " in done.stdout
    placed = root / "data/at/2026-02-20" / RAW
    assert placed.read_text(encoding="utf-8") == FIRST
    assert stat.S_IMODE(placed.stat().st_mode) == 0o444
    assert (root / RAW).read_text(encoding="utf-8") == THIRD


def test_neither_git_nor_dvc_sees_what_is_brought(root: Path, mlproj: Run) -> None:
    assert mlproj("data", "at", "2026-03-15", cwd=root).returncode == 0
    assert status(root) == ""
    ignored = [sys.executable, "-m", "dvc", "check-ignore", "data/at/2026-03-15/data/raw/visits.csv"]
    assert subprocess.run(ignored, cwd=root, capture_output=True, check=False).returncode == 0


def test_work_on_a_branch_counts_from_its_merge_on(root: Path, mlproj: Run) -> None:
    contents = {}
    for day in ("2026-03-25", "2026-04-01"):
        assert mlproj("data", "at", day, cwd=root).returncode == 0
        contents[day] = (root / "data/at" / day / RAW).read_text(encoding="utf-8")
    assert contents == {"2026-03-25": SECOND, "2026-04-01": THIRD}
    told = mlproj("data", "at", "2026-04-01", "--list", cwd=root).stdout
    assert "brought by Alan at 2026-03-20 12:00:00 UTC" in told


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-03-10", SECOND),
        ("2026-03-10T11:59:59", FIRST),
        ("2026-03-10T12:00:00", SECOND),
        ("2026-03-10 13:30+02:00", FIRST),
        ("main~2^0", SECOND),
    ],
)
def test_a_day_counts_whole_and_a_time_to_the_second(
    root: Path, mlproj: Run, moment: str, text: str, tmp_path: Path
) -> None:
    done = mlproj("data", "at", moment, "--out", tmp_path / "out", cwd=root)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / RAW).read_text(encoding="utf-8") == text


def test_a_folder_comes_with_its_files(root: Path, mlproj: Run) -> None:
    done = mlproj("data", "at", "2026-03-15", cwd=root)
    assert done.returncode == 0, done.stderr
    photos = root / "data/at/2026-03-15/data/external/photos"
    found = {path.relative_to(photos).as_posix(): path.read_text() for path in photos.rglob("*.txt")}
    assert found == {"a.txt": "a", "old/b.txt": "b"}
    assert "in 2 files" in done.stdout


def test_before_the_first_data_it_says_when_they_came(root: Path, mlproj: Run) -> None:
    done = mlproj("data", "at", "2026-01-20", cwd=root)
    assert done.returncode == 3
    assert re.search(
        r"✗ no data were under DVC in commit \w{12};"
        r" the first came with commit \w{12} of 2026-02-10 12:00:00\+00:00",
        done.stdout,
    )
    done = mlproj("data", "at", "2025-12-31", cwd=root)
    assert done.returncode == 3
    assert "✗ this branch begins later, with commit " in done.stdout
    assert not (root / "data/at").exists()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("2999-01-01", "`2999-01-01` has not come yet"),
        ("2026-13-01", "`2026-13-01` is not a date or time"),
        ("2026-03-10T", "`2026-03-10T` is not a date or time"),
        ("0123456789", "`0123456789` is no time, and names no commit, run or version of this repository"),
        ("--list", "Missing argument"),
    ],
)
def test_what_names_nothing_is_refused(root: Path, mlproj: Run, word: str, says: str) -> None:
    done = mlproj("data", "at", word, cwd=root)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_asked_twice_nothing_is_written_again(root: Path, mlproj: Run) -> None:
    assert mlproj("data", "at", "2026-03-15", cwd=root).returncode == 0
    placed = root / "data/at/2026-03-15" / RAW
    before = placed.stat()
    (placed.parent / "stray.csv").write_text("of an earlier answer", encoding="utf-8")
    assert mlproj("data", "at", "2026-03-15", cwd=root).returncode == 0
    assert (placed.stat().st_ino, placed.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not (placed.parent / "stray.csv").exists()
    placed.chmod(0o644)
    placed.write_text("spoilt", encoding="utf-8")
    assert mlproj("data", "at", "2026-03-15", cwd=root).returncode == 0
    assert placed.read_text(encoding="utf-8") == SECOND


def test_a_folder_of_the_user_s_own_is_not_overwritten(root: Path, mlproj: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / RAW
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    (tmp_path / "mine" / "more.txt").write_text("more", encoding="utf-8")
    done = mlproj("data", "at", "2026-03-15", "--out", tmp_path / "mine", cwd=root)
    assert done.returncode == 2
    assert not (tmp_path / "mine" / "data" / "external").exists()
    assert f"`{mine}` is there already, with other content" in done.stderr
    assert mine.read_text(encoding="utf-8") == "mine"
    mine.unlink()
    assert mlproj("data", "at", "2026-03-15", "--out", tmp_path / "mine", cwd=root).returncode == 0
    assert mine.read_text(encoding="utf-8") == SECOND
    assert (tmp_path / "mine" / "more.txt").is_file()


def test_data_that_were_never_committed_are_told_of(root: Path, mlproj: Run) -> None:
    assert "no commit knows" not in mlproj("data", "at", "HEAD", "--list", cwd=root).stderr
    (root / "data/raw/more.csv").write_text("id\n1\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "dvc", "-q", "add", "data/raw/more.csv"], cwd=root, check=True)
    done = mlproj("data", "at", "HEAD", "--list", cwd=root)
    assert "the work tree has other data, of which no commit knows yet" in done.stderr
    assert "more.csv" not in done.stdout


def test_what_the_cache_lacks_or_has_damaged_comes_from_the_remote(root: Path, mlproj: Run) -> None:
    cache = root / ".dvc" / "cache"
    shutil.rmtree(cache)
    damaged = objects(cache, SECOND)
    damaged.parent.mkdir(parents=True)
    damaged.write_text("x" * len(SECOND), encoding="utf-8")
    damaged.chmod(0o444)  # as DVC leaves its objects, and trusts them
    done = mlproj("data", "at", "2026-03-15", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "data/at/2026-03-15" / RAW).read_text(encoding="utf-8") == SECOND
    assert (root / "data/at/2026-03-15/data/external/photos/old/b.txt").is_file()


def test_what_is_lost_everywhere_is_named_and_the_rest_comes(root: Path, mlproj: Run) -> None:
    for store in (root / ".dvc" / "cache", root.parent / "remote"):
        objects(store, SECOND).unlink()
    done = mlproj("data", "at", "2026-03-15", cwd=root)
    assert done.returncode == 3
    assert f"✗ {RAW}: MD5 " in done.stdout
    assert "it is lost: neither in the cache nor on the remote" in done.stdout
    assert not (root / "data/at/2026-03-15" / RAW).exists()
    assert (root / "data/at/2026-03-15/data/external/photos/a.txt").is_file()
    assert mlproj("data", "at", "2026-03-15", "--list", cwd=root).returncode == 3


def test_links_share_the_cache_s_file_where_dvc_is_told_to_link(root: Path, mlproj: Run) -> None:
    (root / ".dvc" / "config.local").write_text("[cache]\n    type = hardlink\n", encoding="utf-8")
    assert mlproj("data", "at", "2026-03-15", cwd=root).returncode == 0
    placed = root / "data/at/2026-03-15" / RAW
    assert placed.samefile(objects(root / ".dvc" / "cache", SECOND))


def test_a_shallow_clone_says_what_it_cannot_know(root: Path, mlproj: Run, tmp_path: Path) -> None:
    clone = tmp_path / "shallow"
    depth = ["git", "clone", "-q", "--depth", "1", f"file://{root}", str(clone)]
    subprocess.run(depth, check=True)
    done = mlproj("data", "at", "HEAD", "--list", cwd=clone)
    assert "who brought the data is told by `git fetch --unshallow`" in done.stderr
    assert "brought by" not in done.stdout
    early = mlproj("data", "at", "2026-02-20", cwd=clone)
    assert early.returncode == 3
    assert "this clone is shallow, and `git fetch --unshallow` brings what was before" in early.stdout


def test_the_json_has_the_keys_that_are_described(root: Path, mlproj: Run) -> None:
    said = json.loads(mlproj("data", "at", "2026-02-20", "--json", cwd=root).stdout)
    assert said["version"] == 1
    assert said["files"][0]["placed"] == f"data/at/2026-02-20/{RAW}"
    assert said["files"][0]["brought"]["by"] == "Ada"
    page = (REPOSITORY / "docs/reference/json.md").read_text(encoding="utf-8")
    described = page.partition("`mlproj data at --json`")[2]
    assert [key for key in said if f"`{key}" not in described] == []
    assert [key for key in said["files"][0] if f".{key}`" not in described] == []
    assert all(f"`{key}`" in described for key in said["commit"])
