"""Steps rollouts: reads what was served, asks the analysis, records what follows from its answer.

What a rollout is judged by is fixed when it begins and kept with it, so that an edited scoping document or a
moved alias changes no judgement under way. Nothing else is kept: after a restart the log is read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlproj.monitoring import records
from mlproj.monitoring.pairs import Pairs
from mlproj.monitoring.questions import Baseline, Questions, questions
from mlproj.monitoring.truths import Truths
from mlproj.monitoring.watch import Watch, baseline
from mlproj.rollout import agreement
from mlproj.rollout.analysis import judge
from mlproj.rollout.plan import Plan
from mlproj.rollout.verdict import Analysis, Progress, Rules, Verdict
from mlproj.scoping.scope import Direction, Split, Target, TargetKind, Task
from mlproj.serving import ids
from mlproj.serving.record import Role
from mlproj.serving.store import Deployment, Mode, State, Store
from mlproj.serving.supervisor import View

# A look that says nothing new is written this often, so that people can see that it goes on.
_SHOWN_EVERY_S = 5.0
# What was served before the rollout is asked for the usual latency and scores, the nearest past first.
_PASTS = (timedelta(minutes=15), timedelta(days=1), timedelta(days=7))
_ENOUGH_PAST = 1000


def pinned(plan: Plan, targets: tuple[Target, ...], *, task: str, positive: str | None) -> dict[str, Any]:
    """What is kept with a deployment, as JSON: the steps, the rules and what is promised."""
    return {
        "shares": list(plan.shares),
        "rules": asdict(plan.rules),
        "maturity_s": plan.maturity_s,
        "targets": [asdict(target) for target in targets],
        "task": task,
        "positive": positive,
    }


def _plan(said: Mapping[str, Any]) -> Plan:
    return Plan(
        shares=tuple(said["shares"]), rules=Rules(**said["rules"]), maturity_s=float(said["maturity_s"])
    )


def _targets(said: Mapping[str, Any]) -> tuple[Target, ...]:
    return tuple(
        Target(
            **{
                **entry,
                "kind": TargetKind(entry["kind"]),
                "direction": Direction(entry["direction"]),
                "split": Split(entry["split"]) if entry["split"] else None,
                "slices": tuple(entry["slices"]),
            }
        )
        for entry in said["targets"]
    )


class RolloutController:
    """Asked once a second by the supervisor; `lag_s` is how long an answer may take to be in the log."""

    def __init__(
        self, home: Path, *, lag_s: float, postgres: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._home, self._lag_s, self._postgres, self._clock = home, lag_s, postgres, clock
        self._rollout: _Rollout | None = None

    def look(self, view: View) -> None:
        """Judge the rollout under way, if any, and act on it."""
        with Store(self._home / "serving.db") as store:
            active = store.active()
            if active is None or active.state is not State.RUNNING:
                self._rollout = None
                return
            if self._rollout is None or self._rollout.deployment.id != active.id:
                self._rollout = _Rollout(active, self._home, self._postgres)
            now = self._clock()
            self._rollout.feed(view, until=ids.at(datetime.fromtimestamp(now - self._lag_s, UTC)))
            if active.mode is Mode.CANARY:
                self._canary(store, active, self._rollout, view, now)
            else:
                self._rollout.show(store, active.id, self._rollout.agreement(), now)

    def _canary(self, store: Store, active: Deployment, rollout: _Rollout, view: View, now: float) -> None:
        plan = rollout.plan
        progress = Progress(
            step_began_us=active.step_us,
            deployment_began_us=active.started_us,
            last_step=plan.is_last(active.step),
            restarts=view.restarts.get(active.version, 0),
        )
        now_us = round(now * 1e6)
        analysis = judge(rollout.watch.look(now_us), plan.rules, progress, now_us)
        rollout.show(store, active.id, _latest(analysis, now_us), now)
        if analysis.verdict is Verdict.ROLL_BACK:
            store.roll_back("mlproj", analysis.reason, number=active.id)
        elif analysis.verdict is Verdict.ADVANCE and plan.is_last(active.step):
            store.promote(active.id, "mlproj", analysis.reason)
        elif analysis.verdict is Verdict.ADVANCE:
            following = active.step + 1
            store.step(active.id, following, plan.shares[following], analysis.reason)


class _Rollout:
    """What has been read of one deployment so far."""

    def __init__(self, deployment: Deployment, home: Path, postgres: str | None) -> None:
        self.deployment = deployment
        self._home, self._postgres = home, postgres
        self._began = ids.at(datetime.fromtimestamp(deployment.step_us / 1e6, UTC))
        if deployment.step:
            # Later steps are judged with the earlier ones, so all of them are read.
            self._began = ids.at(datetime.fromtimestamp(deployment.started_us / 1e6, UTC))
        self._cursor = self._began
        self._started: dict[int, float] = {}
        self._shown = (0.0, "")
        said = deployment.plan
        self.plan = _plan(said) if deployment.mode is Mode.CANARY else Plan()
        self._asked: Questions = questions(
            _targets(said),
            task=Task(said["task"]),
            baseline=self._past(),
            positive=said["positive"],
            maturity_s=self.plan.maturity_s,
            scores_are_probabilities=said["task"] != Task.REGRESSION,
        )
        self.watch = Watch(self._asked)
        self.pairs = Pairs(self._asked)
        self._truths = Truths(home, self._began, postgres=postgres)

    def feed(self, view: View, *, until: int) -> None:
        """Count what was served and told since the last look, up to the id `until`."""
        for version in (self.deployment.version, self.deployment.baseline):
            since = view.ready_since.get(version) if version is not None else None
            if (
                version is not None
                and since is not None
                and abs(self._started.get(version, 0.0) - since) > 1.0
            ):
                self._started[version] = since
                self.watch.worker_started(round(since * 1e6))
        canary = self.deployment.mode is Mode.CANARY
        for record in records.since(self._home, self._cursor, until=until, postgres=self._postgres):
            if canary:
                self.watch.served(record)
            else:
                self.pairs.served(record)
            self._truths.served(record)
        self._cursor = max(self._cursor, until)
        for record, said in self._truths.new(until=until):
            if canary:
                self.watch.told(record, said)
            else:
                self.pairs.told(record, said)

    def agreement(self) -> dict[str, Any]:
        return agreement.report(self.pairs, self._clock_us())

    def show(self, store: Store, number: int, latest: Mapping[str, Any], now: float) -> None:
        shown_at, verdict = self._shown
        if latest["verdict"] != verdict or now - shown_at >= _SHOWN_EVERY_S:
            self._shown = (now, str(latest["verdict"]))
            store.look(number, latest, said=f"{latest['verdict']}: {latest['reason']}")

    def _past(self) -> Baseline:
        began = ids.moment(self._began)
        found = Baseline()
        for past in _PASTS:
            counted = _Counted(
                records.since(self._home, ids.at(began - past), until=self._began, postgres=self._postgres)
            )
            found = baseline(counted)
            if counted.count >= _ENOUGH_PAST:
                break
        return found
