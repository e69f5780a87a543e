from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlproj.serving import ids, log, segments
from mlproj.serving.log import LogError, Writer
from mlproj.serving.record import Record
from tests.serving.log.world import DAY, Answers, Outcome, of_day, record, write


def eventually(holds: object, *, seconds: float = 20) -> bool:
    assert callable(holds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def test_a_record_is_durable_and_readable_as_it_was_when_its_submission_is_answered(tmp_path: Path) -> None:
    async def live() -> None:
        loop = asyncio.get_running_loop()
        writer = Writer(tmp_path, loop)
        answered: asyncio.Future[Exception | None] = loop.create_future()
        writer.submit([given], answered.set_result)
        assert await answered is None
        assert segments.find(tmp_path, given.id) == given
        assert writer.healthy
        assert writer.waiting == 0
        writer.close()

    given = record(
        ids.Generator(3).new(),
        entity="7590-VHVEG",
        sticky=True,
        features=b"\xff not JSON",
        confidence=None,
        unseen="Contract\x1fPartner",
    )
    asyncio.run(live())


def test_what_queued_during_a_commit_goes_into_the_next_one_with_one_call_into_the_loop(
    tmp_path: Path,
) -> None:
    loop = Answers()
    writer = Writer(tmp_path, loop)
    outcomes = [Outcome() for _ in range(2000)]
    for given, outcome in zip(of_day(DAY, 2000), outcomes, strict=True):
        writer.submit([given], outcome)
    assert [outcome.wait() for outcome in outcomes] == [None] * 2000
    writer.close()
    assert loop.calls < 200
    assert all(outcome.times == 1 for outcome in outcomes)
    assert list(segments.rows(tmp_path, 0)) == of_day(DAY, 2000)


def test_each_day_has_its_own_segment_and_a_submission_over_midnight_is_in_both(tmp_path: Path) -> None:
    midnight = ids.bounds(DAY)[1]
    writer = Writer(tmp_path, Answers())
    around = [record(midnight - 1), record(midnight), record(midnight + 1)]
    assert write(writer, around) is None
    assert write(writer, [record(midnight - 2)]) is None  # began before midnight, answered after
    writer.close()
    assert DAY + timedelta(days=1) in segments.hot_days(tmp_path)
    assert [one.id - midnight for one in segments.rows(tmp_path, 0)] == [-2, -1, 0, 1]
    assert [one.id - midnight for one in segments.rows(tmp_path, midnight - 1, midnight + 1)] == [-1, 0]
    assert segments.last_id(tmp_path) == midnight + 1


def test_a_clock_stepping_back_a_day_leaves_the_log_in_order(tmp_path: Path) -> None:
    now_ns = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 10**9
    day_ns = 86_400 * 10**9
    readings = iter([now_ns, now_ns - day_ns, now_ns - 5 * day_ns, now_ns + 1])
    generator = ids.Generator(1, clock_ns=readings.__next__)
    writer = Writer(tmp_path, Answers())
    given = [record(generator.new()) for _ in range(4)]
    for one in given:
        assert write(writer, [one]) is None
    writer.close()
    assert list(segments.rows(tmp_path, 0)) == given
    after = ids.Generator(0, after=segments.last_id(tmp_path), clock_ns=lambda: now_ns - 9 * day_ns)
    assert after.new() > given[-1].id


def test_a_record_that_sqlite_cannot_take_fails_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Answers())
    given = of_day(DAY, 60)
    given[17] = given[17]._replace(entity="\ud800")
    given[40] = given[39]
    outcomes = [Outcome() for _ in given]
    for one, outcome in zip(given, outcomes, strict=True):
        writer.submit([one], outcome)
    errors = [place for place, outcome in enumerate(outcomes) if outcome.wait() is not None]
    assert errors == [17, 40]
    assert isinstance(outcomes[17].wait(), LogError)
    assert writer.healthy
    writer.close()
    assert len(list(segments.rows(tmp_path, 0))) == 58


def test_a_full_queue_is_told_at_once_and_submitting_never_blocks(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Answers(), most_rows=10)
    assert "behind" in str(write(writer, of_day(DAY, 11)))
    assert write(writer, of_day(DAY, 10)) is None
    writer.close()


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Answers())
    outcome = Outcome()
    writer.submit(of_day(DAY, 5000), outcome)
    writer.close()
    assert outcome.wait() is None
    assert len(list(segments.rows(tmp_path, 0))) == 5000


def test_a_reader_sees_each_commit_while_the_writer_goes_on(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Answers())
    given = of_day(DAY, 20)
    with closing(segments.create(segments.path(tmp_path, DAY), wait_s=1)):
        pass
    with closing(segments.read(segments.path(tmp_path, DAY))) as reader:
        for count, one in enumerate(given, start=1):
            assert write(writer, [one]) is None
            assert reader.execute("SELECT count(*) FROM prediction").fetchone()[0] == count
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM prediction")
    writer.close()


def test_the_wal_is_copied_and_started_over_under_constant_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_TICK_S", 0.05)
    monkeypatch.setattr(log, "_WAL_FRAMES", 200)
    writer = Writer(tmp_path, Answers())
    wal = segments.path(tmp_path, DAY).with_name(f"{DAY}.db-wal")
    body = b"x" * 20_000
    sizes = []
    for one in of_day(DAY, 1500):
        assert write(writer, [one._replace(features=body)]) is None
        sizes.append(wal.stat().st_size)
    writer.close()
    assert max(sizes) < 25_000_000 < 1500 * 20_000
    assert len(list(segments.rows(tmp_path, 0))) == 1500


def test_a_segment_locked_by_another_process_is_answered_with_an_error_and_recovers_by_itself(
    tmp_path: Path,
) -> None:
    today = datetime.now(UTC).date()
    writer = Writer(tmp_path, Answers(), lock_wait_s=0.1)
    given = of_day(today, 3)
    assert write(writer, given[:1]) is None
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()",
            str(segments.path(tmp_path, today)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        error = write(writer, given[1:2])
        assert isinstance(error, LogError)
        assert "locked" in error.message
        assert not writer.healthy
        holder.communicate("")
    assert eventually(lambda: writer.healthy), "nobody submitted, and the writer did not try by itself"
    assert write(writer, given[2:]) is None
    writer.close()
    assert list(segments.rows(tmp_path, 0)) == [given[0], given[2]]


def test_a_full_disk_is_an_error_that_leaves_nothing_half_written_and_ends_when_there_is_room(
    small_disk: Path,
) -> None:
    writer = Writer(small_disk, Answers())
    today = datetime.now(UTC).date()
    first = of_day(today, 400)
    body = b"x" * 60_000
    written: list[Record] = []
    error = None
    for place in range(0, 400, 4):
        batch = [one._replace(features=body) for one in first[place : place + 4]]
        error = write(writer, batch)
        if error is not None:
            break
        written += batch
    assert "full" in str(error)
    assert len(written) >= 8
    assert not writer.healthy
    assert list(segments.rows(small_disk, 0)) == written
    (small_disk / "ballast").unlink()
    assert eventually(lambda: writer.healthy)
    more = [one._replace(features=body) for one in first[200:204]]
    assert write(writer, more) is None
    writer.close()
    assert sorted(segments.rows(small_disk, 0)) == sorted(written + more)
    with closing(segments.read(segments.path(small_disk, today))) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("kill_after_s", [0.3, 0.8])
def test_of_a_writer_killed_under_load_every_acknowledged_id_is_there(
    tmp_path: Path, kill_after_s: float
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.serving.log.loaded_writer", str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline())]
        threading.Timer(kill_after_s, os.kill, (child.pid, signal.SIGKILL)).start()
        lines = child.stdout.read().split(b"\n")
        acknowledged += [int(line) for line in lines[:-1]]  # the last may be half a line
    assert child.returncode == -signal.SIGKILL
    logged = [one.id for one in segments.rows(tmp_path, 0)]
    assert len(acknowledged) > 50
    assert set(acknowledged) <= set(logged)
    assert segments.find(tmp_path, acknowledged[-1]) is not None
    assert segments.last_id(tmp_path) == max(logged)
    for day in segments.hot_days(tmp_path):
        with closing(segments.read(segments.path(tmp_path, day))) as reader:
            assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    writer = Writer(tmp_path, Answers())
    again = record(ids.Generator(0, after=segments.last_id(tmp_path)).new())
    assert write(writer, [again]) is None
    writer.close()


def test_the_gateways_part_of_the_log_loads_neither_numpy_nor_duckdb_nor_typer() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, mlproj.serving.log, mlproj.serving.feedback;"
            "print([m for m in ('numpy', 'pandas', 'duckdb', 'typer', 'psycopg') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"


def test_an_empty_log_has_no_ids_and_a_stray_file_is_no_day(tmp_path: Path) -> None:
    assert segments.last_id(tmp_path) == 0
    assert segments.find(tmp_path, 5 << 40) is None
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "copy of 2026-11-20.db").touch()
    assert segments.hot_days(tmp_path) == []
    segments.sealed_path(tmp_path, date(2026, 11, 19)).touch()
    assert segments.last_id(tmp_path) == ids.bounds(date(2026, 11, 19))[1] - 1
