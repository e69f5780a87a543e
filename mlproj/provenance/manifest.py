"""The manifest of a run, as `train` writes it: ids, digests, versions, seeds, threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run says of its own origin. A field that the run did not record is None."""

    run_id: str
    experiment: str | None
    commit: str | None
    dirty: bool
    snapshot: str | None
    raw_md5: str | None
    lock_sha256: str | None
    seed: int | None
    python: str | None
    model_digest: str | None
    threads: int | None = None

    def missing(self) -> tuple[str, ...]:
        """What is lacking before this run could be rebuilt from the repository alone."""
        lacks = []
        if self.commit is None and self.snapshot is None:
            lacks.append("the commit it was made from")
        elif self.snapshot is None and self.dirty:
            lacks.append("a snapshot of its uncommitted code")
        if self.raw_md5 is None:
            lacks.append("the digest of its raw data")
        if self.lock_sha256 is None:
            lacks.append("the digest of its environment's lock file")
        if self.seed is None:
            lacks.append("its seed")
        return tuple(lacks)


def load(path: Path) -> Manifest | None:
    """The manifest at `path`; None where there is none that can be read."""
    said = files.read_json(path)
    if not isinstance(said, dict) or not isinstance(said.get("run_id"), str):
        return None
    model = _table(said, "model")
    code, environment = _table(said, "code"), _table(said, "environment")
    return Manifest(
        run_id=said["run_id"],
        experiment=said.get("experiment"),
        commit=code.get("commit"),
        dirty=bool(code.get("dirty")),
        snapshot=code.get("snapshot"),
        raw_md5=_table(_table(said, "data"), "raw").get("md5"),
        lock_sha256=environment.get("lock_sha256"),
        seed=said.get("seed"),
        threads=said.get("threads"),
        python=environment.get("python"),
        model_digest=model.get("sha256") or model.get("md5"),
    )


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, dict) else {}
