"""The state of serving behaves the same in a file and in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError, ToolError
from mlproj.serving import store
from mlproj.serving.deployment import CANARY, KEPT, PRIMARY, Deployment, Mode, Place, State, Version
from mlproj.serving.store import Store
from tests.e2e.serving import shared

Opener = Callable[..., Store]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with shared.server() as running:
        yield running


@pytest.fixture(params=["file", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same state, on a machine by its name."""
    url = shared.database(request.getfixturevalue("server")) if request.param == "postgres" else None

    def open_(machine: str = "here") -> Store:
        return store.open(tmp_path / (machine if url else "here") / "toys", url)

    return open_


def add(opened: Store, folder: Path, number: int, digest: str = "d") -> Version:
    version = Version(number=number, run=f"run{number}", digest=digest * 64, engine="numpy", added_us=1)
    python = folder / "python"
    python.touch()
    place = Place(version=number, digest=version.digest, folder=folder, python=python)
    opened.add_version(version, place, content=b"\x00packed" if opened.is_shared else None)
    return version


def begin(opened: Store, mode: Mode, version: int) -> Deployment:
    plan = {"shares": [0.1, 0.5]}
    return opened.begin(mode=mode, version=version, automation="full", defer_below=None, plan=plan, by="me")


def interrupted(opened: Store) -> None:
    with opened._db.transaction():
        opened._db.execute("DELETE FROM routes")
        raise RuntimeError("in the middle")


def test_a_rollout_goes_its_way_and_is_told_in_order(tmp_path: Path, opener: Opener) -> None:
    with opener() as opened:
        for number in (1, 2):
            add(opened, tmp_path, number)
        opened.loaded(begin(opened, Mode.FULL, 1).id, share=1.0)
        canary = begin(opened, Mode.CANARY, 2)
        with pytest.raises(ConfigError, match="is under way, started by me"):
            begin(opened, Mode.BLUE_GREEN, 2)
        opened.loaded(canary.id, share=0.1)
        opened.step(canary.id, 1, 0.5, "good")
        opened.step(canary.id, 1, 0.5, "said twice")
        assert opened.routes()[CANARY].share == 0.5
        opened.look(canary.id, {"verdict": "advance", "numbers": [1.5, None]}, said="advance: good")
        opened.promote(canary.id, "me", "good enough")
        standing = opened.standing()
        assert {role: route.version for role, route in standing.routes.items()} == {PRIMARY: 2, KEPT: 1}
        assert (standing.active, sorted(standing.versions)) == (None, [1, 2])
        kinds = [event.kind for event in opened.events(canary.id)]
        assert kinds == ["started", "step", "step", "verdict", "promoted"]
        assert opened.deployment(canary.id).latest == {"verdict": "advance", "numbers": [1.5, None]}
        assert opened.roll_back("me", "odd answers").state is State.ROLLED_BACK
        assert {role: route.version for role, route in opened.routes().items()} == {PRIMARY: 1}
    with opener() as again:
        assert [each.version for each in again.deployments()] == [2, 1]


def test_one_that_goes_back_ends_what_it_takes_over_from_as_rolled_back(
    tmp_path: Path, opener: Opener
) -> None:
    with opener() as opened:
        for number in (1, 2, 3):
            add(opened, tmp_path, number)
        opened.loaded(begin(opened, Mode.FULL, 1).id, share=1.0)
        shadow = begin(opened, Mode.SHADOW, 2)
        opened.loaded(shadow.id, share=1.0)
        opened.promote(shadow.id, "me", "it agrees")
        bad = begin(opened, Mode.FULL, 3)
        opened.loaded(bad.id, share=1.0)
        # A version that was kept ends when the one beside which it was is replaced; the other ended later.
        assert [each.version for each in opened.were_live()] == [2, 1]
        again = opened.begin(
            mode=Mode.FULL, version=2, automation="full", defer_below=None, plan={}, by="me", back="odd"
        )
        assert opened.deployment(bad.id).state is State.LIVE
        opened.loaded(again.id, share=1.0)
        left = opened.deployment(bad.id)
        assert (left.state, left.reason) == (State.ROLLED_BACK, "odd")
        assert opened.routes()[PRIMARY].version == 2


def test_a_change_that_fails_in_the_middle_leaves_nothing(tmp_path: Path, opener: Opener) -> None:
    with opener() as opened:
        add(opened, tmp_path, 1)
        opened.loaded(begin(opened, Mode.FULL, 1).id, share=1.0)
        before = opened.standing()
        with pytest.raises(ConfigError, match="another package"):
            add(opened, tmp_path, 1, digest="e")
        with pytest.raises(RuntimeError, match="in the middle"):
            interrupted(opened)
        assert opened.standing() == before


def test_every_machine_has_a_number_of_its_own_and_keeps_it(opener: Opener) -> None:
    found: dict[str, int] = {}

    def ask(name: str) -> None:
        with opener() as opened:
            found[name] = opened.node(name)

    with opener():  # two that make the same file at the same moment wait for each other
        threads = [threading.Thread(target=ask, args=(f"machine {place}",)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.values()) == [1, 2, 3, 4, 5, 6]
    with opener() as opened:
        assert {name: opened.node(name) for name in found} == found


def test_where_a_version_lies_is_a_machines_own_and_its_package_is_everybodys(
    tmp_path: Path, server: Any
) -> None:
    url = shared.database(server)
    with (
        store.open(tmp_path / "a" / "toys", url) as here,
        store.open(tmp_path / "b" / "toys", url) as there,
    ):
        version = add(here, tmp_path, 1)
        assert there.version(1) == version
        assert (here.place(version) is None, there.place(version) is None) == (False, True)
        assert there.content(version) == b"\x00packed"
        assert there.has_package(version)
        other = Version(number=1, run="r", digest="e" * 64, engine="numpy", added_us=1)
        assert there.content(other) is None


def test_the_database_of_another_project_is_refused(tmp_path: Path, server: Any) -> None:
    url = shared.database(server)
    store.open(tmp_path / "toys", url).close()
    with pytest.raises(ConfigError, match="another project's, whose id is `toys`"):
        store.open(tmp_path / "churn", url)


def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ToolError, match="PostgreSQL cannot be reached") as caught:
        store.open(tmp_path / "toys", "postgresql://me:secret@127.0.0.1:9/none")
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
