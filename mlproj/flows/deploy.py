"""Putting a version on live traffic, moving it on, taking it back, ending it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproj.base import clock, files, git
from mlproj.base.errors import ConfigError, MlprojError
from mlproj.decisions import store as notebook
from mlproj.decisions.record import Decision
from mlproj.flows import evidence as gathering
from mlproj.flows import serve, wheelhouse
from mlproj.lifecycle import deployment_gates
from mlproj.lifecycle.check import Check, Outcome, listed
from mlproj.lifecycle.evidence import Evidence
from mlproj.monitoring.questions import Baseline, Questions
from mlproj.project import Project
from mlproj.rollout import controller
from mlproj.rollout.expected import expected, shadow_labels
from mlproj.rollout.plan import Plan
from mlproj.scoping.scope import Automation
from mlproj.serving import admin, environments, ids, package, settings, versions
from mlproj.serving import store as opening
from mlproj.serving.deployment import KEPT, PRIMARY, Deployment, Event, Mode, Place, Route, State, Version
from mlproj.serving.package import Package
from mlproj.serving.store import Store

_LOAD_S = 180.0
_POLL_S = 0.05
_APPLY_S = 5.0
# A worker that has died is back within this, if it can be.
_TAKE_OVER_S = 15.0
# From telling the least to telling the most.
# How often a shadow may say something else, for a word on labels before it has said anything.
_DIFFER = 0.15
_DEGREES = (Automation.SHADOW, Automation.ASSIST, Automation.PARTIAL, Automation.FULL)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was typed. None where nothing was said, so that the candidate and the scoping document decide."""

    mode: Mode
    plan: Plan
    version: int | None = None
    automation: Automation | None = None
    defer_below: float | None = None
    host: str | None = None
    port: int | None = None
    maturity_s: float = 0.0
    force: str | None = None


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What came of it. `refused` are the gates that closed the way: nothing was changed then."""

    deployment: Deployment | None
    version: Version | None = None
    url: str = ""
    example: Mapping[str, Any] | None = None
    wants_token: bool = False
    refused: tuple[Check, ...] = ()
    decision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Past:
    """A deployment with its history."""

    deployment: Deployment
    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What is live, what has been, and what the processes say; `processes` is None where none runs."""

    routes: Mapping[str, Route]
    past: tuple[Past, ...]
    processes: Mapping[str, Any] | None


def deploy(project: Project, wish: Wish, *, by: str, say: Callable[[str], None]) -> Deployed:
    """Record what is wanted, see that a supervisor runs, and wait until the version answers.

    Raises ConfigError for what cannot be wanted, MlprojError if the version cannot be loaded.
    """
    serve.must_be_there(project, wish.host, wish.port)
    said = settings.load(project, host=wish.host, port=wish.port)
    evidence = gathering.gather(project)
    with opening.open(project.home, project.postgres) as store:
        number, folder = _choose(project, store, wish.version)
        found = package.load(folder)
        degree, defer_below = _degree(store, evidence, wish, say)
        closed = (*_closed(evidence, found, degree), *_unknown_inputs(project, store, found, wish.mode))
        if closed and wish.force is None:
            return Deployed(deployment=None, refused=closed)
        _must_defer(found, degree, defer_below)
        version = _add(project, store, number, folder, found, say)
        canary = wish.mode is Mode.CANARY
        seen = controller.past(project.home, ids.at(clock.now()), postgres=said.postgres) if canary else None
        pins = controller.pinned(
            replace(wish.plan, shares=wish.plan.shares if canary else (1.0,)),
            evidence.document.scope.targets if evidence.document.scope else (),
            task=found.task,
            positive=None if found.outputs.positive is None else str(found.outputs.positive),
            maturity_s=wish.maturity_s,
            before=seen,
        )
        if store.active() is None:
            _tell_needs(wish, controller.asked(pins, seen or Baseline()), seen, say)
        running = serve.ensure(project, said, say=say)
        settings.remember(project, host=wish.host, port=wish.port)
        deployment = store.begin(
            mode=wish.mode,
            version=number,
            automation=degree,
            defer_below=defer_below,
            plan={**pins, "package": version.digest},
            by=by,
        )
        record = _forced(project, deployment, closed, wish.force) if closed and wish.force else None
        deployment = _wait(project, store, deployment, say)
        return Deployed(
            deployment=deployment,
            version=version,
            url=str(running["url"]),
            example=found.example,
            wants_token=said.token is not None,
            decision=project.relative(record) if record else None,
        )


def promote(project: Project, *, by: str) -> Deployment:
    """Make the newcomer the primary now, whatever its analysis says so far.

    Raises ConfigError where there is none, MlprojError if it is the primary now and does not answer.
    """
    with opening.open(project.home, project.postgres) as store:
        active = store.active()
        if active is None:
            raise ConfigError(
                "no rollout is under way, so there is nothing to promote",
                hint="run `mlproj deploy --mode shadow`, `canary` or `blue-green` first",
            )
        store.promote(active.id, by, "promoted by hand")
        _settle(project, primary=active.version)
        return store.deployment(active.id)


def roll_back(project: Project, *, by: str, why: str, say: Callable[[str], None]) -> Deployment:
    """Take the newcomer off; with none, go back to the version that was live before.

    One that is kept loaded takes over at once; an earlier one is loaded first, and takes over then.
    Raises ConfigError where there is nothing to go back to, MlprojError if that version does not answer.
    """
    with opening.open(project.home, project.postgres) as store:
        routes = store.routes()
        if store.active() is None and PRIMARY in routes and KEPT not in routes:
            before = _before(store, routes[PRIMARY].version)
            if before is not None:
                return _go_back(project, store, before, routes[PRIMARY].deployment, by=by, why=why, say=say)
        left = store.roll_back(by, why)
        now = store.routes().get(PRIMARY)
        changed = now is not None and now != routes.get(PRIMARY)
        _settle(project, primary=now.version if now is not None and changed else None)
        return left


def _before(store: Store, version: int) -> Deployment | None:
    """The last deployment of another version that was live and can be loaded again.

    A version that was rolled back or retired when it was live last is none to go back to.
    """
    seen = {version}
    for past in store.were_live():
        if past.version in seen:
            continue
        seen.add(past.version)
        known = store.version(past.version)
        if past.state is State.REPLACED and known is not None and store.has_package(known):
            return past
    return None


def _go_back(
    project: Project,
    store: Store,
    before: Deployment,
    leaving: int,
    *,
    by: str,
    why: str,
    say: Callable[[str], None],
) -> Deployment:
    serve.ensure(project, settings.load(project), say=say)
    known = store.version(before.version)
    began = store.begin(
        mode=Mode.FULL,
        version=before.version,
        automation=before.automation,
        defer_below=before.defer_below,
        plan={**before.plan, "package": known.digest if known is not None else None},
        by=by,
        back=why,
    )
    _wait(project, store, began, say)
    return store.deployment(leaving)


def retire(project: Project, version: int, *, by: str) -> tuple[str, ...]:
    """Take a version off live traffic for good; returns the roles it had."""
    with opening.open(project.home, project.postgres) as store:
        roles = store.retire(version, by)
        _settle(project)
        return roles


def overview(project: Project) -> Overview:
    """What is live and what has been, the newest first."""
    if project.postgres is None and not (project.home / "serving.db").exists():
        return Overview(routes={}, past=(), processes=None)
    with opening.open(project.home, project.postgres) as store:
        past = tuple(Past(deployment=each, events=store.events(each.id)) for each in store.deployments())
        return Overview(routes=store.routes(), past=past, processes=admin.ask(project.home, "ping"))


def _choose(project: Project, store: Store, asked: int | None) -> tuple[int, Path]:
    """The version and where its package is: the candidate's in the repository, or one deployed before."""
    registered = files.read_json(project.root / "models" / "registered.json")
    here = project.root / "models" / "package"
    candidate = int(registered["version"]) if isinstance(registered, dict) else None
    number = asked if asked is not None else candidate
    if number is None:
        raise ConfigError("no version is registered yet", hint="run `mlproj stage modeling`")
    if number == candidate and isinstance(registered, dict):
        if not (here / "package.json").is_file():
            known = store.version(number)
            if known is not None and store.has_package(known):
                return number, versions.fetch(store, project.home, known)
            raise ConfigError(f"version {number} is not packaged yet", hint="run `mlproj stage deployment`")
        made_from = package.load(here).run_id
        if made_from == registered["run_id"]:
            return number, here
        known = store.version(number)
        if known is None:
            raise ConfigError(
                f"`models/package` was made from run {made_from[:8]}, and version {number} is run "
                f"{str(registered['run_id'])[:8]}",
                hint="run `mlproj stage deployment`",
            )
    known = store.version(number)
    if known is None:
        names = sorted({*(each.number for each in store.versions()), *([candidate] if candidate else [])})
        raise ConfigError(
            f"version {number} has not been packaged on this machine; these have: "
            f"{', '.join(map(str, names)) or 'none'}",
            hint="check its run out (`git checkout mlproj/run/RUN`, `dvc pull`), then deploy from there",
        )
    return number, versions.fetch(store, project.home, known)


def _degree(
    store: Store, evidence: Evidence, wish: Wish, say: Callable[[str], None]
) -> tuple[Automation, float | None]:
    """What callers are to be told, and below which confidence a person decides.

    Unless said, as of what is live, so that nobody is told more by a newcomer than before without anybody
    having wanted that; at most what the scoping document promises.
    """
    if wish.automation is not None:
        return wish.automation, wish.defer_below
    promised = _promised(evidence) or Automation.FULL
    primary = store.routes().get(PRIMARY)
    if primary is None:
        return promised, wish.defer_below
    live = store.deployment(primary.deployment)
    degree = Automation(live.automation)
    if _DEGREES.index(degree) > _DEGREES.index(promised):
        return promised, wish.defer_below
    if degree is not promised:
        say(f"its automation is `{degree}`, as of what is live; for more, say `--automation {promised}`")
    partial = degree is Automation.PARTIAL and wish.defer_below is None
    return degree, live.defer_below if partial else wish.defer_below


def _promised(evidence: Evidence) -> Automation | None:
    return evidence.document.scope.automation if evidence.document.scope else None


def _closed(evidence: Evidence, found: Package, degree: Automation) -> tuple[Check, ...]:
    """What stands against it. A version that has been packaged before was judged then, but for what is to be
    told of it now."""
    closed = []
    if evidence.package is not None and evidence.package.get("run_id") == found.run_id:
        checks = [check for check in deployment_gates.before_traffic(evidence) if not check.passed]
        # An unknown gate (a metric that only live traffic can tell) is no reason to keep traffic away.
        closed += [check for check in checks if check.outcome is Outcome.FAIL]
    promised = _promised(evidence)
    if promised is not None and _DEGREES.index(degree) > _DEGREES.index(promised):
        closed.append(
            Check(
                name="automation",
                outcome=Outcome.FAIL,
                reason=f"`{degree}` is more than the scoping document promises, which is `{promised}`",
                hint=f"edit `automation` in `{evidence.document_path}`, or deploy with less",
            )
        )
    return tuple(closed)


def _unknown_inputs(project: Project, store: Store, found: Package, mode: Mode) -> tuple[Check, ...]:
    """A field that the version takes and the one that is live refuses: no client can send what both want."""
    primary = store.routes().get(PRIMARY)
    before = store.version(primary.version) if primary is not None else None
    if before is None or mode is Mode.SHADOW:
        return ()
    live = package.load(versions.fetch(store, project.home, before))
    known = {*(each.name for each in live.inputs), *live.ignored}
    names = [each.name for each in found.inputs if each.name not in known]
    if not names:
        return ()
    said = f"it wants {listed([f'`{name}`' for name in names])}, which version {before.number} refuses"
    hint = "list the field under `features.drop`, package that and deploy it, let clients send it, then this"
    return (Check(name="inputs", outcome=Outcome.FAIL, reason=said, hint=hint),)


def _must_defer(found: Package, degree: Automation, defer_below: float | None) -> None:
    """Raises ConfigError unless a confidence below which a person decides goes with the degree."""
    if degree is Automation.PARTIAL and defer_below is None:
        raise ConfigError(
            "`partial` automation leaves unsure answers to a person, and nothing says below which confidence",
            hint="say it: `--defer-below 0.8`",
        )
    if defer_below is not None:
        if degree is not Automation.PARTIAL:
            raise ConfigError(
                f"`--defer-below` needs `--automation partial`, and this is `{degree}`",
                hint="add `--automation partial`, or leave `--defer-below` out",
            )
        if found.task == "regression":
            raise ConfigError(
                "a model that predicts a number gives no confidence, so nothing can be deferred by it",
                hint="deploy with `--automation assist`: a person then sees every answer",
            )
        if not 0 < defer_below <= 1:
            raise ConfigError(
                f"`--defer-below {defer_below:g}` is not between 0 and 1",
                hint="a confidence is a probability",
            )


def _add(
    project: Project, store: Store, number: int, folder: Path, found: Package, say: Callable[[str], None]
) -> Version:
    """A copy of the package outside the work tree, and the environment it runs in."""
    digest = package.digest(folder)
    python = environments.python_for(
        project, serve.wanted(project, folder), say=say, house=wheelhouse.house(project)
    )
    kept = versions.keep(project.home, number, folder)
    version = Version(
        number=number,
        run=found.run_id,
        digest=digest,
        engine=found.engine,
        added_us=time.time_ns() // 1000,
    )
    content = versions.pack(kept) if store.is_shared else None
    store.add_version(
        version, Place(version=number, digest=digest, folder=kept, python=python), content=content
    )
    return version


def _tell_needs(wish: Wish, asked: Questions, seen: Baseline | None, say: Callable[[str], None]) -> None:
    """Say before anything starts what a decision is expected to take, at the traffic of the last hours."""
    plan = wish.plan
    if seen is not None:
        found = expected(plan, asked, seen, label_share=1.0 if plan.rules.labels else 0.0)
        say("what the first step is expected to take:")
        for need in (*found.advance, *found.roll_back, *found.labels):
            say(f"  {need.sentence}")
    elif wish.mode is Mode.SHADOW and any(loss.is_share for loss in asked.losses):
        margin = plan.rules.share_margin
        labels = shadow_labels(_DIFFER, margin, alpha=plan.rules.alpha)
        if labels is not None:
            say(
                f"one that answers {_DIFFER:.0%} of the rows otherwise, and {margin:.0%} more of them wrong,"
                f" is expected to be known as worse after about {labels:,} labelled rows"
            )


def _wait(project: Project, store: Store, began: Deployment, say: Callable[[str], None]) -> Deployment:
    say(f"loading version {began.version}")
    admin.ask(project.home, "poke")
    deadline = time.monotonic() + _LOAD_S
    while time.monotonic() < deadline:
        deployment = store.deployment(began.id)
        if deployment.state is State.FAILED:
            raise MlprojError(
                f"version {deployment.version} could not be loaded, and got no request: {deployment.reason}",
                hint=f"look at `{project.home / 'supervisor.log'}`",
            )
        running = admin.ask(project.home, "ping")
        if running is None:
            raise MlprojError(
                "the supervisor has ended while the version was loading",
                hint=f"look at `{project.home / 'supervisor.log'}`; `mlproj serve` goes on where it stood",
            )
        if deployment.ended_us is not None:
            raise MlprojError(
                f"version {deployment.version} is not live: {deployment.state} while it was loading "
                f"({deployment.reason})",
                hint="run `mlproj deployments` to see who did that",
            )
        if deployment.state is not State.STARTING and running["gateway"]["ready"]:
            return deployment
        time.sleep(_POLL_S)
    raise MlprojError(
        f"version {began.version} was not ready within {_LOAD_S:.0f} s; it goes on loading",
        hint="run `mlproj deployments` to see, or `mlproj rollback` to give it up",
    )


def _settle(project: Project, *, primary: int | None = None) -> None:
    """Wait until the gateway has applied what was just recorded, where one runs.

    Raises MlprojError if requests do not go to `primary` then, the version that was just made it.
    """
    admin.ask(project.home, "poke")
    deadline = time.monotonic() + (_APPLY_S if primary is None else _TAKE_OVER_S)
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        running = admin.ask(project.home, "ping")
        if running is None:
            return
        applied = running["gateway"]["ready"]
        if applied and primary in (None, running["in_force"].get(PRIMARY)):
            return
    if primary is None or running is None:
        return
    errors = [each["error"] for each in running["workers"] if each["version"] == primary and each["error"]]
    answers = running["in_force"].get(PRIMARY)
    raise MlprojError(
        f"version {primary} is the primary now, but does not answer yet"
        f"{f': {errors[0]}' if errors else ''}; "
        + (f"version {answers} goes on until it does" if answers else "requests get 503 until it does"),
        hint=f"look at `{project.home / 'supervisor.log'}`, or run `mlproj deployments`",
    )


def _forced(project: Project, deployment: Deployment, closed: tuple[Check, ...], reason: str) -> Path:
    shown = "\n".join(f"- {check.name}: {check.reason}" for check in closed)
    return notebook.add(
        project.decisions,
        Decision(
            title=f"Deploy version {deployment.version} against its gates",
            on=clock.today(),
            why=reason,
            kind="forced",
            commit=git.head(project.root),
            run=None,
        ),
        evidence=f"These gates were closed:\n\n{shown}",
    )
