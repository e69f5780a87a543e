"""What people do by hand between two commands: fill in the documents."""

from __future__ import annotations

import re
from pathlib import Path

_ANSWERS = {
    "kind: TODO": "kind: previous-system",
    "metric: TODO  # the metric": "metric: accuracy  # the metric",
    "value: TODO": "value: 0.4",
    "human_could_do_it: TODO": "human_could_do_it: true",
    "verdict: TODO": "verdict: go",
    "approach: TODO": "approach: build",
    "automation: TODO": "automation: assist",
    "due: TODO": "due: 2099-12-31",
    "- metric: TODO": "- metric: hours_saved",
    "at_least: TODO": "at_least: 10",
    ": TODO": ": as we discussed",
    "- TODO": "- that it works",
}


def fill_scoping(root: Path) -> None:
    """Answer every question and accept every suggested target."""
    path = root / "docs" / "scoping.md"
    _, front, prose = path.read_text(encoding="utf-8").split("---\n", 2)
    front = re.sub(r"\n\s+suggested: true", "", front)
    for placeholder, answer in _ANSWERS.items():
        front = front.replace(placeholder, answer)
    path.write_text(f"---\n{front}---\n{prose}", encoding="utf-8")


def fill_datasheet(root: Path) -> None:
    path = root / "docs" / "data.md"
    path.write_text(path.read_text(encoding="utf-8").replace("TODO", "as in the source"), encoding="utf-8")
