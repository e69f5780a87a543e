"""What a repository is made from: every question of the template, answered and checked."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

from mlproj.base.errors import ConfigError, nearest
from mlproj.scaffold import names


class License(StrEnum):
    MIT = "MIT"
    BSD = "BSD-3-Clause"
    APACHE = "Apache-2.0"
    NONE = "none"


class EnvManager(StrEnum):
    UV = "uv"
    VENV = "venv"
    CONDA = "conda"
    PIXI = "pixi"
    POETRY = "poetry"
    NONE = "none"


class Storage(StrEnum):
    LOCAL = "local"
    S3 = "s3"
    GCS = "gcs"
    AZURE = "azure"
    SSH = "ssh"


class Docs(StrEnum):
    MKDOCS = "mkdocs"
    NONE = "none"


class CI(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


class Scaffold(StrEnum):
    FULL = "full"
    BARE = "bare"


Choice = TypeVar("Choice", bound=StrEnum)

PYTHON_VERSIONS = ("3.11", "3.12", "3.13")

_SCHEMES = {Storage.S3: "s3://", Storage.GCS: "gs://", Storage.AZURE: "azure://", Storage.SSH: "ssh://"}
_EXAMPLES = {
    Storage.S3: "s3://bucket/folder",
    Storage.GCS: "gs://bucket/folder",
    Storage.AZURE: "azure://container/folder",
    Storage.SSH: "ssh://host/folder",
}
# What people type for a choice that is spelt otherwise here.
_ALIASES = {
    "bsd": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache2": "Apache-2.0",
    "gs": "gcs",
    "virtualenv": "venv",
}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a rendering needs beside answers and findings: kept, so that it can be made again."""

    project_id: str
    year: str
    interpreter: str = ""  # of a project whose environment is not managed


@dataclass(frozen=True, kw_only=True)
class Answers:
    project_name: str
    module_name: str
    description: str = "A machine learning project"
    author: str = ""
    license: License = License.MIT
    python_version: str = PYTHON_VERSIONS[0]
    env_manager: EnvManager = EnvManager.UV
    storage: Storage = Storage.LOCAL
    storage_url: str = ""
    docs: Docs = Docs.MKDOCS
    scaffold: Scaffold = Scaffold.FULL
    ci: CI = CI.GITHUB

    @classmethod
    def from_words(cls, words: Mapping[str, str]) -> Self:
        """The answers that the words typed give, defaults filled in.

        Raises ConfigError naming every answer that cannot be used, alone or together with another.
        """
        problems: list[ConfigError] = []

        def choice(kind: type[Choice], key: str, default: Choice) -> Choice:
            try:
                return _choice(kind, key, words[key]) if words.get(key) else default
            except ConfigError as error:
                problems.append(error)
                return default

        def name(key: str, otherwise: str) -> str:
            try:
                if key == "project_name":
                    return names.check_project(words.get(key, ""))
                return names.check_module(words[key]) if words.get(key) else names.module_for(otherwise)
            except ConfigError as error:
                problems.append(error)
                return ""

        project = name("project_name", "")
        module = name("module_name", project) if project or words.get("module_name") else ""
        answers = cls(
            project_name=project,
            module_name=module,
            description=words.get("description") or cls.description,
            author=words.get("author", ""),
            license=choice(License, "license", cls.license),
            python_version=words.get("python_version") or running_python(),
            env_manager=choice(EnvManager, "env_manager", cls.env_manager),
            storage=choice(Storage, "storage", cls.storage),
            storage_url=words.get("storage_url", ""),
            docs=choice(Docs, "docs", cls.docs),
            scaffold=choice(Scaffold, "scaffold", cls.scaffold),
            ci=choice(CI, "ci", cls.ci),
        )
        problems += answers._combinations()
        if problems:
            raise ConfigError(
                "\n".join(problem.message for problem in problems),
                hint="\n      ".join(dict.fromkeys(problem.hint for problem in problems if problem.hint)),
            )
        return answers

    def as_data(self) -> dict[str, str]:
        """The answers as the template names them."""
        return {key: str(value) for key, value in vars(self).items()}

    def _combinations(self) -> list[ConfigError]:
        problems = []
        if self.python_version not in PYTHON_VERSIONS:
            problems.append(
                ConfigError(
                    f"`--python {self.python_version}` is not one of {_listed(PYTHON_VERSIONS)}, "
                    "on which the project's packages all run",
                    hint=f"write `--python {running_python()}`",
                )
            )
        scheme = _SCHEMES.get(self.storage)
        if scheme is None and self.storage_url:
            fitting = next((s for s, begins in _SCHEMES.items() if self.storage_url.startswith(begins)), None)
            problems.append(
                ConfigError(
                    f"`--storage-url {self.storage_url}` does not go with local storage",
                    hint=f"add `--storage {fitting}`" if fitting else "leave `--storage-url` out",
                )
            )
        elif scheme is not None and not self.storage_url:
            problems.append(
                ConfigError(
                    f"`--storage {self.storage}` needs an address",
                    hint=f"add `--storage-url {_EXAMPLES[self.storage]}`",
                )
            )
        elif scheme is not None and (
            not self.storage_url.startswith(scheme) or self.storage_url == scheme or " " in self.storage_url
        ):
            problems.append(
                ConfigError(
                    f"`{self.storage_url}` is not an address of `{self.storage}` storage",
                    hint=f"write it like `--storage-url {_EXAMPLES[self.storage]}`",
                )
            )
        for option, text in (
            ("description", self.description),
            ("author", self.author),
            ("storage-url", self.storage_url),
        ):
            if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
                problems.append(ConfigError(f"`--{option}` holds a line break or another control character"))
        return problems


def running_python() -> str:
    """The version mlproj itself runs on where projects can have it, else the newest they can."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    return running if running in PYTHON_VERSIONS else PYTHON_VERSIONS[-1]


def _choice(kind: type[Choice], key: str, word: str) -> Choice:
    known = [str(choice) for choice in kind]
    for choice in kind:
        if word.casefold() == choice.casefold():
            return choice
    meant = _ALIASES.get(word.casefold())
    if meant in known:
        return kind(meant)
    option = "--" + key.replace("_", "-")
    like = nearest(word, known)
    raise ConfigError(
        f"`{option} {word}` is not one of {_listed(known)}",
        hint=f"write `{option} {like}`" if like else f"take one of them: `{option} {known[0]}`",
    )


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
