"""A package is put where versions are kept, whole, however many put it there at once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from mlproj.serving import package, versions
from tests.serving.worker import toy


def kept_once(home: Path, folder: Path, _: int) -> str:
    return str(versions.keep(home, 1, folder))


def test_those_who_keep_the_same_package_at_once_get_the_same_whole_folder(tmp_path: Path) -> None:
    folder = toy.make(tmp_path / "package")
    for turn in range(5):
        home = tmp_path / f"home{turn}"
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
            (kept,) = set(pool.map(partial(kept_once, home, folder), range(8)))
        package.verify(Path(kept))
        assert [path.name for path in (home / "versions").iterdir()] == [Path(kept).name]
