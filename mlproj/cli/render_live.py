"""How answers about live traffic look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlproj.cli.render import JSON_VERSION, line, style
from mlproj.serving.deployment import CANARY, KEPT, PRIMARY, SHADOW, state_of, when
from mlproj.serving.settings import TOKEN

if TYPE_CHECKING:
    from mlproj.flows.deploy import Deployed, Overview, Past
    from mlproj.serving.deployment import Deployment

_COLOURS = {"live": "green", "running": "cyan", "starting": "cyan", "rolled back": "red", "failed": "red"}


def deployed(result: Deployed) -> None:
    if result.deployment is None:
        line(f"{style('not deployed', 'red')}: a gate is closed")
        for check in result.refused:
            line(f"  {style('✗', 'red')} {check.name}: {check.reason}")
        hint = next((check.hint for check in result.refused if check.hint), "")
        line(f"\nnext: {hint}")
        line('or:   add `--force "why"` to deploy all the same, on the record')
        return
    made = result.deployment
    if result.decision is not None:
        line(f"deploying all the same is on the record: `{result.decision}`")
    engine = f", engine `{result.version.engine}`" if result.version else ""
    line(f"version {made.version} {_place(made)}{engine}, at {style(result.url, 'bold')}")
    if made.mode in ("full", "blue-green") and result.example is not None:
        body = json.dumps(result.example, ensure_ascii=False).replace("'", "'\\''")
        token = f' -H "Authorization: Bearer ${TOKEN}"' if result.wants_token else ""
        line(f"\ntry:  curl {result.url}/predict{token} -H 'Content-Type: application/json' -d '{body}'")
    line(f"\nnext: {_next(made)}")


def _place(made: Deployment) -> str:
    share = made.plan.get("shares") or [0]
    alone = "records what it would say, and nobody is told"
    return {
        "full": "is live",
        "blue-green": f"is live beside version {made.baseline}, to which `mlproj rollback` switches back",
        "shadow": "sees a copy of every request" if made.baseline else alone,
        "canary": f"answers {share[0]:.0%} of entities",
    }[made.mode]


def _next(made: Deployment) -> str:
    if made.mode == "shadow":
        return "run `mlproj deployments` to see how it agrees, then `mlproj deploy --mode canary`"
    if made.mode == "canary":
        return "run `mlproj deployments` to see how it does; it moves on, or rolls back, by itself"
    return "run `mlproj deployments` to see what is live, `mlproj serve --stop` to end it"


def promoted(made: Deployment) -> None:
    line(f"version {made.version} is live; `mlproj rollback` goes back to version {made.baseline}")


def rolled_back(left: Deployment) -> None:
    line(f"version {left.version} is off live traffic ({left.reason})")
    line("\nnext: run `mlproj deployments` to see what is live")


def retired(version: int, roles: tuple[str, ...]) -> None:
    was = f", which was {' and '.join(roles)}" if roles else ", which was being loaded"
    line(f"version {version}{was}, is off live traffic")
    if PRIMARY in roles:
        line("no version answers requests now: the gateway says 503")
        line("\nnext: run `mlproj deploy --mode full --version NUMBER`")


def overview(found: Overview, *, last: int | None) -> None:
    _live(found)
    shown = found.past if last is None else found.past[:last]
    if shown:
        line("\ndeployments")
    for past in shown:
        _past(past, state_of(past.deployment, found.routes.values()))
    if len(found.past) > len(shown):
        line(f"  and {len(found.past) - len(shown)} earlier; `mlproj deployments --all` shows them")


def _live(found: Overview) -> None:
    if not found.routes:
        line("nothing is live")
        line("\nnext: run `mlproj deploy --mode full`")
        return
    workers = found.processes["workers"] if found.processes else ()
    for role in (PRIMARY, CANARY, SHADOW, KEPT):
        route = found.routes.get(role)
        if route is None:
            continue
        of = [worker for worker in workers if worker["version"] == route.version]
        share = f", {route.share:.0%} of entities" if role == CANARY else ""
        line(f"  {role:<8} version {route.version}{share}{_process(of[0] if of else None)}")
    if found.processes is None:
        line("\nthe gateway is not running: `mlproj serve` or the next `mlproj deploy` starts it")
        return
    stats = found.processes["gateway"]["stats"]
    counted = f", {stats['requests']:,} requests since it started" if stats.get("requests") else ""
    line(f"\nat {found.processes['url']}{counted}")


def _process(worker: Mapping[str, Any] | None) -> str:
    if worker is None:
        return ""
    if not worker["ready"]:
        return f", {style('not ready', 'red')}: {worker['error'] or 'it is being loaded'}"
    again = f", started again {worker['restarts']} times" if worker["restarts"] else ""
    return f", engine `{worker['engine']}`{again}"


def _past(past: Past, state: str) -> None:
    made = past.deployment
    word = style("kept for a rollback" if state == KEPT else state, _COLOURS.get(state, "dim"))
    line(f"  {made.id}  {made.mode} of version {made.version}, by {made.by}: {word}")
    for event in past.events:
        by = f" ({event.by})" if event.by != "mlproj" else ""
        # The moment to the microsecond is for whoever reads the log again.
        said = event.said.partition(" ready at ")[0] + " ready" if event.kind == "worker" else event.said
        line(f"       {when(event.at_us)}  {event.kind}: {said}{by}")
    if made.latest and made.state == "running":
        line(f"       latest look: {made.latest.get('verdict')}: {made.latest.get('reason')}")
        for check in made.latest.get("checks") or ():
            # Some reasons begin with what they are about, to be read alone.
            reason = str(check.get("reason")).removeprefix(f"{check.get('name')}: ")
            line(f"         {check.get('name')}: {reason}")


def overview_json(found: Overview) -> dict[str, Any]:
    """The versioned shape of `mlproj deployments --json`."""
    return {
        "version": JSON_VERSION,
        "routes": [
            {
                "role": route.role,
                "version": route.version,
                "share": route.share,
                "deployment": route.deployment,
            }
            for route in found.routes.values()
        ],
        "processes": found.processes,
        "deployments": [
            _past_json(past, state_of(past.deployment, found.routes.values())) for past in found.past
        ],
    }


def _past_json(past: Past, state: str) -> dict[str, Any]:
    made = past.deployment
    return {
        "id": made.id,
        "mode": str(made.mode),
        "version": made.version,
        "baseline": made.baseline,
        "automation": made.automation,
        "defer_below": made.defer_below,
        "plan": dict(made.plan),
        "by": made.by,
        "started_us": made.started_us,
        "ended_us": made.ended_us,
        "state": state,
        "step": made.step,
        "reason": made.reason,
        "latest": made.latest,
        "events": [
            {"at_us": event.at_us, "by": event.by, "kind": event.kind, "said": event.said}
            for event in past.events
        ],
    }
