"""A repository with past runs, made by hand in a moment: real git, a real DVC cache, no training."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from mlproj.project import Project
from mlproj.provenance import snapshot
from mlproj.serving import store
from mlproj.serving.deployment import Mode, Place, Version

MARKER = """\
[project]
id = "0123456789ab"
name = "birds"
module = "birds"
model = "birds"
"""
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Repository:
    """`run` makes the run of a day with these answers (true label, predicted label) to rows a, b, c, ..."""

    project: Project

    @classmethod
    def made(cls, root: Path) -> Repository:
        root.mkdir()
        (root / "mlproj.toml").write_text(MARKER, encoding="utf-8")
        (root / ".gitignore").write_text("/.mlproj/cache/\n/models/predictions.parquet\n", encoding="utf-8")
        (root / ".dvc").mkdir()
        (root / ".dvc" / ".gitignore").write_text("/cache\n", encoding="utf-8")
        made = cls(Project.load(root))
        made.git("init", "-q")
        made.git("add", "-A")
        made.git("commit", "-qm", "Start")
        return made

    @property
    def root(self) -> Path:
        return self.project.root

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, path: str, content: str | Mapping[str, Any]) -> str:
        """Write a file; its MD5."""
        text = content if isinstance(content, str) else json.dumps(content)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def run(
        self,
        run: str,
        day: int,
        answers: Sequence[tuple[str, str]],
        *,
        version: int | None = None,
        params: Mapping[str, Any] | None = None,
        raw: str = "1" * 32,
    ) -> str:
        """A run as `mlproj stage modeling` leaves it: kept, and anchored where it was registered; its id."""
        run = run.ljust(32, "0")
        manifest = {
            "run_id": run,
            "started": f"2026-11-{day:02}T09:00:00+00:00",
            "code": {"commit": self.git("rev-parse", "HEAD"), "dirty": False, "snapshot": None},
            "data": {"raw": {"path": "data/raw/birds.csv", "md5": raw}},
            "params": {
                "train": {"model": "tree", "tree": {"depth": day}, "bush": {"depth": -day}},
                **(params or {}),
            },
        }
        right = sum(actual == said for actual, said in answers) / len(answers)
        measured = {
            "rows": len(answers),
            "metrics": {"accuracy": {"value": right, "low": None, "high": None}},
        }
        self.write("reports/evaluation.json", {"metric": "accuracy", "splits": {"test": measured}})
        if version is not None:
            self.write("models/registered.json", {"name": "birds", "version": version, "run_id": run})
        read = self.write("models/run.json", manifest)
        outs = [{"path": "models/predictions.parquet", "md5": self._answers(answers)}]
        deps = [{"path": "models/run.json", "md5": read}]
        stages = {
            "train": {"cmd": "train", "outs": deps},
            "evaluate": {"cmd": "evaluate", "deps": deps, "outs": outs},
        }
        self.write("dvc.lock", {"schema": "2.0", "stages": stages})
        kept = snapshot.take(self.root, f"Outcome of run {run}")
        snapshot.keep(self.root, run, kept.commit)
        if version is not None:
            snapshot.anchor(self.root, run, kept.commit)
        return run

    def _answers(self, answers: Sequence[tuple[str, str]]) -> str:
        """Put a file of answers into DVC's cache; its MD5."""
        file = self.root / "models" / "predictions.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as database:
            database.execute(
                "CREATE TABLE answers (split VARCHAR, key VARCHAR, actual VARCHAR, predicted VARCHAR,"
                ' "probability yes" DOUBLE, "slice Sex" VARCHAR)'
            )
            rows = [
                ("test", chr(97 + place), actual, said, 0.5, "F" if place % 2 else "M")
                for place, (actual, said) in enumerate(answers)
            ]
            database.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute(f"COPY answers TO '{file}' (FORMAT parquet)")
        content = file.read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        target = self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return md5

    def deploy(self, version: int, run: str, mode: Mode = Mode.FULL, *, back: str | None = None) -> None:
        """Put a version on traffic, as the supervisor would once its worker is warm."""
        home = self.project.home
        home.mkdir(parents=True, exist_ok=True)
        with store.open(home) as opened:
            known = Version(number=version, run=run, digest=run, engine="numpy", added_us=1)
            opened.add_version(
                known, Place(version=version, digest=run, folder=home / run, python=Path("/usr/bin/python3"))
            )
            begun = opened.begin(
                mode=mode,
                version=version,
                automation="full",
                defer_below=None,
                plan={},
                by="tester",
                back=back,
            )
            opened.loaded(begun.id, share=0.1)
