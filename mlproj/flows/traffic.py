"""What is on live traffic and what has been, as far as past runs are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlproj.base.errors import MlprojError
from mlproj.project import Project


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """By version: its run, the role in force, since when (microseconds since 1970). `ended` are the versions
    of which a deployment ended, `primaries` those that answer or answered everybody and were not rolled back,
    from now backwards. `unknown` says why nothing is known."""

    runs: Mapping[int, str] = field(default_factory=dict)
    roles: Mapping[int, str] = field(default_factory=dict)
    since: Mapping[int, int] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()
    primaries: tuple[int, ...] = ()
    unknown: str = ""

    @property
    def live(self) -> int | None:
        return next((version for version, role in self.roles.items() if role == "primary"), None)


def read(project: Project) -> Traffic:
    """What the store of deployments says; empty where nothing was ever deployed."""
    if project.postgres is None and not (project.home / "serving.db").exists():
        return Traffic()
    from mlproj.serving import store
    from mlproj.serving.deployment import PRIMARY, State

    try:
        with store.open(project.home, project.postgres) as opened:
            routes, versions = opened.routes(), opened.versions()
            past, lived = opened.deployments(), opened.were_live()
    except MlprojError as error:
        return Traffic(unknown=f"the store of deployments cannot be read: {error.message}")
    now = {route.deployment for route in routes.values()}
    primary = [routes[PRIMARY].version] if PRIMARY in routes else []
    before = [each.version for each in lived if each.state is not State.ROLLED_BACK]
    return Traffic(
        runs={each.number: each.run for each in versions},
        roles={route.version: role for role, route in routes.items()},
        since={each.version: each.started_us for each in past if each.id in now},
        ended=frozenset(each.version for each in past if each.ended_us is not None),
        primaries=tuple(dict.fromkeys([*primary, *before])),
    )
