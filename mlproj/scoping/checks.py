"""Builds the scope from what was read, and looks at what one value alone cannot show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from mlproj.base.errors import nearest
from mlproj.scoping.reading import Fields, Reader
from mlproj.scoping.scope import (
    DEFAULT_SPLIT,
    METRICS,
    ML_METRICS,
    SOFTWARE_METRICS,
    Approach,
    Approval,
    Automation,
    Benchmark,
    BenchmarkKind,
    Direction,
    Ethics,
    Feasibility,
    Feasible,
    Metric,
    Milestone,
    ProblemKind,
    Purpose,
    Resources,
    Scope,
    Severity,
    Solution,
    Split,
    Target,
    TargetKind,
    Task,
    Why,
    number,
)

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Checks:
    """One document's; the problems found join the reader's."""

    def __init__(
        self,
        reader: Reader,
        said: Fields,
        *,
        task: Task | None,
        columns: Collection[str],
        classes: Collection[str],
    ) -> None:
        self.reader = reader
        self.said = said
        self.task = task
        self.columns = columns
        self.classes = classes
        targets = said.keys("targets")
        self.entries = {kind: targets.entries(kind) for kind in TargetKind}
        self.names = {
            kind: [name for entry in entries if (name := entry.text("metric"))]
            for kind, entries in self.entries.items()
        }

    def scope(self) -> Scope:
        problem, solution = self.said.keys("problem"), self.said.keys("solution")
        feasibility, ethics = self.said.keys("feasibility"), self.said.keys("ethics")
        resources = self.said.keys("resources")
        approach, verdict = solution.text("approach"), feasibility.text("verdict")
        automation = self.said.text("automation")
        return Scope(
            purpose=Purpose(
                statement=problem.text("statement"),
                owner=problem.text("owner"),
                wishes=problem.texts("wishes"),
            ),
            solution=Solution(
                statement=solution.text("statement"),
                approach=Approach(approach) if approach else None,
                alternatives=solution.texts("alternatives"),
            ),
            feasibility=Feasibility(
                benchmark=self._benchmark(feasibility.keys("benchmark")),
                human_could_do_it=feasibility.flag("human_could_do_it"),
                predictive_features=feasibility.text("predictive_features"),
                verdict=Feasible(verdict) if verdict else None,
            ),
            ethics=Ethics(
                net_positive=ethics.text("net_positive"),
                fairness=ethics.text("fairness"),
                concerns_aired=ethics.text("concerns_aired"),
            ),
            targets=self._targets(),
            automation=Automation(automation) if automation else None,
            milestones=self._milestones(),
            resources=Resources(
                data=resources.text("data"),
                people=resources.text("people"),
                compute=resources.text("compute"),
                budget=resources.text("budget"),
            ),
            approvals=self._approvals(),
        )

    def _benchmark(self, said: Fields) -> Benchmark | None:
        kind, metric = said.text("kind"), said.text("metric")
        value, source = said.number("value"), said.text("source")
        measured = {**ML_METRICS, **SOFTWARE_METRICS}.get(metric or "")
        right = True
        if metric and measured is None and metric not in self.names[TargetKind.BUSINESS]:
            # A benchmark may be in a number nobody promises; a near miss of a name is a slip all the same.
            meant = nearest(metric, {*ML_METRICS, *SOFTWARE_METRICS, *self.names[TargetKind.BUSINESS]})
            if meant:
                self._wrong(
                    said,
                    "metric",
                    f"`{metric}` is not a metric that is known",
                    f"did you mean `{meant}`?",
                    ProblemKind.METRIC,
                    severity=Severity.WARNING,
                )
        if measured and value is not None:
            right = self._possible(said, "value", measured, value)
        if kind is None or metric is None or value is None or source is None or not right:
            return None
        return Benchmark(kind=BenchmarkKind(kind), metric=metric, value=value, source=source)

    def _targets(self) -> tuple[Target, ...]:
        promised: dict[tuple[object, ...], int] = {}
        targets = []
        for kind, entries in self.entries.items():
            for entry in entries:
                target = self._target(kind, entry)
                if target is None:
                    continue
                same = (kind, target.metric, target.split, target.class_label, target.direction)
                if same in promised:
                    self._wrong(
                        entry,
                        "metric",
                        f"`{target.metric}` is promised twice: line {promised[same]} does it first",
                        "keep one of the two",
                        ProblemKind.DUPLICATE,
                    )
                    continue
                promised[same] = target.line
                targets.append(target)
        return tuple(targets)

    def _target(self, kind: TargetKind, said: Fields) -> Target | None:
        before = len(self.reader.problems)
        metric = said.text("metric")
        measured = self._measured(kind, said, metric) if metric else None
        bound = self._bound(said, measured)
        if kind is TargetKind.ML:
            self._slices(said)
            self._class(said, measured)
        link = self._link(said) if kind is TargetKind.BUSINESS else None
        suggested = self._suggested(said)
        confidence = said.number("with_confidence")
        if confidence is not None and not 0 < confidence < 1:
            hint = f"write `{number(confidence / 100)}`" if 1 < confidence < 100 else "95 % is `0.95`"
            self._bound_problem(said, "with_confidence", f"{number(confidence)} is no confidence", hint)
        wrong = any(problem.severity is Severity.ERROR for problem in self.reader.problems[before:])
        if metric is None or bound is None or wrong:
            return None
        direction, value = bound
        split = said.text("split")
        ml = kind is TargetKind.ML
        return Target(
            kind=kind,
            metric=metric,
            direction=direction,
            bound=value,
            split=(Split(split) if split else DEFAULT_SPLIT) if ml else None,
            slices=said.texts("slices"),
            slice_margin=said.number("slice_margin") or 0.0,
            with_confidence=confidence,
            class_label=said.text("class"),
            linked_to=link,
            suggested=suggested,
            line=said.line,
        )

    def _measured(self, kind: TargetKind, said: Fields, metric: str) -> Metric | None:
        known = METRICS[kind]
        if not known:
            return None
        if metric not in known:
            other = next((k for k in TargetKind if metric in METRICS[k]), None)
            meant = nearest(metric, known)
            if other:
                message, hint = f"`{metric}` is no {_named(kind)} metric", f"move it to `targets.{other}`"
            else:
                message = f"`{metric}` is not {_named(kind, article=True)} metric that is known"
                hint = f"did you mean `{meant}`?" if meant else f"one of {self._offered(kind)}"
            self._wrong(said, "metric", message, hint, ProblemKind.METRIC)
            return None
        if kind is TargetKind.ML and self.task and self.task not in known[metric].tasks:
            self._wrong(
                said,
                "metric",
                f"`{metric}` cannot be measured: the task is {self.task}",
                f"one of {self._offered(kind)}",
                ProblemKind.METRIC,
            )
        return known[metric]

    def _offered(self, kind: TargetKind) -> str:
        return ", ".join(
            f"`{metric.name}`"
            for metric in METRICS[kind].values()
            if self.task is None or self.task in metric.tasks
        )

    def _bound(self, said: Fields, measured: Metric | None) -> tuple[Direction, float] | None:
        directions = [direction for direction in Direction if direction in said.lines]
        if not directions:
            direction = measured.direction if measured else Direction.AT_LEAST
            self.reader.ask(
                said.at(direction), said.line, "Which bound, `at_least` or `at_most`?", Why.MISSING
            )
            return None
        if len(directions) == 2:
            self._bound_problem(
                said,
                max(directions, key=said.line_of),
                "`at_least` and `at_most` are both said",
                "keep one; a second bound is a second target",
            )
            return None
        direction = directions[0]
        value = said.number(direction)
        if value is None:
            return None
        if measured and self._possible(said, direction, measured, value):
            self._direction(said, direction, measured, value)
        return direction, value

    def _direction(self, said: Fields, direction: Direction, measured: Metric, value: float) -> None:
        name = measured.name
        if direction is not measured.direction:
            better = "more" if measured.higher_is_better else "less"
            self._bound_problem(
                said,
                direction,
                f"`{direction}` is the wrong way round: {better} `{name}` is better",
                f"write `{measured.direction}: {number(value)}`",
            )
        elif value == (measured.low if measured.higher_is_better else measured.high):
            self._bound_problem(
                said,
                direction,
                f"every `{name}` is {direction.replace('_', ' ')} {number(value)}: this promises nothing",
                "write a bound that a poor model misses",
                severity=Severity.WARNING,
            )

    def _possible(self, said: Fields, key: str, measured: Metric, value: float) -> bool:
        if measured.can_be(value):
            return True
        hint = f"a number {measured.span}"
        if measured.low == 0 and measured.high == 1 and 2 <= value <= 100:
            hint = f"{number(value)} % is `{number(value / 100)}`"
        self._bound_problem(said, key, f"`{measured.name}` can never be {number(value)}", hint)
        return False

    def _slices(self, said: Fields) -> None:
        if self.columns:
            for column in said.texts("slices"):
                if column not in self.columns:
                    meant = nearest(column, self.columns)
                    self._wrong(
                        said,
                        "slices",
                        f"the data have no column `{column}`",
                        f"did you mean `{meant}`?" if meant else "name columns as the data do",
                        ProblemKind.REFERENCE,
                    )
        margin = said.number("slice_margin")
        if margin is None:
            return
        if margin < 0:
            self._bound_problem(
                said,
                "slice_margin",
                f"a margin cannot be {number(margin)}",
                "it is how much worse than the bound a slice may be: 0 or more",
            )
        elif "slices" not in said.lines:
            self._bound_problem(
                said,
                "slice_margin",
                "a margin for slices, and there are no slices",
                "name columns in `slices`, or take the margin out",
                severity=Severity.WARNING,
            )

    def _class(self, said: Fields, measured: Metric | None) -> None:
        label = said.text("class")
        if label is None:
            return
        if measured and not measured.per_class:
            able = ", ".join(f"`{metric.name}`" for metric in ML_METRICS.values() if metric.per_class)
            self._wrong(
                said,
                "class",
                f"`{measured.name}` is not measured for one class alone",
                f"{able} are",
                ProblemKind.METRIC,
            )
        elif self.classes and label not in self.classes:
            meant = nearest(label, self.classes)
            self._wrong(
                said,
                "class",
                f"the data have no class `{label}`",
                f"did you mean `{meant}`?"
                if meant
                else f"one of {', '.join(f'`{name}`' for name in list(self.classes)[:10])}",
                ProblemKind.REFERENCE,
            )

    def _link(self, said: Fields) -> str | None:
        link = said.text("linked_to")
        measured = [*self.names[TargetKind.ML], *self.names[TargetKind.SOFTWARE]]
        if link is None or link in measured:
            return link
        meant = nearest(link, measured)
        business = link in self.names[TargetKind.BUSINESS]
        self._wrong(
            said,
            "linked_to",
            f"`{link}` is a business target itself" if business else f"no ML or software target is `{link}`",
            f"did you mean `{meant}`?"
            if meant and not business
            else f"one of {', '.join(f'`{name}`' for name in measured)}"
            if measured
            else "add the target that moves it to `targets.ml`",
            ProblemKind.REFERENCE,
        )
        return None

    def _suggested(self, said: Fields) -> bool:
        if not said.flag("suggested"):
            return False
        self.reader.ask(
            said.where,
            said.line_of("suggested"),
            "Do you stand by it? Take the mark `suggested` away once you do.",
            Why.SUGGESTED,
        )
        return True

    def _milestones(self) -> tuple[Milestone, ...]:
        promised = [name for names in self.names.values() for name in names]
        entries = self.said.entries("milestones")
        counts = Counter(entry.text("name") for entry in entries)
        milestones = []
        for entry in entries:
            name = entry.text("name")
            for need in entry.texts("needs"):
                if need not in promised:
                    meant = nearest(need, promised)
                    self._wrong(
                        entry,
                        "needs",
                        f"no target is `{need}`",
                        f"did you mean `{meant}`?" if meant else "name metrics of `targets`",
                        ProblemKind.REFERENCE,
                    )
            if name is None:
                continue
            if counts[name] > 1:
                counts[name] = 0
                self._wrong(
                    entry,
                    "name",
                    f"more than one milestone is called `{name}`",
                    "give each a name of its own",
                    ProblemKind.DUPLICATE,
                    severity=Severity.WARNING,
                )
            needs = tuple(need for need in entry.texts("needs") if need in promised)
            milestones.append(Milestone(name=name, due=entry.date("due"), needs=needs, line=entry.line))
        return tuple(milestones)

    def _approvals(self) -> tuple[Approval, ...]:
        approvals = []
        for entry in self.said.entries("approvals"):
            role, name = entry.text("role"), entry.text("name")
            day, of = entry.date("date"), entry.text("of")
            if of is not None and not _DIGEST.fullmatch(of):
                self._wrong(
                    entry,
                    "of",
                    "this is no digest of targets",
                    "take the entry out; `mlproj approve` writes it",
                    ProblemKind.TYPE,
                )
            elif role and name and day and of:
                approvals.append(Approval(role=role, name=name, date=day, of=of, line=entry.line))
        return tuple(approvals)

    def _bound_problem(
        self, said: Fields, key: str, message: str, hint: str, *, severity: Severity = Severity.ERROR
    ) -> None:
        self._wrong(said, key, message, hint, ProblemKind.BOUND, severity=severity)

    def _wrong(
        self,
        said: Fields,
        key: str,
        message: str,
        hint: str,
        kind: ProblemKind,
        *,
        severity: Severity = Severity.ERROR,
    ) -> None:
        self.reader.wrong(said.line_of(key), f"`{said.at(key)}`: {message}", hint, kind, severity=severity)


def _named(kind: TargetKind, *, article: bool = False) -> str:
    name = "ML" if kind is TargetKind.ML else str(kind)
    return f"{'an' if kind is TargetKind.ML else 'a'} {name}" if article else name
