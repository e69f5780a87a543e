from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from mlproj.scoping.document import Document, load
from mlproj.scoping.scope import (
    Automation,
    BenchmarkKind,
    Feasible,
    Problem,
    Question,
    Section,
    Severity,
    Split,
    TargetKind,
    Why,
)

Changed = Callable[..., Document]


def only(document: Document) -> Problem:
    assert len(document.problems) == 1, document.problems
    return document.problems[0]


def test_an_answered_document_is_read_whole(scoping: Path) -> None:
    document = load(scoping, task="binary", columns=["gender", "tenure"], classes=["No", "Yes"])
    assert (document.problems, document.unanswered) == ((), ())
    scope = document.scope
    assert scope is not None
    assert scope.purpose.owner == "head of customer care"
    assert scope.purpose.wishes == ("fewer customers leave",)
    assert scope.feasibility.verdict is Feasible.GO
    assert scope.feasibility.benchmark is not None
    assert scope.feasibility.benchmark.kind is BenchmarkKind.SIMPLE_MODEL
    assert scope.ethics.answered
    assert scope.automation is Automation.ASSIST
    assert scope.milestones[0].due == date(2026, 12, 15)
    assert [target.kind for target in scope.targets] == [
        TargetKind.ML,
        TargetKind.ML,
        TargetKind.SOFTWARE,
        TargetKind.BUSINESS,
    ]
    assert [target.line for target in scope.targets] == [22, 27, 29, 31]
    recall, precision, *_ = scope.targets
    assert (recall.split, recall.slices, recall.slice_bound) == (Split.TEST, ("gender",), 0.7)
    assert (precision.class_label, precision.split, precision.with_confidence) == ("Yes", Split.TEST, 0.95)
    assert scope.linked == scope.business
    assert scope.sign_offs == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "kind", "message", "hint"),
    [
        ("approach: build", "approach: bild", 9, "choice", "cannot be `bild`", "`build`"),
        ("approach: build", "approach: [build]", 9, "type", "not a list", ""),
        ("verdict: go", "verdict: maybe", 15, "choice", "`maybe`", "`no-go`"),
        ("automation: assist", "automation: Assist", 34, "choice", "`Assist`", "`assist`"),
        ("value: 0.4", "value: 40%", 12, "type", "`40%`", "`0.4`"),
        ("value: 0.4", 'value: "0.4"', 12, "type", "must be a number", "without quotes"),
        ("value: 0.4", "value: 4", 12, "bound", "can never be 4", "`0.04`"),
        ("human_could_do_it: true", "human_could_do_it: maybe", 13, "type", "true or false", ""),
        ("  wishes: [fewer customers leave]", "  wishes: few", 6, "type", "must be a list", "wishes: [few]"),
        ("  owner: head", "  owner: a\n  owner: head", 6, "duplicate", "line 5 says it first", "keep one"),
        ("- metric: recall\n", "- metric: recal\n", 22, "metric", "`recal`", "did you mean `recall`"),
        ("- metric: recall\n", "- metric: xyzzy\n", 22, "metric", "`xyzzy`", "`accuracy`"),
        ("- metric: recall\n", "- metric: latency_p50_ms\n", 22, "metric", "no ML", "`targets.software`"),
        ("metric: latency_p95_ms,", "metric: latencyp95ms,", 29, "metric", "a software", "`latency_p95_ms`"),
        ("at_least: 0.75", "at_least: 1.7", 23, "bound", "can never be 1.7", "between 0 and 1"),
        ("at_least: 0.75", "at_least: 75", 23, "bound", "can never be 75", "`0.75`"),
        ("at_least: 0.75", "at_least: -0.1", 23, "bound", "can never be -0.1", "between 0 and 1"),
        ("at_least: 0.75", "at_most: 0.75", 23, "bound", "wrong way round", "`at_least: 0.75`"),
        ("at_least: 0.75", "at_least: .inf", 23, "type", "`.inf`", "digits"),
        ("at_least: 0.75", "at_least: .nan", 23, "type", "`.nan`", "digits"),
        ("at_least: 0.75", "at_least: nan", 23, "type", "`nan`", "finite"),
        ("at_least: 0.75", "at_least: yes", 23, "type", "`yes`", "digits"),
        ("at_least: 0.75", "at_least: 0,75", 23, "type", "`0,75`", "a point"),
        ("at_least: 0.75", "at_least: 75 %", 23, "type", "`75 %`", "`0.75`"),
        ("at_least: 0.75", "at_least: 1e-3", 23, "type", "`1e-3`", "`0.001`"),
        ("at_least: 150", "at_least: 0150", 32, "type", "`0150`", "`150`"),
        ("at_least: 150", "at_least: 1:30", 32, "type", "`1:30`", "digits"),
        ("at_least: 0.75", "at_least: 0.75\n      at_most: 0.9", 24, "bound", "both", "keep one"),
        ("at_most: 50", "at_most: -5", 29, "bound", "can never be -5", "above 0"),
        ("at_most: 50", "at_least: 50", 29, "bound", "less `latency_p95_ms` is better", "`at_most: 50`"),
        ("split: test", "split: tests", 24, "choice", "`tests`", "`test`"),
        ("split: test", "split: train", 24, "choice", "`train`", "`dev`"),
        ("slices: [gender]", "slices: gender", 25, "type", "must be a list", "[gender]"),
        ("slices: [gender]", "slices: [gender, yes]", 25, "type", "`yes`", '`"yes"`'),
        ("slice_margin: 0.05", "slice_margin: -1", 26, "bound", "cannot be -1", "0 or more"),
        ("with_confidence: 0.95", "with_confidence: 95", 27, "bound", "95", "`0.95`"),
        ("with_confidence: 0.95", "with_confidence: 1", 27, "bound", "no confidence", "`0.95`"),
        ('class: "Yes"', "class: Yes", 27, "type", "`Yes`", '`"Yes"`'),
        ("{metric: precision,", "{metric: roc_auc,", 27, "metric", "one class alone", "`recall`"),
        ("linked_to: recall", "linked_to: reca", 33, "reference", "`reca`", "did you mean `recall`"),
        (
            "linked_to: recall",
            "linked_to: retained_customers_per_month",
            33,
            "reference",
            "business target itself",
            "`recall`",
        ),
        ("due: 2026-12-15", "due: 2026-02-30", 36, "date", "there is no 2026-02-30", "28 days"),
        ("due: 2026-12-15", "due: 2026-13-01", 36, "date", "there is no 2026-13-01", "12"),
        ("due: 2026-12-15", "due: 0000-01-01", 36, "date", "there is no 0000-01-01", "0001"),
        ("due: 2026-12-15", "due: 15.12.2026", 36, "type", "`15.12.2026`", "`2026-12-15`"),
        ("needs: [recall, latency", "needs: [recall, profit, latency", 36, "reference", "`profit`", ""),
        ("needs: [recall,", "needs: [recal,", 36, "reference", "`recal`", "did you mean `recall`"),
        ("automation: assist", "automation: assist\n? [a, b]\n: c", 35, "type", "a key must be", "quotes"),
        ("automation: assist", "automation: assist\n<<: x", 35, "type", "`<<`", ""),
        (
            "  software:\n    - {metric: latency_p95_ms, at_most: 50}\n",
            "  software: {metric: latency_p95_ms, at_most: 50}\n",
            28,
            "type",
            "must be a list",
            "`- `",
        ),
        ("  business:\n", "    - fast\n  business:\n", 30, "type", "keys of its own", "`- metric: ...`"),
        (
            "  business:\n",
            "    - {metric: latency_p95_ms, at_most: 40}\n  business:\n",
            30,
            "duplicate",
            "line 29",
            "keep one",
        ),
        ("approvals: []", "approvals: [{role: owner}]", 42, "type", "missing", "mlproj approve"),
        (
            "approvals: []",
            "approvals: [{role: owner, name: Me, date: 2026-12-01, of: the targets}]",
            42,
            "type",
            "no digest",
            "mlproj approve",
        ),
    ],
)  # fmt: skip
def test_each_error_is_told_with_its_line_and_what_would_be_right(
    changed: Changed, old: str, new: str, line: int, kind: str, message: str, hint: str
) -> None:
    problems = changed(old, new).errors
    # A target that is wrong is nobody's target: what points at it may be wrong in turn, further down.
    found = problems[0]
    assert (found.line, found.kind, found.severity) == (line, kind, Severity.ERROR)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("  statement: Cust", "  statment: x\n  statement: Cust", 4, "`problem.statment`", "`statement`?"),
        ("slice_margin: 0.05", "slice_margin: 0.05\n      why: x", 27, "`targets.ml[0].why`", "`metric`"),
        ("automation: assist", "automation: assist\ntitle: x", 35, "`title`", "known here: `problem`"),
        ("at_least: 0.75", "at_least: 0", 23, "this promises nothing", "poor model"),
        ("      slices: [gender]\n", "", 25, "there are no slices", "take the margin out"),
        ("metric: recall, value", "metric: recal, value", 12, "`recal`", "did you mean `recall`?"),
        (
            "  - {name: good enough, due",
            "  - {name: good enough, due: 2026-12-01, needs: [recall]}\n  - {name: good enough, due",
            36,
            "more than one milestone is called `good enough`",
            "a name of its own",
        ),
    ],
)  # fmt: skip
def test_each_warning_is_told_and_keeps_the_document_usable(
    changed: Changed, old: str, new: str, line: int, message: str, hint: str
) -> None:
    document = changed(old, new)
    found = only(document)
    assert (found.line, found.severity) == (line, Severity.WARNING)
    assert message in found.message
    assert hint in found.hint
    assert document.errors == ()
    assert document.scope is not None
    assert len(document.scope.targets) == 4


@pytest.mark.parametrize(
    ("known", "line", "message", "hint"),
    [
        ({"task": "regression"}, 22, "the task is regression", "`rmse`"),
        ({"columns": ["Gender", "age"]}, 25, "no column `gender`", "did you mean `Gender`?"),
        ({"columns": ["age"]}, 25, "no column `gender`", "as the data do"),
        ({"classes": ["no", "yes"]}, 27, "no class `Yes`", "did you mean `yes`?"),
        ({"classes": ["0", "1"]}, 27, "no class `Yes`", "`0`, `1`"),
    ],
)
def test_what_is_known_of_the_data_is_held_against_the_targets(
    scoping: Path, known: dict[str, object], line: int, message: str, hint: str
) -> None:
    found = load(scoping, **known).problems[0]  # type: ignore[arg-type]
    assert (found.line, found.severity) == (line, Severity.ERROR)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "hint"),
    [
        ("owner: head", "owner: the: head", 5, 13, "`: `", "quote"),
        ("  owner: head", "\towner: head", 5, 1, "a tab", "spaces"),
        ("owner: head of", "owner: `head` of", 5, 10, "begin with ```", "quotes"),
        ("owner: head of", "owner: @head of", 5, 10, "begin with `@`", "quotes"),
        ("owner: head of", "owner: *head* of", 5, None, "", "quotes"),
        ("owner: head of", "owner: *head of", 5, None, "anchor", "quotes"),
        ("owner: head of", 'owner: "head of', 5, 10, "quote is opened", "close it"),
        ("owner: head of", "owner: 'head of", 5, 10, "quote is opened", "close it"),
        ("fewer customers leave", "fewer 'customers, \"leave", 6, 30, "quote is opened", "close it"),
        ("owner: head of", 'owner: "\\head" of', 5, None, "`\\`", "single quotes"),
        ("slices: [gender]", "slices: [gender", 26, None, "`[` is never closed", "close"),
        ("  wishes: [few", "  wishes\n  wishes: [few", 7, None, "key: value", "`:`"),
        ("owner: head of", "owner: é 漢 \x07head of", 5, 14, "'\\x07'", "take it out"),
        ("  statement: Cust", "   statement: Cust", 5, None, "", "indentation"),
    ],
)
@pytest.mark.parametrize("fast", [True, False], ids=["libyaml", "python"])
def test_broken_yaml_is_told_with_line_and_what_to_look_at(
    changed: Changed,
    monkeypatch: pytest.MonkeyPatch,
    fast: bool,
    old: str,
    new: str,
    line: int,
    column: int | None,
    message: str,
    hint: str,
) -> None:
    if not fast:
        monkeypatch.delattr(yaml, "CSafeLoader")
    document = changed(old, new)
    found = only(document)
    assert document.scope is None
    assert (found.kind, found.severity) == ("syntax", Severity.ERROR)
    assert found.message.startswith("this is not YAML") or "not allowed here" in found.message
    assert message in found.message
    assert hint in found.hint
    if fast or column is not None:
        assert found.line == line
    assert column is None or found.column == column


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (None, 1, "there is no such file"),
        (b"", 1, "there is no front matter"),
        (b"# Scoping\n\nNothing here\n", 1, "there is no front matter"),
        (b"---\nproblem: x\n", 1, "never ends"),
        (b"---", 1, "never ends"),
        (b"---\n---\n", 2, "holds no keys"),
        (b"---\n# nothing\n---\n", 3, "holds no keys"),
        (b"---\n\n- a\n---\n", 3, "holds no keys"),
        (b"---\nhello\n---\n", 2, "holds no keys"),
        (b"---\nproblem:\n  owner: Andr\xe9\n---\n", 3, "byte 0xe9"),
        (b"\xff\xfe-\x00-\x00-\x00\n\x00", 1, "not UTF-8"),
        (b"---\nproblem: [\n" + b"[" * 100_000 + b"\n---\n", 1, "nested too deeply"),
        (b"---\n" + b"- " * 50_000 + b"x\n---\n", 1, "nested too deeply"),
        (b"---\na: " + b"x" * 300_000 + b"\n---\n", 1, "longer than 256 KB"),
        (b"---\na: b\n---\n" + b"x" * (5 << 20), 1, "larger than 4 MB"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_front_matter_gives_one_problem(
    tmp_path: Path, content: bytes | None, line: int, message: str
) -> None:
    path = tmp_path / "scoping.md"
    if content is not None:
        path.write_bytes(content)
    document = load(path)
    found = only(document)
    assert (found.path, found.line, found.severity) == (path, line, Severity.ERROR)
    assert message in found.message
    assert document.scope is None


def test_a_folder_in_place_of_the_file_gives_one_problem(tmp_path: Path) -> None:
    assert "cannot be read" in only(load(tmp_path)).message


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(scoping: Path, answered: str) -> None:
    broken = answered
    for old, new in (
        ("approach: build", "approach: bild"),
        ("at_least: 0.75", "at_least: 1.7"),
        ("2026-12-15", "2026-02-30"),
        ("automation: assist", "automation: asist"),
        ("  owner:", "  ower: x\n  owner:"),
    ):
        broken = broken.replace(old, new)
    scoping.write_text(broken, encoding="utf-8")
    assert [problem.line for problem in load(scoping).problems] == [5, 10, 24, 35, 37]


@pytest.mark.parametrize(
    ("old", "new", "section", "key", "why", "line"),
    [
        ("owner: head of customer care", "owner: TODO", "problem", "problem.owner", "placeholder", 5),
        ("owner: head of customer care", "owner: TBD by June", "problem", "problem.owner", "placeholder", 5),
        ("owner: head of customer care", "owner:", "problem", "problem.owner", "empty", 5),
        ("owner: head of customer care", 'owner: ""', "problem", "problem.owner", "empty", 5),
        ("owner: head of customer care", "owner: ~", "problem", "problem.owner", "empty", 5),
        ("  approach: build\n", "", "solution", "solution.approach", "missing", 7),
        ("wishes: [fewer customers leave]", "wishes: []", "problem", "problem.wishes", "empty", 6),
        ("wishes: [fewer ", "wishes: [TODO, fewer ", "problem", "problem.wishes[0]", "placeholder", 6),
        ("value: 0.4", "value: TODO", "feasibility", "feasibility.benchmark.value", "placeholder", 12),
        ("at_least: 0.75", "at_least: TODO", "targets", "targets.ml[0].at_least", "placeholder", 23),
        ("at_least: 0.75", "at_least:", "targets", "targets.ml[0].at_least", "missing", 22),
        ("      at_least: 0.75\n", "", "targets", "targets.ml[0].at_least", "missing", 22),
        ("      at_least: 150\n", "", "targets", "targets.business[0].at_least", "missing", 31),
        ("split: test", "split: TODO", "targets", "targets.ml[0].split", "placeholder", 24),
        ("      linked_to: recall\n", "", "targets", "targets.business[0].linked_to", "missing", 31),
        ("split: test", "suggested: true", "targets", "targets.ml[0]", "suggested", 24),
        ("automation: assist\n", "", "automation", "automation", "missing", 1),
        ("due: 2026-12-15", "due: TODO", "milestones", "milestones[0].due", "placeholder", 36),
        ("[recall, latency_p95_ms]", "[]", "milestones", "milestones[0].needs", "empty", 36),
        ("  budget: 10,000", "  budget: TODO ask", "resources", "resources.budget", "placeholder", 41),
    ],
)  # fmt: skip
def test_a_placeholder_a_gap_or_a_suggestion_is_a_question_and_no_error(
    changed: Changed, old: str, new: str, section: str, key: str, why: str, line: int
) -> None:
    document = changed(old, new)
    assert document.errors == ()
    (question,) = document.unanswered
    assert question == Question(
        section=Section(section), key=key, asks=question.asks, why=Why(why), line=line
    )
    assert question.asks.endswith("?") or why == "suggested"


@pytest.mark.parametrize("nothing", ["", " TODO", " {}", " ~"])
def test_a_section_left_open_asks_each_of_its_questions(changed: Changed, nothing: str) -> None:
    document = changed(
        "resources:\n  data: the billing records\n  people: two for three months\n"
        "  compute: one machine\n  budget: 10,000\n",
        f"resources:{nothing}\n",
    )
    assert document.errors == ()
    keys = [question.key for question in document.unanswered]
    assert keys == [f"resources.{name}" for name in ("data", "people", "compute", "budget")]
    assert {question.line for question in document.unanswered} == {37}


def test_a_mark_set_to_false_is_no_suggestion(changed: Changed) -> None:
    assert changed("split: test", "suggested: false").unanswered == ()


def test_a_word_that_holds_the_letters_of_a_placeholder_is_an_answer(changed: Changed) -> None:
    document = changed("owner: head of customer care", "owner: the mastodon team, TODOS not counted")
    assert document.unanswered == ()


def test_a_benchmark_in_a_number_of_ones_own_is_accepted(changed: Changed) -> None:
    document = changed("metric: recall, value: 0.4", "metric: retained_customers_per_month, value: 90")
    assert document.problems == ()
    assert document.scope is not None
    assert document.scope.feasibility.benchmark is not None


def test_anchors_and_merged_keys_are_followed(changed: Changed) -> None:
    document = changed(
        "    - {metric: latency_p95_ms, at_most: 50}\n",
        "    - &slow {metric: latency_p95_ms, at_most: 50}\n    - {<<: *slow, metric: latency_p99_ms}\n",
    )
    assert document.problems == ()
    assert document.scope is not None
    assert [(t.metric, t.bound) for t in document.scope.software] == [
        ("latency_p95_ms", 50),
        ("latency_p99_ms", 50),
    ]


def test_an_anchor_within_itself_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "scoping.md"
    path.write_text("---\ntargets: &t\n  <<: *t\n  ml: &m [*m, {metric: recall, at_least: 0.5}]\n---\n")
    document = load(path)
    assert {problem.kind for problem in document.errors} == {"type"}
    assert document.scope is not None
    assert len(document.scope.ml) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
def test_line_ends_and_byte_order_marks_change_no_line_number(
    scoping: Path, answered: str, newline: str, mark: str
) -> None:
    broken = answered.replace("at_least: 0.75", "at_least: 1.7")
    scoping.write_bytes((mark + broken.replace("\n", newline)).encode())
    assert only(load(scoping)).line == 23


def test_a_fence_of_dots_and_trailing_spaces_are_fine(scoping: Path, answered: str) -> None:
    scoping.write_text(
        answered.replace("---\n", "---  \n", 1).replace("\n---\n", "\n...\n", 1), encoding="utf-8"
    )
    assert load(scoping).problems == ()


def test_any_piece_of_a_document_missing_gives_problems_and_never_raises(
    scoping: Path, answered: str
) -> None:
    for cut in range(0, len(answered), 7):
        for text in (
            answered[:cut] + answered[cut + 5 :],
            answered[:cut],
            answered[:cut] + ":" + answered[cut:],
        ):
            scoping.write_text(text, encoding="utf-8")
            document = load(scoping)
            assert document.scope is not None or document.problems
