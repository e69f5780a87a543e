"""Tracing: how long the command takes over a log of ten million records, nine days of it sealed.

Nine days are sealed, eight of them copies of the first: finding and counting are measured, not writing.
The open day has its features as the gateway writes them, since it is read from end to end to be counted.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from mlproj.monitoring import chains, records
from mlproj.serving import ids, sealing, segments, store
from mlproj.serving.deployment import Place, Version
from mlproj.serving.record import COLUMNS
from tests.bench.log import _row, _timed

_LAST = date(2026, 11, 20)
_DAYS = 10
_OF_A_DAY = 1_000_000
_TIMES = 7
_RUN = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_FEATURES = '{"tenure":12,"plan":"basic","fee":70.35,' + ",".join(f'"n{at}":{at}.5' for at in range(20)) + "}"


def run(scratch: Path) -> None:
    project = _repository(scratch)
    env = {**os.environ, "XDG_DATA_HOME": str(scratch / "data"), "NO_COLOR": "1"}
    home = scratch / "data" / "mlproj" / "0123456789ab"
    print(f"\nwriting {_DAYS * _OF_A_DAY / 1e6:.0f} million records", flush=True)
    sealed = _LAST - timedelta(days=1)
    _write(home, sealed)
    sealing.seal(home)
    for back in range(2, _DAYS):
        copy = segments.sealed_path(home, _LAST - timedelta(days=back))
        shutil.copyfile(segments.sealed_path(home, sealed), copy)
    _write(home, _LAST)
    print(f"\n{'ten million records':<44} {'':>9}   goal")
    reader = records.Local(home)
    for name, back in (("look-up, open day, ms", 0), ("look-up, sealed day, ms", 1)):
        number = _id(_LAST - timedelta(days=back), _OF_A_DAY // 2)
        taken = statistics.median(_timed(partial(reader.find, number)) for _ in range(_TIMES))
        _row(name, taken * 1e3, "10" if back == 0 else "100")
        request = partial(chains.of_request, home, ids.text(number), number)
        _row(
            "  others of its request, ms", statistics.median(_timed(request) for _ in range(_TIMES)) * 1e3, ""
        )
        words = (sys.executable, "-m", "mlproj", "trace", ids.text(number))
        _row("  mlproj trace ID, s", _command(words, project, env), "1")
    _row("count by version, sealed and open, s", _timed(lambda: chains.count(home, patience_s=None)), "")
    _deployed(home)
    words = (sys.executable, "-m", "mlproj", "trace", "v3")
    _row("mlproj trace VERSION, counting, s", _command(words, project, env), "")


def _deployed(home: Path) -> None:
    """Version 3, whose predictions are to be counted."""
    version = Version(number=3, run=_RUN, digest="0" * 64, engine="numpy", added_us=0)
    place = Place(version=3, digest=version.digest, folder=home / "versions", python=Path(sys.executable))
    with store.open(home) as opened:
        opened.add_version(version, place)


def _command(words: Sequence[str], cwd: Path, env: dict[str, str]) -> float:
    def ask() -> None:
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3), done.stderr

    return statistics.median(_timed(ask) for _ in range(_TIMES))


def _repository(scratch: Path) -> Path:
    """The least that is a project: a marker and a commit. Its runs are gone, as a trace then says."""
    root = scratch / "project"
    root.mkdir(parents=True)
    marker = '[project]\nid = "0123456789ab"\nname = "bench"\nmodule = "bench"\nmodel = "bench"\n'
    (root / "mlproj.toml").write_text(marker, encoding="utf-8")
    author = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "Begin")):
        subprocess.run(("git", *words), cwd=root, check=True)
    return root


def _id(day: date, at: int) -> int:
    return ids.bounds(day)[0] + (at * 80 << 22)


def _write(home: Path, day: date) -> None:
    with closing(segments.create(segments.path(home, day), wait_s=1)) as connection:
        connection.execute("BEGIN")
        places = ", ".join("?" * len(COLUMNS))
        rows = (_values(day, at) for at in range(_OF_A_DAY))
        connection.executemany(f"INSERT INTO prediction VALUES ({places})", rows)
        connection.execute("COMMIT")


def _values(day: date, at: int) -> tuple[object, ...]:
    number = _id(day, at)
    said = '"prediction":"yes","confidence":0.83,"probabilities":{"no":0.17,"yes":0.83}'
    arrived_us = ids.EPOCH_MS * 1000 + (number >> 22) * 1000
    where = (number, arrived_us, ids.text(number), 0, 1, "primary", 1.0, 3, _RUN, "numpy", None, 0)
    return (*where, _FEATURES.encode(), said, 0.83, 0.83, None, 200, None, 1200, None)


if __name__ == "__main__":
    import tempfile

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
    print(f"\n{time.perf_counter() - started:.0f} s in all")
