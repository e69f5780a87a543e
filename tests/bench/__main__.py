"""What people wait for, measured: whole commands, as they are typed, next to the tools they know.

CPU seconds (user and system, children included) are the figure to compare: wall time moves with whatever else
the machine does. Commands that are compared take turns, so that a slow moment hits all of them alike.

    make bench                        all of it
    python -m tests.bench start new   some of it
    make bench-serving                a gateway beside other model servers (tests/bench/serving.py)
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import canary, hooks, inference, log, shadow, trace, upgrade, upgrade_table, worker

PROGRAMS = Path(sys.executable).parent
PROJECT_PYTHON = Path(os.environ.get("MLPROJ_TEST_PYTHON", sys.executable))
PENGUINS = Path(__file__).resolve().parents[3] / "shared" / "data" / "penguins_raw.csv"


@dataclass(frozen=True)
class Figure:
    cpu_s: float
    wall_s: float


def measure(command: Sequence[str | Path], cwd: Path, env: dict[str, str] | None = None) -> Figure:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Figure(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall)


def row(name: str, figures: Sequence[Figure], goal: str = "") -> None:
    cpu = sorted(figure.cpu_s for figure in figures)
    wall = statistics.median(figure.wall_s for figure in figures)
    print(
        f"{name:<44} {statistics.median(cpu):8.2f} {cpu[0]:8.2f} {cpu[-1]:8.2f} {wall:8.2f}   {goal}",
        flush=True,
    )


def head(title: str) -> None:
    print(f"\n{title}\n{'':<44} {'CPU s':>8} {'min':>8} {'max':>8} {'wall s':>8}   goal")


def in_turn(commands: dict[str, tuple[Sequence[str | Path], str]], cwd: Path, times: int = 10) -> None:
    figures: dict[str, list[Figure]] = {name: [] for name in commands}
    for turn in range(times + 1):
        for name, (command, _) in commands.items():
            figure = measure(command, cwd)
            if turn:  # the first turn only warms the disk's cache
                figures[name].append(figure)
    for name, (_, goal) in commands.items():
        row(name, figures[name], goal)


def new(name: str, *words: str | Path) -> list[str | Path]:
    manager = ("--env-manager", "none", "--interpreter", str(PROJECT_PYTHON), "--defaults")
    return [PROGRAMS / "mlproj", "new", name, *manager, *words]


def start(scratch: Path) -> None:
    """Start-up of the commands that are typed all day, in a project in which nothing has changed."""
    subprocess.run(new("start"), cwd=scratch, check=True, capture_output=True)
    project = scratch / "start"
    subprocess.run(["dvc", "repro", "-q"], cwd=project, env=with_programs(), check=True, capture_output=True)
    peers = PROJECT_PYTHON.parent
    head("start-up")
    in_turn(
        {
            "mlproj --help": ([PROGRAMS / "mlproj", "--help"], "0.15"),
            "dvc --help": ([peers / "dvc", "--help"], ""),
            "cookiecutter --help": ([PROGRAMS / "cookiecutter", "--help"], ""),
            "copier --help": ([PROGRAMS / "copier", "--help"], ""),
            "mlproj": ([PROGRAMS / "mlproj"], "0.25"),
            "mlproj check modeling": ([PROGRAMS / "mlproj", "check", "modeling"], ""),
            "dvc status": ([peers / "dvc", "status"], ""),
        },
        project,
    )
    in_turn({"mlflow --help": ([peers / "mlflow", "--help"], "")}, project, times=3)


def generate(scratch: Path) -> None:
    """A repository from nothing, without an environment of its own."""
    head("generation")
    for name, words in {"mlproj new --env-manager none": (), "with --data (penguins)": data_words()}.items():
        figures = []
        for turn in range(6):
            figures.append(measure(new(f"made-{len(words)}-{turn}", *words), scratch))
        row(name, figures[1:], "2.00" if not words else "")


def data_words() -> tuple[str | Path, ...]:
    return ("--data", PENGUINS, "--target", "Species") if PENGUINS.is_file() else ()


def stage(scratch: Path) -> None:
    """What `mlproj stage` adds to the `dvc repro` that it runs, in pairs on copies of one repository."""
    origin = scratch / "stage-origin"
    subprocess.run(new("stage-origin"), cwd=scratch, check=True, capture_output=True)
    reason = ["--force", "measuring"]
    subprocess.run(
        [PROGRAMS / "mlproj", "stage", "data", *reason], cwd=origin, check=True, capture_output=True
    )
    figures: dict[str, list[Figure]] = {"dvc repro evaluate": [], "mlproj stage modeling": []}
    commands: dict[str, Sequence[str | Path]] = {
        "dvc repro evaluate": ["dvc", "repro", "evaluate"],
        "mlproj stage modeling": [PROGRAMS / "mlproj", "stage", "modeling", *reason],
    }
    for turn in range(4):
        for name, command in commands.items():
            copy = shutil.copytree(origin, scratch / f"stage-{turn}-{len(figures[name])}-{name[:3]}")
            figures[name].append(measure(command, copy, with_programs()))
    head("mlproj stage")
    for name, measured in figures.items():
        row(name, measured)
    ratios = [b.wall_s / a.wall_s for a, b in zip(*figures.values(), strict=True)]
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"wall time against dvc repro, pair by pair: {shown}   goal 1.10")


def with_programs() -> dict[str, str]:
    return {**os.environ, "PATH": f"{PROJECT_PYTHON.parent}{os.pathsep}{os.environ['PATH']}"}


BENCHMARKS: dict[str, Callable[[Path], None]] = {
    "start": start,
    "new": generate,
    "stage": stage,
    "inference": inference.run,
    "log": log.run,
    "canary": lambda _: canary.run(),
    "shadow": shadow.run,
    "trace": trace.run,
    "upgrade": upgrade.run,
    "upgrade-table": upgrade_table.run,
    "hooks": hooks.run,
    "worker": worker.run,
}


def main() -> None:
    asked = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in asked if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(f"measuring {', '.join(asked)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mlproj-bench-") as folder:
        os.environ["HOME"] = folder
        os.environ["DVC_NO_ANALYTICS"] = "true"
        for variable in ("AUTHOR", "COMMITTER"):
            os.environ[f"GIT_{variable}_NAME"] = "bench"
            os.environ[f"GIT_{variable}_EMAIL"] = "bench@localhost"
        for name in asked:
            BENCHMARKS[name](Path(folder))


if __name__ == "__main__":
    main()
