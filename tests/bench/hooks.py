"""What a commit waits for: each hook of a generated repository alone, and a typical commit with all of them.

    python -m tests.bench hooks

CPU seconds with children, on files that the hook is for. The commit edits a module, the parameters, a
document and a notebook; `git commit --no-verify` is the same commit without any check.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

_TURNS = 15
_COMMITS = 6
_PYTHON = os.environ.get("MLPROJ_TEST_PYTHON", sys.executable)
_FILES = {
    "large_files": ["params.yaml"],
    "merge_markers": ["params.yaml"],
    "credentials": ["params.yaml", "hooked/features.py"],
    "valid_files": ["params.yaml"],
    "notebook_outputs": ["notebooks/1.0-initial-exploration.ipynb"],
    "scoping_document": ["docs/scoping.md"],
    "decision_records": ["docs/decisions/2026-12-01-begin.md"],
    "dictionary": [],
    "raw_data": ["data/raw/a.csv.dvc"],
    "dvc_lock": ["dvc.lock"],
}


def run(scratch: Path) -> None:
    """The goal is 0.1 s of CPU for the start of a hook."""
    root = _repository(scratch)
    print(f"\nhooks, {_TURNS} starts each\n{'':<28} {'CPU s':>8} {'min':>8} {'max':>8}   goal")
    for name, files in {"python -c pass": None, **_FILES}.items():
        words = ["-c", "pass"] if files is None else [f"hooks/{name}.py", *files]
        _row(name, [_cpu(root, "hooks/run", "python", *words) for _ in range(_TURNS)], "0.10")
    whole: list[float] = []
    bare: list[float] = []
    for turn in range(_COMMITS):
        for checked, figures in ((True, whole), (False, bare)):
            _edit(root, f"{turn} {checked}")
            verify = "--verify" if checked else "--no-verify"
            figures.append(_cpu(root, "git", "commit", "--quiet", "--message", "Work", verify))
    _row("a commit of four files", whole[1:], "")
    _row("the same, --no-verify", bare[1:], "")


def _repository(scratch: Path) -> Path:
    subprocess.run(
        [
            *(sys.executable, "-m", "mlproj", "new", "hooked", "--defaults", "--env-manager", "none"),
            *("--interpreter", _PYTHON),
        ],
        cwd=scratch,
        check=True,
        capture_output=True,
    )
    root = scratch / "hooked"
    env = {**os.environ, "PATH": f"{Path(_PYTHON).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["dvc", "repro", "--quiet", "split"], cwd=root, env=env, check=True, capture_output=True)
    (root / "docs" / "decisions").mkdir()
    (root / "docs" / "decisions" / "2026-12-01-begin.md").write_text("# Begin\n", encoding="utf-8")
    (root / "data" / "raw" / "a.csv.dvc").write_text("outs:\n- md5: 1\n  path: a.csv\n", encoding="utf-8")
    for words in (["add", "--all"], ["commit", "--quiet", "--no-verify", "--message", "Run"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def _edit(root: Path, text: str) -> None:
    (root / "hooked" / "__init__.py").write_text(f"# {text}\n", encoding="utf-8")
    for name in ("docs/scoping.md", "params.yaml"):
        with (root / name).open("a", encoding="utf-8") as stream:
            stream.write(f"# {text}\n")
    notebook = root / "notebooks" / "1.0-initial-exploration.ipynb"
    said = notebook.read_text(encoding="utf-8").rstrip()
    notebook.write_text(said + "\n" * (1 + len(text) % 2), encoding="utf-8")
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)


def _cpu(root: Path, *words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _row(name: str, figures: list[float], goal: str) -> None:
    median = statistics.median(figures)
    print(f"{name:<28} {median:8.3f} {min(figures):8.3f} {max(figures):8.3f}   {goal}", flush=True)
