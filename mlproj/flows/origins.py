"""Where a run comes from, read from what lasts: its snapshot in git, DVC's objects, the notebook."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

from mlproj.base import files
from mlproj.decisions import about
from mlproj.decisions import store as notebook
from mlproj.decisions.store import Page
from mlproj.flows.promises import EVALUATION, promised
from mlproj.flows.reading import LOCK, REGISTERED, Place, World, parsed, read_bytes, table
from mlproj.project import Project
from mlproj.provenance import history, lineage, snapshot
from mlproj.provenance.objects import digest
from mlproj.provenance.things import File, Kept, Stage, listed, plural
from mlproj.provenance.trace import (
    Code,
    Decided,
    Environment,
    Link,
    Origin,
    Version,
)

_INGEST = "reports/ingest.json"
_PUSH = "run `make sync_data_up`, or `dvc push --all-tags` for those of an earlier run"


def origin(world: World, run: str, versions: tuple[Version, ...], *, known: str = "") -> Origin:
    """All that is kept of a run. What is missing is noted in `world`; `known` is what is known without it."""
    project = world.project
    bare = Origin(run=run, project=project.name, model=project.model, versions=versions)
    place, read_from = _find(world, run, is_registered=bool(versions), known=known)
    if place is None:
        return replace(bare, decisions=_decisions(world, run, (), versions), tracked=_tracked(world, run))
    first = place.read([lineage.MANIFEST, LOCK, REGISTERED, _INGEST, EVALUATION, *_documents(project)])
    said = table(first.get(lineage.MANIFEST))
    if said.get("run_id") != run:
        held = said.get("run_id")
        world.broken(
            Link.RUN,
            f"what was kept for run `{run}` holds "
            + (f"the manifest of run `{held}`" if held else f"no `{lineage.MANIFEST}` that can be read"),
        )
        return replace(bare, read_from=read_from, outcome=place.commit, tracked=_tracked(world, run))
    locked = parsed(first.get(LOCK))
    stages = lineage.of_run(lineage.stages(locked))
    if not stages:
        world.broken(
            Link.PIPELINE,
            f"`{LOCK}` of run `{run}` does not say which stage wrote `{lineage.MANIFEST}`",
            known="the manifest names the data by their digests; the steps between are not recorded",
        )
    files = _files(world, place, said, locked, stages, table(first.get(_INGEST)))
    code = _code(world, run, said, stages)
    lacking = [commit for commit in (code.snapshot, code.commit_id) if commit] if code else []
    registered = table(first.get(REGISTERED))
    return replace(
        bare,
        read_from=read_from,
        outcome=place.commit,
        started=said.get("started"),
        finished=said.get("finished"),
        seed=said.get("seed"),
        threads=said.get("threads"),
        code=code,
        stages=stages,
        files=files,
        inputs={name: entry["path"] for name, entry in _data(said).items()},
        environment=_environment(world, place, run, said),
        **promised(project, run, first),
        decisions=_decisions(world, run, (*lacking, place.commit or ""), versions, place),
        versions=versions or _registered(project, run, registered),
        tracked=_tracked(world, run),
    )


def _find(world: World, run: str, *, is_registered: bool, known: str) -> tuple[Place | None, str | None]:
    """Where the files of a run can be read, and how that was found."""
    root, kept = world.project.root, world.kept.get(run)
    if kept is not None and (names := history.names(root, kept.commit)):
        if is_registered and not kept.has_tag:
            world.broken(
                Link.TAG,
                f"the tag `{snapshot.TAGS}/{run}` is missing",
                known="its snapshot is here under another ref, which clones do not bring",
                hint=f"run `git tag {snapshot.TAGS}/{run} {kept.commit[:12]}`",
            )
        by = f"tag {snapshot.TAGS}/{run}" if kept.has_tag else f"{snapshot.REFS}/{run}"
        return Place(root=root, commit=kept.commit, names=names), by
    here = table(read_bytes(root / lineage.MANIFEST))
    lost = f"neither the tag `{snapshot.TAGS}/{run}` nor another snapshot of the run is in this repository"
    fetch = "run `git fetch origin 'refs/tags/mlproj/*:refs/tags/mlproj/*'` where it was pushed"
    if here.get("run_id") == run:
        world.broken(
            Link.SNAPSHOT,
            lost,
            known="the work tree holds its manifest, and was read as it is now",
            hint="run `mlproj stage modeling` to keep it",
        )
        names = history.tracked(root)
        return Place(root=root, commit=None, names=names), "the work tree"
    commit = history.mentions(root, run, lineage.MANIFEST)
    if commit is not None:
        world.broken(
            Link.SNAPSHOT, lost, known=f"commit {commit[:12]} holds its manifest, and was read", hint=fetch
        )
        return Place(root=root, commit=commit, names=history.names(root, commit)), f"commit {commit}"
    tracked = _tracked(world, run)
    why = "it was made before mlproj, or where its snapshot was never pushed from"
    world.broken(
        Link.RUN,
        f"{lost}, and no commit holds its manifest: {why}",
        known="; ".join(
            filter(None, (known, f"the MLflow store here knows it as {tracked}" if tracked else ""))
        ),
        hint=fetch,
    )
    return None, None


def _documents(project: Project) -> tuple[str, ...]:
    return (project.relative(project.scoping),)


def _data(said: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    data = said.get("data")
    entries = data.items() if isinstance(data, dict) else ()
    return {str(name): entry for name, entry in entries if isinstance(entry, dict) and "path" in entry}


def _files(
    world: World,
    place: Place,
    said: Mapping[str, Any],
    locked: Mapping[str, Any],
    stages: tuple[Stage, ...],
    ingest: Mapping[str, Any],
) -> dict[str, File]:
    """Every file that the stages read or wrote, with where its content is now."""
    made = {stage.name for stage in lineage.leading_to(stages, lineage.MANIFEST)}
    found = lineage.locked_files(locked, [stage.name for stage in stages])
    in_git = place.read(found)
    made_from = lineage.locked_files(locked, made)
    for path, file in found.items():
        if path in in_git:
            found[path] = replace(file, kept=Kept.GIT)
            # What is judged later may be judged again; what the model was made from may not differ.
            if path in made_from and file.md5 is not None and not _is(in_git[path], file.md5):
                world.broken(
                    Link.CODE if path.endswith(".py") else Link.PIPELINE,
                    f"`{path}` in the snapshot is not the file that the run read or wrote",
                    known=f"`{LOCK}` has MD5 {file.md5}",
                )
        else:
            found[path] = world.objects.look(file)
    _hold_against_manifest(world, _data(said), found, ingest)
    _bring(world, place, found, stages)
    _tell_missing(world, stages, found)
    return found


def _is(content: bytes, md5: str) -> bool:
    """Whether a file in git is the one that DVC saw: git may have folded its line ends, and DVC 2 did."""
    return md5 in (digest(content), digest(content.replace(b"\r\n", b"\n")))


def _hold_against_manifest(
    world: World, data: Mapping[str, Mapping[str, Any]], found: dict[str, File], ingest: Mapping[str, Any]
) -> None:
    """The manifest's own digests and row counts, joined to the files."""
    for name, entry in data.items():
        path, md5 = str(entry["path"]), entry.get("md5")
        file = found.get(path) or world.objects.look(File(path=path, md5=md5))
        if file.md5 is not None and md5 is not None and md5 != file.md5:
            world.broken(
                Link.PIPELINE,
                f"`{path}`: the manifest says MD5 {md5}, `{LOCK}` says {file.md5}",
                known="one of the two was edited after the run; the manifest is what training wrote",
            )
            file = world.objects.look(File(path=path, md5=md5))
        rows = entry.get("rows", ingest.get("rows_read") if name == "raw" else None)
        found[path] = replace(file, rows=rows if isinstance(rows, int) else None)


def _bring(world: World, place: Place, found: dict[str, File], stages: tuple[Stage, ...]) -> None:
    """Of data that no stage made: who brought it, when, and where from, as far as its `.dvc` file says."""
    written = {path for stage in stages for path in stage.writes}
    raw = [path for path, file in found.items() if path not in written and file.kept is not Kept.GIT]
    for path, text in place.read([f"{path}.dvc" for path in raw]).items():
        name = path.removesuffix(".dvc")
        until = place.commit or "HEAD"
        sources = [source(entry) for entry in parsed(text).get("deps") or () if isinstance(entry, dict)]
        found[name] = replace(
            found[name],
            brought=history.last_change(place.root, until, path),
            source=", ".join(sources) or None,
        )


def source(entry: Mapping[str, Any]) -> str:
    """What `dvc import` or `dvc import-url` recorded."""
    repo = entry.get("repo")
    if isinstance(repo, dict):
        return (
            f"{entry.get('path')} of {repo.get('url')} at {str(repo.get('rev_lock') or repo.get('rev'))[:12]}"
        )
    return str(entry.get("path"))


def _tell_missing(world: World, stages: tuple[Stage, ...], found: Mapping[str, File]) -> None:
    remote = world.objects.remote
    missing = [file for file in found.values() if not file.kept.is_kept and file.md5 is not None]
    lost = [file for file in missing if not lineage.is_aside(stages, file.path)]
    if len(missing) > len(lost):
        figures = plural(len(missing) - len(lost), "figure or plot", "figures and plots")
        world.note(f"{figures} of the evaluation cannot be had here; nothing else hangs on them")
    gone = remote is not None and remote.folder is not None and not remote.is_reachable
    if lost and gone and remote is not None:
        world.broken(
            Link.REMOTE,
            f"the remote `{remote.name}` cannot be reached: the folder `{remote.url}` is not there",
            hint="bring it back, or name another with `dvc remote modify`",
        )
    for file in lost:
        made = next((stage.name for stage in stages if file.path in stage.writes), None)
        where = f"; {file.remark}" if file.remark else ""
        asked = file.kept is Kept.NOT_ASKED
        nowhere = f"{'whole ' if 'damaged' in file.remark else ''}neither in the cache nor on the remote"
        known = f"stage `{made}` made it, and would make it again" if made else "nothing here makes it"
        if asked:
            said = "is missing from the cache, and the remote was not asked"
            hint = "run `mlproj trace` with `--remote` to ask"
        elif _is_in_work_tree(world, file):
            said, known = f"is in the work tree only, {nowhere}", ""
            add = f"`dvc commit {made}`" if made else f"`dvc add {file.path}`"
            hint = world.objects.once_cleared(file, f"{add} and `dvc push`")
        else:
            said, hint = f"is lost: it is {nowhere}", ""
            if "damaged" in file.remark:
                hint = world.objects.once_cleared(file, "`make sync_data_up` where the file still is")
        world.broken(Link.OBJECT, f"`{file.path}` (MD5 {file.md5}) {said}{where}", known=known, hint=hint)
    _tell_damaged(world, [file for file in found.values() if file.kept.is_kept and "damaged" in file.remark])
    only_here = [
        file
        for file in found.values()
        if file.kept is Kept.HERE and file.remark and "damaged" not in file.remark
    ]
    if only_here:
        count = plural(len(only_here), "object of the run is", "objects of the run are")
        world.note(f"{count} in the cache here and not on the remote: {_PUSH}")


def _tell_damaged(world: World, damaged: Iterable[File]) -> None:
    """What one store has whole, and the other damaged: in the way for DVC, which looks at names only."""
    for file in damaged:
        then = "`dvc fetch --all-tags`" if file.kept is Kept.REMOTE else "`dvc push --all-tags`"
        hint = world.objects.once_cleared(file, then)
        world.note(f"`{file.path}` (MD5 {file.md5}) is whole {file.kept}, but {file.remark}: {hint}")


def _is_in_work_tree(world: World, file: File) -> bool:
    path = world.project.root / file.path
    return path.is_file() and files.digest(path, "md5") == file.md5


def _code(world: World, run: str, said: Mapping[str, Any], stages: tuple[Stage, ...]) -> Code | None:
    code = said.get("code")
    code = code if isinstance(code, dict) else {}
    commit, kept = code.get("commit"), code.get("snapshot")
    ran, root = kept or commit, world.project.root
    if ran is None:
        world.broken(Link.CODE, f"run `{run}` did not record the commit it was made from")
        return None
    is_here = snapshot.holds(root, ran)
    uncommitted = bool(code.get("dirty"))
    if not is_here:
        world.broken(
            Link.CODE,
            f"the code of run `{run}`, commit {str(ran)[:12]}, is not in this repository",
            known="what stands in the snapshot of its outcome was read instead",
            hint="run `git fetch --all --tags`",
        )
    elif kept is None and uncommitted:
        world.broken(
            Link.CODE,
            f"run `{run}` was made from uncommitted code of which no snapshot was taken",
            known=f"it stood on commit {str(commit)[:12]}",
        )
    params = said.get("params")
    train = params.get("train") if isinstance(params, dict) else None
    trained = lineage.trained_by(stages)
    return Code(
        commit=history.commit(root, commit) if commit else None,
        commit_id=commit,
        snapshot=kept,
        uncommitted=uncommitted,
        is_here=is_here,
        command=said.get("command") or (trained.command if trained else None),
        algorithm=train.get("model") if isinstance(train, dict) else None,
    )


def _environment(world: World, place: Place, run: str, said: Mapping[str, Any]) -> Environment | None:
    table_ = said.get("environment")
    if not isinstance(table_, dict):
        world.broken(Link.ENVIRONMENT, f"run `{run}` did not record its environment")
        return None
    lock, sha256 = table_.get("lock"), table_.get("lock_sha256")
    text = place.read([lock]).get(lock) if lock else None
    known = f"Python {table_.get('python')}, {_packages(table_)}"
    if sha256 is None:
        world.broken(
            Link.ENVIRONMENT, f"run `{run}` did not record a digest of its environment's lock", known=known
        )
    elif text is None:
        world.broken(Link.ENVIRONMENT, f"the lock file `{lock}` is not in the snapshot", known=known)
    elif hashlib.sha256(text).hexdigest() != sha256:
        world.broken(
            Link.ENVIRONMENT,
            f"`{lock}` in the snapshot is not the lock file that run `{run}` had (SHA-256 {sha256[:12]})",
            known=known,
        )
        text = None
    packages = table_.get("packages")
    return Environment(
        lock=lock,
        sha256=sha256,
        python=table_.get("python"),
        platform=table_.get("platform"),
        packages=packages if isinstance(packages, dict) else {},
        kept=Kept.GIT if text is not None else Kept.LOST,
        wheels=_wheels(world, sha256),
    )


def _wheels(world: World, sha256: str | None) -> Kept | None:
    """Where the wheels of a lock file are; None where they were not kept."""
    from mlproj.flows import wheelhouse

    md5 = wheelhouse.md5(world.project, sha256) if sha256 is not None else None
    return None if md5 is None else world.objects.look(File(path=wheelhouse.NAME, md5=md5)).kept


def _packages(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages")
    pins = [f"{name} {version}" for name, version in packages.items()] if isinstance(packages, dict) else []
    return listed(pins) if pins else "packages unknown"


def _decisions(
    world: World,
    run: str,
    commits: Iterable[str],
    versions: tuple[Version, ...],
    place: Place | None = None,
) -> tuple[Decided, ...]:
    """The pages of the notebook that speak of a run, and by what; those too that only its snapshot has."""
    numbers = {version.number for version in versions}
    known = {commit for commit in commits if commit}
    here = {world.project.relative(page.path) for page in world.pages}
    found = []
    for page in sorted((*world.pages, *_pages_of(world, place, here)), key=_dated):
        path = world.project.relative(page.path)
        by = about.link_of(page, about.named_on(page, [run]), run, known, numbers)
        if by is None:
            continue
        found.append(
            Decided(
                title=page.decision.title,
                on=page.decision.on.isoformat(),
                kind=page.decision.kind,
                path=path,
                why=_why(page.text),
                by_what=by if path in here else f"{by}; the page is in the run's snapshot only",
            )
        )
    return tuple(found)


def _pages_of(world: World, place: Place | None, here: Collection[str]) -> Iterator[Page]:
    """The notebook as it was when the run ended, less the pages that are in the work tree still."""
    if place is None or place.commit is None:
        return
    folder = f"{world.project.relative(world.project.decisions)}/"
    paths = [
        path
        for path in sorted(place.names)
        if path.startswith(folder) and path.endswith(".md") and path not in here
    ]
    for path, text in place.read(paths).items():
        if not path.endswith("/README.md"):
            yield notebook.read(world.project.root / path, text.decode("utf-8", "replace"))


def _dated(page: Page) -> tuple[date, str]:
    return page.decision.on, page.path.name


def _why(text: str) -> str:
    """The first paragraph under `## Why`."""
    _, _, after = text.partition("\n## Why\n")
    return " ".join(after.strip().partition("\n\n")[0].split()) if after else ""


def _registered(project: Project, run: str, registered: Mapping[str, Any]) -> tuple[Version, ...]:
    """The version that a run was registered as, where it was never deployed."""
    number = registered.get("version")
    if registered.get("run_id") != run or not isinstance(number, int):
        return ()
    return (Version(number=number, run=run, model=project.model),)


def _tracked(world: World, run: str) -> str | None:
    """What the MLflow store in the repository says of a run, where it can be asked without MLflow.

    Nothing hangs on it: it is for looking. But a run that was deleted there was deleted by somebody.
    """
    path = world.project.store
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as store:
            row = store.execute(
                "SELECT lifecycle_stage, status FROM runs WHERE run_uuid = ?", (run,)
            ).fetchone()
    except sqlite3.Error:
        return None  # of another form than we know, or being written: it is only a bonus
    if row is None:
        return None
    if row[0] == "deleted":
        world.broken(
            Link.RUN,
            f"run `{run}` was deleted in MLflow",
            known="its manifest, model and data do not hang on the store",
            hint=f"run `mlflow runs restore --run-id {run}` to bring it back",
        )
        return "deleted"
    return str(row[1]).lower()
