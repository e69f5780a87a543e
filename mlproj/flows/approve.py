"""Signing off the targets of the scoping document."""

from __future__ import annotations

from mlproj.base import clock, git, lock
from mlproj.base.errors import ConfigError
from mlproj.flows.evidence import about_data
from mlproj.project import Project
from mlproj.scoping import approval
from mlproj.scoping.approval import Signed


def sign(project: Project, *, role: str, name: str) -> Signed:
    """Sign as `name`, by default as the person that git commits as.

    Raises ConfigError if nobody is named, or if the document cannot be signed yet.
    """
    if not name:
        who = git.identity(project.root)
        if who is None:
            raise ConfigError(
                "nobody is named, and git knows no name either", hint='say `--name "Your Name"`'
            )
        name = who[0]
    with lock.held(project.cache / "lock", doing="mlproj approve"):
        known = about_data(project.root)
        return approval.approve(
            project.scoping,
            role,
            name,
            clock.today(),
            task=known.task,
            columns=known.columns,
            classes=known.classes,
        )
