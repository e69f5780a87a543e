"""A version's environment is put together again from wheels that were kept, with no package index at all."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from mlproj.serving import ids, package, versions
from mlproj.serving.deployment import Mode, Place, Version
from mlproj.serving.store import Store
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import git
from tests.serving.log import world
from tests.support import fenced, run_mlproj

pytestmark = pytest.mark.slow

_MARKER = """\
[project]
id = "shelf"
name = "shelf"
module = "toys"
model = "shelf-model"
env_manager = "uv"
lock = "uv.lock"
"""
_PYPROJECT = """\
[project]
name = "shelf"
version = "0"
requires-python = ">=3.11"
dependencies = ["tinycoef"]
"""


class Index:
    """A package index with one package, and how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        wheel = _wheel(folder / "files", "tinycoef", "1.0", "CHANCE = 0.25\n")
        page = folder / "simple" / "tinycoef" / "index.html"
        page.parent.mkdir(parents=True)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        page.write_text(f'<a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a>')
        index = self

        class Pages(SimpleHTTPRequestHandler):
            def __init__(self, *words: Any) -> None:
                super().__init__(*words, directory=str(folder))

            def log_message(self, *words: Any) -> None:
                index.asked.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _wheel(folder: Path, name: str, version: str, code: str) -> Path:
    folder.mkdir(parents=True)
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}\n")
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join([*lines, f"{info}/RECORD,,\n"]))
    return made


@dataclass
class Shelf:
    """A project with one version, whose engine needs a package from an index, and one prediction of it."""

    folder: Path
    index: Index
    env: dict[str, str] = field(default_factory=dict)
    prediction: str = ids.text(world.record(ids.bounds(world.DAY)[0]).id)

    @property
    def root(self) -> Path:
        return self.folder / "shelf"

    @property
    def home(self) -> Path:
        return self.folder / "data" / "mlproj" / "shelf"

    def run(self, *words: str, exits: int = 0) -> str:
        done = run_mlproj(*words, cwd=self.root, env=self.env)
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout

    def forget_environments(self) -> None:
        """As on another machine: nothing is built, nothing is downloaded."""
        for name in ("cache", "uv"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


@contextmanager
def _shelf(folder: Path) -> Iterator[Shelf]:
    index = Index(folder / "index")
    try:
        shelf = Shelf(folder, index)
        (folder / "home").mkdir()
        shelf.env.update(fenced(folder / "home"))
        for name in ("cache", "data"):
            shelf.env[f"XDG_{name.upper()}_HOME"] = str(folder / name)
        shelf.env["UV_CACHE_DIR"] = str(folder / "uv")
        shelf.env["UV_PYTHON_DOWNLOADS"] = "never"
        _project(shelf)
        _deployed(shelf)
        yield shelf
    finally:
        index.close()


def _project(shelf: Shelf) -> None:
    root = shelf.root
    (root / ".dvc").mkdir(parents=True)
    remote = shelf.folder / "remote"
    remote.mkdir()
    texts = {
        "mlproj.toml": _MARKER,
        "pyproject.toml": _PYPROJECT,
        ".gitignore": "/models/\n",
        ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n",
        ".dvc/config": f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {remote}\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    lock = [find_uv_bin(), "lock", "--quiet", "--default-index", shelf.index.url]
    subprocess.run(lock, cwd=root, env=shelf.env, check=True)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "A shelf")):
        git(root, *words, env=shelf.env)


def _deployed(shelf: Shelf) -> None:
    """The version in the store, and a prediction in the log, as a gateway would have left them."""
    folder = toys.package(shelf.root, 25)
    said = json.loads((folder / package.NAME).read_text(encoding="utf-8"))
    engines = folder / "code" / "toys" / "deployment" / "engines.py"
    code = engines.read_text(encoding="utf-8").replace(
        "chance = said", "import tinycoef; chance = tinycoef.CHANCE or said"
    )
    assert "tinycoef" in code
    engines.write_text(code, encoding="utf-8")
    said["files"]["code/toys/deployment/engines.py"] = hashlib.sha256(code.encode()).hexdigest()
    lock = hashlib.sha256((shelf.root / "uv.lock").read_bytes()).hexdigest()
    said["environment"] = {"lock": "uv.lock", "lock_sha256": lock, "python": platform.python_version()}
    (folder / package.NAME).write_text(json.dumps(said), encoding="utf-8")
    shelf.home.mkdir(parents=True)
    kept = versions.keep(shelf.home, 1, folder)
    digest = package.digest(kept)
    with Store(shelf.home / "serving.db") as store:
        version = Version(number=1, run=said["run_id"], digest=digest, engine="numpy", added_us=1)
        store.add_version(version, Place(version=1, digest=digest, folder=kept, python=Path(sys.executable)))
        began = store.begin(
            mode=Mode.FULL,
            version=1,
            automation="full",
            defer_below=None,
            plan={"package": digest},
            by="somebody",
        )
    answered = world.record(
        ids.parse(shelf.prediction),
        version=1,
        run=said["run_id"],
        deployment=began.id,
        features=toys.ROW,
        output='"prediction":"No","confidence":0.75,"probabilities":{"No":0.75,"Yes":0.25}',
        decision="No",
    )
    world.put(shelf.home, [answered])


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with _shelf(tmp_path_factory.mktemp("shelf")) as made:
        yield made


def test_wheels_are_kept_as_data_and_rebuild_the_environment_when_the_index_is_gone(shelf: Shelf) -> None:
    assert "not kept" in shelf.run("wheels", "--list", exits=3)
    said = shelf.run("wheels")
    assert "(version 1): kept; here and on the remote" in said
    assert git(shelf.root, "status", "--porcelain", env=shelf.env) == ""
    # Twice is once, and what is kept is not brought again.
    shelf.index.asked.clear()
    assert shelf.run("wheels") == said
    # A remote that lost them gets them again, from the cache.
    shutil.rmtree(shelf.folder / "remote" / "files")
    assert "kept; here, not on the remote" in shelf.run("wheels", "--list")
    assert shelf.run("wheels") == said
    assert shelf.index.asked == []
    assert list((shelf.home / "wheels").glob("*")) == []

    dvc = [sys.executable, "-m", "dvc"]
    gone = subprocess.run([*dvc, "gc", "--all-tags", "-f", "-q"], cwd=shelf.root, env=shelf.env, check=False)
    assert gone.returncode == 0
    assert shelf.run("wheels", "--list") == said

    shelf.index.close()
    shelf.forget_environments()
    shutil.rmtree(shelf.root / ".dvc" / "cache")
    found = json.loads(shelf.run("replay", shelf.prediction, "--json"))
    assert found["prediction"]["verdict"] == "identical"
    (setting,) = found["settings"]
    assert setting["wheels"].startswith("kept; on the remote")
    assert setting["package"] == setting["deployed"]
    (built,) = (shelf.folder / "cache").glob("mlproj/environments/*/lib/*/site-packages/tinycoef.py")
    assert built.read_text(encoding="utf-8") == "CHANCE = 0.25\n"

    # Without them it is said what is missing; nothing is installed by halves.
    shelf.forget_environments()
    (tag,) = git(shelf.root, "tag", "--list", "mlproj/wheels/*", env=shelf.env).split()
    git(shelf.root, "tag", "-d", tag, env=shelf.env)
    (broken,) = json.loads(shelf.run("replay", shelf.prediction, "--no-index", "--json", exits=3))["breaks"]
    assert broken["link"] == "environment"
    assert "the wheels of `uv.lock` are not kept" in broken["said"]
