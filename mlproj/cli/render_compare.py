"""How a comparison of two runs looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlproj.cli.render import line, style

if TYPE_CHECKING:
    from mlproj.flows.compare import Comparison, DataDifference, Difference, Measure
    from mlproj.flows.past import PastRun
    from mlproj.provenance.flips import Flip, Flips, Group, Tally

JSON_VERSION = 1

_MOST = 15
_MOST_GROUPS = 8
_MOST_ROWS = 5
_MOST_FEATURES = 8
_WIDE = 48
_CHANCE = 0.05


def show(found: Comparison) -> None:
    line(f"{style(found.old.title, 'bold')}  →  {style(found.new.title, 'bold')}")
    for name, run in (("old", found.old), ("new", found.new)):
        line(f"  {name}: {_made(run)}")
    _section("parameters", [_changed(each) for each in found.params], "the same")
    _section("data", _data(found.data), "not recorded")
    code = found.code
    if code is not None:
        _section("code", [f"{each.path}  {_lines(each.added, each.removed)}" for each in code], "the same")
    _section("environment", [_changed(each) for each in found.environment], "the same")
    _measures(found)
    if found.flips is not None:
        _flips(found, found.flips)
    for note in found.notes:
        line()
        line(f"{style('note', 'yellow')}: {note}")


def as_json(found: Comparison) -> dict[str, Any]:
    """The comparison as plain values; docs/reference/json.md says what each key holds."""
    flips = found.flips
    return {
        "version": JSON_VERSION,
        "old": _run_json(found.old),
        "new": _run_json(found.new),
        "params": [vars(each) for each in found.params],
        "data": [{**vars(each), "same": each.is_same} for each in found.data],
        "code": None if found.code is None else [vars(each) for each in found.code],
        "environment": [vars(each) for each in found.environment],
        "split": found.split,
        "metrics": [vars(each) for each in found.measures],
        "confidence": found.confidence,
        "drawn": found.drawn,
        "flips": None if flips is None else _flips_json(flips),
        "floor": None if found.floor is None else {**vars(found.floor), "rate": found.floor.rate},
        "notes": list(found.notes),
    }


def _run_json(run: PastRun) -> dict[str, Any]:
    return {"run": run.run, "model_version": run.version, "state": run.state, "by": run.by, "at": run.at}


def _flips_json(flips: Flips) -> dict[str, Any]:
    return {
        "numbers": flips.of_numbers,
        **_tally_json(flips.whole),
        "interval": flips.interval(),
        "p": flips.p,
        "only_old": flips.only_before,
        "only_new": flips.only_after,
        "classes": [{"class": each.level, **_tally_json(each.tally)} for each in flips.classes],
        "slices": [
            {"column": each.column, "level": each.level, **_tally_json(each.tally)} for each in flips.slices
        ],
        "worst": [
            {**vars(each), "features": {name: _plain(value) for name, value in each.features.items()}}
            for each in flips.worst
        ],
    }


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {**vars(tally), "rate": tally.rate}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _made(run: PastRun) -> str:
    facts = [run.run]
    facts += [f"made {run.at[:16].replace('T', ' ')}"] if run.at else []
    facts += [f"by {run.by}"] if run.by else []
    return ", ".join(facts)


def _section(title: str, lines: Iterable[str], otherwise: str) -> None:
    told = list(lines)
    line(f"\n{style(title, 'bold')}{'' if told else ': ' + otherwise}")
    for each in told[:_MOST]:
        line(f"  {each}")
    if len(told) > _MOST:
        line(f"  and {len(told) - _MOST} more")


def _changed(each: Difference) -> str:
    return f"{each.name}: {_short(each.before)} → {_short(each.after)}"


def _short(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def _lines(added: int | None, removed: int | None) -> str:
    return "changed" if added is None or removed is None else f"+{added} -{removed}"


def _data(differences: Sequence[DataDifference]) -> list[str]:
    same = [each.name for each in differences if each.is_same]
    told = [f"{', '.join(same)}: the same"] if same else []
    for each in differences:
        if not each.is_same:
            rows = ""
            if each.rows_before is not None and each.rows_after is not None:
                rows = f", {each.rows_before:,} → {each.rows_after:,} rows"
            digests = " → ".join((digest or "none")[:8] for digest in (each.before, each.after))
            told.append(f"{each.name}: {each.path}, MD5 {digests}{rows}")
    return told


def _measures(found: Comparison) -> None:
    share = f"{found.confidence * 100:g} %"
    drawn = f"; of the difference, paired: {found.drawn}" if found.drawn else ""
    _section(f"metrics on {found.split}", (), f"with {share} intervals{drawn}")
    rows = [("", "old", "new", "difference")]
    rows += [
        (
            each.name,
            _value(each.before, each.before_interval),
            _value(each.after, each.after_interval),
            _difference(each),
        )
        for each in found.measures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        line("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _value(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "unknown"
    ends = f" [{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
    return f"{_number(value)}{ends}"


def _difference(each: Measure) -> str:
    if each.difference is None:
        return ""
    ends = f" [{each.low:+.3g}, {each.high:+.3g}]" if each.low is not None and each.high is not None else ""
    return f"{each.difference:+.3g}{ends}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _flips(found: Comparison, flips: Flips) -> None:
    whole = flips.whole
    _section(
        f"the same {whole.rows:,} rows of {flips.split}", (), f"{whole.changed:,} are answered otherwise"
    )
    got_worse, got_better = (
        ("have a larger error", "a smaller one")
        if flips.of_numbers
        else ("were right and are wrong", "were wrong and are right")
    )
    low, high = flips.interval() or (0.0, 1.0)
    bounds = f", 95 % interval {_percent(low)} to {_percent(high)}"
    line(f"  {style('worse', 'red')}: {whole.worse:,} {got_worse} ({_percent(whole.rate)}{bounds})")
    line(f"  {style('better', 'green')}: {whole.better:,} {got_better} ({_share(whole.better, whole.rows)})")
    test = "sign test" if flips.of_numbers else "McNemar's test"
    verdict = "more than chance" if flips.p < _CHANCE else "chance alone may do as much"
    line(f"  {test}, exact: p = {flips.p:.3g}; {verdict}")
    if not flips.of_numbers:
        floor = found.floor
        said = "not measured: run with `--floor`"
        if floor is not None:
            said = (
                f"{floor.worse:,} rows ({_percent(floor.rate)}) get worse by training the new run's recipe"
                f" again with seed {floor.seed} and the rows in another order"
            )
        line(f"  floor: {said}")
    _groups("by class", flips.classes)
    _groups("by slice", flips.slices)
    if flips.worst:
        line("  the worst rows")
    for flip in flips.worst[:_MOST_ROWS]:
        _row(flip, of_numbers=flips.of_numbers)
    if whole.worse > _MOST_ROWS:
        line(f"    and {whole.worse - _MOST_ROWS:,} more; `--json` tells the first {len(flips.worst)}")


def _groups(title: str, groups: Iterable[Group]) -> None:
    worst = sorted(
        (each for each in groups if each.tally.worse),
        key=lambda each: -(each.tally.rate or 0.0),
    )
    if not worst:
        return
    line(f"  {title}, the highest share first")
    for each in worst[:_MOST_GROUPS]:
        tally, name = each.tally, f"{each.column} = {each.level}" if each.column else each.level
        rows = f"{tally.worse:,} of {tally.rows:,} rows worse ({_percent(tally.rate)})"
        line(f"    {name}: {rows}, {tally.better:,} better")
    if len(worst) > _MOST_GROUPS:
        line(f"    and {len(worst) - _MOST_GROUPS} more with some")


def _row(flip: Flip, *, of_numbers: bool) -> None:
    if of_numbers:
        actual, before, after = (f"{value:,.6g}" for value in (flip.actual, flip.before, flip.after))
        said = f"is {actual}: said {before}, now says {after}"
        said += f"; off by {_number(flip.lost)} more"
    else:
        said = (
            f"is {flip.actual}: said so, now says {flip.after}; {_number(flip.lost)} less sure of the truth"
        )
    line(f"    row {flip.key[:12]} {said}")
    features = [f"{name} {_short(_plain(value))}" for name, value in flip.features.items()]
    if features:
        more = f", and {len(features) - _MOST_FEATURES} more" if len(features) > _MOST_FEATURES else ""
        line(style(f"      {', '.join(features[:_MOST_FEATURES])}{more}", "dim"))


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else None)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share * 100:.3g} %"
