"""Names that a repository, a Python package and a model registry all accept."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata

from mlproj.base.errors import ConfigError

LONGEST = 32

_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*")
_MODULE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")

# Folders that stand beside the package in the repository.
_FOLDERS = frozenset(
    {"data", "docs", "hooks", "models", "notebooks", "references", "reports", "tests", "test"}
)

# What the generated project imports or installs: a package of the same name would hide it, and a project of
# the same name could not be installed beside it.
_DEPENDENCIES = frozenset(
    {
        "dvc",
        "joblib",
        "matplotlib",
        "mkdocs",
        "mlflow",
        "mlproj",
        "numpy",
        "onnx",
        "onnxruntime",
        "pandas",
        "pandera",
        "ruamel",
        "ruamel_yaml",
        "pip",
        "pre_commit",
        "protobuf",
        "pyarrow",
        "pytest",
        "pyyaml",
        "ruff",
        "scikit_learn",
        "scipy",
        "skl2onnx",
        "sklearn",
        "sqlalchemy",
        "threadpoolctl",
        "uv",
        "yaml",
    }
)


def check_project(name: str) -> str:
    """The name, if a folder, a distribution and a registered model can bear it. Raises ConfigError."""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise _refused("project name", name, "is a path, not a name" if name else "is empty", _project(name))
    if len(name) > LONGEST:
        raise _refused("project name", name, f"is longer than {LONGEST} characters", _project(name))
    if not _PROJECT.fullmatch(name):
        says = "may hold letters a to z, digits, `-` and `_` only, and begins with a letter"
        raise _refused("project name", name, says, _project(name))
    if name.lower().replace("-", "_") in _DEPENDENCIES:
        raise _refused("project name", name, "is the name of a package the project needs", f"{name}-project")
    return name


def check_module(name: str) -> str:
    """The name, if `import name` would find the project's package and nothing else. Raises ConfigError."""
    folded = _module(name)
    if not _MODULE.fullmatch(name):
        says = "may hold small letters a to z, digits and `_` only, and begins with a letter"
        raise _refused("module name", name, says, folded)
    if len(name) > LONGEST:
        raise _refused("module name", name, f"is longer than {LONGEST} characters", folded)
    why = _taken(name)
    if why:
        raise _refused("module name", name, why, f"{name}_project")
    return name


def module_for(project: str) -> str:
    """The module name that a project's name gives. Raises ConfigError, with another, if it cannot be had."""
    name = project.lower().replace("-", "_")
    why = _taken(name)
    if why:
        raise ConfigError(
            f"the project name `{project}` gives the module name `{name}`, which {why}",
            hint=f"name it `{project}-project`, or give the module another name: `--module {name}_project`",
        )
    return check_module(name)


def project_from(text: str) -> str:
    """A project name that is most like the text, such as the name of a folder."""
    return _project(text)


def _taken(module: str) -> str:
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        return "is a word of the Python language"
    if module in sys.stdlib_module_names:
        return "would hide a module of Python's standard library"
    if module in _DEPENDENCIES:
        return "would hide a package the project needs"
    if module in _FOLDERS:
        return "is the name of another folder of the repository"
    return ""


def _refused(what: str, name: str, why: str, instead: str) -> ConfigError:
    option = "--module " if what == "module name" else ""
    return ConfigError(f"the {what} `{name}` {why}", hint=f"take a name such as `{option}{instead}`")


def _project(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", plain)
    slug = re.sub(r"[-_]{2,}", "-", slug).strip("-_")[:LONGEST].strip("-_")
    slug = re.sub(r"^[^A-Za-z]+", "", slug)
    if not slug:
        return "my-project"
    return f"{slug}-project" if _taken(slug.lower().replace("-", "_")) else slug


def _module(name: str) -> str:
    folded = _project(name).lower().replace("-", "_")
    return f"{folded}_project" if _taken(folded) else folded
