"""How often a canary is rolled back rightly and wrongly, by simulated traffic, next to rules people know.

    make bench                        beside the other measurements
    python -m tests.bench canary      this one

Each simulated request goes through the program's own `Watch` and `judge`, which looks after every 50 requests
and stops at the first RollBack. The other rules see the same requests at the same looks, except Kayenta's,
which is made for one look at the end: 60 points an arm, Mann-Whitney with 98 % confidence and a tolerance of
0.25 of the Hodges-Lehmann estimate, as its `MannWhitneyClassifier` and the default of its judge have it.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from mlproj.monitoring.questions import Baseline, Questions, questions
from mlproj.monitoring.watch import Watch
from mlproj.rollout.analysis import judge
from mlproj.rollout.verdict import Progress, Rules, Verdict
from mlproj.scoping.scope import Direction, Target, TargetKind, Task
from mlproj.serving.record import Record

LOOK_EVERY = 50
POINTS = 60
BOUND_US = 50_000
SECOND_US = 1_000_000
TARGETS = (
    Target(kind=TargetKind.SOFTWARE, metric="latency_p95_ms", direction=Direction.AT_MOST, bound=50.0),
    Target(kind=TargetKind.ML, metric="recall", direction=Direction.AT_LEAST, bound=0.75, class_label="Yes"),
)
FOREVER = Progress(step_began_us=0, deployment_began_us=0, last_step=False)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Rates of the primary and of the canary. `ramp`: the shares of equal parts of the traffic.

    `repeats`: entities come back, by a Pareto law (tail index 1.1), each with error and recall rates of its
    own.
    """

    name: str
    requests: int
    ramp: tuple[float, ...] = (0.1,)
    errors: tuple[float, float] = (0.01, 0.01)
    slow: tuple[float, float] = (0.04, 0.04)
    recall: tuple[float, float] = (0.8, 0.8)
    labelled: float = 0.0
    label_delay: int = 500
    repeats: bool = False
    watched: str = "errors"


class Served(NamedTuple):
    """A simulated request, what a label about it will say, and when."""

    record: Record
    canary: bool
    labelled: bool


@dataclass
class Counts:
    """What the other rules go by: requests and bad ones an arm, and the same in 60 points."""

    total: list[int] = field(default_factory=lambda: [0, 0])
    bad: list[int] = field(default_factory=lambda: [0, 0])
    points: list[list[list[int]]] = field(
        default_factory=lambda: [[[0, 0] for _ in range(POINTS)] for _ in (0, 1)]
    )

    def add(self, canary: bool, bad: bool, point: int) -> None:
        self.total[canary] += 1
        self.bad[canary] += bad
        cell = self.points[canary][point]
        cell[0] += 1
        cell[1] += bad


def asked() -> Questions:
    return questions(
        TARGETS, task=Task.BINARY, positive="Yes", baseline=Baseline(), maturity_s=0, warm_up_s=0
    )


def traffic(scenario: Scenario, seed: int) -> Iterator[Served]:
    """The requests of one simulated canary, one a second."""
    chance = random.Random(seed)
    salt = seed * 1_000_003
    entities = max(scenario.requests // 10, 100)
    weights = (
        list(accumulate((rank + 1) ** (-1 / 1.1) for rank in range(entities))) if scenario.repeats else []
    )
    hashes: dict[int, tuple[float, float]] = {}
    for number in range(scenario.requests):
        share = scenario.ramp[number * len(scenario.ramp) // scenario.requests]
        if scenario.repeats:
            who = bisect_left(weights, chance.random() * weights[-1])
            known = hashes.get(who)
            if known is None:
                # A gamma variable of mean 1 and variance 2: most entities hardly ever fail, a few often.
                known = hashes[who] = (random.Random(salt + who).random(), chance.gammavariate(0.5, 2.0))
            place, own = known
        else:
            who, place, own = number, chance.random(), 1.0
        canary = place < share
        status = 500 if chance.random() < scenario.errors[canary] * own else 200
        slow = chance.random() < scenario.slow[canary] * own
        positive = scenario.labelled > 0 and chance.random() < scenario.labelled
        right = chance.random() < 1.0 - (1.0 - scenario.recall[canary]) * own
        record = Record(
            number, number * SECOND_US, f"r{number}", 0, 1, "canary" if canary else "primary", share,
            1 + canary, "", "", f"e{who}" if scenario.repeats else None, scenario.repeats, b"{}",
            '"prediction":"Yes"' if right else '"prediction":"No"', chance.random(), None, None, status, None,
            80_000 if slow else 20_000, None,
        )  # fmt: skip
        yield Served(record, canary, positive)


def bad(served: Served, watched: str) -> bool | None:
    """Whether a request counts as bad for what a scenario changes; None where it does not count at all."""
    if watched == "errors":
        return served.record.status >= 500
    if watched == "latency":
        return served.record.latency_us > BOUND_US
    return "No" in (served.record.output or "") if served.labelled else None


def simulate(scenario: Scenario, seed: int, asks: Questions, rules: Rules) -> dict[str, int | None]:
    """When each rule fired, in requests; None if it did not."""
    watch, counts = Watch(asks), Counts()
    fired: dict[str, int | None] = dict.fromkeys(RULES)
    unlabelled: deque[Served] = deque()
    for number, served in enumerate(traffic(scenario, seed), 1):
        now = number * SECOND_US
        undecided = fired["mlproj"] is None
        if undecided:
            watch.served(served.record)
        if served.labelled:
            unlabelled.append(served)
        if scenario.watched != "recall":
            _count(counts, served, scenario, number)
        while unlabelled and unlabelled[0].record.id + scenario.label_delay < number:
            late = unlabelled.popleft()
            if undecided:
                watch.label(late.record, "Yes", arrived_us=now)
            if scenario.watched == "recall":
                _count(counts, late, scenario, number)
        if number % LOOK_EVERY:
            continue
        if undecided:
            verdict = judge(watch.look(now), rules, FOREVER, now).verdict
            fired["mlproj"] = number if verdict is Verdict.ROLL_BACK else None
        for name, rule in OTHERS.items():
            if fired[name] is None and rule(counts):
                fired[name] = number
    if kayenta(counts):
        fired["kayenta, at the end"] = scenario.requests
    return fired


def _count(counts: Counts, served: Served, scenario: Scenario, number: int) -> None:
    is_bad = bad(served, scenario.watched)
    if is_bad is not None:
        counts.add(served.canary, is_bad, min((number - 1) * POINTS // scenario.requests, POINTS - 1))


def peeking(counts: Counts) -> bool:
    """A one-sided z-test of two shares at 5 %, at every look, from 20 canary requests on."""
    (n0, n1), (b0, b1) = counts.total, counts.bad
    pooled = (b0 + b1) / max(n0 + n1, 1)
    if min(n0, n1) < 20 or not 0 < pooled < 1:
        return False
    return (b1 / n1 - b0 / n0) / math.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1)) > 1.6449


def twice(counts: Counts) -> bool:
    """More than twice the primary's share, from 20 canary requests on."""
    (n0, n1), (b0, b1) = counts.total, counts.bad
    return min(n0, n1) >= 20 and b1 / n1 > 2 * b0 / n0


def kayenta(counts: Counts) -> bool:
    """Its classification "High": the interval of the shift lies above a quarter of its estimate."""
    shares = [[cell[1] / cell[0] for cell in points if cell[0]] for points in counts.points]
    primary, canary = shares
    if not primary or not canary:
        return False
    shifts = sorted(a - b for a in canary for b in primary)
    m, n = len(canary), len(primary)
    # The interval of Hollander, Wolfe and Chicken (Nonparametric Statistical Methods, 4.3) at 98 %.
    low = int(m * n / 2 - 2.3263 * math.sqrt(m * n * (m + n + 1) / 12))
    return shifts[max(low, 0)] > 0.25 * abs(statistics.median(shifts))


OTHERS: dict[str, Callable[[Counts], bool]] = {"z-test at every look": peeking, "twice the primary": twice}
RULES = ("mlproj", *OTHERS, "kayenta, at the end")


def nulls(requests: int) -> tuple[Scenario, Scenario]:
    """Canaries that are the primary over again, in a ramp; with labels, once with entities that come back."""
    ramp = (0.1, 0.25, 0.5)
    return (
        Scenario(name="no change, single requests", requests=requests, ramp=ramp, labelled=0.25),
        Scenario(
            name="no change, repeating entities", requests=requests, ramp=ramp, labelled=0.25, repeats=True
        ),
    )


def regressions(requests: int) -> tuple[Scenario, ...]:
    return (
        Scenario(name="errors 1 % to 2 %, share 10 %", requests=requests, errors=(0.01, 0.02)),
        Scenario(name="errors 1 % to 2 %, share 50 %", requests=requests, ramp=(0.5,), errors=(0.01, 0.02)),
        Scenario(name="slow 4 % to 6 %, share 10 %", requests=requests, slow=(0.04, 0.06), watched="latency"),
        Scenario(
            name="slow 4 % to 6 %, share 50 %",
            requests=requests,
            ramp=(0.5,),
            slow=(0.04, 0.06),
            watched="latency",
        ),
        Scenario(
            name="recall 0.8 to 0.7, labels late, share 25 %",
            requests=requests,
            ramp=(0.25,),
            recall=(0.8, 0.7),
            labelled=0.25,
            watched="recall",
        ),
    )


def measure(scenario: Scenario, runs: int, *, first_seed: int = 0) -> dict[str, list[int | None]]:
    """When each rule fired, in each of the runs."""
    asks, rules = asked(), Rules()
    found: dict[str, list[int | None]] = {name: [] for name in RULES}
    for seed in range(first_seed, first_seed + runs):
        for name, when in simulate(scenario, seed, asks, rules).items():
            found[name].append(when)
    return found


def share(when: list[int | None]) -> float:
    return sum(one is not None for one in when) / len(when)


def cell(when: list[int | None]) -> str:
    """For example `99 % @11,450`: the share that fired, and the median request among those."""
    fired = [one for one in when if one is not None]
    return f"{share(when) * 100:.1f} %" + (f" @{statistics.median(fired):,.0f}" if fired else "")


def run(*, null_runs: int = 1_000, runs: int = 40) -> None:
    """2,000 canaries without a change, and some with one; a look after every 50 requests."""
    print(f"\ncanary: share rolled back @ median requests, a look every {LOOK_EVERY} requests, alpha 5 %")
    print(f"{'':<44}{'runs':>6} {'requests':>9}" + "".join(f"{name:>22}" for name in RULES))
    everything = [(one, null_runs) for one in nulls(4_000)] + [(one, runs) for one in regressions(30_000)]
    for scenario, times in everything:
        began = time.process_time()
        found = measure(scenario, times)
        cells = "".join(f"{cell(found[name]):>22}" for name in RULES)
        spent = time.process_time() - began
        print(f"{scenario.name:<44}{times:>6} {scenario.requests:>9,}{cells}   {spent:.0f} s", flush=True)


if __name__ == "__main__":
    run()
