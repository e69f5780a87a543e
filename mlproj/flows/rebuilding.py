"""Building a run again in a folder of its own: its code, its data, its environment, its stages."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base import files
from mlproj.base.errors import ConfigError, MissingToolError, MlprojError, ToolError
from mlproj.flows import wheelhouse
from mlproj.flows.reading import LOCK, World, parsed
from mlproj.pipeline import dvc
from mlproj.pipeline.hashes import Hashes
from mlproj.project import Project
from mlproj.provenance import history, lineage, rebuild, snapshot, supply
from mlproj.provenance.objects import Objects, fetch
from mlproj.provenance.rebuild import Plan
from mlproj.provenance.reproduction import Compared
from mlproj.provenance.things import File, listed
from mlproj.provenance.trace import Link, Origin
from mlproj.serving import environments
from mlproj.serving.environments import Wanted

PREDICTIONS = rebuild.EVALUATED[0]
# What a library reads before Python does; as recorded, so that a machine's own setting does not decide.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a run was made from, as its snapshot says. `commit` is what to check out, `outcome` what holds its
    results; `lock_commit` is the one that holds the environment's lock file, `lock` what that says."""

    run: str
    manifest: Mapping[str, Any]
    commit: str
    outcome: str
    locked: Mapping[str, Any]
    known: Mapping[str, File]
    lock: str
    lock_commit: str


def recipe(world: World, origin: Origin) -> Recipe | None:
    """What can be read of a run; None, with the broken link in `world`, where it is not enough."""
    outcome = origin.outcome
    if outcome is None:
        return None
    root, manifest = world.project.root, world.manifests.get(origin.run, {})
    (text,) = history.read(root, [(outcome, LOCK)])
    locked = parsed(text)
    known = lineage.locked_files(locked, [stage.name for stage in lineage.stages(locked)])
    _hold_against_manifest(world, manifest, known)
    found = _environment_lock(world, origin, outcome)
    code = _code_commit(world, origin, locked, outcome)
    if found is None or code is None or world.breaks:
        return None
    lock_commit, lock = found
    return Recipe(
        run=origin.run,
        manifest=manifest,
        commit=code,
        outcome=outcome,
        locked=locked,
        known=known,
        lock=lock,
        lock_commit=lock_commit,
    )


def _hold_against_manifest(world: World, manifest: Mapping[str, Any], known: Mapping[str, File]) -> None:
    """Training wrote the manifest, DVC the lock: a digest in which they differ was edited afterwards."""
    data = manifest.get("data")
    for entry in data.values() if isinstance(data, dict) else ():
        path, md5 = str(entry.get("path")), entry.get("md5")
        locked = known[path].md5 if path in known else None
        if md5 is not None and locked is not None and md5 != locked:
            world.broken(
                Link.PIPELINE,
                f"`{path}`: the manifest says MD5 {md5}, `{LOCK}` says {locked}",
                known="one of the two was edited after the run; the manifest is what training wrote",
                hint="run `git log -p -- dvc.lock` to see who changed it",
            )


def _candidates(root: Path, origin: Origin, outcome: str) -> tuple[str, ...]:
    """The commits that may hold what ran, as far as they are here.

    A later command may have kept the outcome anew, after an edit; the snapshot before the run is as it was.
    """
    code = origin.code
    asked = (outcome, code.snapshot if code else None, code.commit_id if code else None)
    return tuple(commit for commit in dict.fromkeys(asked) if commit and snapshot.holds(root, commit))


def _code_commit(world: World, origin: Origin, locked: Mapping[str, Any], outcome: str) -> str | None:
    root = world.project.root
    known = lineage.locked_files(locked, [stage.name for stage in lineage.stages(locked)])
    wrong: tuple[str, ...] = ()
    for commit in _candidates(root, origin, outcome):
        names = history.names(root, commit)
        planned = rebuild.plan(locked, _frozen(root, commit), names)
        if planned is None:
            world.broken(
                Link.PIPELINE,
                f"`{LOCK}` of run `{origin.run}` does not say which stage made its model",
                hint="run `mlproj stage modeling` where it was made: it keeps the outcome",
            )
            return None
        paths = [path for stage in planned.rerun for path in stage.reads if path in names]
        texts = history.read(root, [(commit, path) for path in paths])
        read = {path: text for path, text in zip(paths, texts, strict=True) if text is not None}
        found = rebuild.wrong_code(read, planned, known)
        if not found:
            return commit
        wrong = wrong or found
    world.broken(
        Link.CODE,
        f"{listed([f'`{path}`' for path in wrong])} in the snapshot is not what run `{origin.run}` read",
        known=f"`{LOCK}` has the digests of what it did read",
        hint="run `git fetch origin '+refs/mlproj/runs/*:refs/mlproj/fetched/*'`: another may hold it",
    )
    return None


def _frozen(root: Path, commit: str) -> tuple[str, ...]:
    (text,) = history.read(root, [(commit, "dvc.yaml")])
    said = parsed(text).get("stages")
    return tuple(
        str(name)
        for name, body in (said.items() if isinstance(said, dict) else ())
        if isinstance(body, dict) and body.get("frozen")
    )


def _environment_lock(world: World, origin: Origin, outcome: str) -> tuple[str, str] | None:
    """The commit that holds the lock file which the run had, and its text."""
    environment = origin.environment
    if environment is None or environment.sha256 is None or environment.lock is None:
        return None  # said by `origins.origin`
    root = world.project.root
    for commit in _candidates(root, origin, outcome):
        (text,) = history.read(root, [(commit, environment.lock)])
        if text is not None and hashlib.sha256(text).hexdigest() == environment.sha256:
            return commit, text.decode("utf-8", "replace")
    return None


# The folder


@dataclass(frozen=True, kw_only=True)
class Built:
    """A project that was built again. `recorded` has the old results, as far as DVC could bring them."""

    project: Project
    planned: Plan
    inputs: tuple[Compared, ...]
    recorded: Path


def prepare(world: World, found: Recipe, tree: Path, aside: Path, say: Callable[[str], None]) -> Built | None:
    """Bring to `tree`, a checkout of the run's code, the data that it read; None where a link is broken.

    Of what it made, its predictions are brought to `aside`, or its model where there are none.
    """
    root = world.project.root
    (lock,) = history.read(root, [(found.outcome, LOCK)])
    files.write_bytes(tree / LOCK, lock or b"")
    planned = rebuild.plan(found.locked, _frozen(root, found.commit), history.names(root, found.commit))
    assert planned is not None  # the recipe was read from it
    project = Project.load(tree)
    python = _python(world, found, project, say)
    if python is None:
        return None
    project = dataclasses.replace(project, python_named=str(python))
    inputs = _bring(world, project, planned, found, aside, say)
    return None if inputs is None else Built(project=project, planned=planned, inputs=inputs, recorded=aside)


def _python(world: World, found: Recipe, then: Project, say: Callable[[str], None]) -> Path | None:
    """The interpreter of the run's environment; where that is managed neither now nor `then`, the one that
    is named."""
    project, environment = world.project, found.manifest.get("environment") or {}
    if project.env_manager == "none":
        project = dataclasses.replace(project, env_manager=then.env_manager)
    wanted = Wanted(
        lock=environment.get("lock"),
        lock_sha256=environment.get("lock_sha256"),
        python=environment.get("python"),
        commit=found.lock_commit,
    )
    try:
        if project.env_manager == "none":
            return project.python
        return environments.python_for(project, wanted, say=say, house=wheelhouse.house(project))
    except (ConfigError, MissingToolError, ToolError) as error:
        world.broken(
            Link.ENVIRONMENT,
            f"the environment of run `{found.run}` cannot be had: {error.message}",
            known=f"its lock file `{wanted.lock}` is in commit {found.lock_commit[:12]}",
            hint=error.hint,
        )
        return None


def _bring(
    world: World,
    project: Project,
    planned: Plan,
    found: Recipe,
    aside: Path,
    say: Callable[[str], None],
) -> tuple[Compared, ...] | None:
    """Every input with its digest, all of them right; None, with the broken links said, otherwise."""
    tree, objects = project.root, world.objects
    rebuild.connect(tree, world.project.root)
    result = PREDICTIONS if PREDICTIONS in found.known else rebuild.MODEL
    wanted = [(file, tree / file.path) for file in planned.inputs if not rebuild.is_outside(file.path)]
    wanted += [(found.known[result], aside / result)] if result in found.known else []
    wanted = [(file, target) for file, target in wanted if file.md5 is not None]
    say(f"bringing {listed([f'`{file.path}`' for file, _ in wanted])}")
    missing = [(file, target) for file, target in wanted if not supply.put(objects.stores, file, target)]
    said = ""
    if missing and objects.remote is not None and objects.remote.folder is None:
        name, digests = objects.remote.name, [file.md5 for file, _ in missing if file.md5]
        say(f"fetching {listed([f'`{file.path}`' for file, _ in missing])} from the remote `{name}`")
        try:
            fetch(tree, project.python, name, digests)
        except MlprojError as error:
            said = error.message
        for file, target in missing:
            supply.put((tree / ".dvc" / "cache",), file, target)
    hashes = Hashes(tree, aside / "hashes.json")
    compared = tuple(
        Compared(path=file.path, recorded=file.md5, rebuilt=_digest(hashes, tree, file.path))
        for file in planned.inputs
    )
    wrong = {each.path for each in compared if not each.is_same and each.recorded is not None}
    if not wrong:
        return compared
    _tell(world, [file for file in planned.inputs if file.path in wrong], said)
    return None


def quiet(aside: Path) -> dict[str, str]:
    """Where DVC keeps what it remembers of a repository: not with that of the user's."""
    return {"DVC_SITE_CACHE_DIR": str(aside / "dvc")}


def _digest(hashes: Hashes, tree: Path, path: str) -> str | None:
    if not rebuild.is_outside(path):
        return hashes.md5(path)
    place = Path(path).expanduser() if path.startswith(("/", "~")) else tree / path
    return files.digest(place, "md5") if place.is_file() else None


def _tell(world: World, wrong: list[File], said: str) -> None:
    """Name each input that could not be brought, and why."""
    objects = Objects(world.project.root, verify=True)
    remote = objects.remote
    if remote is not None and remote.folder is not None and not remote.is_reachable:
        world.broken(
            Link.REMOTE,
            f"the remote `{remote.name}` cannot be reached: the folder `{remote.url}` is not there",
            hint=f"bring it back, or name another with `dvc remote modify {remote.name} url`",
        )
    elif remote is not None and remote.folder is None and said:
        world.broken(
            Link.REMOTE,
            f"DVC could not bring all of it from `{remote.name}` ({remote.url}): {said}",
            hint=f"see what `dvc fetch -r {remote.name}` says, and whether `dvc remote list` is right",
        )
    for file in wrong:
        if rebuild.is_outside(file.path):
            world.broken(
                Link.OBJECT,
                f"`{file.path}` (MD5 {file.md5}) lies outside the repository, and is gone or has changed",
                hint="put it under DVC: `dvc import-url` or `dvc add`",
            )
        else:
            world.broken(
                Link.OBJECT,
                f"`{file.path}` (MD5 {file.md5}) cannot be had: {objects.why_missing(file)}",
                known="no stage makes it",
                hint=objects.once_cleared(
                    file, "`make sync_data_up` where the file still is, which is `dvc push`"
                ),
            )


# The stages


def run(world: World, built: Built, found: Recipe, aside: Path) -> bool:
    """Run every stage anew, nothing restored from a cache; False, with the broken link said, if one fails."""
    environment = found.manifest.get("environment") or {}
    recorded = environment.get("variables")
    variables = recorded if isinstance(recorded, dict) else {}
    code = found.manifest.get("code") or {}
    code_ran = dvc.repro(
        built.project,
        ["--force", "--no-run-cache", "--no-commit", *built.planned.targets],
        env={
            **quiet(aside),
            # An editable install of the user's own tree would otherwise be imported by a plain script.
            "PYTHONPATH": str(built.project.root),
            # Not the user's store, and not the server that they may have named.
            "MLFLOW_TRACKING_URI": f"sqlite:///{built.project.store}",
            "SNAPSHOT_COMMIT": str(code.get("snapshot") or found.commit),
            **{name: str(variables[name]) for name in THREAD_VARIABLES if variables.get(name) is not None},
        },
    )
    if code_ran in (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise KeyboardInterrupt
    if code_ran != 0:
        world.broken(
            Link.PIPELINE,
            f"a stage of run `{found.run}` failed when it was run again; what it said stands above",
            known="its code, data and environment are here",
            hint="run it with `--keep`, and look at it in the folder",
        )
    return code_ran == 0
