"""An upgrade of a generated repository, next to `copier update` and `cruft update` with the same change.

    make bench                        beside the other measurements
    python -m tests.bench upgrade     this one

The user has edited two files and added a stage; the template changes five others, renames one, adds one and
appends a stage where the user did. Each turn is on a copy of its own. Copier wants its template in a git
repository with tags. Cruft gets the same files, made already, as a Cookiecutter template, so that it has
nothing to render; uv installs it, and where it cannot, cruft is left out. What each leaves in conflict is
said below its figures, as the exit codes of these two say nothing of it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

import mlproj as package
from mlproj.scaffold.copier import template_dir

_TURNS = 6
_MANAGED = (
    "Dockerfile.jinja",
    "Makefile.jinja",
    ".gitignore.jinja",
    "mlproj.toml.jinja",
    "hooks/valid_files.py",
)


def run(scratch: Path) -> None:
    """CPU seconds of the whole command; the goal is 2 s on a project of 60 files or more."""
    place = scratch / "upgrade"
    template = place / "template"
    shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns("__pycache__"))
    _git(template, "init", "--quiet")
    _tagged(template, "0.1.0")
    ours, theirs = _generated(place, template)
    cruft = installed_cruft(place)
    crufts = _made_by_cruft(cruft, place, theirs) if cruft else None
    for root in (ours, theirs, *([crufts] if crufts else [])):
        _edited_by_the_user(root)
    _changed_by_the_template(template)
    _tagged(template, "0.2.0")
    env = _installed(place, template, "0.2.0")
    commands: dict[str, tuple[list[str], Path, dict[str, str]]] = {
        "mlproj upgrade --dry-run": ([sys.executable, "-m", "mlproj", "upgrade", "--dry-run"], ours, env),
        "mlproj upgrade": ([sys.executable, "-m", "mlproj", "upgrade"], ours, env),
        "copier update": (
            [str(Path(sys.executable).parent / "copier"), "update", "--defaults", "--skip-tasks"],
            theirs,
            dict(os.environ),
        ),
    }
    if cruft and crufts:
        _copied(template, place / "second" / "bench")
        _filled(place / "cookiecutter", place / "second" / "bench")
        commands["cruft update, without rendering"] = (
            [cruft, "update", "--skip-apply-ask"],
            crufts,
            dict(os.environ),
        )
    figures: dict[str, list[float]] = {name: [] for name in commands}
    left: dict[str, str] = {}
    for turn in range(_TURNS):
        for number, (name, (command, origin, environ)) in enumerate(commands.items()):
            root = Path(shutil.copytree(origin, place / f"copy-{turn}-{number}", symlinks=True))
            figures[name].append(_cpu_s(command, root, environ))
            left[name] = _left(root)
    files = len(_git(ours, "ls-files").splitlines())
    print(f"\n{f'upgrade of a repository of {files} files':<44} {'CPU s':>8} {'min':>8} {'max':>8}   goal")
    for name, (_, *measured) in figures.items():  # the first turn only warms the disk's cache
        goal = "2.00" if name == "mlproj upgrade" else ""
        middle = statistics.median(measured)
        print(f"{name:<44} {middle:8.2f} {min(measured):8.2f} {max(measured):8.2f}   {goal}")
        print(f"    {left[name]}", flush=True)


def _cpu_s(command: list[str], root: Path, env: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _generated(place: Path, template: Path) -> tuple[Path, Path]:
    """The same project as mlproj makes it and as Copier makes it of the same template."""
    ours, theirs = place / "bench", place / "other" / "bench"
    words = ["--env-manager", "none", "--interpreter", sys.executable, "--defaults"]
    subprocess.run(
        [sys.executable, "-m", "mlproj", "new", "bench", *words], cwd=place, check=True, capture_output=True
    )
    _copied(template, theirs)
    _git(theirs, "init", "--quiet")
    _commit(theirs, "generated")
    return ours, theirs


def _copied(template: Path, root: Path) -> None:
    data = ("--data", "project_name=bench", "--data", "env_manager=none")
    copier = str(Path(sys.executable).parent / "copier")
    command = [copier, "copy", "--defaults", "--quiet", *data, f"git+file://{template}", str(root)]
    subprocess.run(command, check=True, capture_output=True)


def installed_cruft(place: Path) -> str | None:
    """The program, in an environment of its own; None where it cannot be installed."""
    environment = place / "cruft-environment"
    python = environment / "bin/python"
    try:
        for words in (
            ["venv", "--quiet", str(environment)],
            ["pip", "install", "--quiet", "--python", str(python), "cruft", "setuptools<81"],
        ):
            subprocess.run([find_uv_bin(), *words], cwd=place, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(f"cruft is left out: {error.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    return str(environment / "bin/cruft")


def _made_by_cruft(cruft: str, place: Path, made: Path) -> Path:
    """The same project as cruft makes it of the files of `made`."""
    template = place / "cookiecutter"
    template.mkdir()
    # Nothing in them is Cookiecutter's to fill in, and a workflow of GitHub has braces as well.
    settings = {"name": "bench", "_copy_without_render": ["*"]}
    (template / "cookiecutter.json").write_text(json.dumps(settings), encoding="utf-8")
    _git(template, "init", "--quiet")
    _filled(template, made)
    out = place / "cruft"
    out.mkdir()
    command = [cruft, "create", f"file://{template}", "--no-input"]
    subprocess.run(command, cwd=out, check=True, capture_output=True)
    root = out / "bench"
    _git(root, "init", "--quiet")
    _commit(root, "generated")
    return root


def _filled(template: Path, made: Path) -> None:
    """Make the files of a project the template's."""
    project = template / "{{cookiecutter.name}}"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(made, project, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    _git(template, "add", "--all", "--force")
    _commit(template, "the template")


def _edited_by_the_user(root: Path) -> None:
    _append(root / "Makefile", "\nmine:\n\techo mine\n")
    _append(root / "hooks/large_files.py", "\n# ours\n")
    _replace(root / "dvc.yaml", "\nplots:", "\n  mine:\n    cmd: mine\n\nplots:")
    _commit(root, "mine")


def _changed_by_the_template(template: Path) -> None:
    project = template / "project"
    for name in _MANAGED:
        path = project / name
        path.write_text("# Another line at the top.\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    (project / "hooks/large_files.py").rename(project / "hooks/big_files.py")
    (project / "SECURITY.md").write_text("Whom to tell.\n", encoding="utf-8")
    _replace(project / "dvc.yaml.jinja", "\nplots:", "\n  theirs:\n    cmd: theirs\n\nplots:")


def _installed(place: Path, template: Path, version: str) -> dict[str, str]:
    """The environment that runs an mlproj of that version and template, laid out as its wheel does."""
    site = place / "site-packages"
    shutil.copytree(Path(package.__file__).parent, site / "mlproj")
    shutil.copytree(template, site / "mlproj/template", ignore=shutil.ignore_patterns(".git"))
    said = site / "mlproj/__init__.py"
    said.write_text(re.sub(r'"\d.*"', f'"{version}"', said.read_text(encoding="utf-8")), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(site)}


def _left(root: Path) -> str:
    """What the tool left in conflict, and whether the user's edit of the renamed file is in the work tree."""
    changed = _git(root, "status", "--porcelain", "--untracked-files=all").splitlines()
    conflicts = sorted({line[3:] for line in changed if "U" in line[:2] or line.endswith(".rej")})
    kept = any("# ours" in path.read_text(encoding="utf-8") for path in (root / "hooks").glob("*_files.py"))
    return f"in conflict: {', '.join(conflicts) or 'nothing'}; edits lost: {'none' if kept else 'one'}"


def _replace(path: Path, before: str, after: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def _tagged(root: Path, version: str) -> None:
    _commit(root, version)
    _git(root, "tag", version)


def _commit(root: Path, message: str) -> None:
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--no-verify", "--message", message)


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout
