from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlproj.base.errors import MlprojError
from mlproj.monitoring import records
from mlproj.serving import ids, sealing, segments
from mlproj.serving.log import Writer
from mlproj.serving.record import Record
from tests.serving.log.world import DAY, Answers, of_day, put, record, write

LATER = datetime(2026, 11, 22, 9, tzinfo=UTC)
STEPS = ("_load", "_convert", "_put_in_place", "_remove")
KILLER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from mlproj.serving import sealing, segments

home, step, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
room = segments if step == "seal" else sealing
work = getattr(room, step)

def killed(*args):
    if when == "after":
        work(*args)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(room, step, killed)
sealing.seal(home, now=datetime(2026, 11, 22, 9, tzinfo=UTC))
"""


def columns(file: Path) -> dict[str, str]:
    with closing(sealing.connect()) as duck:
        found = duck.execute(f"DESCRIBE SELECT * FROM read_parquet('{file}')").fetchall()
    return {row[0]: row[1] for row in found}


def raw_rows(file: Path) -> int:
    with closing(sealing.connect()) as duck:
        query = "SELECT count(features_raw) FROM read_parquet(?)"
        row = duck.execute(query, [str(file)]).fetchone()
    assert row is not None
    return int(row[0])


def everything(home: Path) -> list[Record]:
    return list(records.since(home, 0))


def test_a_day_that_is_over_becomes_parquet_with_a_typed_column_an_input(tmp_path: Path) -> None:
    given = of_day(DAY, 50)
    put(tmp_path, given)
    assert sealing.seal(tmp_path, now=LATER) == [sealing.Sealed(day=DAY, rows=50)]
    file = segments.sealed_path(tmp_path, DAY)
    assert {name: kind for name, kind in columns(file).items() if name.startswith("feature")} == {
        "features_raw": "BLOB",
        "feature.Contract": "VARCHAR",
        "feature.MonthlyCharges": "DOUBLE",
        "feature.Partner": "VARCHAR",
        "feature.tenure": "DOUBLE",
    }
    assert raw_rows(file) == 0
    assert everything(tmp_path) == given
    assert sealing.find(file, given[7].id) == given[7]
    assert sealing.find(file, given[7].id + 1) is None
    assert sorted(one.name for one in segments.folder(tmp_path).iterdir()) == [
        ".sealing.lock",
        "2026-11-20.parquet",
    ]


def test_today_and_a_day_that_has_only_just_ended_stay_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, of_day(DAY, 3))
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    assert sealing.seal(tmp_path, now=midnight - timedelta(seconds=1)) == []
    assert sealing.seal(tmp_path, now=midnight + timedelta(minutes=9)) == []
    assert [one.rows for one in sealing.seal(tmp_path, now=midnight + timedelta(minutes=10))] == [3]
    assert sealing.seal(tmp_path, now=LATER) == []


def test_what_the_typed_columns_cannot_give_back_is_kept_as_it_came(tmp_path: Path) -> None:
    odd: list[Any] = [
        {"tenure": 2**53 + 1, "Contract": "a"},
        {"tenure": "twelve", "Contract": "a"},
        {"tenure": 1, "Contract": 5},
        {"Contract": "a", "tenure": 1},
        {"tenure": 1},
        {"tenure": 1, "Contract": "NUL \x00 within"},
        {"tenure": 1, "Contract": ["a"]},
        b'{"tenure": 1e999, "Contract": "a"}',
        b'{"tenure": 1, "tenure": 2, "Contract": "a"}',
        b"not JSON at all",
        b"\xff\xfe",
        b"",
    ]
    plain = {"tenure": 12.5, "Contract": 'quotes " and, commas\nand \u2028 lines \r\n and \U0001f600'}
    given = [
        one._replace(features=record(one.id, features=features).features)
        for one, features in zip(of_day(DAY, len(odd) + 30), [*odd, *[plain] * 30], strict=True)
    ]
    given[9] = given[9]._replace(status=400, output=None, score=None, error="not_json")
    put(tmp_path, given)
    sealing.seal(tmp_path, now=LATER)
    assert everything(tmp_path) == given
    assert raw_rows(segments.sealed_path(tmp_path, DAY)) == len(odd)


def test_two_versions_with_different_inputs_share_a_day(tmp_path: Path) -> None:
    given = of_day(DAY, 40)
    for place in range(0, 40, 2):
        features = json.dumps(
            {"Tenure": place, "tenure": "x", 'it\'s "odd"/~': 0.1 + place}, separators=(",", ":")
        )
        given[place] = given[place]._replace(version=4, features=features.encode())
    given[6] = given[6]._replace(features=given[7].features)
    put(tmp_path, given)
    sealing.seal(tmp_path, now=LATER)
    assert everything(tmp_path) == given
    assert {
        name: kind for name, kind in columns(segments.sealed_path(tmp_path, DAY)).items() if "enure" in name
    } == {
        "feature.Tenure": "DOUBLE",
        "feature.tenure~2": "DOUBLE",
    }


JSON_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**64), 2**64), st.floats(allow_nan=False), JSON_TEXTS
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(JSON_TEXTS, VALUES, max_size=4), min_size=1, max_size=12), JSON_TEXTS)
def test_whatever_was_logged_comes_back_from_a_sealed_day(
    tmp_path_factory: pytest.TempPathFactory, given_features: list[dict[str, Any]], text: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    logged = [
        one._replace(features=record(one.id, features=features).features, entity=text, score=float("inf"))
        for one, features in zip(of_day(DAY, len(given_features)), given_features, strict=True)
    ]
    put(home, logged)
    sealing.seal(home, now=LATER)
    read = everything(home)
    assert [one._replace(features=b"") for one in read] == [one._replace(features=b"") for one in logged]
    for one, features in zip(read, given_features, strict=True):
        said = json.loads(one.features)
        assert said == features
        assert list(said) == list(features)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "seal"])
def test_a_sealing_killed_at_any_step_loses_nothing_and_the_next_one_finishes(
    tmp_path: Path, step: str, when: str
) -> None:
    given = of_day(DAY, 30)
    put(tmp_path, given)
    killed = subprocess.run([sys.executable, "-c", KILLER, str(tmp_path), step, when], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert everything(tmp_path) == given
    assert records.get(tmp_path, given[3].id) is not None
    sealing.seal(tmp_path, now=LATER)
    assert everything(tmp_path) == given
    assert segments.hot_days(tmp_path) == []
    assert raw_rows(segments.sealed_path(tmp_path, DAY)) == 0
    assert {one.suffix for one in segments.folder(tmp_path).iterdir() if one.name[0] != "."} == {".parquet"}


def test_a_late_record_for_a_sealed_day_is_kept_and_merged_at_the_next_sealing(tmp_path: Path) -> None:
    given = of_day(DAY, 10)
    writer = Writer(tmp_path, Answers())
    assert write(writer, given[:4] + given[5:]) is None
    sealing.seal(tmp_path, now=LATER)
    assert write(writer, [given[4]]) is None, "the writer still had the removed database open"
    assert everything(tmp_path) == given
    found = records.get(tmp_path, given[4].id)
    assert found is not None
    assert found.record == given[4]
    assert sealing.seal(tmp_path, now=LATER) == [sealing.Sealed(day=DAY, rows=10)]
    writer.close()
    assert everything(tmp_path) == given
    assert segments.hot_days(tmp_path) == [] or DAY not in segments.hot_days(tmp_path)


def test_records_logged_while_their_day_is_sealed_are_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = of_day(DAY, 10)
    put(tmp_path, given[:9])
    convert, late = sealing._convert, [given[9]]

    def convert_as_one_more_arrives(*args: Any) -> None:
        convert(*args)
        if late:
            put(tmp_path, [late.pop()])

    monkeypatch.setattr(sealing, "_convert", convert_as_one_more_arrives)
    assert sealing.seal(tmp_path, now=LATER) == [sealing.Sealed(day=DAY, rows=10)]
    assert everything(tmp_path) == given


def test_a_day_that_cannot_be_sealed_is_named_and_the_others_are_sealed(tmp_path: Path) -> None:
    broken = DAY - timedelta(days=1)
    put(tmp_path, of_day(DAY, 5))
    segments.path(tmp_path, broken).write_bytes(b"not a database" * 500)
    with pytest.raises(MlprojError, match="2026-11-19"):
        sealing.seal(tmp_path, now=LATER)
    assert segments.sealed_days(tmp_path) == [DAY]
    assert segments.path(tmp_path, broken).exists()


def test_an_empty_day_goes_without_leaving_a_file(tmp_path: Path) -> None:
    with closing(segments.create(segments.path(tmp_path, DAY), wait_s=1)):
        pass
    assert sealing.seal(tmp_path, now=LATER) == [sealing.Sealed(day=DAY, rows=0)]
    assert segments.hot_days(tmp_path) == segments.sealed_days(tmp_path) == []


def test_a_reader_in_the_middle_of_a_day_reads_it_to_its_end_though_it_is_sealed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_PAGE", 3)
    given = of_day(DAY, 10)
    put(tmp_path, given)
    reading = records.since(tmp_path, 0)
    first = [next(reading), next(reading)]
    sealing.seal(tmp_path, now=LATER)
    assert first + list(reading) == given


def test_sealing_runs_as_a_program_and_a_second_one_beside_it_does_nothing(tmp_path: Path) -> None:
    put(tmp_path, of_day(date(2021, 1, 1), 5))
    command = [sys.executable, "-m", "mlproj.serving.sealing", str(tmp_path)]
    with sealing._alone(segments.folder(tmp_path)) as alone:
        assert alone
        beside = subprocess.run(command, capture_output=True, text=True, check=True)
    assert beside.stdout == ""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == '{"day": "2021-01-01", "rows": 5}\n'
    assert subprocess.run([*command[:-1], str(tmp_path / "none")], check=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
def test_sealing_gives_way_to_whoever_answers(tmp_path: Path) -> None:
    day = date(2021, 1, 1)
    put(tmp_path, of_day(day, 5))
    with closing(sqlite3.connect(segments.path(tmp_path, day), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with subprocess.Popen([sys.executable, "-m", "mlproj.serving.sealing", str(tmp_path)]) as process:
            until = time.monotonic() + 20
            while not any(segments.folder(tmp_path).glob(".sealing-*/day.parquet")):
                assert time.monotonic() < until
                time.sleep(0.01)
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
            assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
            holder.execute("ROLLBACK")
            assert process.wait(30) == 0


def test_what_does_not_fit_into_memory_is_put_beside_the_log_and_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with closing(sealing.connect(tmp_path)) as duck:
        duck.execute("SET memory_limit = '64MB'")
        duck.execute(
            "CREATE TABLE sorted AS SELECT md5(i::VARCHAR) AS m FROM range(3000000) AS t(i) ORDER BY m"
        )
        assert next(tmp_path.rglob("duckdb_temp_*")).parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_sealed_database_takes_no_more_rows_however_it_was_opened(tmp_path: Path) -> None:
    with closing(segments.create(segments.path(tmp_path, DAY), wait_s=1)) as open_before:
        with closing(segments.create(segments.path(tmp_path, DAY), wait_s=1)) as other:
            other.execute("BEGIN IMMEDIATE")
            segments.seal(other)
            other.execute("COMMIT")
        assert segments.path(tmp_path, DAY).exists()
        with pytest.raises(sqlite3.IntegrityError, match=segments.SEALED):
            open_before.execute(
                f"INSERT INTO prediction VALUES ({', '.join('?' * 21)})", record(ids.bounds(DAY)[0])
            )
