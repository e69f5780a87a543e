"""Steps rollouts: reads what was served, asks the analysis, records what follows from its answer.

What a rollout is judged by is fixed when it begins and kept with it, so that an edited scoping document or a
moved alias changes no judgement under way; so is when workers started, among the deployment's events. Nothing
else is kept: after a restart the log is read again, some of it at each look.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproj.monitoring import records
from mlproj.monitoring.news import News
from mlproj.monitoring.pairs import Health, Pairs
from mlproj.monitoring.questions import Baseline, Questions, questions
from mlproj.monitoring.watch import Watch, baseline
from mlproj.rollout import agreement
from mlproj.rollout.agreement import Agreement, Closeness, Report
from mlproj.rollout.analysis import judge
from mlproj.rollout.plan import Plan
from mlproj.rollout.verdict import Analysis, Check, Progress, Rules, Verdict
from mlproj.rollout.words import percent
from mlproj.scoping.scope import Direction, Split, Target, TargetKind, Task
from mlproj.serving import ids
from mlproj.serving import store as opening
from mlproj.serving.deployment import Deployment, Event, Mode, State
from mlproj.serving.record import Record, Role
from mlproj.serving.store import Store
from mlproj.serving.supervisor import View

if TYPE_CHECKING:
    from mlproj.serving.postgres import Election

# A look that says nothing new is written this often, so that people can see that it goes on.
_SHOWN_EVERY_S = 5.0
# What was served before the rollout is asked for the usual latency and scores, the nearest past first.
_PASTS = (timedelta(minutes=15), timedelta(days=1), timedelta(days=7))
_ENOUGH_PAST = 1000
# What one look reads at most, a second or a few of work: the next may be the one that has to act.
_MOST_ROWS = 50_000
# Kinds of flips that are kept of a look, the most frequent first; many classes have very many.
_MOST_FLIPS = 50
_WORKER = "worker"


def pinned(
    plan: Plan,
    targets: Iterable[Target],
    *,
    task: str,
    positive: str | None,
    maturity_s: float,
    before: Baseline | None = None,
) -> dict[str, Any]:
    """What is kept with a deployment, as JSON: the steps, the rules, what is promised, and how the primary
    did `before`, where it is compared with that."""
    return {
        "baseline": None if before is None else asdict(before),
        "shares": list(plan.shares),
        "rules": asdict(plan.rules),
        "maturity_s": maturity_s,
        "targets": [asdict(target) for target in targets],
        "task": task,
        "positive": positive,
    }


def asked(said: Mapping[str, Any], before: Baseline) -> Questions:
    """What a rollout has to watch, from what was pinned and from how the primary did before."""
    return questions(
        _targets(said),
        task=Task(said["task"]),
        baseline=before,
        positive=said["positive"],
        maturity_s=float(said["maturity_s"]),
        scores_are_probabilities=said["task"] != Task.REGRESSION,
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
        self._election: Election | None = None
        if postgres is not None:
            from mlproj.serving.postgres import Election

            self._election = Election(postgres, "controller")

    def look(self, view: View) -> None:
        """Judge the rollout under way, if any, and act on it; of several machines, the elected one does."""
        if self._election is not None and not self._election.won():
            self._rollout = None
            return
        with opening.open(self._home, self._postgres) as store:
            active = store.active()
            if active is None or active.state is not State.RUNNING:
                self._rollout = None
                return
            if self._rollout is None or self._rollout.deployment.id != active.id:
                self._rollout = _Rollout(active, self._home, self._postgres, store.events(active.id))
            now = self._clock()
            view = _everywhere(store, active, view)
            self._rollout.note(store, view, now)
            whole = self._rollout.feed(until_us=round(now * 1e6), lag_us=round(self._lag_s * 1e6))
            if active.mode is Mode.CANARY:
                self._canary(store, active, self._rollout, now, whole=whole)
            elif not whole:
                self._rollout.show(store, self._rollout.reading(round(now * 1e6)), now)
            else:
                latest = _agreement(self._rollout.pairs, self._rollout.plan.rules, round(now * 1e6))
                if latest is not None:
                    self._rollout.show(store, latest, now)

    def _canary(
        self, store: Store, active: Deployment, rollout: _Rollout, now: float, *, whole: bool
    ) -> None:
        """Act on what has been read. Before it is the `whole`, that may be evidence against the canary, which
        is valid at any time, and not for it: what was read may be of an earlier step."""
        plan = rollout.plan
        progress = Progress(
            step_began_us=active.step_us,
            deployment_began_us=active.started_us,
            last_step=plan.is_last(active.step),
            restarts=rollout.restarts(active.version),
            primary_restarts=rollout.restarts(active.baseline),
        )
        now_us = round(now * 1e6)
        read_us = now_us if whole else rollout.read_us
        analysis = judge(rollout.watch.look(read_us), plan.rules, progress, now_us)
        going_back = analysis.verdict is Verdict.ROLL_BACK
        rollout.show(
            store, _latest(analysis, now_us) if whole or going_back else rollout.reading(now_us), now
        )
        if going_back:
            store.roll_back("mlproj", analysis.reason, number=active.id)
        elif not whole:
            return
        elif analysis.verdict is Verdict.ADVANCE and plan.is_last(active.step):
            store.promote(active.id, "mlproj", analysis.reason)
        elif analysis.verdict is Verdict.ADVANCE:
            following = active.step + 1
            store.step(active.id, following, plan.shares[following], analysis.reason)


class _Rollout:
    """What has been read of one deployment so far."""

    def __init__(
        self, deployment: Deployment, home: Path, postgres: str | None, events: Iterable[Event]
    ) -> None:
        self.deployment = deployment
        self._source = records.reader(home, postgres=postgres)
        # Earlier steps are judged with the later ones, so all of them are read.
        self._began = ids.at(_moment(deployment.started_us))
        self._log = records.Reading(self._source, self._began, self._began)
        # By version: when its worker started last (Unix time in seconds), how often it has been restarted,
        # and when those restarts were seen that are recent.
        self._started: dict[int, float] = {}
        self._counted: dict[int, int] = {}
        self._restarted: dict[int, deque[float]] = {}
        self._shown = (0.0, "")
        said = deployment.plan
        self.plan = Plan(shares=tuple(said.get("shares") or ()), rules=Rules(**said["rules"]))
        watched = asked(said, self._before(said, home, postgres))
        self.watch, self.pairs = Watch(watched), Pairs(watched)
        self._news = News(home, self._began, postgres=postgres)
        for event in events:
            if event.kind == _WORKER:
                version, at = event.said.removeprefix("version ").split(" ready at ")
                self._start(int(version), datetime.fromisoformat(at).timestamp())

    def _before(self, said: Mapping[str, Any], home: Path, postgres: str | None) -> Baseline:
        """How the primary did before, as pinned; a deployment of an earlier mlproj has no pin."""
        kept = said.get("baseline")
        if kept is not None:
            return Baseline(**{**kept, "score_edges": tuple(kept["score_edges"])})
        # A shadow is compared with the primary on the same requests, and with nothing of before.
        return past(home, self._began, postgres=postgres) if self.is_canary else Baseline()

    @property
    def is_canary(self) -> bool:
        return self.deployment.mode is Mode.CANARY

    @property
    def read_us(self) -> int:
        """Up to when the log has been read, in microseconds since 1970."""
        return round(ids.moment(self._log.at).timestamp() * 1e6)

    def reading(self, now_us: int) -> dict[str, Any]:
        """A look before the log has been read to its end, as it is kept."""
        upto = f"{ids.moment(self._log.at):%Y-%m-%d %H:%M} UTC"
        return {
            "at_us": now_us,
            "verdict": str(Verdict.HOLD),
            "reason": f"what was served is being read, up to {upto} so far",
            "checks": [],
        }

    def restarts(self, version: int | None) -> int:
        """How often a version's worker was restarted within the rules' time, as seen from here."""
        return len(self._restarted.get(version, ())) if version is not None else 0

    def note(self, store: Store, view: View, now: float) -> None:
        """Take in how the workers of both versions do; a start is kept, so that a log read again knows it."""
        for version in (self.deployment.version, self.deployment.baseline):
            if version is None:
                continue
            since = view.ready_since.get(version)
            if since is not None and since - self._started.get(version, 0.0) > 1.0:
                self._start(version, since)
                at = datetime.fromtimestamp(since, UTC).isoformat(timespec="microseconds")
                store.note(self.deployment.id, _WORKER, f"version {version} ready at {at}")
            count = view.restarts.get(version, 0)
            recent = self._restarted.setdefault(version, deque())
            # What had been before this rollout was looked at is nothing against it.
            recent.extend([now] * (count - self._counted.get(version, count)))
            self._counted[version] = count
            while recent and recent[0] <= now - self.plan.rules.restarts_within_s:
                recent.popleft()

    def _start(self, version: int, since: float) -> None:
        self._started[version] = since
        self.watch.worker_started(round(since * 1e6))

    def feed(self, *, until_us: int, lag_us: int) -> bool:
        """Count what was served and told since the last look, but not what may still come: the last
        `lag_us`, and what machines have not shipped yet. False where there is more to read than one look
        may take; the next goes on from there."""
        lag = ids.at_us(ids.EPOCH_MS * 1000 + lag_us)
        until = min(ids.at_us(until_us), self._source.reached()) - lag
        if until <= self._log.at:
            return True
        self._log.until = until
        for record in self._log.some(_MOST_ROWS):
            (self.watch if self.is_canary else self.pairs).served(record)
            self._news.served(record)
        for record, one in self._news.new(until=self._log.at):
            (self.watch if self.is_canary else self.pairs).told(record, one)
        return self._log.is_done

    def show(self, store: Store, latest: Mapping[str, Any], now: float) -> None:
        """Keep the look for people to see, where it says something new or the last is old."""
        shown_at, verdict = self._shown
        if latest["verdict"] != verdict or now - shown_at >= _SHOWN_EVERY_S:
            self._shown = (now, str(latest["verdict"]))
            said = f"{latest['verdict']}: {latest['reason']}"
            store.look(self.deployment.id, latest, said=said)


def _everywhere(store: Store, active: Deployment, view: View) -> View:
    """How the workers of a rollout do, on all machines."""
    if not store.is_shared:
        return view
    found = {
        number: store.workers(number) for number in (active.version, active.baseline) if number is not None
    }
    return View(
        ready_since={number: since for number, (since, _) in found.items() if since},
        restarts={number: restarts for number, (_, restarts) in found.items()},
    )


def past(home: Path, until: int, *, postgres: str | None = None) -> Baseline:
    """How the primary did before the id `until`: the nearest past that has enough of it."""
    began, found = ids.moment(until), Baseline()
    for span in _PASTS:
        seen = 0

        def primaries(since: int) -> Iterator[Record]:
            nonlocal seen
            for record in records.since(home, since, until=until, postgres=postgres):
                if record.role == Role.PRIMARY:
                    seen += 1
                    yield record

        found = baseline(primaries(ids.at(began - span)))
        if seen >= _ENOUGH_PAST:
            break
    return found


def _latest(analysis: Analysis, now_us: int) -> dict[str, Any]:
    """A look at a canary, as it is kept."""
    person = ", a person decides" if analysis.needs_person else ""
    return {
        "at_us": now_us,
        "verdict": f"{analysis.verdict}{person}",
        "reason": analysis.reason,
        "checks": [_check(check) for check in analysis.checks],
    }


def _agreement(pairs: Pairs, rules: Rules, now_us: int) -> dict[str, Any] | None:
    """A look at a shadow, of which people make what they will. None before anything was asked of it."""
    looked = pairs.look()
    models, health = agreement.report(looked, rules), looked.health
    people = agreement.report(pairs.people(), rules)
    reports = {"the primary": models, "people": people}
    told = {beside: found for beside, found in reports.items() if found.overall.pairs}
    sentences = [f"with {beside}, {found.overall.sentence}" for beside, found in told.items()]
    if health.failed:
        sentences.append(f"{health.failed:,} of the {health.asked:,} requests that it took it failed at")
    if models.missing:
        sentences.append(f"{models.missing:,} copies got no answer ({percent(models.lost)})")
    if not sentences:
        return None
    notes = [group.sentence for found in told.values() for group in found.slices]
    return {
        "at_us": now_us,
        "verdict": "watching",
        "reason": "; ".join(sentences),
        "checks": [_check(check) for check in models.checks]
        + [{"name": "latency", "result": "note", "reason": said} for said in _latency(health)]
        + [{"name": "slice", "result": "note", "reason": said} for said in notes],
        "agreement": {beside: _report(found) for beside, found in told.items()},
        "health": asdict(health),
    }


def _latency(health: Health) -> Iterator[str]:
    if health.p95_ms is not None and health.primary_p95_ms is not None:
        yield f"p95 {health.p95_ms:.3g} ms; the primary, of the same requests, {health.primary_p95_ms:.3g} ms"


def _report(found: Report) -> dict[str, Any]:
    return {"missing": found.missing, "groups": [_group(each) for each in (found.overall, *found.slices)]}


def _group(group: Agreement | Closeness) -> dict[str, Any]:
    place = {"slice": group.slice, "level": group.level, "pairs": group.pairs}
    if isinstance(group, Closeness):
        return {**place, "apart": group.apart, "largest": group.largest, "more": asdict(group.more)}
    return {
        **place,
        "agree": asdict(group.share),
        "kappa": asdict(group.kappa),
        "flipped": [list(flip) for flip in group.flipped[:_MOST_FLIPS]],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "result": str(check.result),
        "reason": check.reason,
        # Evidence may be infinite, which is no JSON.
        "numbers": {name: value for name, value in check.numbers.items() if math.isfinite(value)},
    }


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, UTC)
