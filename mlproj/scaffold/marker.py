"""Files of the template fitted to a repository with ways of its own; the record has the pristine ones."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Any

import yaml


def marker(text: str, *, lock: str | None, store: str | None, raw: str) -> str:
    """`mlproj.toml` with the repository's own lock file, MLflow store and folder of raw data."""
    if lock is not None:
        text = _said(text, "lock", lock)
    if store is not None:
        text = _said(text, "store", store)
    return text if raw == "data/raw" else f"{text.rstrip()}\nraw = {_quoted(raw)}\n"


def hooks(text: str, *, lacks: Collection[str]) -> str:
    """`.pre-commit-config.yaml` without the hooks that start a program which the environment lacks."""
    lines = text.splitlines(keepends=True)
    ends: list[tuple[int, int]] = []
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    repositories = next(value for key, value in root.value if key.value == "repos")
    for repository in repositories.value:
        listed = next(value for key, value in repository.value if key.value == "hooks")
        for hook in listed.value:
            said = {key.value: value.value for key, value in hook.value}
            words = str(said.get("entry", "")).split()
            if words[:1] == ["hooks/run"] and words[1] in lacks:
                ends.append((hook.start_mark.line, hook.value[-1][1].end_mark.line + 1))
    for start, end in reversed(ends):
        del lines[start:end]
    return "".join(lines)


def ruff(paths: Iterable[str]) -> str:
    """`hooks/ruff.toml`: the repository's own rules of style are not for the files that an upgrade keeps."""
    names = ", ".join(_quoted(PurePosixPath(path).name) for path in paths if path.endswith(".py"))
    return f"# These came with mlproj, and `mlproj upgrade` keeps them.\nexclude = [{names}]\n"


def _said(text: str, key: str, value: str) -> str:
    return re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {_quoted(value)}", text)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
