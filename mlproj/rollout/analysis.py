"""Whether a canary goes on, waits or goes back: a pure function of what was served, the rules and the clock.

It may be asked at any moment, as often as one likes: each check's evidence is an e-process
(`sequential.py`), so a canary that is no worse is rolled back with probability at most alpha over all
looks. alpha is divided among the guards that can roll back; going on needs every guard, and so divides
nothing (Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4), 1982).
"""

from __future__ import annotations

import math

from mlproj.monitoring.windows import Windows
from mlproj.rollout import traffic, truth
from mlproj.rollout.verdict import Analysis, Check, Progress, Result, Rules, Verdict
from mlproj.rollout.words import duration, units


def judge(windows: Windows, rules: Rules, progress: Progress, now_us: int) -> Analysis:
    """Advance with evidence of no worse, RollBack with evidence of worse, else Hold.

    A crash loop and errors beyond the hard bound roll back without comparing. A wrong split holds whatever
    the comparisons say. `now_us` is microseconds since 1970.
    """
    log_fail = math.log(guards(windows) / rules.alpha)
    labels_needed = rules.labels and (progress.last_step or rules.labels_each_step)
    split = traffic.split(windows)
    restarts = _restarts(progress, rules)
    errors = traffic.errors(windows, rules, log_fail)
    compared = [
        errors,
        traffic.refusals(windows, rules, log_fail),
        *traffic.latency(windows, rules, log_fail),
    ]
    scores = traffic.scores(windows)
    if scores is not None:
        compared.append(scores)
    told = truth.labels(windows, rules, labels_needed)
    labelled = [
        *truth.targets(windows, rules, log_fail, labels_needed),
        *truth.slices(windows, rules, log_fail),
    ]
    checks = [_time(progress, rules, now_us), _units(windows, rules), restarts, split, *compared]
    checks += [told] if told is not None else []
    checks += labelled

    alone = [check for check in (restarts, errors) if _needs_no_comparison(check)]
    if alone:
        return Analysis(Verdict.ROLL_BACK, alone[0].reason, tuple(checks))
    if split.result is Result.INVALID:
        return _hold(split.reason, checks, progress, rules, now_us)
    # Labels that come from one arm only say nothing; errors and latency still do.
    believed = compared if told is not None and told.result is Result.INVALID else [*compared, *labelled]
    failed = [check for check in believed if check.result is Result.FAIL]
    if failed:
        return Analysis(Verdict.ROLL_BACK, failed[0].reason, tuple(checks))
    waiting = [check for check in checks if check.result in (Result.WAIT, Result.INVALID)]
    if waiting:
        return _hold(waiting[0].reason, checks, progress, rules, now_us)
    return Analysis(Verdict.ADVANCE, "every check has evidence that the canary is no worse", tuple(checks))


def guards(windows: Windows) -> int:
    """Among how many checks alpha is divided; known from the targets before the first request."""
    questions = windows.questions
    # Errors against the primary, errors against the bound, refusals; the rest as the targets say.
    return 3 + len(questions.latency) + len(questions.losses) + bool(questions.slices)


def _hold(reason: str, checks: list[Check], progress: Progress, rules: Rules, now_us: int) -> Analysis:
    late = now_us - progress.deployment_began_us >= rules.deadline_s * 1e6
    if late:
        over = f"the deadline of {duration(rules.deadline_s)} is over and a person has to decide"
        reason = f"{over} (`mlproj promote` or `mlproj rollback`): {reason}"
    return Analysis(Verdict.HOLD, reason, tuple(checks), needs_person=late)


def _needs_no_comparison(check: Check) -> bool:
    return check.result is Result.FAIL and (check.name == "restarts" or "log_e_over_bound" in check.numbers)


def _restarts(progress: Progress, rules: Rules) -> Check:
    numbers = {"restarts": float(progress.restarts), "primary": float(progress.primary_restarts)}
    if progress.restarts >= rules.most_restarts:
        if progress.restarts - progress.primary_restarts < rules.most_restarts:
            told = (
                f"the canary's worker was restarted {progress.restarts} times in"
                f" {duration(rules.restarts_within_s)}, and the primary's {progress.primary_restarts}:"
                " the machine may be at fault"
            )
            return Check("restarts", Result.WAIT, told, numbers)
        told = f"the canary's worker was restarted {progress.restarts} times: a crash loop"
        return Check("restarts", Result.FAIL, told, numbers)
    return Check(
        "restarts", Result.PASS, f"the canary's worker was restarted {progress.restarts} times", numbers
    )


def _time(progress: Progress, rules: Rules, now_us: int) -> Check:
    passed = max(now_us - progress.step_began_us, 0) / 1e6
    told = f"{duration(passed)} at this share, {duration(rules.hold_s)} needed"
    return Check("time", Result.PASS if passed >= rules.hold_s else Result.WAIT, told)


def _units(windows: Windows, rules: Rules) -> Check:
    seen = windows.step_units
    told = f"{seen:,} canary {units(windows.sticky)} at this share, {rules.least_units:,} needed"
    if windows.followed > 1:
        told += f"; they are so many that only one in {windows.followed:,} is followed"
    return Check("units", Result.PASS if seen >= rules.least_units else Result.WAIT, told)
