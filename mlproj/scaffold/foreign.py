"""Other people's templates: fetched, looked through without running a line, and what they made checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from mlproj.base import files, git
from mlproj.base.errors import ConfigError, MlprojError, ToolError, nearest


class Kind(StrEnum):
    COOKIECUTTER = "Cookiecutter"
    CCDS = "Cookiecutter Data Science"
    COPIER = "Copier"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A template that was fetched to `folder`. `runs` are the programs and modules of its own that it starts,
    as sentences; its expressions are code as well, whether it has any of these or not."""

    source: str
    folder: Path
    kind: Kind
    commit: str | None
    questions: tuple[str, ...]
    runs: tuple[str, ...]
    files: int


_ABBREVIATIONS = {
    "gh": "https://github.com/{}.git",
    "gl": "https://gitlab.com/{}.git",
    "bb": "https://bitbucket.org/{}.git",
}
_URL = re.compile(r"(git\+)?(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:")
_MARKS = (
    ("ccds.json", Kind.CCDS),  # beside a `cookiecutter.json` that only says that this is a template
    ("cookiecutter.json", Kind.COOKIECUTTER),
    ("copier.yml", Kind.COPIER),
    ("copier.yaml", Kind.COPIER),
)
_HOOKS = re.compile(r"(pre_prompt|pre_gen_project|post_gen_project)(\.\w+)?")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
_LARGEST_ZIP = 500_000_000


def fetch(source: str, place: Path, *, checkout: str | None = None, directory: str | None = None) -> Foreign:
    """Bring the template to `place`, a new folder, and look through it; nothing of it is run.

    `source` is a folder, a git URL, a zip file or its URL, or an abbreviation such as `gh:user/repository`.
    What is looked through is what will be run: a folder is copied. Raises ConfigError where there is no
    template, and ToolError where git cannot bring it.
    """
    found, commit = _brought(_expanded(source), place, checkout)
    if directory:
        inside = (found / directory).resolve()
        if not inside.is_relative_to(found.resolve()) or not inside.is_dir():
            raise ConfigError(f"`{source}` has no folder `{directory}`")
    else:
        inside = found
    kind = next((kind for mark, kind in _MARKS if (inside / mark).is_file()), None)
    if kind is None:
        raise ConfigError(
            f"`{source}` is no template: it has neither `cookiecutter.json` nor `copier.yml`",
            hint="if the template is in a folder of it, name that with `--directory FOLDER`",
        )
    if kind is Kind.COPIER and checkout is None and _to_latest_version(found):
        commit = git.head(found)
    refuse_links_out(inside, what="the template")
    questions, runs = _copier(inside) if kind is Kind.COPIER else _cookiecutter(inside, kind)
    return Foreign(
        source=source,
        folder=inside,
        kind=kind,
        commit=commit,
        questions=questions,
        runs=runs,
        files=sum(1 for path in _entries(inside) if path.is_file()),
    )


def refuse_links_out(root: Path, *, what: str) -> None:
    """Raises ConfigError for a link that leaves the tree, and for what is neither file nor folder."""
    for path in _entries(root):
        mode = path.lstat().st_mode
        name = path.relative_to(root)
        if stat.S_ISLNK(mode):
            target = Path(os.readlink(path))  # noqa: PTH115 - `Path.readlink` would lose a trailing slash
            if target.is_absolute() or not path.resolve().is_relative_to(root.resolve()):
                raise ConfigError(f"{what} has a link that leaves it: `{name}` points to `{target}`")
        elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ConfigError(f"{what} has something that is neither a file nor a folder: `{name}`")


def refuse_smuggled(root: Path, template: Foreign) -> None:
    """Raises ConfigError for what a template brought that would be run without ever being shown: git's own
    folder, whose settings name programs. One that runs programs itself may have made a repository."""
    if template.runs:
        return
    for path in _entries(root, skip=()):
        if path.name.casefold() == ".git":
            raise ConfigError(
                f"the template brought `{path.relative_to(root)}`, whose settings git would follow",
                hint="a template without hooks has no business there; look at it before you use it",
            )


def _expanded(source: str) -> str:
    prefix, colon, rest = source.partition(":")
    known = {**_ABBREVIATIONS, **_own_abbreviations()}
    if colon and prefix in known and not rest.startswith("//"):
        return known[prefix].format(rest.removesuffix(".git"))
    return source.removeprefix("git+")


def _own_abbreviations() -> dict[str, str]:
    """Those of the user's own Cookiecutter settings."""
    from cookiecutter.config import get_user_config
    from cookiecutter.exceptions import CookiecutterException

    try:
        return {
            key: str(value)
            for key, value in get_user_config()["abbreviations"].items()
            if key not in _ABBREVIATIONS
        }
    except CookiecutterException as error:
        raise ConfigError(f"Cookiecutter's settings cannot be read: {error}") from None


def _brought(source: str, place: Path, checkout: str | None) -> tuple[Path, str | None]:
    """The folder, and the commit that it is of. Only a clone made here has git's own folder: the settings and
    hooks in another's would be followed."""
    place.mkdir(parents=True)
    last = source.rstrip("/").split("/")[-1].split(":")[-1]
    target = place / (re.sub(r"\.(git|zip)$", "", last).strip(".") or "template")
    if checkout is not None and (checkout.startswith("-") or not checkout):
        raise ConfigError(f"`--checkout {checkout}` is not a branch, tag or commit")
    if source.lower().endswith(".zip"):
        if checkout is not None:
            raise ConfigError("a zip file has no branches", hint="leave `--checkout` out")
        return _unzipped(_downloaded(source, place) if _URL.match(source) else Path(source), target), None
    if _URL.match(source):
        _cloned(source, target, checkout)
        return target, git.head(target)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        beside = [each.name for each in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = nearest(folder.name, beside)
        forms = "write a folder, `gh:user/repository`, a git URL or a zip file"
        raise ConfigError(
            f"`{source}` is neither a folder nor the address of a template",
            hint=f"did you mean `{folder.parent / near}`?" if near else forms,
        )
    if checkout is not None:
        _cloned(str(folder.resolve()), target, checkout)
        return target, git.head(target)
    # Junk and environments are not the template's, and may lead anywhere; nor is the copy, if it is below.
    left_out = shutil.ignore_patterns(".git", "__pycache__", ".venv", place.parent.name)
    try:
        shutil.copytree(folder, target, symlinks=True, ignore=left_out)
    except shutil.Error as error:
        raise ConfigError(f"`{folder}` could not be copied: {error.args[0][0][2]}") from None
    return target, git.head(folder) if (folder / ".git").exists() else None


def _cloned(url: str, target: Path, checkout: str | None) -> None:
    # Nobody can be asked for a password where nobody sits; git would wait for ever.
    env = {"GIT_TERMINAL_PROMPT": "0"}
    try:
        git.git(target.parent, "clone", "--quiet", "--", url, target.name, env=env)
    except ToolError as error:
        raise ToolError(
            f"`{url}` could not be cloned: {(error.output.splitlines() or ['git says nothing'])[-1]}",
            hint="look at the address, and at whether you may read it",
            returncode=error.returncode,
            output=error.output,
        ) from None
    if checkout is not None:
        _checked_out(target, checkout)


def _checked_out(root: Path, checkout: str) -> None:
    done = git.git(root, "checkout", "--quiet", "--detach", checkout, "--", check=False)
    if done.returncode != 0:
        raise ConfigError(f"the template has no branch, tag or commit `{checkout}`")


def _to_latest_version(root: Path) -> bool:
    """As Copier does: the newest tag that is a version, where there is one."""
    tags = git.output(root, "tag").split() if (root / ".git").is_dir() else []
    versions = {
        tuple(map(int, match[1].split("."))): tag for tag in tags if (match := _VERSION.fullmatch(tag))
    }
    if versions:
        _checked_out(root, versions[max(versions)])
    return bool(versions)


def _downloaded(url: str, place: Path) -> Path:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"`{url}` is not an address to download from")
    target = place / "template.zip"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, target.open("wb") as stream:
            shutil.copyfileobj(answer, stream)
    except OSError as error:
        raise MlprojError(f"`{url}` could not be downloaded: {error}") from None
    return target


def _unzipped(path: Path, target: Path) -> Path:
    """The folder that the archive holds; names that would leave it are refused, not mended."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                parts = Path(member.filename.replace("\\", "/")).parts
                if ".." in parts or member.filename.startswith(("/", "\\")) or ":" in parts[0]:
                    raise ConfigError(f"the zip file has a name that leaves it: `{member.filename}`")
            if sum(member.file_size for member in members) > _LARGEST_ZIP:
                raise ConfigError(f"`{path.name}` unpacks to more than {_LARGEST_ZIP // 1_000_000} MB")
            archive.extractall(target)
    except FileNotFoundError:
        raise ConfigError(f"`{path}` is not there") from None
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise ConfigError(f"`{path.name}` cannot be unpacked: {error}") from None
    for entry in [each for each in target.rglob("*") if each.name.casefold() == ".git"]:
        files.remove(entry)
    inside = [entry for entry in target.iterdir() if entry.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _cookiecutter(root: Path, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    mark = next(mark for mark, marks in _MARKS if marks is kind)
    try:
        said: Any = json.loads((root / mark).read_text(encoding="utf-8"))
        questions = tuple(key for key in said if not key.startswith("_"))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"`{mark}` of the template is not JSON: {error}") from None
    runs = [f"the program {path.relative_to(root)}" for path in _entries(root) if _is_hook(path, root)]
    for settings in sorted(root.rglob("cookiecutter.json")) if kind is Kind.COOKIECUTTER else [root / mark]:
        try:
            extensions = json.loads(settings.read_text(encoding="utf-8")).get("_extensions") or ()
        except (ValueError, AttributeError):
            continue
        runs += [f"the Jinja extension {name}" for name in extensions]
    if kind is Kind.CCDS:
        runs.append("the package ccds, which changes Cookiecutter")
    return questions, tuple(dict.fromkeys(runs))


def _is_hook(path: Path, root: Path) -> bool:
    return path.parent.name == "hooks" and _HOOKS.fullmatch(path.name) is not None and path != root


class _Lenient(yaml.SafeLoader):
    """Copier's files include others with a tag of its own."""


def _included(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    del loader, suffix
    return f"!include {node.value}"


_Lenient.add_multi_constructor("!", _included)


def _copier(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = next(root / mark for mark, kind in _MARKS if kind is Kind.COPIER and (root / mark).is_file())
    try:
        said: dict[str, Any] = {}
        for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Lenient):
            said |= document if isinstance(document, dict) else {}
    except yaml.YAMLError as error:
        raise ConfigError(f"`{path.name}` of the template is not YAML: {error}") from None
    runs = [f"the task {_shown(task)}" for task in said.get("_tasks") or ()]
    runs += [f"the migration {_shown(task)}" for task in said.get("_migrations") or ()]
    runs += [f"the Jinja extension {name}" for name in said.get("_jinja_extensions") or ()]
    return tuple(key for key in said if not key.startswith("_")), tuple(runs)


def _shown(task: Any) -> str:
    command = task.get("command", task) if isinstance(task, dict) else task
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def _entries(root: Path, *, skip: tuple[str, ...] = (".git",)) -> Iterator[Path]:
    """Everything below, links not followed."""
    for path in sorted(root.iterdir()):
        if path.name in skip:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _entries(path, skip=skip)
