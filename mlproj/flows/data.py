"""`mlproj data add`: another table for a repository that is there already."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj import __version__
from mlproj.base import files, git
from mlproj.base import lock as locking
from mlproj.base.errors import ConfigError
from mlproj.flows.new import Table, add_raw, infer
from mlproj.project import Project
from mlproj.scaffold import copier, layers, lock
from mlproj.scaffold.answers import Answers
from mlproj.scaffold.merge import Change, Merge, merge


@dataclass(frozen=True, kw_only=True)
class Added:
    """What changed; paths are relative to the root."""

    raw: str
    findings: Mapping[str, Any]
    written: tuple[str, ...]
    merged: tuple[str, ...]
    removed: tuple[str, ...]
    overwritten: tuple[str, ...]


def add(project: Project, table: Table, *, overwrite: bool, say: Callable[[str], None]) -> Added:
    """Infer from the table, render anew, and bring what that changes into the user's files.

    A file the user has not touched is replaced; one they edited is merged. If any cannot be merged,
    ConfigError names them and nothing changes, unless `overwrite` gives those to the template (they must be
    committed, so that nothing is lost). A failure or an interruption puts everything back.
    """
    with (
        locking.held(project.cache / "lock", doing="mlproj data add"),
        tempfile.TemporaryDirectory(dir=project.cache) as place,
    ):
        kept = lock.read(project.root)
        before = lock.base(project.root)
        answers = Answers.from_words(kept.answers)
        say(f"reading {table.path.name}")
        findings = infer(table)
        raw = f"data/raw/{findings['source']['name']}"
        say("writing the files")
        work = Path(place) / "rendering"
        copier.render(work, answers, kept.inputs, findings)
        after = layers.taken(lock.rendered(work), kept.adopted, module=answers.module_name)
        merged = merge(project.root, before, after, module=answers.module_name)
        if merged.conflicts and not overwrite:
            raise ConfigError(
                f"{_listed(merged.conflicts)} changed here and with the new data; nothing was written",
                hint="take your changes out and put them back afterwards, or give them up with `--overwrite`",
            )
        _must_be_committed(project.root, merged.conflicts)
        former = _simulated(project.root)
        own = [raw, f"{raw}.dvc", "data/raw/.gitignore", lock.BASE, lock.LOCK]
        touched = [*merged.paths, *former, *own]
        with _restored_on_failure(project.root, touched, Path(place) / "originals"):
            for path in former:
                files.remove(project.root / path)
            _apply(project.root, merged)
            say(f"putting {raw} under DVC")
            add_raw(project.root, table.path, raw)
            lock.write(
                project.root,
                after,
                version=__version__,
                answers=answers,
                inputs=kept.inputs,
                adopted=kept.adopted,
            )
    return Added(
        raw=raw,
        findings=findings,
        written=merged.of(Change.REPLACED),
        merged=merged.of(Change.MERGED),
        removed=merged.of(Change.REMOVED),
        overwritten=merged.conflicts,
    )


def _apply(root: Path, merged: Merge) -> None:
    for path, file in merged.results.items():
        if file is None:
            files.remove(root / path)
        else:
            files.write_bytes(root / path, file.content)
            if file.executable:
                (root / path).chmod(0o755)


def _simulated(root: Path) -> list[str]:
    """The example's raw file, which nothing makes any more once the simulator is gone."""
    findings = files.read_json(root / lock.FINDINGS) or {}
    return [f"data/raw/{findings['source']['name']}"] if findings.get("simulated") else []


def _must_be_committed(root: Path, paths: tuple[str, ...]) -> None:
    if paths and git.output(root, "status", "--porcelain", "--", *paths):
        raise ConfigError(
            f"`--overwrite` would lose changes in {_listed(paths)} that are not committed",
            hint=f"commit them first: `git commit -m 'before the new data' -- {' '.join(paths)}`",
        )


@contextlib.contextmanager
def _restored_on_failure(root: Path, paths: list[str], keep: Path) -> Iterator[None]:
    """Put back what was at `paths` if the block does not finish, an interruption included."""
    for path in paths:
        if (root / path).is_file():
            (keep / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, keep / path)
    try:
        yield
    except BaseException:
        for path in paths:
            files.remove(root / path)
            if (keep / path).is_file():
                (keep / path).replace(root / path)
        raise


def _listed(paths: tuple[str, ...]) -> str:
    return ", ".join(f"`{path}`" for path in paths)
