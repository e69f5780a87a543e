"""How many rows flip by chance alone: a run's recipe trained again in a throw-away folder.

With another seed and the training rows in another order, since a model that draws nothing by chance is moved
by the order of its rows all the same.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files, git, process
from mlproj.base.errors import MlprojError
from mlproj.flows.past import Past, PastRun
from mlproj.flows.reading import LOCK, parsed
from mlproj.provenance import answered, lineage
from mlproj.provenance.things import File

# The figures of this training are thrown away; only its answers are looked at.
_RESAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class Floor:
    """How many rows flip where a run's recipe is trained again with another seed and order of rows."""

    worse: int
    better: int
    rows: int
    seed: int

    @property
    def rate(self) -> float:
        return self.worse / self.rows if self.rows else 0.0


def measure(past: Past, run: PastRun, split: str, *, say: Callable[[str], None]) -> Floor:
    """Train a run's recipe again and count the flips against the run itself; remembered for each run.

    Raises MlprojError if what the run was made from is not to be had, ToolError if the training fails.
    """
    kept = known(past, run, split)
    if kept is not None:
        return kept
    file = past.predictions(run)
    if run.commit is None or file is None:
        raise MlprojError(
            f"run {run.short} is not kept whole, so its recipe cannot be trained again",
            hint="run `mlproj stage modeling`, which keeps it",
        )
    before = _here(past, file.path, file.md5, say)
    seed = int(run.manifest.get("seed") or 0) + 1
    say(f"training the recipe of run {run.short} again with seed {seed}, in a folder of its own")
    with tempfile.TemporaryDirectory(prefix="mlproj-floor-") as folder:
        root = Path(folder)
        _unpack(past, run, root, seed=seed, split=split, say=say)
        _train(past, run, root)
        counted = answered.flips(before, root / answered.PREDICTIONS, split, most=0).whole
    floor = Floor(worse=counted.worse, better=counted.better, rows=counted.rows, seed=seed)
    files.write_json(
        _cached(past, run, split),
        {"worse": floor.worse, "better": floor.better, "rows": floor.rows, "seed": floor.seed},
    )
    return floor


def known(past: Past, run: PastRun, split: str, *, say: Callable[[str], None] | None = None) -> Floor | None:
    """What was measured of this run before."""
    said = files.read_json(_cached(past, run, split))
    return Floor(**said) if isinstance(said, dict) else None


def _cached(past: Past, run: PastRun, split: str) -> Path:
    return past.project.cache / "floors" / f"{run.run}-{split}.json"


def _unpack(
    past: Past, run: PastRun, root: Path, *, seed: int, split: str, say: Callable[[str], None]
) -> None:
    """The code and the split data of a run, with another seed and its training rows in another order."""
    archive = root / "code.tar"
    git.git(past.project.root, "archive", f"--output={archive}", str(run.commit))
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter="data")
    archive.unlink()
    params: dict[str, Any] = json.loads(json.dumps(run.manifest["params"]))
    params["train"]["seed"] = seed
    params["evaluate"] |= {"bootstrap": _RESAMPLES, "splits": [split]}
    # JSON is YAML 1.2, in which the recipe is read.
    files.write_json(root / "params.yaml", params)
    data: Mapping[str, Mapping[str, Any]] = run.manifest["data"]
    for name, entry in data.items():
        if name == "raw":
            continue
        source, target = _here(past, entry["path"], entry["md5"], say), root / entry["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == "train":
            answered.shuffled(source, target, seed)
        else:
            shutil.copyfile(source, target)


def _train(past: Past, run: PastRun, root: Path) -> None:
    stages = lineage.stages(parsed(past.text(run, LOCK)))
    for written in (lineage.MANIFEST, answered.PREDICTIONS):
        command = next((stage.command for stage in stages if written in stage.writes), None)
        if command is None:
            raise MlprojError(f"`{LOCK}` of run {run.short} has no stage that writes `{written}`")
        process.run(
            *shlex.split(command),
            cwd=root,
            path_first=past.project.bin,
            env={"MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}", "SNAPSHOT_COMMIT": ""},
        )


def _here(past: Past, path: str, md5: str | None, say: Callable[[str], None]) -> Path:
    found = past.content(File(path=path, md5=md5), say)
    if isinstance(found, str):
        raise MlprojError(found, hint="run `dvc fetch --all-commits` where it still is, then `dvc push`")
    return found
