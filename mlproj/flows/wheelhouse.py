"""Where the wheels of a lock file are kept: DVC's cache and remote, found by a tag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlproj.base.errors import ToolError
from mlproj.pipeline.scratch import scratch
from mlproj.project import Project
from mlproj.provenance import vault
from mlproj.serving.environments import House

NAME = "wheels"


def md5(project: Project, lock_sha256: str) -> str | None:
    """The digest of the folder of wheels, as DVC knows it; None where none are kept."""
    from mlproj.flows.reading import parsed

    outs = parsed(vault.find(project.root, lock_sha256)).get("outs")
    return str(outs[0]["md5"]) if isinstance(outs, list) and outs else None


def house(project: Project) -> House:
    """How environments are built from the wheels that a project keeps.

    What it opens raises ToolError where wheels are named, and neither the cache nor the remote has them.
    """

    @contextmanager
    def opened(lock_sha256: str) -> Iterator[Path | None]:
        found = md5(project, lock_sha256)
        if found is None:
            yield None
            return
        with scratch(project) as place:
            try:
                folder = place.bring(found, NAME)
            except ToolError as error:
                raise ToolError(
                    f"the wheels that are kept (MD5 {found}) cannot be had: {error.message}",
                    hint=f"look at `{vault.tag(lock_sha256)}`, and at the remote",
                ) from error
            yield folder

    return opened
