"""The parts of the template that a repository of its own can take: none, some or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

from mlproj.scaffold.lock import FOLDER, Adopted, File


class Layer(StrEnum):
    """One part. The lifecycle is what mlproj reads and judges by; the others make something to be judged."""

    LIFECYCLE = "lifecycle"
    DVC = "dvc"
    PIPELINE = "pipeline"
    ENVIRONMENT = "environment"


_PATHS: Mapping[Layer, tuple[str, ...]] = {
    Layer.LIFECYCLE: (
        "mlproj.toml",
        f"{FOLDER}/*",
        "docs/scoping.md",
        "docs/data.md",
        "docs/labeling.md",
        "docs/model_card.md",
        ".gitignore",
        ".pre-commit-config.yaml",
        "hooks/*",
    ),
    Layer.DVC: (".dvc/*", ".dvcignore"),
    Layer.PIPELINE: ("dvc.yaml", "params.yaml", "{module}/*", "data/raw/.gitkeep"),
    Layer.ENVIRONMENT: (
        ".python-version",
        "Makefile",
        "README.md",
        "environment.yml",
        "pixi.toml",
        "poetry.toml",
        "pyproject.toml",
        "requirements.txt",
    ),
}


def taken(rendering: Mapping[str, File], adopted: Adopted | None, *, module: str) -> dict[str, File]:
    """What of a rendering is for the repository; all of it where the template made the repository."""
    if adopted is None:
        return dict(rendering)
    patterns = [path.replace("{module}", module) for part in adopted.parts for path in _PATHS[Layer(part)]]
    return {
        path: file
        for path, file in rendering.items()
        if path not in adopted.own and any(fnmatchcase(path, pattern) for pattern in patterns)
    }
