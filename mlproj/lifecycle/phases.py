"""The phases of a project, in order."""

from __future__ import annotations

from enum import StrEnum

from mlproj.base.errors import ConfigError, nearest


class Phase(StrEnum):
    SCOPING = "scoping"
    DATA = "data"
    MODELING = "modeling"
    DEPLOYMENT = "deployment"

    @property
    def before(self) -> Phase | None:
        """The phase that must be done before this one begins."""
        order = list(Phase)
        place = order.index(self)
        return order[place - 1] if place else None


def parse(word: str) -> Phase:
    """The phase of that name. Raises ConfigError, offering the nearest, if there is none."""
    try:
        return Phase(word.strip().lower())
    except ValueError:
        known = [phase.value for phase in Phase]
        near = nearest(word, known)
        hint = f"did you mean `{near}`?" if near else f"the phases are {', '.join(known)}"
        raise ConfigError(f"`{word}` is not a phase", hint=hint) from None
