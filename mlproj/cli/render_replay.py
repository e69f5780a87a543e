"""How a replay looks, for people and for scripts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlproj.cli import render_breaks
from mlproj.cli.render import JSON_VERSION, line, style
from mlproj.provenance.agreement import Answer, Grade, Verdict
from mlproj.provenance.replay import ANSWERED, ORIGINAL, Again, Replay, Replayed, Setting
from mlproj.provenance.things import listed, plural
from mlproj.provenance.trace import moment

if TYPE_CHECKING:
    from mlproj.flows.drill import Drill
    from mlproj.flows.wheels import Stock

_MOST_SHOWN = 20
_COLOURS = {
    Verdict.IDENTICAL: "green",
    Verdict.TOLERATED: "green",
    Verdict.DECIDED: "yellow",
    Verdict.DIFFERENT: "red",
}


def show(found: Replay) -> None:
    """The verdict first, then what it was reached in, then what is broken."""
    if len(found.predictions) == 1:
        _one(found, found.predictions[0])
    elif found.predictions:
        _many(found)
    else:
        line(f"{style('nothing was replayed', 'bold')}: {found.subject}")
    for setting in found.settings:
        _setting(setting, found)
    if found.today is not None:
        said = _said(found.today.answer) if found.today.answer is not None else found.today.said
        line(f"today, version {found.today.version} (run {found.today.run[:8]}) says: {said}")
    for note in found.notes:
        line(f"note: {note}")
    if found.left:
        line(style(f"{plural(found.left, 'prediction')} could not be replayed", "red"))
    render_breaks.show(found.breaks)


def as_json(found: Replay) -> dict[str, Any]:
    """The versioned shape of `mlproj replay --json`; docs/concepts/replay.md has its keys."""
    said = dataclasses.asdict(found)
    del said["predictions"]
    return {
        "version": JSON_VERSION,
        **said,
        "holds": found.holds,
        "replayed": len(found.predictions),
        "engines": {name: dataclasses.asdict(tally) for name, tally in found.tallies.items()},
        "different": [prediction_json(each) for each in found.different],
        "prediction": prediction_json(found.predictions[0]) if len(found.predictions) == 1 else None,
    }


def prediction_json(each: Replayed) -> dict[str, Any]:
    return {**dataclasses.asdict(each), "verdict": each.verdict, "difference": each.difference}


def stocks(found: tuple[Stock, ...]) -> None:
    """A line for the wheels of each lock file."""
    for each in found:
        lock = f"`{each.lock}` {(each.lock_sha256 or '')[:12]}" if each.lock else "no lock file"
        numbers = listed([str(number) for number in each.versions], most=8)
        state = style(each.state, "green" if each.is_fine else "red")
        line(f"{lock} (version {numbers}): {state}; {each.said}")
    if not found:
        line("nothing was ever deployed, so there are no wheels to keep")


def drills(past: tuple[Drill, ...], made: Drill | None) -> None:
    """The drill just made, and how often drills have succeeded so far."""
    if made is not None:
        word = style("passed", "green") if made.passes else style("failed", "red")
        line(f"{style('drill', 'bold')} {word} in {made.seconds:.1f} s (seed {made.seed})")
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in made.verdicts.items() if count)
        line(f"  {made.agreed:,} of {plural(made.asked, 'prediction')} agreed: {counts or 'none replayed'}")
        for different in made.different[:_MOST_SHOWN]:
            line(f"  DIFFERENT: {different}; `mlproj replay {different}` tells more")
        if made.rebuilt is not None:
            line(f"  run {made.rebuilt.run[:8]}: {made.rebuilt.level or 'nothing to compare'}")
        for lack in (*made.lacks, *(made.rebuilt.lacks if made.rebuilt else ())):
            line(f"  {style('✗', 'red')} {lack}")
    if not past:
        line("there was no drill yet: run `mlproj drill`")
        return
    line(f"\n{'when':<21} {'predictions agreed':>22}  {'run rebuilt':<28} {'by'}")
    for each in past[-_MOST_SHOWN:]:
        mark, colour = ("✓", "green") if each.passes else ("✗", "red")
        rebuilt = "-"
        if each.rebuilt is not None:
            rebuilt = f"{each.rebuilt.run[:8]} {each.rebuilt.level or 'not compared'}"
        agreed = f"{each.agreed:,} of {each.asked:,}"
        line(f"{style(mark, colour)} {each.at:<20} {agreed:>21}  {rebuilt:<28} {each.by}")
    said = rate(past)
    line(f"\n{said['passed']:,} of {plural(said['drills'], 'drill')} passed ({said['rate']:.1%})")


def rate(past: tuple[Drill, ...]) -> dict[str, Any]:
    passed = sum(each.passes for each in past)
    return {"drills": len(past), "passed": passed, "rate": passed / len(past) if past else None}


def drills_json(past: tuple[Drill, ...]) -> dict[str, Any]:
    """The versioned shape of `mlproj drill --json`; docs/concepts/replay.md has its keys."""
    found = [{**dataclasses.asdict(each), "passes": each.passes} for each in past]
    return {"version": JSON_VERSION, **rate(past), "past": found}


def _one(found: Replay, each: Replayed) -> None:
    verdict = style(each.verdict, _COLOURS[each.verdict])
    line(f"{style(f'prediction {each.id} of {found.project}', 'bold')}: {verdict}")
    line(
        f"answered at {moment(each.arrived)} by version {each.version} as {each.role}, engine {each.engine}: "
        f"{_said(each.answered)}"
    )
    for again in each.again:
        line(f"again, engine {again.engine}: {_told(again)}")


def _told(again: Again) -> str:
    found = again.agreement
    words = [str(found.verdict)]
    if found.difference:
        words.append(f"{found.difference:.3g} apart")
    if found.said:
        words.append(found.said)
    if again.answer is not None and not found.verdict.agrees:
        words.append(_said(again.answer))
    return "; ".join(words)


def _said(answer: Answer) -> str:
    shown = answer.prediction if isinstance(answer.prediction, str) else json.dumps(answer.prediction)
    if answer.probabilities:
        shown += f", confidence {max(answer.probabilities.values()):.6g}"
    if answer.decision is not None and answer.decision != answer.prediction:
        shown += f"; decision: {answer.decision}"
    return shown


def _many(found: Replay) -> None:
    count = f"{len(found.predictions):,} of {plural(found.served, 'answer')} replayed"
    line(f"{style(count, 'bold')}, {found.subject} (seed {found.seed}), in {found.seconds:.1f} s")
    if found.aside:
        aside = " and ".join(f"{number:,} {word}" for word, number in sorted(found.aside.items()))
        line(f"aside: {aside}; attempts without an answer are not replayed")
    heads = ((ANSWERED, "engine that answered"), (ORIGINAL, "original"))
    shown = [(found.tallies[name], head) for name, head in heads if name in found.tallies]
    line(f"  {'':<24}{''.join(f'{head:>22}' for _, head in shown)}")
    for verdict in Verdict:
        numbers = [tally.verdicts[verdict] for tally, _ in shown]
        text = f"  {verdict:<24}{''.join(f'{number:>22,}' for number in numbers)}"
        line(style(text, _COLOURS[verdict] if any(numbers) else "dim"))
    sizes = "".join(f"{_size(tally.largest_difference):>22}" for tally, _ in shown)
    line(f"  {'largest difference':<24}{sizes}")
    different = found.different
    if different:
        line(
            style(
                f"{plural(len(different), 'prediction')} {_differ(len(different))}, the worst first:", "red"
            )
        )
    for each in different[:_MOST_SHOWN]:
        worst = next(again for again in each.again if again.agreement.verdict is each.verdict)
        line(f"  {each.id}  version {each.version}, engine {worst.engine}: {_told(worst)}")
    if len(different) > _MOST_SHOWN:
        line(f"  and {len(different) - _MOST_SHOWN:,} more; `--json` has all")


def _size(difference: float | None) -> str:
    return "none measured" if difference is None else f"{difference:.3g}"


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"


def _setting(setting: Setting, found: Replay) -> None:
    line(f"version {setting.version} (run {setting.run[:8]}, {plural(setting.count, 'prediction')})")
    for text in _facts(setting):
        line(f"  {text}")
    if setting.suspects:
        line(f"  {style('look here first', 'yellow')}:")
    for suspect in setting.suspects:
        line(f"    {suspect}")


def _facts(setting: Setting) -> Iterator[str]:
    if setting.package is None:
        yield "package: lost"
    else:
        same = setting.package == setting.deployed
        which = "the one deployed" if same else "no digest was recorded at its deployment"
        if setting.deployed is not None and not same:
            which = f"NOT the one deployed, which was {setting.deployed[:12]}"
        yield f"package {setting.package[:12]}: {which} ({setting.package_from})"
    facts = [f"environment: {setting.grade}"]
    if setting.grade is not Grade.UNAVAILABLE:
        facts += [f"`{setting.lock}`" if setting.lock else "no lock file", f"Python {setting.python}"]
        facts += setting.differs
    yield "; ".join(facts)
    if setting.wheels:
        yield f"wheels: {setting.wheels}"
    if setting.unrecorded and setting.grade is not Grade.UNAVAILABLE:
        yield f"not recorded, so not compared: {', '.join(setting.unrecorded)}"
