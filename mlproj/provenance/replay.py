"""What a replay finds, as values: predictions with the answers given again, and where they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlproj.provenance.agreement import Agreement, Answer, Grade, Verdict, worst
from mlproj.provenance.trace import Break

ANSWERED, ORIGINAL = "answered", "original"


@dataclass(frozen=True, kw_only=True)
class Again:
    """What an engine said of the row now; `answer` is None where it refused it or failed."""

    engine: str
    answer: Answer | None
    agreement: Agreement


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A prediction of the log asked again: of the engine that had answered first, then of the original."""

    id: str
    arrived: str
    version: int
    run: str
    role: str
    engine: str
    answered: Answer
    again: tuple[Again, ...]

    @property
    def verdict(self) -> Verdict:
        """That of the engine that agrees least."""
        found = worst(each.agreement.verdict for each in self.again)
        assert found is not None  # one that no engine was asked of is not among the replayed
        return found

    @property
    def difference(self) -> float | None:
        """The largest one there was to measure."""
        return max(
            (each.agreement.difference for each in self.again if each.agreement.difference is not None),
            default=None,
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """In what the predictions of a version were replayed.

    `package` is the digest of what was asked, `deployed` of what was deployed (None: not recorded), and
    `package_from` where it was. `differs` says what of the environment is not as recorded, `unrecorded` what
    nobody wrote down; `suspects` where to look if answers do not agree; `wheels` whether those of its lock
    are kept.
    """

    version: int
    run: str
    count: int
    grade: Grade
    package: str | None = None
    deployed: str | None = None
    package_from: str = ""
    lock: str | None = None
    python: str | None = None
    differs: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    wheels: str = ""


@dataclass(frozen=True, kw_only=True)
class Today:
    """What the version that is live now says of the same row; `said` where it gives no answer."""

    version: int
    run: str
    answer: Answer | None
    said: str = ""


@dataclass
class Tally:
    """How often an engine's answers agree, and the largest difference; None where none could be measured."""

    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    largest_difference: float | None = None

    def add(self, agreement: Agreement) -> None:
        self.verdicts[agreement.verdict] += 1
        if agreement.difference is not None:
            self.largest_difference = max(self.largest_difference or 0.0, agreement.difference)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """All that was replayed. `served` is how many answers there were to choose from, `aside` how many
    attempts were none, by what became of them, `left` how many that were chosen could not be replayed."""

    project: str
    subject: str
    tolerance: float
    seed: int | None = None
    served: int = 0
    left: int = 0
    predictions: tuple[Replayed, ...] = ()
    settings: tuple[Setting, ...] = ()
    aside: Mapping[str, int] = field(default_factory=dict)
    today: Today | None = None
    breaks: tuple[Break, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every answer chosen was given again with the same decision, and no link is broken."""
        return not self.breaks and not self.left and all(each.verdict.agrees for each in self.predictions)

    @property
    def tallies(self) -> dict[str, Tally]:
        """Of the engine that had answered (`answered`), and of the original."""
        found: dict[str, Tally] = {}
        for each in self.predictions:
            for again in each.again:
                names = [ANSWERED] if again.engine == each.engine else []
                names += [ORIGINAL] if again.engine == ORIGINAL else []
                for name in names:
                    found.setdefault(name, Tally()).add(again.agreement)
        return found

    @property
    def different(self) -> tuple[Replayed, ...]:
        """Those that do not agree, the worst first."""
        found = [each for each in self.predictions if not each.verdict.agrees]
        # What cannot be measured, such as a refusal, is worse than any number.
        return tuple(sorted(found, key=_badness, reverse=True))

    @property
    def largest_difference(self) -> float | None:
        return max(
            (each.difference for each in self.predictions if each.difference is not None), default=None
        )


def _badness(each: Replayed) -> float:
    apart = [again.agreement.difference for again in each.again if not again.agreement.verdict.agrees]
    return max(float("inf") if difference is None else difference for difference in apart)
