"""Rendering the template, through Copier."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproj import __version__
from mlproj.base.errors import MlprojError
from mlproj.scaffold.answers import Answers, Inputs

if TYPE_CHECKING:
    from copier._jinja_ext import SandboxedEnvironment
    from copier._main import Worker


@dataclass(frozen=True, kw_only=True)
class Template:
    folder: Path
    version: str


def installed() -> Template:
    """The template that this mlproj came with."""
    return Template(folder=template_dir(), version=__version__)


def template_dir() -> Path:
    """The template beside the code, in an installed mlproj as in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "template", package.parent / "template"):
        if (folder / "copier.yml").is_file():
            return folder
    raise MlprojError(
        f"mlproj's template is not beside its code in `{package}`",
        hint="install mlproj again",
    )


def example_findings() -> dict[str, Any]:
    """What was found in the simulated example, for a repository that begins without data."""
    findings: dict[str, Any] = json.loads(
        (template_dir() / "example" / "findings.json").read_text(encoding="utf-8")
    )
    return findings


def render(
    destination: Path,
    answers: Answers,
    inputs: Inputs,
    findings: Mapping[str, Any],
    template: Template | None = None,
) -> None:
    """Render the template (by default the installed one) into `destination`, a new or empty folder.

    The same arguments give the same files.
    """
    template = template or installed()
    data = {
        **answers.as_data(),
        **vars(inputs),
        "findings": dict(findings),
        "template_version": template.version,
    }
    try:
        with contextlib.ExitStack() as stack:
            # Copier warns about our template not being a repository with tags; `mlproj upgrade` needs none.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            worker = _worker()(
                src_path=str(template.folder),
                dst_path=destination,
                data=data,
                defaults=True,
                overwrite=True,
                quiet=True,
            )
            stack.enter_context(worker)
            worker.run_copy()
    except OSError as error:
        raise MlprojError(
            f"the repository could not be written to `{destination.parent}`: {error.strerror or error}"
        ) from error


def _worker() -> type[Worker]:
    from copier._main import Worker

    class FastWorker(Worker):
        """Copier compiles each part of each file's name anew, and asks git about modes for every file."""

        @cached_property
        def jinja_env(self) -> SandboxedEnvironment:
            env = super().jinja_env
            env.from_string = cache(env.from_string)  # type: ignore[method-assign, assignment]
            return env

        def _sync_git_index_executable_bit(self, *_: object) -> None:
            return  # there is no repository to ask yet

    return FastWorker
