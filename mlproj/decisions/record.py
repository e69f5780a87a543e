"""A decision: what was chosen, why, what it is about, and the commit and run it was made at."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date

from mlproj.decisions.links import Links


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One page of the notebook. `kind` is `decision`, or `forced` where a closed gate was passed by.

    `about` is what the page declares that it is about, `review` the day by which to think again.
    """

    title: str
    on: date
    why: str = ""
    kind: str = "decision"
    commit: str | None = None
    run: str | None = None
    about: Links = field(default_factory=Links)
    review: date | None = None

    @property
    def file_name(self) -> str:
        """`2026-12-01-drop-tenure.md`: named by date and words, so that two branches do not collide."""
        return f"{self.on.isoformat()}-{slug(self.title)}.md"


def slug(title: str) -> str:
    """Lower-case words joined by hyphens, at most 60 characters; `decision` where nothing is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "decision"


def matches(text: str, words: tuple[str, ...]) -> bool:
    """Whether every word occurs somewhere in the text, in whatever case."""
    folded = text.casefold()
    return all(word.casefold() in folded for word in words)
