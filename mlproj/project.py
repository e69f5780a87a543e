"""The generated repository: where it is and what its `mlproj.toml` says."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError, MissingToolError, nearest

MARKER = "mlproj.toml"
POSTGRES = "MLPROJ_POSTGRES"

_PATHS = {
    "scoping": "docs/scoping.md",
    "data": "docs/data.md",
    "decisions": "docs/decisions",
    "store": "mlflow.db",
    "raw": "data/raw",
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository with an `mlproj.toml` at its root."""

    root: Path
    id: str
    name: str
    module: str
    model: str
    env_manager: str
    python_named: str | None
    lock_file: str | None
    scoping: Path
    data_doc: Path
    decisions: Path
    store: Path
    raw: Path
    serving: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The project that `start` (default: the working folder) is in. Raises ConfigError outside one."""
        here = (start or Path.cwd()).resolve()
        root = locate(here)
        if root is not None:
            return cls.load(root)
        raise ConfigError(
            f"`{here}` is not inside an mlproj repository: no `{MARKER}` here or above",
            hint="run `mlproj new NAME` to make one, or change to its folder",
        )

    @classmethod
    def load(cls, root: Path) -> Project:
        path = root / MARKER
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"`{path}` is not TOML: {error}", hint=f"mend `{path}`") from None
        table, paths = _table(said, "project", path), _table(said, "paths", path)
        for key in ("id", "name", "module", "model"):
            if not isinstance(table.get(key), str) or not table[key]:
                wrong = nearest(key, [k for k in table if k not in ("id", "name", "module", "model")])
                also = f"; `{wrong}` is not known, did you mean `{key}`?" if wrong else ""
                raise ConfigError(
                    f"`{path}`: `[project] {key}` must be a text{also}",
                    hint=f"mend it, or `git checkout {MARKER}` to go back to the last commit",
                )
        located = {key: root / str(paths.get(key, default)) for key, default in _PATHS.items()}
        return cls(
            root=root,
            id=table["id"],
            name=table["name"],
            module=table["module"],
            model=table["model"],
            env_manager=str(table.get("env_manager", "uv")),
            python_named=table.get("python"),
            lock_file=table.get("lock"),
            scoping=located["scoping"],
            data_doc=located["data"],
            decisions=located["decisions"],
            store=located["store"],
            raw=located["raw"],
            serving=_table(said, "serving", path),
        )

    @property
    def python(self) -> Path:
        """The interpreter that runs the project's code and opens its stores.

        `.venv` in the repository, else the one `mlproj.toml` names, else the active environment's, else the
        one mlproj itself runs in. Raises MissingToolError if `mlproj.toml` names one that is not there.
        """
        return find_python(self.root, self.python_named, os.environ)

    @property
    def python_because(self) -> str:
        """Why `python` is the one it is, as the end of a sentence."""
        if any(path.is_file() for path in _own(self.root)):
            return "it is in the repository"
        if self.python_named:
            return f'`{self.root / MARKER}` says `python = "{self.python_named}"`'
        if _active(os.environ) is not None:
            return f"its environment is active and `{MARKER}` names none"
        return f"mlproj runs in it, no environment is active, and `{MARKER}` names none"

    @property
    def bin(self) -> Path:
        """The folder of the project's programs, to be put first in PATH."""
        return self.python.parent

    @property
    def cache(self) -> Path:
        """What can be thrown away at any time; ignored by git."""
        return self.root / ".mlproj" / "cache"

    @property
    def home(self) -> Path:
        """What must outlive this work tree: deployments, predictions, the default remote."""
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(base) / "mlproj" / self.id

    @property
    def postgres(self) -> str | None:
        """The URL of the PostgreSQL that machines share, if there is one."""
        return find_postgres(self.serving, os.environ)

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def locate(start: Path) -> Path | None:
    """The root of the repository that `start` is in, if mlproj made it."""
    folders = (start.resolve(), *start.resolve().parents)
    return next((folder for folder in folders if (folder / MARKER).is_file()), None)


def find_python(root: Path, named: str | None, environ: Mapping[str, str]) -> Path:
    for candidate in _own(root):
        if candidate.is_file():
            return candidate
    if named:
        path = Path(named).expanduser()
        path = path if path.is_absolute() else root / path
        if not path.is_file():
            raise MissingToolError(
                f"`{MARKER}` names the interpreter `{named}`, which is not there",
                hint=f"mend `python` in `{root / MARKER}`, or make the environment again",
            )
        return path
    return active_python(environ)


def find_postgres(serving: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """What MLPROJ_POSTGRES says, where it is set (empty: none), else `mlproj.toml`."""
    said = environ.get(POSTGRES, serving.get("postgres"))
    return str(said) if said else None


def active_python(environ: Mapping[str, str]) -> Path:
    """The interpreter of the active environment, else the one mlproj runs in."""
    return _active(environ) or Path(sys.executable)


def has_environment(root: Path, environ: Mapping[str, str]) -> bool:
    """Whether there is an environment to run in, where none is named, but mlproj's own."""
    return _active(environ) is not None or any(path.is_file() for path in _own(root))


def _own(root: Path) -> tuple[Path, ...]:
    return (root / ".venv" / "bin" / "python", root / ".pixi" / "envs" / "default" / "bin" / "python")


def _active(environ: Mapping[str, str]) -> Path | None:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        python = Path(environ.get(variable) or os.devnull) / "bin" / "python"
        if python.is_file():
            return python
    return None


def _table(said: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = said.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"`{path}`: `{name}` must be a table: write `[{name}]`")
    return table
