"""The prediction log: what a durable record costs the process that answers, and how fast it is found again.

CPU is that of the whole process, event loop included, a record; every record is on the disk before it is
answered for.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path

import uvloop

from mlproj.monitoring import records
from mlproj.serving import ids, sealing, segments
from mlproj.serving.log import Writer
from mlproj.serving.record import COLUMNS, Record

_DAY = date(2026, 11, 20)
_ROWS = 1_000_000
_SECONDS = 4.0


def run(scratch: Path) -> None:
    print(f"\n{'records submitted at a time':<44} {'rows/s':>9} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for waiting in (1, 8, 32, 256):
        uvloop.run(_write(scratch / f"written-{waiting}", waiting))
    home = scratch / "read"
    given = _fill(home)
    sample = random.Random(2).sample(given, 200)
    print(f"\n{'one day of a million records':<44} {'':>9}   goal")
    _row("look-up, hot, ms (p50)", _lookup_ms(home, [one.id for one in sample]), "10")
    started = time.perf_counter()
    sealing.seal(home)
    took = time.perf_counter() - started
    _row("sealed, rows/s", _ROWS / took, "")
    _row("sealed, bytes/row", segments.sealed_path(home, _DAY).stat().st_size / _ROWS, "")
    _row("look-up, sealed, ms (p50)", _lookup_ms(home, [one.id for one in sample[:30]]), "100")
    _row("average score by version, s", _timed(lambda: _scan(home)), "")
    _row("read whole as records, s", _timed(lambda: sum(1 for _ in records.since(home, 0))), "")


async def _write(home: Path, waiting: int) -> None:
    """As many submissions of one record as clients would have, each followed by the next once answered."""
    loop = asyncio.get_running_loop()
    writer, generator = Writer(home, loop), ids.Generator(0)
    took: list[float] = []
    finished = loop.create_future()
    features = _features(random.Random(1))
    end = time.perf_counter() + _SECONDS

    def submit() -> None:
        started = time.perf_counter()

        def done(error: Exception | None) -> None:
            assert error is None
            now = time.perf_counter()
            took.append(now - started)
            if now < end:
                submit()
            elif writer.waiting == 0 and not finished.done():
                finished.set_result(None)

        writer.submit([_record(generator.new(), 0.83, features)], done)

    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(waiting):
        submit()
    await finished
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    writer.close()
    took.sort()
    print(
        f"{waiting:<44} {len(took) / seconds:9,.0f} {cpu / len(took) * 1e6:8.1f}"
        f" {statistics.median(took) * 1e3:8.2f} {took[len(took) * 99 // 100] * 1e3:8.2f}",
        flush=True,
    )


def _record(number: int, score: float, features: bytes) -> Record:
    output = f'"prediction":"Yes","confidence":{score},"probabilities":{{"No":{1 - score},"Yes":{score}}}'
    return Record(
        id=number,
        arrived_us=ids.EPOCH_MS * 1000 + (number >> 22) * 1000,
        request_id=ids.text(number),
        row=0,
        deployment=1,
        role="primary",
        share=1.0,
        version=3,
        run="0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        engine="numpy",
        entity=None,
        sticky=False,
        features=features,
        output=output,
        score=score,
        confidence=score,
        decision=None,
        status=200,
        error=None,
        latency_us=1200,
        unseen=None,
    )


def _features(chance: random.Random) -> bytes:
    given = {f"number_{at}": round(chance.uniform(0, 100), 2) for at in range(6)}
    given |= {f"count_{at}": chance.randint(0, 72) for at in range(4)}
    words = {f"category_{at}": chance.choice(["Yes", "No", "Month-to-month", None]) for at in range(10)}
    return json.dumps({**given, **words}, separators=(",", ":")).encode()


def _fill(home: Path) -> list[Record]:
    chance, first = random.Random(1), ids.bounds(_DAY)[0]
    given = [_record(first + (at * 80 << 22), chance.random(), _features(chance)) for at in range(_ROWS)]
    with closing(segments.create(segments.path(home, _DAY), wait_s=1)) as connection:
        connection.execute("BEGIN")
        places = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO prediction VALUES ({places})", given)
        connection.execute("COMMIT")
    return given


def _lookup_ms(home: Path, numbers: list[int]) -> float:
    reader = records.Local(home)
    return statistics.median(_timed(partial(reader.find, number)) for number in numbers) * 1e3


def _scan(home: Path) -> None:
    with closing(sealing.connect()) as duck:
        duck.execute(
            "SELECT version, avg(score), count(*) FROM read_parquet(?) GROUP BY version",
            [str(segments.sealed_path(home, _DAY))],
        ).fetchall()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(name: str, figure: float, goal: str) -> None:
    print(f"{name:<44} {figure:9,.2f}   {goal}", flush=True)
