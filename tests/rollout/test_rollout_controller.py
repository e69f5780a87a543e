"""The controller over a real store and log: what is kept with a rollout, and what a restart changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from mlproj.monitoring.pairs import Pairs
from mlproj.monitoring.questions import Baseline, questions
from mlproj.rollout import controller
from mlproj.rollout.controller import RolloutController, pinned
from mlproj.rollout.plan import Plan
from mlproj.rollout.verdict import Rules
from mlproj.scoping.scope import Task
from mlproj.serving import ids
from mlproj.serving import store as opening
from mlproj.serving.deployment import Deployment, Mode, Place, State, Version
from mlproj.serving.record import Record
from mlproj.serving.store import Store
from mlproj.serving.supervisor import View
from tests.monitoring import served
from tests.serving.log.world import put, record

QUIET = View(ready_since={}, restarts={})


@dataclass
class Site:
    """A canary of version 2 beside version 1, and a clock that is set by hand."""

    home: Path
    store: Store
    deployment: Deployment
    now: float

    def controller(self) -> RolloutController:
        return RolloutController(self.home, lag_s=0.0, clock=lambda: self.now)

    def state(self) -> Deployment:
        return self.store.deployment(self.deployment.id)

    def check(self, name: str) -> dict[str, Any]:
        latest = self.state().latest
        assert latest is not None
        found: dict[str, Any] = next(check for check in latest["checks"] if check["name"] == name)
        return found

    def serve(self, count: int, *, errors: float = 0.0, first_s: float = 1.0, every_s: float = 0.1) -> None:
        """Requests of the canary and the primary in turn; `errors` is the canary's share of 500."""
        made = list[Record]()
        for place in range(count):
            canary = place % 2 == 1
            bad = canary and (place // 2) % 100 < errors * 100
            at_us = self.deployment.started_us + round((first_s + place * every_s) * 1e6)
            made.append(
                record(
                    ids.at_us(at_us),
                    role="canary" if canary else "primary",
                    version=2 if canary else 1,
                    deployment=self.deployment.id,
                    share=0.5,
                    status=500 if bad else 200,
                    latency_us=5_000,
                )
            )
        put(self.home, made)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    home = tmp_path / "toys"
    with opening.open(home) as store:
        for number in (1, 2):
            place = Place(version=number, digest="d" * 64, folder=tmp_path, python=tmp_path / "python")
            store.add_version(
                Version(number=number, run=f"run{number}", digest="d" * 64, engine="numpy", added_us=1), place
            )
        plan = pinned(
            Plan(shares=(0.5,), rules=Rules(hold_s=3600)),
            (),
            task="binary",
            positive=None,
            maturity_s=0.0,
            before=Baseline(latency_p95_ms=42.0, score_edges=(0.5,)),
        )
        for mode, version in ((Mode.FULL, 1), (Mode.CANARY, 2)):
            begun = store.begin(
                mode=mode, version=version, automation="full", defer_below=None, plan=plan, by="me"
            )
            store.loaded(begun.id, share=0.5)
        deployment = store.deployment(begun.id)
        yield Site(home, store, deployment, deployment.started_us / 1e6)


def test_a_rollout_is_judged_by_the_past_that_was_pinned_when_it_began(site: Site) -> None:
    site.serve(100)
    site.now += 60
    site.controller().look(QUIET)
    assert site.check("latency")["reason"].startswith("over 42 ms at least once")
    assert site.check("scores")["reason"].endswith("(50 and 50 scores)")
    assert site.state().plan["baseline"] == {
        **asdict(Baseline(latency_p95_ms=42.0)),
        "score_edges": [0.5],
    }


def test_a_restart_keeps_the_latencies_that_were_compared_and_leaves_out_those_after_each_start(
    site: Site,
) -> None:
    began = site.now
    site.serve(1000)  # a hundred seconds
    site.now += 70
    running = site.controller()
    running.look(View(ready_since={1: began - 86_400, 2: began + 1.0}, restarts={}))
    site.now += 60
    running.look(View(ready_since={1: began - 86_400, 2: began + 1.0}, restarts={}))
    before = site.check("latency")["numbers"]
    assert before["canary_units"] == 350  # all but those of the first half minute
    site.now += 10
    site.controller().look(View(ready_since={1: site.now - 2, 2: site.now - 1}, restarts={}))
    assert site.check("latency")["numbers"] == before


def test_a_long_log_is_read_some_at_each_look_and_nothing_goes_on_before_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "_MOST_ROWS", 300)
    site.serve(1000)
    site.now += 7200
    running = site.controller()
    for _ in range(3):
        running.look(QUIET)
        latest = site.state().latest
        assert latest is not None
        assert (latest["verdict"], latest["checks"]) == ("hold", [])
        assert latest["reason"].startswith("what was served is being read, up to ")
    assert site.state().state is State.RUNNING
    site.now += 10  # what says the same is not written at every look
    running.look(QUIET)
    assert site.check("split")["numbers"]["total"] == 1000


def test_evidence_against_the_canary_counts_while_the_log_is_still_being_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "_MOST_ROWS", 300)
    site.serve(1000, errors=0.9)
    site.now += 7200
    site.controller().look(QUIET)
    assert site.state().state is State.ROLLED_BACK


def test_restarts_far_apart_are_no_crash_loop_and_three_in_ten_minutes_are(site: Site) -> None:
    running = site.controller()

    def look(canary: int, primary: int) -> None:
        running.look(View(ready_since={}, restarts={2: canary, 1: primary}))

    look(0, 40)  # what the primary's worker had before is not counted
    for restarts in (1, 2, 3, 4):
        site.now += 400
        look(restarts, 40)
        assert site.state().state is State.RUNNING
    site.now += 60
    look(5, 41)
    assert site.state().state is State.RUNNING
    assert site.check("restarts")["reason"].endswith("and the primary's 1: the machine may be at fault")
    site.now += 60
    look(6, 41)
    assert site.state().state is State.ROLLED_BACK


def test_a_shadow_that_only_fails_is_told_so() -> None:
    pairs = Pairs(questions((), task=Task.BINARY, baseline=Baseline()))
    assert controller._agreement(pairs, Rules(), 0) is None
    for place in range(20):
        pairs.served(served.record("primary", request=f"r{place}"))
        pairs.served(served.record("shadow", request=f"r{place}", status=503, says=None))
    found = controller._agreement(pairs, Rules(), 0)
    assert found is not None
    assert found["reason"] == "20 of the 20 requests that it took it failed at"
    assert found["health"]["failed"] == 20


def test_a_shadow_that_says_numbers_has_a_look_of_its_own() -> None:
    pairs = Pairs(questions((), task=Task.REGRESSION, baseline=Baseline()))
    for place in range(20):
        pairs.served(served.record("primary", request=f"r{place}", says=str(place)))
        pairs.served(served.record("shadow", request=f"r{place}", says=str(place + 2)))
    found = controller._agreement(pairs, Rules(), 0)
    assert found is not None
    told = "20 answers are 2 apart on average, 2 at most; higher by 2 (+2 to +2)"
    assert found["reason"] == f"with the primary, {told}"
    (group,) = found["agreement"]["the primary"]["groups"]
    assert (group["apart"], group["largest"], group["more"]["value"]) == (2, 2, 2)
    json.dumps(found, allow_nan=False)
