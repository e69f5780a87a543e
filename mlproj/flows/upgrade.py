"""`mlproj upgrade`: today's template into yesterday's repository."""

from __future__ import annotations

import contextlib
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproj.base import files, git
from mlproj.base import lock as locking
from mlproj.base.errors import ConfigError, ToolError
from mlproj.scaffold import copier, environment, keyed, layers, lock, upgrade, worktree
from mlproj.scaffold.answers import Answers, EnvManager
from mlproj.scaffold.copier import Template
from mlproj.scaffold.lock import File
from mlproj.scaffold.trees import Conflict, Merged, Repository, Workbench
from mlproj.scaffold.upgrade import Question, Sides

Ask = Callable[[Question], str]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file that became another: git's letter (A new, M changed, R moved, D gone)."""

    letter: str
    path: str
    former: str  # where it was, for R
    is_merged: bool  # with the user's own edits in it


@dataclass(frozen=True, kw_only=True)
class Left:
    """What only a person can decide, or do."""

    what: str
    why: str
    settle: str


@dataclass(frozen=True, kw_only=True)
class Upgraded:
    """What an upgrade did, or would do. Paths are relative to the project's root."""

    before: str  # versions of the template
    after: str
    changes: tuple[Change, ...]
    conflicts: tuple[Left, ...]
    left: tuple[Left, ...]
    ignored: tuple[str, ...]  # the template's, new, in a place that the user's repository ignores
    offers: tuple[str, ...]  # the user's own files of which the template has a newer form
    is_dry_run: bool


def run(root: Path, *, template: Template, ask: Ask, dry_run: bool, say: Say) -> Upgraded:
    """Merge today's rendering into the work tree and the index; commit nothing.

    Raises ConfigError, with nothing touched, where the repository is not in a state to be upgraded. A failure
    or an interruption puts everything back.
    """
    repository = Repository.of(root)
    with _alone(root, dry_run), tempfile.TemporaryDirectory(prefix="mlproj-") as place:
        _clear(repository, dry_run=dry_run)
        worktree.refuse_changes(repository)
        kept = lock.read(root)
        before = lock.checked_base(root, kept)
        rendering, answers = _rendered(root, kept, template, ask, Path(place), say)
        say("merging")
        bench = Workbench(repository, Path(place), keeps=not dry_run)
        yours = bench.entries(repository.tree)
        ignored = _ignored(root, {*before, *rendering} - {*yours})
        parts = upgrade.sides(before, rendering, yours=yours, ignored=ignored, module=answers.module_name)
        offers = _offers(repository, bench, parts)
        record = lock.record(
            parts.recorded,
            version=template.version,
            answers=answers,
            inputs=kept.inputs,
            adopted=kept.adopted,
        )
        parts = replace(
            upgrade.by_key(parts, _committed(root, bench, yours)), generated={**parts.generated, **record}
        )
        merged, final = _merge(repository, bench, parts, label=f"mlproj-{template.version}")
        changes = bench.changes(repository.tree, final)
        added = [path for letter, path, _ in changes if letter in "AR"]
        worktree.refuse_untracked(repository, [*added, *_absent(merged.conflicts, yours)], yours)
        result = Upgraded(
            before=kept.template_version,
            after=template.version,
            changes=_changes(changes, merged, parts, bench.blobs(before), yours),
            conflicts=tuple(_why(conflict, merged) for conflict in merged.conflicts),
            left=(),
            ignored=tuple(sorted(ignored - {*before})),
            offers=tuple(path for _, path, _ in bench.changes(repository.tree, offers)),
            is_dry_run=dry_run,
        )
        if dry_run or final == repository.tree:
            return result
        whole = final
        if repository.prefix:
            whole = bench.tree({}, start=repository.head, grafts=[(repository.prefix, final)])
        touched = sorted(
            {path for _, path, former in changes for path in (path, former) if path}
            | {conflict.path for conflict in merged.conflicts}
        )
        lock_file, needed = _lock_file(root), _needed(root, answers)
        if lock_file in yours and _SOURCES[answers.env_manager] in touched:
            touched.append(lock_file)
        with _undone_on_failure(repository):
            worktree.apply(
                repository, version=template.version, tree=whole, paths=touched, conflicts=merged.conflicts
            )
            if lock_file not in touched or needed == _needed(root, answers):
                return result
            return replace(result, left=_remade(root, lock_file, answers, say, is_clean=not merged.conflicts))


def abort(root: Path) -> str:
    """Undo an upgrade that is not committed, and return the version that it was to.

    Raises ConfigError if there is none.
    """
    repository = Repository.of(root)
    with _alone(root, False):
        found = worktree.underway(repository)
        if found is None or not worktree.is_pending(repository, found):
            worktree.forget(repository)
            raise ConfigError(
                "no upgrade is waiting to be committed, so there is nothing to undo",
                hint="one that is committed is undone by `git revert COMMIT`",
            )
        worktree.undo(repository, found)
        return found.version


def show(root: Path, *, template: Template, ask: Ask) -> str:
    """The template's newer forms of the files that are the user's own, as a patch of theirs; empty if none.

    It follows a file that the user renamed, and leaves out what they have already. Where both changed one
    place, the patch puts both forms there, between git's marks.
    """
    repository = Repository.of(root)
    with tempfile.TemporaryDirectory(prefix="mlproj-") as place:
        kept = lock.read(root)
        before = lock.checked_base(root, kept)
        rendering, answers = _rendered(root, kept, template, ask, Path(place), lambda _: None)
        bench = Workbench(repository, Path(place), keeps=False)
        yours = bench.entries(repository.tree)
        parts = upgrade.sides(
            before,
            rendering,
            yours=yours,
            ignored=_ignored(root, {*before, *rendering} - {*yours}),
            module=answers.module_name,
        )
        return bench.patch(repository.tree, _offers(repository, bench, parts), prefix=repository.prefix)


def _rendered(
    root: Path, kept: lock.Lock, template: Template, ask: Ask, place: Path, say: Say
) -> tuple[dict[str, File], Answers]:
    """Today's rendering with the recorded answers, and the answers that today's template wants."""
    if _numbers(kept.template_version) > _numbers(template.version):
        raise ConfigError(
            f"`{root.name}` is from the template of mlproj {kept.template_version}, "
            f"and this is mlproj {template.version}",
            hint="upgrade mlproj, then run the command again",
        )
    findings = files.read_json(root / lock.FINDINGS)
    if not isinstance(findings, dict):
        raise ConfigError(
            f"`{lock.FINDINGS}` is missing or cannot be read: it says what was found in the data",
            hint=f"bring it back: `git checkout -- {lock.FINDINGS}`",
        )
    asked = {question.name: ask(question) for question in upgrade.unanswered(template.folder, kept.answers)}
    try:
        answers = Answers.from_words({**kept.answers, **asked})
    except ConfigError as error:
        raise ConfigError(
            f"an answer in `{lock.LOCK}` cannot be used any more: {error.message}",
            hint=f"write another under `answers` in `{lock.LOCK}`, and commit it",
        ) from None
    say(f"rendering the template of mlproj {template.version}")
    copier.render(place / "rendering", answers, kept.inputs, findings, template)
    return layers.taken(lock.rendered(place / "rendering"), kept.adopted, module=answers.module_name), answers


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _merge(repository: Repository, bench: Workbench, parts: Sides, *, label: str) -> tuple[Merged, str]:
    """What git makes of the three sides, and that tree with the generated files put over it."""
    base = bench.tree(bench.blobs(parts.base))
    theirs = bench.tree(bench.blobs(parts.theirs))
    yours = bench.tree(bench.blobs(parts.yours), start=repository.tree) if parts.yours else repository.tree
    merged = bench.merge(base, yours, theirs, label=label)
    return merged, bench.tree(bench.blobs(parts.generated), start=merged.tree)


def _offers(repository: Repository, bench: Workbench, parts: Sides) -> str:
    """The user's tree with the newer forms of the seeded files merged into it."""
    if not parts.seeded:
        return repository.tree
    newer = bench.blobs({path: new for path, (_, new) in parts.seeded.items()})
    base = bench.tree(bench.blobs(parts.base))
    merged = bench.merge(base, repository.tree, bench.tree(newer, start=base), label="offered")
    # What the user deleted stays so: nothing to offer.
    return bench.tree(
        {conflict.path: None for conflict in merged.conflicts if 2 not in conflict.stages}, start=merged.tree
    )


def _committed(root: Path, bench: Workbench, yours: Mapping[str, Any]) -> dict[str, File]:
    """The files merged by key that the user has, unless the work tree holds other bytes than the commit."""
    found = {}
    for path in keyed.FILES:
        blob = yours.get(path)
        if blob is not None and (root / path).is_file():
            found[path] = File(content=(root / path).read_bytes(), executable=blob.mode == "100755")
    stored = bench.blobs(found)
    return {path: file for path, file in found.items() if stored[path] == yours[path]}


def _ignored(root: Path, paths: set[str]) -> set[str]:
    """Those of the paths that are not the repository's: ignored, or in a folder that leads out of it."""
    outside = {path for path in paths if any((root / up).is_symlink() for up in Path(path).parents[:-1])}
    lines = "".join(f"{path}\0" for path in sorted(paths - outside))
    said = git.git(root, "check-ignore", "-z", "--stdin", stdin=lines, check=False).stdout
    return outside | set(said.split("\0")[:-1])


def _absent(conflicts: tuple[Conflict, ...], yours: Mapping[str, Any]) -> list[str]:
    return [conflict.path for conflict in conflicts if conflict.path not in yours]


def _changes(
    changes: tuple[tuple[str, str, str], ...],
    merged: Merged,
    parts: Sides,
    before: Mapping[str, Any],
    yours: Mapping[str, Any],
) -> tuple[Change, ...]:
    """What is worth telling: neither the record nor what is in conflict."""
    silent = {*parts.generated, *(conflict.path for conflict in merged.conflicts)}
    return tuple(
        Change(
            letter=letter,
            path=path,
            former=former,
            is_merged=letter in "MR" and yours.get(former or path) != before.get(former or path),
        )
        for letter, path, former in changes
        if path not in silent
    )


def _why(conflict: Conflict, merged: Merged) -> Left:
    """A conflict in a sentence, and how a person settles it."""
    path, stages = conflict.path, frozenset(conflict.stages)
    messages = [text for paths, text in merged.messages if path in paths]
    said = next((text for text in messages if "CONFLICT" in text), "")
    keep = f"`git add {path}`"
    if stages == {1, 2, 3} and any("binary files" in text for text in messages):
        why = "both changed it, and it is not text; yours is in place"
        return Left(what=path, why=why, settle=f"{keep}; the template's: `git checkout --theirs {path}`")
    if stages == {1, 2, 3} or (stages == {2, 3} and "add/add" in said):
        how = "changed it in the same place" if 1 in stages else "added it"
        return Left(what=path, why=f"you and the template {how}", settle=f"edit it, then {keep}")
    if stages == {1, 2} and "modify/delete" in said:
        why = "you changed it, the template has it no more; yours is in place"
        return Left(what=path, why=why, settle=f"{keep} to keep it, `git rm {path}` to let it go")
    if stages == {1, 3} and "modify/delete" in said:
        why = "you deleted it, the template changed it; the template's is in place"
        return Left(
            what=path, why=why, settle=f"`git rm {path}` to leave it deleted, {keep} to have it again"
        )
    if stages == {1}:
        return Left(what=path, why="a name that both sides gave up", settle=f"`git rm {path}`")
    if "file location" in said:
        whose, who = ("the template's", "you") if stages == {3} else ("yours", "the template")
        why = f"new, and {whose}, in a folder that {who} renamed; it was put here"
        return Left(what=path, why=why, settle=f"{keep}, or `git mv` it to where it belongs")
    if "rename/rename" in said:
        why = "you and the template renamed one file, each to another name"
        return Left(what=path, why=why, settle=f"{keep} to keep this one, `git rm {path}` to let it go")
    why = re.sub(r"^CONFLICT \(([^)]*)\): ", r"\1: ", " ".join(said.split())) or "git cannot decide"
    return Left(what=path, why=why, settle=f"{keep} or `git rm {path}`")


def _clear(repository: Repository, *, dry_run: bool) -> None:
    """Take back what an upgrade that was killed left half done, but in a dry run; stop at one that waits to
    be committed."""
    found = worktree.underway(repository)
    if found is None:
        return
    if not found.is_applied and worktree.is_untouched(repository, found):
        if not dry_run:
            worktree.undo(repository, found)
    elif git.output(repository.root, "status", "--porcelain", "--untracked-files=no", "--", "."):
        state = (
            "waits to be committed" if found.is_applied else "was interrupted, and files were edited since"
        )
        raise ConfigError(
            f"an upgrade to the template of mlproj {found.version} {state}",
            hint="commit it, or undo it with `mlproj upgrade --abort`",
        )
    elif not dry_run:
        worktree.forget(repository)  # the user has put everything back themselves


@contextlib.contextmanager
def _undone_on_failure(repository: Repository) -> Iterator[None]:
    try:
        yield
    except BaseException:
        started = worktree.underway(repository)
        if started is not None:
            worktree.undo(repository, started)
        raise


@contextlib.contextmanager
def _alone(root: Path, dry_run: bool) -> Iterator[None]:
    if dry_run:
        yield
        return
    with locking.held(root / lock.FOLDER / "cache" / "lock", doing="mlproj upgrade"):
        yield


# What each manager's lock file is made from.
_SOURCES = {
    EnvManager.UV: "pyproject.toml",
    EnvManager.POETRY: "pyproject.toml",
    EnvManager.VENV: "requirements.txt",
    EnvManager.NONE: "requirements.txt",
    EnvManager.CONDA: "environment.yml",
    EnvManager.PIXI: "pixi.toml",
}


def _lock_file(root: Path) -> str:
    said = tomllib.loads((root / "mlproj.toml").read_text(encoding="utf-8"))
    return str(said.get("project", {}).get("lock", ""))


def _needed(root: Path, answers: Answers) -> Any:
    """What the environment's lock file follows from; the text itself where it cannot be read as settings."""
    source = root / _SOURCES[answers.env_manager]
    if not source.is_file():
        return None
    text = source.read_text(encoding="utf-8", errors="replace")
    if source.name != "pyproject.toml":
        return text
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return text
    project, tool = said.get("project", {}), said.get("tool", {})
    return [
        *(project.get(key) for key in ("name", "requires-python", "dependencies", "optional-dependencies")),
        *(said.get("dependency-groups"), tool.get("uv"), tool.get("poetry")),
    ]


def _remade(root: Path, lock_file: str, answers: Answers, say: Say, *, is_clean: bool) -> tuple[Left, ...]:
    """Lock the environment anew where that needs nothing but mlproj's own uv; what is left to do, if not."""
    command = environment.MANAGERS[answers.env_manager].command or "make requirements"
    if is_clean and answers.env_manager is EnvManager.UV:
        say(f"making {lock_file} anew")
        try:
            environment.relock(root)
            git.git(root, "add", "--", lock_file)
        except ToolError:
            pass  # no network, most often; the person is told what to run
        else:
            return ()
    return (
        Left(
            what=lock_file,
            why="the packages that the project needs have changed since it was made",
            settle=f"`{command}`, then `git add {lock_file}`",
        ),
    )
