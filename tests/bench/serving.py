"""What a request costs: our gateway beside other model servers, all with the same trained pipeline.

    make bench-serving                                      all of it, about half an hour
    python -m tests.bench.serving --only mlproj,litserve    some of it
    python -m tests.bench.serving --data telco.csv --target Churn   another table

A repository is generated, trained and packaged, once with its default model and once with a linear one. One
server at a time then answers the same rows, one a request. Ours validates each row and has its record on the
disk before it answers; the others log nothing. Peers are installed each into an environment of its own under
`.cache/bench`, with the scikit-learn, pandas and NumPy of the trained model.
Ray Serve is left out unless `--ray` asks for it: it installs a gigabyte.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import measuring, shadow_load
from tests.bench.live import (
    CACHE,
    MODELS,
    PROJECT_PYTHON,
    Row,
    Server,
    Skipped,
    fenced,
    first_answer,
    free_port,
    sample,
    serve_ours,
    train,
)

PEERS = Path(__file__).with_name("peers")
CONNECTIONS = (1, 8, 32, 64)
JUDGED_AT = 32
_SHARED = ("scikit-learn", "pandas", "numpy", "cloudpickle")


@dataclass(frozen=True)
class Peer:
    """Another server. `command` has places for {port}, {package}, {model} and {peers}; `body` makes a request
    of a row, `label` finds the prediction in an answer."""

    name: str
    requires: tuple[str, ...]
    command: tuple[str, ...]
    path: str
    body: Callable[[Row], Any]
    label: Callable[[Any], Any]
    batches: bool = True
    environment: str = ""
    settings: Callable[[int, Path], Mapping[str, Any]] | None = None


def _v2(row: Row) -> Any:
    return {
        "inputs": [
            {"name": name, "shape": [1, 1], "datatype": "BYTES", "data": [value]}
            if isinstance(value, str)
            else {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [float(value)]}
            for name, value in row.items()
        ]
    }


def _mlserver(port: int, packaged: Path) -> Mapping[str, Any]:
    """Its two settings files. A worker beside the process that listens is its default."""
    return {
        "settings.json": {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": 1,
            "debug": False,
        },
        "model-settings.json": {
            "name": "churn",
            "implementation": "on_mlserver.Runtime",
            "parameters": {"uri": str(packaged)},
            "max_batch_size": 64,
            "max_batch_time": 0.005,
        },
    }


_LITSERVE = ("{bin}/python", "{peers}/on_litserve.py", "{package}", "{port}")
ALL_PEERS = (
    Peer(
        "mlflow models serve",
        ("mlflow",),
        ("{bin}/mlflow", "models", "serve", "-m", "{model}", "--env-manager", "local", "-p", "{port}"),
        "/invocations",
        lambda row: {"dataframe_records": [row]},
        lambda said: said["predictions"][0],
        batches=False,
    ),
    Peer(
        "fastapi",
        ("fastapi", "uvicorn", "httptools", "uvloop"),
        ("{bin}/python", "{peers}/plain_fastapi.py", "{package}", "{port}"),
        "/predict",
        lambda row: row,
        lambda said: said["prediction"],
        batches=False,
    ),
    Peer(
        "litserve",
        ("litserve",),
        (*_LITSERVE, "1"),
        "/predict",
        lambda row: row,
        lambda said: said["prediction"],
        batches=False,
    ),
    Peer(
        "litserve, batches",
        ("litserve",),
        (*_LITSERVE, "64"),
        "/predict",
        lambda row: row,
        lambda said: said["prediction"],
        environment="litserve",
    ),
    Peer(
        "bentoml, batches",
        ("bentoml",),
        ("{bin}/bentoml", "serve", "on_bentoml:Model", "--working-dir", "{peers}", "-p", "{port}"),
        "/predict",
        lambda row: {"rows": [row]},
        lambda said: said[0]["prediction"],
        environment="bentoml",
    ),
    Peer(
        "mlserver, batches",
        # With uvloop 0.22 and later its default settings end at start-up.
        ("mlserver", "uvloop<0.22"),
        ("{bin}/mlserver", "start", "."),
        "/v2/models/churn/infer",
        _v2,
        lambda said: said["outputs"][0]["data"][0],
        environment="mlserver",
        settings=_mlserver,
    ),
    Peer(
        "ray serve, batches",
        ("ray[serve]",),
        ("{bin}/python", "{peers}/on_ray.py", "{package}", "{port}"),
        "/predict",
        lambda row: row,
        lambda said: said["prediction"],
        environment="ray",
    ),
)


@dataclass(frozen=True)
class Contender:
    name: str
    serve: Callable[[], contextlib.AbstractContextManager[Server]]
    bodies: Path
    label: Callable[[Any], Any]
    is_ours: bool
    batches: bool


@dataclass
class Result:
    contender: Contender
    start_s: float
    pss_mb: float
    parts: dict[str, measuring.Memory]
    loads: dict[int, measuring.Load]


# Peers


def install(peer: Peer) -> Path:
    """The folder of the programs of a peer's environment. Raises Skipped where it does not install."""
    from uv import find_uv_bin

    wanted = [*peer.requires, *_pins()]
    folder = CACHE / (peer.environment or peer.name.split()[0])
    mark = folder / "installed"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != "\n".join(wanted):
        python = folder / "bin" / "python"
        for words in (
            ["venv", "--quiet", "--clear", "--python", str(PROJECT_PYTHON), str(folder)],
            ["pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *wanted],
        ):
            done = subprocess.run([find_uv_bin(), *words], capture_output=True, text=True, check=False)
            if done.returncode:
                raise Skipped(" ".join(done.stderr.split())[:200])
        mark.write_text("\n".join(wanted), encoding="utf-8")
    return folder / "bin"


def _pins() -> list[str]:
    """What the trained model was pickled with."""
    code = f"import importlib.metadata as m\nfor n in {_SHARED}: print(n + '==' + m.version(n))"
    done = subprocess.run([PROJECT_PYTHON, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@contextlib.contextmanager
def serve_peer(peer: Peer, root: Path, body: bytes) -> Iterator[Server]:
    programs, port = install(peer), free_port()
    packaged = root / "models" / "package"
    places = {"bin": programs, "port": port, "package": packaged, "peers": PEERS}
    command = [word.format(**places, model=root / "models" / "model") for word in peer.command]
    with tempfile.TemporaryDirectory(prefix="mlproj-bench-", dir=CACHE) as folder:
        for name, content in (peer.settings(port, packaged) if peer.settings else {}).items():
            (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
        env = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PEERS),
            "PACKAGE": str(packaged),
            "BENTOML_DO_NOT_TRACK": "True",
            "HOME": folder,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        log = Path(folder) / "log"
        started = time.perf_counter()
        with log.open("wb") as stream:
            child = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        try:
            url = f"http://127.0.0.1:{port}{peer.path}"
            answer = first_answer(url, body, child, log)
            yield Server(url, child.pid, time.perf_counter() - started, answer)
        finally:
            measuring.stop(child)


# The race


def contenders(root: Path, folder: Path, only: Sequence[str], *, ray: bool) -> list[Contender]:
    rows = sample(root)

    def bodies(name: str, body: Callable[[Row], Any]) -> Path:
        path = folder / f"{name.split(',', maxsplit=1)[0].replace(' ', '-')}-{len(name)}" / "bodies"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(body(row)) + "\n" for row in rows), encoding="utf-8")
        return path

    found = []
    for peer in ALL_PEERS:
        if "ray" in peer.requires[0] and not ray:
            continue
        lines = bodies(peer.name, peer.body)
        first = json.dumps(peer.body(rows[0])).encode()
        found.append(
            Contender(
                peer.name,
                lambda peer=peer, first=first: serve_peer(peer, root, first),  # type: ignore[misc]
                lines,
                peer.label,
                False,
                peer.batches,
            )
        )
    first = json.dumps(rows[0]).encode()
    for engine in ("original", "onnx", "numpy"):
        found.append(
            Contender(
                f"mlproj, {engine}",
                lambda engine=engine: serve_ours(root, engine, first),  # type: ignore[misc]
                bodies(f"mlproj, {engine}", lambda row: row),
                lambda said: said["prediction"],
                True,
                True,
            )
        )
    return [one for one in found if not only or any(word in one.name for word in only)]


def measure(contender: Contender, connections: Sequence[int], seconds: float) -> Result:
    with contender.serve() as server:
        label = contender.label(json.loads(server.answer))
        loads = {}
        for number in connections:
            loads[number] = measuring.load(server.url, contender.bodies, number, server.pid, seconds=seconds)
        processes = measuring.tree(server.pid)
        result = Result(
            contender,
            server.start_s,
            sum(measuring.memory(pid).pss_mb for pid in processes),
            {name: measuring.memory(pid) for name, pid in server.parts.items()},
            loads,
        )
    cells = "".join(
        f"{load.rate:>9,.0f} {load.p50_ms:>8,.1f}·{load.p99_ms:<8,.1f}{load.cpu_ms:>7.3f}"
        for load in loads.values()
    )
    failed = sum(load.errors for load in loads.values())
    said = f"   {failed} errors" if failed else ""
    print(
        f"{contender.name:<22}{cells}{result.pss_mb:>7,.0f}{len(processes):>3}{result.start_s:>6.1f}"
        f"  {label}{said}",
        flush=True,
    )
    return result


def race(root: Path, folder: Path, asked: argparse.Namespace) -> list[Result]:
    heads = "".join(
        f"{f'{number} at once: req/s':>17}   p50 · p99 ms{'CPU ms':>9}" for number in asked.connections
    )
    print(f"{'':<14}{heads}{'PSS MB':>7}{'n':>3}{'start':>6}  first answer")
    results = []
    for contender in contenders(root, folder, asked.only, ray=asked.ray):
        try:
            results.append(measure(contender, asked.connections, asked.seconds))
        except Skipped as reason:
            print(f"{contender.name:<22} skipped: {reason}", flush=True)
    return results


def judge(results: Sequence[Result]) -> None:
    """Our figures as ratios to those of the fastest peer of this run, with the goals."""
    ours = {one.contender.name.split(", ")[1]: one for one in results if one.contender.is_ours}
    peers = [one for one in results if not one.contender.is_ours and JUDGED_AT in one.loads]
    if not ours or not peers:
        return
    fastest = max(peers, key=lambda one: one.loads[JUDGED_AT].rate)
    there = fastest.loads[JUDGED_AT]
    print(f"\nbeside the fastest peer at {JUDGED_AT} connections, {fastest.contender.name}")
    for engine, one in ours.items():
        here = one.loads[JUDGED_AT]
        goal = (1.0, 0.5) if engine == "original" else (20.0, 0.5)
        _goal(f"{engine}: times its requests/s", here.rate / there.rate, goal[0], at_least=True)
        _goal(f"{engine}: share of its CPU a request", here.cpu_ms / there.cpu_ms, goal[1])
        if engine != "original":
            _goal(f"{engine}: ready, s", one.start_s, 3.0)
            _goal(f"{engine}: worker, MB resident", one.parts["worker"].rss_mb, 120.0)
        _goal(f"{engine}: gateway, MB resident", one.parts["gateway"].rss_mb, 60.0)


def _goal(name: str, figure: float, bound: float, *, at_least: bool = False) -> None:
    is_met = figure >= bound if at_least else figure <= bound
    words = "at least" if at_least else "at most"
    print(f"  {name:<44}{figure:>9.2f}   goal: {words} {bound:g}{'' if is_met else '   MISSED'}", flush=True)


def in_turns(results: Sequence[Result], asked: argparse.Namespace) -> None:
    """The fastest peer and ours once more, in turns, so that a busy moment hits all of them alike."""
    peers = [one for one in results if not one.contender.is_ours]
    ours = [one.contender for one in results if one.contender.is_ours]
    if not peers or not ours or not asked.turns:
        return
    fastest = max(peers, key=lambda one: one.loads[JUDGED_AT].rate).contender
    print(f"\nin turns with {fastest.name} at {JUDGED_AT} connections, {asked.turns} turns")
    loads: dict[str, list[measuring.Load]] = {}
    with contextlib.ExitStack() as stack:
        servers = {one.name: (one, stack.enter_context(one.serve())) for one in (fastest, *ours)}
        for _ in range(asked.turns):
            for name, (one, server) in servers.items():
                loads.setdefault(name, []).append(
                    measuring.load(server.url, one.bodies, JUDGED_AT, server.pid, seconds=asked.seconds)
                )
    for one in ours:
        pairs = list(zip(loads[one.name], loads[fastest.name], strict=True))
        rates = [mine.rate / theirs.rate for mine, theirs in pairs]
        costs = [mine.cpu_ms / theirs.cpu_ms for mine, theirs in pairs]
        is_original = one.name.endswith("original")
        turns = ", ".join(f"{ratio:.1f}" for ratio in rates)
        print(f"  {one.name}: times its requests/s {turns}")
        _goal("median", statistics.median(rates), 1.0 if is_original else 20.0, at_least=True)
        _goal("median share of its CPU a request", statistics.median(costs), 0.5)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.serving", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load, after its warm-up")
    parser.add_argument("--connections", type=_numbers, default=CONNECTIONS, metavar="N,N")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="WORD,WORD")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    parser.add_argument("--turns", type=int, default=3, help="of the closing round in turns; 0: none")
    parser.add_argument("--ray", action="store_true", help="Ray Serve too, which takes a gigabyte")
    parser.add_argument("--data", help="a table to train on, instead of the simulated one")
    parser.add_argument("--target", help="its column to predict")
    parser.add_argument("--keep", type=Path, help="train in this folder, or use what was trained there")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def main() -> None:
    asked = arguments()
    reason = measuring.missing()
    if reason:
        print(f"nothing is measured: {reason}")
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlproj-bench-", dir=CACHE) as scratch:
        folder = Path(scratch)
        os.environ |= fenced(folder)
        for name, root in repositories(asked, folder).items():
            load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
            print(f"\n{name} on {os.cpu_count()} CPUs, load average before {load}")
            results = race(root, folder / name.replace(" ", "-"), asked)
            judge(results)
            in_turns(results, asked)
            if not asked.only or "shadow" in asked.only:
                shadow_load.measure(root, folder, seconds=asked.seconds, turns=asked.turns)
    if not asked.ray:
        print("\nRay Serve: add --ray, which installs a gigabyte")


def repositories(asked: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    words = [
        word
        for name in ("data", "target")
        if (value := getattr(asked, name))
        for word in (f"--{name}", value)
    ]
    folder = asked.keep.resolve() if asked.keep else scratch
    if asked.keep and (folder / "logistic_regression").is_dir():
        made = {name: folder / (model or "churn") for name, model in MODELS.items()}
    else:
        folder.mkdir(parents=True, exist_ok=True)
        made = train(folder, words)
    return {name: root for name, root in made.items() if name in asked.models}


if __name__ == "__main__":
    main()
