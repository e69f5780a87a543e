"""A version as it was when it answered: its package, in the environment that it was made in, asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproj.base.errors import MlprojError
from mlproj.flows import serve, wheelhouse
from mlproj.flows.kept_package import KeptPackage
from mlproj.flows.reading import World
from mlproj.provenance import agreement, installed
from mlproj.provenance.agreement import Differs, Grade, Surroundings
from mlproj.provenance.replay import ORIGINAL
from mlproj.provenance.trace import Link
from mlproj.serving import environments, package, replaying
from mlproj.serving.frames import Answer
from mlproj.serving.package import Package


@dataclass(frozen=True, kw_only=True)
class Revived:
    """`before` is what was recorded of its environment, `now` what it runs in here."""

    kept: KeptPackage
    described: Package
    python: Path
    before: Surroundings
    now: Surroundings

    @property
    def differs(self) -> tuple[Differs, ...]:
        return agreement.differences(self.before, self.now)

    @property
    def grade(self) -> Grade:
        """Exact where lock, Python and platform are recorded, and nothing differs."""
        known = self.before.lock_sha256 and self.before.python and self.before.platform
        return Grade.EXACT if known and not self.differs else Grade.COMPATIBLE

    def engines(self, recorded: str) -> tuple[str, ...]:
        """The engine that answered, or the one that serves where that is not in the package; the original."""
        first = recorded if recorded in self.described.engines else self.described.engine
        known = self.described.engines
        return tuple(dict.fromkeys((first, *(name for name in (ORIGINAL,) if name in known))))

    def ask(self, engine: str, rows: Sequence[bytes]) -> tuple[list[Answer], str]:
        """The answers of an engine, and how its start differed from what was packaged with it (or nothing).

        Raises MlprojError if the worker cannot be loaded, or ends.
        """
        with replaying.asked(self.python, self.kept.folder, digest=self.kept.digest, engine=engine) as line:
            return line.ask(rows), line.differs


def revive(world: World, kept: KeptPackage, *, no_index: bool, say: Callable[[str], None]) -> Revived | None:
    """The version in its own environment, which is built if this machine does not have it.

    None where that cannot be: then `world` is told why.
    """
    described = package.load(kept.folder)
    recorded = described.environment
    try:
        python = environments.python_for(
            world.project,
            serve.wanted(world.project, kept.folder),
            say=say,
            house=wheelhouse.house(world.project),
            no_index=no_index,
        )
        found = environments.about(python)
    except MlprojError as error:
        lock = (
            f"`{recorded.lock}`, SHA-256 {(recorded.lock_sha256 or '')[:12]}" if recorded.lock else "no lock"
        )
        world.broken(
            Link.ENVIRONMENT,
            f"the environment of run `{described.run_id}` cannot be had: {error.message}",
            known=f"it had {lock}, Python {recorded.python or 'unknown'}",
            hint=error.hint,
        )
        return None
    before = _recorded(world, described)
    return Revived(
        kept=kept,
        described=described,
        python=python,
        before=before,
        # An interpreter that was found for a lock file is one that was made from it.
        now=_now(found, before),
    )


def _recorded(world: World, described: Package) -> Surroundings:
    """What package and manifest say; the package alone where the manifest is lost."""
    manifest = world.manifests.get(described.run_id, {})
    said = manifest.get("environment")
    said = said if isinstance(said, dict) else {}
    packages = said.get("packages")
    return Surroundings(
        lock_sha256=described.environment.lock_sha256,
        python=described.environment.python,
        platform=_platform(said),
        cpu=_text(said.get("cpu")),
        blas=_blas(said.get("blas")),
        packages={str(name): str(version) for name, version in packages.items()}
        if isinstance(packages, dict)
        else {},
    )


def _now(found: Mapping[str, Any], before: Surroundings) -> Surroundings:
    packages = found.get("packages") or {}
    return Surroundings(
        lock_sha256=before.lock_sha256,
        python=_text(found.get("python")),
        platform=_platform(found),
        cpu=_text(found.get("cpu")),
        blas=_blas(found.get("blas")),
        packages={name: packages[name] for name in before.packages if name in packages},
    )


def _platform(said: Mapping[str, Any]) -> str | None:
    found = _text(said.get("platform"))
    return None if found is None else installed.platform_of(found)


def _blas(value: Any) -> str | None:
    """The libraries of linear algebra by name, version and processor; a worker takes one thread of each."""
    if not isinstance(value, list):
        return _text(value)
    found = {
        " ".join(str(each[key]) for key in ("internal_api", "version", "architecture") if each.get(key))
        for each in value
        if isinstance(each, dict) and each.get("internal_api") != "openmp"
    }
    return ", ".join(sorted(found)) or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
