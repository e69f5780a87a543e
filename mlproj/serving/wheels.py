"""The wheels of a lock file: brought from its indexes while these are there, installed without them later.

A package index is no archive: files are yanked, indexes move, private ones are shut down. Downloads are
pip's, since uv has none; it runs with the interpreter of the environment, so it takes the wheels that fit.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from mlproj.base import files, process
from mlproj.base.errors import ConfigError, ToolError

PINS = "requirements.txt"
# Lock files of which wheels can be kept: uv's own, and lists of pins.
KEEPABLE = ("uv.lock", "requirements.lock")
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
_SOURCES = (".tar.gz", ".zip")


def download(texts: Mapping[str, str], lock: str, python: Path, folder: Path) -> None:
    """Bring every wheel that an environment is made of into a folder, with a list of their digests.

    `texts` are the lock file, and `pyproject.toml` beside a `uv.lock`. What is there from an earlier attempt
    is not brought again. A package without a wheel is built. Raises ToolError if an index cannot be reached,
    or gives a file with another digest than the lock file has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = folder.with_name(f"{folder.name}.sources")
    files.remove(sources)
    try:
        for name, text in texts.items():
            files.write_text(sources / Path(name).name, text)
        wanted = _exported(sources) if Path(lock).name == "uv.lock" else sources / Path(lock).name
        where = _indexes(texts.get(lock, ""))
        _pip(python, "download", "--no-deps", "--dest", folder, "--requirement", wanted, *where)
        for archive in sorted(folder.iterdir()):
            if archive.name.endswith(_SOURCES):
                _pip(python, "wheel", "--no-deps", "--wheel-dir", folder, archive, *where)
                archive.unlink()
    finally:
        files.remove(sources)
    files.write_text(folder / PINS, _listing(folder))


def install(python: Path, folder: Path) -> None:
    """Put into an environment what the folder's list names, and nothing else, from nowhere else.

    Raises ToolError if a wheel is missing or is another than the list says.
    """
    from uv import find_uv_bin

    process.run(
        *(find_uv_bin(), "pip", "sync", "--python", python, "--no-index", "--find-links", folder),
        *("--require-hashes", folder / PINS),
        cwd=folder,
    )


def _exported(sources: Path) -> Path:
    """What uv would install, as pins with the digests of the lock file."""
    from uv import find_uv_bin

    path = sources / PINS
    process.run(
        *(find_uv_bin(), "export", "--quiet", "--frozen", "--no-dev", "--no-default-groups"),
        *("--no-emit-project", "--no-header", "--no-annotate", "--output-file", path),
        cwd=sources,
    )
    return path


def _indexes(lock: str) -> tuple[str, ...]:
    """The indexes that a `uv.lock` names; where it names none, pip's own settings say."""
    try:
        said = tomllib.loads(lock).get("package", [])
    except tomllib.TOMLDecodeError:
        return ()
    found = dict.fromkeys(
        str(entry["source"]["registry"])
        for entry in said
        if isinstance(entry, dict) and "registry" in entry.get("source", {})
    )
    words: list[str] = []
    for url in found:
        words += ["--extra-index-url" if words else "--index-url", url]
    return tuple(words)


def _pip(python: Path, *words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *words]
    done = process.run(*command, env={"PYTHONWARNINGS": "ignore"}, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = said[-1].removeprefix("ERROR: ") if said else (done.stderr.strip() or "it said nothing")
        raise ToolError(f"`pip {words[0]}` failed: {last}", returncode=done.returncode, output=done.stderr)


def _listing(folder: Path) -> str:
    """Every wheel of a folder by name and version, with its digest. Raises ConfigError for another file."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.name == PINS:
            continue
        named = _WHEEL.fullmatch(path.name)
        if named is None:
            raise ConfigError(
                f"`{path}` is no wheel", hint=f"delete `{folder}` and run `mlproj wheels` again"
            )
        lines.append(f"{named['name']}=={named['version']} --hash=sha256:{files.digest(path)}\n")
    return "".join(lines)


def size(folder: Path) -> tuple[int, int]:
    """How many wheels a folder has, and their bytes together."""
    found = [path.stat().st_size for path in folder.glob("*.whl")]
    return len(found), sum(found)
