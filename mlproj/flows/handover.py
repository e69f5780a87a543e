"""`mlproj handover`: whether somebody new could take the project over from what is written down."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproj.base import files, git, process
from mlproj.base.errors import MlprojError
from mlproj.decisions import store as notebook
from mlproj.flows import evidence as gathering
from mlproj.flows import model_card, search
from mlproj.flows.past import Past
from mlproj.lifecycle import handover
from mlproj.lifecycle.evidence import Evidence
from mlproj.lifecycle.handover import Facts, Gap, Topic, Used
from mlproj.project import Project
from mlproj.provenance import history, travel
from mlproj.provenance.objects import Objects, Remote
from mlproj.provenance.things import File, Kept, listed, plural

_REGISTERED = "models/registered.json"
_SITE = "docs/mkdocs.yml"
_CONFIG = ".dvc/config"
_READS = re.compile(
    r"""(?:os\.)?(?:environ\.get\(|getenv\(|environ\[)\s*["']([A-Z][A-Z0-9_]+)["'](?!\]\s*=[^=])"""
)
# What is set for a stage by whoever starts it, never by a person.
_OURS = {"SNAPSHOT_COMMIT"}
_SKIPPED = (".venv/", ".pixi/", "tests/", "hooks/", "docs/")
_LINK = re.compile(r"WARNING\s+-\s+(?:Doc file '(?P<page>[^']+)'.*?'(?P<to>[^']+)'.*|(?P<other>.+))")


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What only somebody's head knows. `documents` are those that were read."""

    project: Project
    gaps: tuple[Gap, ...]
    documents: tuple[str, ...]

    @property
    def answers_yes(self) -> bool:
        return not self.gaps

    @property
    def has_site(self) -> bool:
        """Whether there is one to build: a repository that was adopted has none."""
        return (self.project.root / _SITE).is_file()


def examine(project: Project) -> Handover:
    """Read documents, notebook, code, git, DVC and deployments; build the site. Changes nothing.

    Raises ConfigError if `dvc.yaml` or `params.yaml` cannot be read.
    """
    evidence = gathering.gather(project)
    names = (
        evidence.document_path,
        evidence.datasheet_path,
        model_card.PATH,
        handover.LABELS,
        *handover.DOCUMENTED_IN,
    )
    texts = {name: text for name in names if (text := _text(project.root / name)) is not None}
    facts = Facts(
        evidence=evidence,
        texts=texts,
        decisions={project.relative(page.path): page.text for page in notebook.find(project.decisions)},
        used=tuple(_used(project)),
        variables=_variables(project.root),
        others=(*_storage(project, evidence), *_site(project)),
    )
    return Handover(project=project, gaps=handover.gaps(facts), documents=tuple(texts))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _used(project: Project) -> Iterator[Used]:
    """The registered model of the work tree, and every version that was deployed."""
    pages = notebook.find(project.decisions)
    past = {run.run: run for run in Past(project).runs} if git.toplevel(project.root) is not None else {}

    def used(number: int, run: str, what: str) -> Used:
        is_explained = search.speaks_of(pages, run, number, past.get(run))
        return Used(version=number, what=what, is_explained=is_explained)

    said = files.read_json(project.root / _REGISTERED)
    registered = said if isinstance(said, dict) else {}
    if isinstance(registered.get("run_id"), str) and isinstance(registered.get("version"), int):
        run, number = registered["run_id"], registered["version"]
        what = f"run {run[:8]} was registered as version {number}"
        yield used(number, run, what)
    if project.postgres is None and not (project.home / "serving.db").exists():
        return
    from mlproj.serving import store

    try:
        with store.open(project.home, project.postgres) as opened:
            runs = {version.number: version.run for version in opened.versions()}
            deployed = {each.version: each for each in reversed(opened.deployments())}
    except MlprojError:
        return  # what is deployed cannot be read, which `mlproj check deployment` says
    for number, deployment in sorted(deployed.items()):
        what = f"version {number} was deployed by {deployment.by}"
        yield used(number, runs.get(number, ""), what)


def _variables(root: Path) -> dict[str, tuple[str, int]]:
    """The environment variables that the project's own code reads, each with the first place."""
    found: dict[str, tuple[str, int]] = {}
    for name in sorted(history.tracked(root)):
        if not name.endswith(".py") or name.startswith(_SKIPPED):
            continue
        for number, line in enumerate((_text(root / name) or "").splitlines(), 1):
            for read in _READS.finditer(line):
                if read[1] not in _OURS:
                    found.setdefault(read[1], (name, number))
    return found


def _storage(project: Project, evidence: Evidence) -> Iterator[Gap]:
    """Whether others can get at code, data and models."""
    root = project.root
    if git.toplevel(root) is None:
        return
    if history.remote_of(root) is None:
        what = "the repository is on this machine only"
        yield _kept(".git/config", what, "run `git remote add origin URL`, then `git push`")
    else:
        unpushed = git.output(root, "rev-list", "--count", "HEAD", "--not", "--remotes")
        if unpushed != "0":
            what = f"{plural(int(unpushed), 'commit is', 'commits are')} not pushed"
            yield _kept(".git/config", what, "run `git push`")
        travels = travel.look(root)
        if travels.lacking:
            what = "a push does not take the snapshots of runs with it"
            yield _kept(".git/config", what, "run `mlproj doctor`, which says how to mend it")
        else:
            yield from _left_behind(root, travels.remotes)
    if git.is_dirty(root):
        what = "the work tree has changes that are in no commit"
        yield _kept(".", what, "commit them, or throw them away")
    objects = Objects(root)
    yield from _remote(root, objects.remote)
    here = [each for each in _files(evidence, objects) if each.kept is Kept.HERE]
    if here and objects.remote is not None:
        names = listed([f"`{file.path}`" for file in here])
        what = f"{names} {'is' if len(here) == 1 else 'are'} in the cache of this machine only"
        yield _kept("dvc.lock", what, "run `make sync_data_up`, which is `dvc push`")


def _left_behind(root: Path, remotes: tuple[str, ...]) -> Iterator[Gap]:
    """Runs that none of the remotes which answer has as they are here."""
    asked = [(name, found) for name in remotes if (found := travel.arrived(root, name)) is not None]
    if asked and all(found.lacking for _, found in asked):
        name, found = min(asked, key=lambda each: each[1].lacking)
        what = f"{found.lacking} of the {plural(found.runs, 'run')} kept here are not on `{name}`"
        yield _kept(".git/config", what, f"run `git push {name}`, which names no branch")


def _remote(root: Path, remote: Remote | None) -> Iterator[Gap]:
    """A folder below somebody's home is no place where others find anything."""
    if remote is None:
        what = "data and models have no remote"
        yield _kept(_CONFIG, what, "run `dvc remote add --default NAME URL`, then `dvc push`")
    elif remote.folder is not None and remote.folder.resolve().is_relative_to(Path.home().resolve()):
        text = (_text(root / _CONFIG) or "").splitlines()
        line = next((n for n, words in enumerate(text, 1) if remote.url in words), 0)
        what = (
            f"the remote `{remote.name}` is a folder in a home on this machine: nobody else can pull from it"
        )
        write = (
            f"run `dvc remote modify {remote.name} url URL` with a place that others reach, then `dvc push`"
        )
        yield _kept(_CONFIG, what, write, line=line)


def _kept(file: str, what: str, write: str, *, line: int = 0) -> Gap:
    return Gap(topic=Topic.STORAGE, file=file, line=line, what=what, write=write)


def _files(evidence: Evidence, objects: Objects) -> Iterator[File]:
    """Raw data that no stage makes, as they are in DVC's stores."""
    for data in evidence.raw_data:
        if data.md5 is not None and not data.is_made:
            yield objects.look(File(path=data.path, md5=data.md5))


def _site(project: Project) -> Iterator[Gap]:
    """What MkDocs complains of when it builds the site, into a folder that is thrown away."""
    root = project.root
    if not (root / _SITE).is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        done = process.run(
            *(project.python, "-m", "mkdocs", "build", "--strict"),
            *("--config-file", root / _SITE, "--site-dir", folder),
            cwd=root,
            path_first=project.bin,
            check=False,
        )
    if done.returncode == 0:
        return
    found = [*_complaints(root, done.stderr)]
    yield from found
    if not found:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        what = f"the site cannot be built: {last}"
        write = "run `make requirements`, then `make docs`, and mend what it names"
        yield Gap(topic=Topic.SITE, file=_SITE, line=0, what=what, write=write)


def _complaints(root: Path, said: str) -> Iterator[Gap]:
    for line in said.splitlines():
        found = _LINK.match(line.strip())
        if found is None:
            continue
        if found["page"] is None:
            write = "mend it, and look with `make docs`"
            yield Gap(topic=Topic.SITE, file=_SITE, line=0, what=found["other"], write=write)
            continue
        places = [root / "docs" / "docs" / found["page"], root / "docs" / found["page"]]
        path = next((place for place in places if place.is_file()), places[-1])
        lines = (_text(path) or "").splitlines()
        number = next((n for n, text in enumerate(lines, 1) if found["to"] in text), 0)
        what = f"the link to `{found['to']}` leads nowhere"
        where = path.relative_to(root).as_posix()
        write = "the right path, or the missing page"
        yield Gap(topic=Topic.SITE, file=where, line=number, what=what, write=write)
