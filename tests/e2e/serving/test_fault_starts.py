"""What stands in the way of a start, and who may reach what has started."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlproj.flows import load
from mlproj.monitoring import records
from mlproj.project import Project
from mlproj.serving import admin, ids, package, segments
from mlproj.serving.record import COLUMNS
from tests.e2e.serving import toys
from tests.e2e.serving.conftest import Live, free_port
from tests.e2e.serving.traffic import assert_all_logged, assert_sound, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with toys.site(tmp_path_factory.mktemp("starts")) as live:
        live.deploy()
        yield live


def test_a_changed_byte_in_a_kept_model_file_is_refused_before_it_is_loaded_and_named(live: Live) -> None:
    trace = live.root / "loaded"
    candidate = toys.package(live.root, 2, trace=str(trace))
    live.deploy("--mode", "blue-green")
    assert trace.exists()
    live.must("rollback")
    wait_until(lambda: [one["version"] for one in toys.ping(live)["workers"]] == [1], what="version 2's end")
    trace.unlink()
    (kept,) = live.home.glob("versions/2-*/engines/toy.json")
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b'"version": 2', b'"version": 3'))
    # Out of the way, so that the copy is all there is.
    candidate.rename(candidate.with_name("away"))
    with toys.traffic(live) as load:
        load.more(10)
        done = live.run("deploy", "--mode", "canary", "--version", "2")
        load.more(10)
    assert done.returncode == 1
    assert "version 2 could not be loaded, and got no request" in done.stderr
    needs, start = map(done.stderr.index, ("what the first step is expected to take:", "loading version 2"))
    assert needs < start, "what it takes is said before anything starts"
    assert "engines/toy.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not trace.exists()
    assert toys.versions(live) == {"primary": 1}
    last = live.overview()["deployments"][0]
    assert (last["version"], last["state"]) == (2, "failed")
    assert "engines/toy.json" in last["reason"]
    assert set(load.statuses) == {200}
    assert load.lost == []
    assert load.versions.keys() == {1}
    # With a good package at hand the copy is made again.
    candidate.with_name("away").rename(candidate)
    live.deploy("--mode", "blue-green")
    assert kept.read_bytes() == content
    live.must("rollback")


def test_after_a_clock_that_was_ahead_ids_go_on_above_those_in_the_log(live: Live) -> None:
    answer = live.ask("/predict", toys.ROW)
    found = records.get(live.home, ids.parse(answer.json()["prediction_id"]))
    assert found is not None
    ahead = ids.at(datetime.now(UTC) + timedelta(days=3))
    record = found.record._replace(id=ahead, request_id="from-the-future")
    with closing(segments.create(segments.path(live.home, ids.day(ahead)), wait_s=5)) as segment:
        segment.execute(f"INSERT INTO prediction VALUES ({', '.join('?' * len(COLUMNS))})", record)
    os.kill(toys.gateway(live), signal.SIGKILL)
    with toys.traffic(live, clients=2) as load:
        load.more(20)
    # Those of the killed gateway came before; the next one's are all above.
    given = [ids.parse(one.id) for one in load.answers if one.id]
    assert len(set(given)) == len(given) >= 20
    assert min(given) > ahead
    assert_all_logged(live.home, load.answers)
    shown = live.ask(f"/predictions/{load.answers[-1].id}")
    assert shown.status == 200
    assert_sound(live.home)


def test_a_taken_port_is_named_and_nothing_stays_behind(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live, socket.socket() as holder:
        holder.bind(("127.0.0.1", urlsplit(live.url).port or 0))
        holder.listen()
        for words in (("serve",), ("deploy",)):
            done = live.run(*words)
            assert done.returncode == 1
            assert f"`127.0.0.1:{urlsplit(live.url).port}` cannot be listened on" in done.stderr
            assert "--port" in done.stderr
            assert "Traceback" not in done.stderr
            assert live.pids() == {}
        assert live.overview()["deployments"] == [], "nothing is recorded that could not be started"
        holder.close()
        live.deploy()
        assert live.ask("/predict", toys.ROW).status == 200


def _digest(live: Live) -> str:
    return package.digest(live.root / "models" / "package")[:8]


def test_a_stale_card_and_stale_sockets_stand_in_nobodys_way(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live:
        home = toys.home(live)
        home.mkdir(parents=True)
        folder = admin.sockets(home)
        for name in ("admin.sock", f"v1-{_digest(live)}.sock"):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(folder / name))
        # The number of a process that lives, and is somebody else's.
        card = {"pid": os.getppid(), "admin": str(folder / "admin.sock"), "url": live.url, "since": 0}
        admin.card(home).write_text(json.dumps(card))
        assert live.run("serve", "--stop").returncode == 3
        assert live.overview()["deployments"] == []
        live.deploy()
        assert live.ask("/predict", toys.ROW).status == 200
        admin.card(home).write_text("{")  # written by halves
        assert live.run("serve").returncode == 1, "the lock says that one runs, whatever the card says"
        card = {"pid": 1, "admin": str(folder / "admin.sock"), "url": live.url, "since": 0}
        admin.card(home).write_text(json.dumps(card))


def test_of_two_deploys_at_once_one_wins_and_the_other_is_told_who_and_what(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live:
        toys.package(live.root, 1, load_s=2)
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "mlproj", "deploy", "--mode", "full"],
                cwd=live.root,
                env={**os.environ, **live.env},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
            for _ in range(2)
        ]
        told = [process.communicate(timeout=60) for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 2], told
        _, error = told[codes.index(2)]
        assert "a full of version 1 is under way, started by" in error
        assert "hint:" in error
        assert "Traceback" not in error
        assert toys.versions(live) == {"primary": 1}
        assert len(live.overview()["deployments"]) == 1
        assert len([words for words in live.pids().values() if "mlproj serve" in words]) == 1


def test_a_public_address_wants_a_token_and_with_it_everybody_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a-long-enough-token-of-a-test"
    with toys.site(tmp_path, host="0.0.0.0") as site:
        live = site
        for words in (("serve",), ("deploy",)):
            done = live.run(*words)
            assert done.returncode == 2
            assert "`0.0.0.0` can be reached from other machines, and there is no token" in done.stderr
        assert live.pids() == {}
        live = replace(site, env={**site.env, "MLPROJ_TOKEN": token})
        said = live.deploy()
        assert 'predict -H "Authorization: Bearer $MLPROJ_TOKEN" -H' in said
        assert token not in said
        monkeypatch.setenv("MLPROJ_TOKEN", token)
        monkeypatch.setattr(load, "_SECONDS", 0.3)
        folder = live.root / "models" / "package"
        found = load.measure(Project.find(live.root), folder, Path(sys.executable), say=lambda text: None)
        assert found["metrics"]["error_rate"]["value"] == 0, "a load of its own needs no token"
        right = {"Authorization": f"Bearer {token}"}
        assert live.ask("/predict", toys.ROW, headers=right).status == 200
        for path in ("/predict", "/feedback", "/metrics", "/openapi.json", "/docs", "/predictions/0", "/v2"):
            for said in ("", "Bearer another", token):
                wrong = {"Authorization": said} if said else {}
                answer = live.ask(path, headers=wrong)
                assert answer.status == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
        assert live.ask("/health/live").status == 200
        # Nothing that is written or shown has the token in it, and no process's command line.
        assert token not in live.log()
        assert not [words for words in live.pids().values() if token in words]


def test_only_its_owner_reaches_what_governs_a_running_service(live: Live) -> None:
    folder = admin.sockets(live.home)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    toys.worker(live, 1)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_socket()}
    assert "admin.sock" in found
    assert [name for name in found if name.startswith("v1-")]
    assert set(found.values()) == {0o600}
    for path in ("/admin", "/stop", "/promote", "/rollback", "/retire", "/deployments"):
        assert live.ask(path, {}).status in (404, 405)


def test_what_is_sent_to_the_admin_socket_by_mistake_does_no_harm(live: Live) -> None:
    address = str(admin.sockets(live.home) / "admin.sock")
    for sent in (b"\n", b"{", b"\xff\xfe\n", b"[]\n", b'{"op": 7}\n', b"x" * 200_000):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(address)
            try:
                line.sendall(sent)
            except BrokenPipeError:
                continue  # it has heard enough
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(address)
    started = time.monotonic()
    with closing(silent):
        assert toys.ping(live)["gateway"]["ready"]
    assert time.monotonic() - started < 2
    assert live.ask("/predict", toys.ROW).status == 200
    assert "Traceback" not in live.log()


def test_the_address_that_deploy_was_given_holds_until_another_is_given(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live:
        given, settled = free_port(), urlsplit(live.url).port
        live.must("deploy", "--port", str(given))
        assert toys.ping(live)["url"] == f"http://127.0.0.1:{given}"
        known = live.overview()["deployments"]
        done = live.run("deploy", "--port", str(settled))
        assert done.returncode == 2
        assert (
            f"`--port` has no effect: this project is served already, at http://127.0.0.1:{given}"
            in done.stderr
        )
        assert "mlproj serve --stop" in done.stderr
        assert live.overview()["deployments"] == known, "nothing is recorded"
        live.must("serve", "--stop")
        live.must("deploy")
        assert toys.ping(live)["url"] == f"http://127.0.0.1:{given}", "also when it is not said again"
        live.must("serve", "--stop")
        marker = live.root / "mlproj.toml"
        text = marker.read_text(encoding="utf-8")
        moved = free_port()
        assert f"port = {settled}" in text
        marker.write_text(text.replace(f"port = {settled}", f"port = {moved}"), encoding="utf-8")
        live.must("deploy")
        assert toys.ping(live)["url"] == f"http://127.0.0.1:{moved}"


def test_a_service_whose_state_is_no_database_says_so_in_a_sentence(tmp_path: Path) -> None:
    with toys.site(tmp_path) as live:
        home = toys.home(live)
        home.mkdir(parents=True)
        (home / "serving.db").write_bytes(b"no database at all" * 100)
        done = live.run("deploy", "--port", str(free_port()))
        assert done.returncode == 1
        assert "serving.db" in done.stderr
        assert "Traceback" not in done.stderr
        (home / "serving.db").unlink()
        with closing(sqlite3.connect(home / "serving.db")) as empty:
            empty.execute("PRAGMA user_version")
        live.deploy()
