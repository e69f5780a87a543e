"""What git keeps of past runs: their snapshots, the files in them, the commits they stand on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import git
from mlproj.base.errors import ToolError
from mlproj.provenance.snapshot import FETCHED, REFS, STARTED, TAGS
from mlproj.provenance.things import Commit

_RUN_REF = re.compile(
    rf"(?:(?P<ref>{re.escape(REFS)}|{re.escape(FETCHED)})|(?P<tag>refs/tags/{re.escape(TAGS)}))/(?P<run>.+)"
)
_FIELDS = "%H%x1f%an%x1f%aI%x1f%P%x1f%s"


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """The commit with a run's outcome, and what points at it: clones bring the tag, not the ref."""

    run: str
    commit: str
    has_tag: bool
    has_ref: bool


def kept_runs(root: Path) -> dict[str, KeptRun]:
    """Every run that git keeps, by its id; where ref and tag differ, the tag counts, since clones have it."""
    listing = git.git(
        root,
        "for-each-ref",
        "--format=%(objectname) %(*objectname) %(refname)",
        FETCHED,
        REFS,
        f"refs/tags/{TAGS}",
        check=False,
    ).stdout
    found: dict[str, KeptRun] = {}
    for line in listing.splitlines():
        commit, peeled, name = line.split(" ", 2)
        matched = _RUN_REF.fullmatch(name)
        if matched is None or matched["run"].startswith(STARTED):
            continue
        run, is_tag = matched["run"], matched["tag"] is not None
        before = found.get(run)
        found[run] = KeptRun(
            run=run,
            commit=(peeled or commit) if is_tag or before is None else before.commit,
            has_tag=is_tag or (before is not None and before.has_tag),
            has_ref=not is_tag or (before is not None and before.has_ref),
        )
    return found


def read(root: Path, wanted: Sequence[tuple[str, str]]) -> list[bytes | None]:
    """The contents of files in commits, (commit, path from the project's root), in one process.

    None for each that is not there. Raises ToolError if git cannot be asked.
    """
    if not wanted:
        return []
    prefix = git.output(root, "rev-parse", "--show-prefix")
    asked = "".join(f"{commit}:{prefix}{path}\n" for commit, path in wanted)
    # Not through `base.git`, which reads text: a digest wants the bytes.
    done = subprocess.run(
        ["git", "cat-file", "--batch"],
        cwd=root,
        input=asked.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolError(
            f"`git cat-file` failed: {done.stderr.decode('utf-8', 'replace').strip()}",
            hint="run `git fsck` to see what is wrong with the repository",
            returncode=done.returncode,
        )
    return list(_contents(done.stdout, len(wanted)))


def _contents(said: bytes, count: int) -> Iterator[bytes | None]:
    """What `git cat-file --batch` answers: a line, then as many bytes as it says and a line end."""
    at = 0
    for _ in range(count):
        end = said.index(b"\n", at)
        line, at = said[at:end], end + 1
        if line.endswith(b" missing"):
            yield None
            continue
        _, kind, size = line.rsplit(b" ", 2)
        content = said[at : at + int(size)]
        at += int(size) + 1
        yield content if kind == b"blob" else None


def names(root: Path, commit: str) -> frozenset[str]:
    """The paths of all files in a commit, from the project's root; none if git has no such commit."""
    said = git.git(root, "ls-tree", "-r", "-z", "--name-only", commit, check=False)
    return frozenset(name for name in said.stdout.split("\0") if name)


def tracked(root: Path) -> frozenset[str]:
    """The paths of the files in the work tree that git has, or would take."""
    said = git.git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", check=False)
    return frozenset(name for name in said.stdout.split("\0") if name)


def commit(root: Path, name: str) -> Commit | None:
    """The commit of that name (id, prefix, branch, tag); None if there is none, or several begin so."""
    if name.startswith("-"):
        return None
    done = git.git(root, "log", "-1", f"--format={_FIELDS}", f"{name}^{{commit}}", "--", check=False)
    return _commit(done.stdout.strip()) if done.returncode == 0 else None


def last_change(root: Path, until: str, path: str) -> Commit | None:
    """The commit, at or before `until`, that brought a file to what it is there."""
    done = git.git(root, "log", "-1", f"--format={_FIELDS}", until, "--", path, check=False)
    return _commit(done.stdout.strip()) if done.returncode == 0 else None


def as_of(root: Path, until: int) -> str | None:
    """The newest commit of the present branch, merges as one step, committed by then (seconds since 1970)."""
    said = git.git(root, "rev-list", "--first-parent", "--timestamp", "HEAD", "--", check=False).stdout
    for line in said.splitlines():
        seconds, _, found = line.partition(" ")
        if int(seconds) <= until:
            return found
    return None


def committed(root: Path, commit: str) -> str:
    """When a commit came to be where it is: its committer's date, which a rebase sets anew."""
    return git.output(root, "log", "-1", "--format=%cI", commit, "--")


def brought(root: Path, until: str, path: str, digest: str) -> Commit | None:
    """The commit, at or before `until`, that wrote a digest into a file that still has it there."""
    done = git.git(root, "log", "-1", f"--format={_FIELDS}", f"-S{digest}", until, "--", path, check=False)
    return _commit(done.stdout.strip()) if done.returncode == 0 else None


def first(root: Path, *paths: str) -> Commit | None:
    """The commit that first brought one of these paths to the present branch."""
    done = git.git(
        root, "log", "--reverse", "--first-parent", "-m", "--diff-filter=A", f"--format={_FIELDS}",
        "HEAD", "--", *paths, check=False,
    )  # fmt: skip
    return next((_commit(line) for line in done.stdout.splitlines() if "\x1f" in line), None)


def is_cut_off(root: Path, commit: str) -> bool:
    """Whether a shallow clone ends at a commit, so that all of its files look as if it had brought them."""
    shallow = root / git.output(root, "rev-parse", "--git-path", "shallow")
    return shallow.is_file() and commit in shallow.read_text(encoding="ascii").split()


def mentions(root: Path, run: str, path: str) -> str | None:
    """The newest commit of any branch that holds a run's manifest, for a run that has no snapshot here."""
    done = git.git(
        root, "log", "--all", "--format=%H", f"-S{run}", "--diff-filter=AM", "--", path, check=False
    )
    # `-S` finds the commit that replaced the run by the next one as well.
    commits = done.stdout.split()
    texts = read(root, [(commit, path) for commit in commits])
    return next(
        (one for one, text in zip(commits, texts, strict=True) if text and run.encode() in text), None
    )


def remote_of(root: Path) -> str | None:
    """The URL that the repository is pushed to, without a password in it; None if there is none."""
    url = git.git(root, "remote", "get-url", "origin", check=False).stdout.strip()
    return re.sub(r"(//)[^/@]*@", r"\1", url) or None


def _commit(line: str) -> Commit | None:
    parts = line.split("\x1f", 4)
    if len(parts) != 5:
        return None
    return Commit(id=parts[0], by=parts[1], at=parts[2], parents=tuple(parts[3].split()), title=parts[4])
