"""What has to run again for a run to be rebuilt, what must be there for that, and where DVC finds it."""

from __future__ import annotations

import configparser
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.provenance import lineage
from mlproj.provenance.objects import digest, settings_of
from mlproj.provenance.things import File, Stage

MODEL = "models/model"
# What an evaluation leaves: the newest name first, of which a run has one or another.
EVALUATED = ("models/predictions.parquet", "models/evaluation.json", "reports/metrics.json")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`targets` are the stages to ask DVC for, `rerun` all that will run, in order; `inputs` are the files
    that none of them makes and git does not hold."""

    targets: tuple[str, ...]
    rerun: tuple[Stage, ...]
    inputs: tuple[File, ...]


def plan(locked: Mapping[str, Any], frozen: Iterable[str], in_git: frozenset[str]) -> Plan | None:
    """What a parsed `dvc.lock` says; None if no stage of it made a model.

    A stage that `dvc.yaml` freezes does not run: what it made once is an input.
    """
    still = set(frozen)
    every = [stage for stage in lineage.stages(locked) if stage.name.partition("@")[0] not in still]
    trained = lineage.trained_by(every)
    if trained is None:
        return None
    rerun = list(lineage.leading_to(every, lineage.MANIFEST))
    targets = [trained.name]
    for path in EVALUATED:
        found = lineage.leading_to(every, path)
        if found:
            targets = [found[-1].name] if trained in found else [*targets, found[-1].name]
            rerun += [stage for stage in found if stage not in rerun]
            break
    made = [path for stage in rerun for path in stage.writes]
    known = lineage.locked_files(locked, [stage.name for stage in rerun])
    inputs = tuple(
        known[path]
        for path in dict.fromkeys(path for stage in rerun for path in stage.reads)
        if path not in made and path not in in_git and path in known
    )
    return Plan(targets=tuple(targets), rerun=tuple(rerun), inputs=inputs)


def is_outside(path: str) -> bool:
    """Whether a stage reads it where it lies: an absolute path, one above the repository, or a URL."""
    return path.startswith(("/", "../", "~")) or "://" in path


def connect(tree: Path, root: Path) -> None:
    """Let DVC in `tree` find the remotes that `root` has today, while it keeps a cache of its own."""
    found = settings_of(root)
    written = configparser.ConfigParser(interpolation=None)
    # No source control: DVC is to leave the .gitignore files of the checkout alone.
    written["core"] = {"no_scm": "true", "analytics": "false", "check_update": "false"}
    written["cache"] = {"dir": str(tree / ".dvc" / "cache"), "type": "reflink,copy"}
    if "remote" in found.get("core", {}):
        written["core"]["remote"] = found["core"]["remote"]
    for section, said in found.items():
        if section.startswith('remote "'):
            written[f"'{section}'"] = {**said, **_from_root(said, root)}
    text = io.StringIO()
    written.write(text)
    files.write_text(tree / ".dvc" / "config.local", text.getvalue())


def _from_root(said: Mapping[str, str], root: Path) -> dict[str, str]:
    """Settings that are paths, made independent of the folder that they are read from."""
    changed = {}
    for key in ("url", "keyfile", "credentialpath", "configpath", "ssl_verify"):
        value = said.get(key)
        if value is None or "://" in value or value.startswith(("/", "~")):
            continue
        place = root / ".dvc" / value
        if key == "url" or place.exists():
            changed[key] = str(place.resolve())
    return changed


def wrong_code(read: Mapping[str, bytes], planned: Plan, known: Mapping[str, File]) -> tuple[str, ...]:
    """Files in git that are not those which the stages read; `read` holds what the commit has of them."""
    made = {path for stage in planned.rerun for path in stage.writes}
    asked: Sequence[str] = [path for stage in planned.rerun for path in stage.reads]
    return tuple(
        path
        for path in dict.fromkeys(asked)
        if path in read and path not in made and not _is(read[path], known[path].md5)
    )


def _is(content: bytes, md5: str | None) -> bool:
    """Whether a file in git is the one that DVC saw: git may have folded its line ends."""
    return md5 is None or md5 in (digest(content), digest(content.replace(b"\r\n", b"\n")))
