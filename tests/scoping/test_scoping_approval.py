from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scoping.approval import approve
from mlproj.scoping.document import load
from mlproj.scoping.scope import Approval, Scope, digest, holds

ON = date(2026, 12, 1)
EMPTY = "approvals: []  # `mlproj approve` writes here\n"


def scope_of(path: Path) -> Scope:
    document = load(path)
    assert document.problems == ()
    assert document.scope is not None
    return document.scope


def test_a_signature_holds_and_changes_nothing_but_the_list_of_approvals(
    scoping: Path, answered: str
) -> None:
    signed = approve(scoping, "business owner", 'Zoë "Z" O\'Neil', ON)
    scope = scope_of(scoping)
    assert signed.added
    assert scope.sign_offs == (signed.approval,)
    assert signed.approval == Approval(
        role="business owner", name='Zoë "Z" O\'Neil', date=ON, of=digest(scope.targets), line=43
    )
    assert scoping.read_text(encoding="utf-8") == answered.replace(
        EMPTY,
        "approvals:   # `mlproj approve` writes here\n"
        '  - role: "business owner"\n'
        '    name: "Zoë \\"Z\\" O\'Neil"\n'
        "    date: 2026-12-01\n"
        f'    of: "{digest(scope.targets)}"\n',
    )


def test_two_people_can_sign_in_one_role(scoping: Path) -> None:
    assert approve(scoping, "owner", "one", ON).added
    assert approve(scoping, "owner", "another", ON).added


def test_signing_again_writes_nothing_and_says_so(scoping: Path) -> None:
    first = approve(scoping, "demo", "demo", ON)
    before = scoping.read_bytes()
    again = approve(scoping, "demo", "demo", date(2026, 12, 2))
    assert (again.added, again.approval) == (False, first.approval)
    assert scoping.read_bytes() == before


def test_another_role_signs_below_the_first(scoping: Path) -> None:
    approve(scoping, "demo", "demo", ON)
    approve(scoping, "business owner", "demo", ON)
    assert [approval.role for approval in scope_of(scoping).sign_offs] == ["demo", "business owner"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at_least: 0.75", "at_least: 0.7"),
        ("at_most: 50", "at_most: 60"),
        ("at_least: 150", "at_least: 149"),
        ("split: test", "split: dev"),
        ("slices: [gender]", "slices: [gender, age]"),
        ("slice_margin: 0.05", "slice_margin: 0.1"),
        ('class: "Yes"', 'class: "No"'),
        ("with_confidence: 0.95", "with_confidence: 0.9"),
        (", with_confidence: 0.95", ""),
        ("linked_to: recall", "linked_to: precision"),
        ("retained_customers_per_month", "retained_customers_per_week"),
        ("    - {metric: latency_p95_ms, at_most: 50}\n", "    - {metric: latency_p99_ms, at_most: 50}\n"),
    ],
)
def test_a_changed_promise_asks_for_a_new_signature_and_the_old_one_stays(
    scoping: Path, old: str, new: str
) -> None:
    approve(scoping, "demo", "demo", ON)
    text = scoping.read_text(encoding="utf-8").replace("needs: [recall, latency_p95_ms]", "needs: [recall]")
    scoping.write_text(text.replace(old, new), encoding="utf-8")
    assert scope_of(scoping).sign_offs == ()
    later = approve(scoping, "demo", "demo", date(2026, 12, 9))
    scope = scope_of(scoping)
    assert later.added
    assert [approval.date for approval in scope.approvals] == [ON, date(2026, 12, 9)]
    assert [holds(approval, scope.targets) for approval in scope.approvals] == [False, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at_least: 0.75", "at_least: 0.750  # we argued about it"),
        ("at_most: 50", "at_most: 50.0"),
        ("at_least: 150", "at_least: 1_5_0"),
        ("      split: test\n", ""),
        ("slices: [gender]", 'slices:\n        - "gender"'),
        ("    - {metric: latency_p95_ms, at_most: 50}", "    - at_most: 50\n      metric: 'latency_p95_ms'"),
        ("statement: Customers", "statement: Many customers"),
        ("due: 2026-12-15", "due: 2027-01-15"),
    ],
)
def test_a_change_of_layout_comment_or_prose_keeps_the_signature(scoping: Path, old: str, new: str) -> None:
    approve(scoping, "demo", "demo", ON)
    scoping.write_text(scoping.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert len(scope_of(scoping).sign_offs) == 1


def test_the_order_of_targets_and_of_their_slices_is_no_part_of_the_promise(scoping: Path) -> None:
    targets = scope_of(scoping).targets
    assert digest(reversed(targets)) == digest(targets)


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
def test_line_ends_and_a_byte_order_mark_are_kept(
    scoping: Path, answered: str, newline: str, mark: str
) -> None:
    scoping.write_bytes((mark + answered.replace("\n", newline)).encode())
    approve(scoping, "demo", "demo", ON)
    after = scoping.read_bytes().decode()
    before, _, below = (mark + answered.replace("\n", newline)).partition("approvals: []")
    assert after.startswith(before)
    assert after.endswith(below.partition(newline)[2])
    if newline == "\r\n":
        assert after.count("\n") == after.count("\r\n") == answered.count("\n") + 4
    assert len(scope_of(scoping).sign_offs) == 1


STALE = "0" * 64


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("approvals:\n", ""),
        ("approvals: ~\n", ""),
        ("approvals: # nobody yet\n", "# nobody yet"),
        ("approvals: [ ]   # nobody yet\n", "# nobody yet"),
        ("approvals: [  # nobody\n  ]\n", ""),
        ("approvals:\n  # nobody yet\n", "  # nobody yet\n"),
        ("approvals: []\n# the end\n", "# the end\n"),
        (
            f"approvals:\n- role: a\n  name: b\n  date: 2026-01-01\n  of: '{STALE}'  # old\n\n# end\n",
            "  # old\n",
        ),
        (
            f"approvals:\n    - {{role: a, name: b, date: 2026-01-01, of: '{STALE}'}}  # old\n",
            f"    - {{role: a, name: b, date: 2026-01-01, of: '{STALE}'}}  # old\n",
        ),
        (
            f"approvals: [{{role: a, name: b, date: 2026-01-01, of: '{STALE}'}}]  # old\n",
            f"[{{role: a, name: b, date: 2026-01-01, of: '{STALE}'}}, {{",
        ),
        (
            f"approvals:\n  - of: {STALE}\n    role: a\n    date: 2026-1-1\n    name: |\n      b\n\n# end\n",
            "\n      b\n",
        ),
    ],
)
@pytest.mark.parametrize("place", ["last", "first"])
def test_an_approval_joins_the_list_however_it_is_written(
    scoping: Path, answered: str, written: str, kept: str, place: str
) -> None:
    rest = answered.replace(EMPTY, "")
    if place == "last":
        text = rest.replace("\n---\n", f"\n{written}---\n")
    else:
        text = rest.replace("---\n", f"---\n{written}", 1)
    scoping.write_text(text, encoding="utf-8")
    earlier = len(scope_of(scoping).approvals)
    approve(scoping, "demo", "demo", ON)
    after = scoping.read_text(encoding="utf-8")
    scope = scope_of(scoping)
    assert kept in after
    assert len(scope.approvals) == earlier + 1
    assert [approval.role for approval in scope.sign_offs] == ["demo"]
    for line in rest.splitlines():
        assert line in after


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at_least: 0.75", "at_least: 1.7", "1 error, the first on line 23"),
        ("owner: head", "owner: TODO head", "1 open question, the first on line 5"),
        ("split: test", "suggested: true", "`targets.ml[0]` is suggested"),
        ("owner: head", "owner: the: head", "1 error, the first on line 5"),
    ],
)
def test_a_document_with_errors_or_open_questions_is_not_signed(
    scoping: Path, answered: str, old: str, new: str, said: str
) -> None:
    before = answered.replace(old, new)
    scoping.write_text(before, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be signed yet") as refused:
        approve(scoping, "demo", "demo", ON)
    assert said in refused.value.message
    assert "mlproj check scoping" in refused.value.hint
    assert scoping.read_text(encoding="utf-8") == before


def test_what_is_known_of_the_data_can_forbid_a_signature(scoping: Path) -> None:
    with pytest.raises(ConfigError, match="the task is regression"):
        approve(scoping, "demo", "demo", ON, task="regression")


@pytest.mark.parametrize("said", ["", "  ", "two\nlines", "bell\x07", "del\x7f"])
@pytest.mark.parametrize("what", ["role", "name"])
def test_a_signature_needs_a_role_and_a_name_that_can_be_read(scoping: Path, said: str, what: str) -> None:
    words = {"role": "demo", "name": "demo"} | {what: said}
    with pytest.raises(ConfigError, match=what):
        approve(scoping, words["role"], words["name"], ON)


@pytest.mark.parametrize(
    "role", ["yes", "null", "1", "a: b", "- x", "# y", "[z", "'q", '"r', "\\", "ü 漢 😀"]
)
def test_any_text_can_be_a_role(scoping: Path, role: str) -> None:
    approve(scoping, role, role, ON)
    (signed,) = scope_of(scoping).sign_offs
    assert (signed.role, signed.name) == (role, role)


def test_a_list_that_nothing_can_be_added_to_is_left_alone(scoping: Path, answered: str) -> None:
    entry = f"{{role: a, name: b, date: 2026-01-01, of: '{STALE}'}}"
    before = answered.replace("# what we promise\n", f"earlier: &earlier [{entry}]\n").replace(
        EMPTY, "approvals: *earlier\n"
    )
    scoping.write_text(before, encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing can be added"):
        approve(scoping, "demo", "demo", ON)
    assert scoping.read_text(encoding="utf-8") == before


def test_a_missing_document_cannot_be_signed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        approve(tmp_path / "scoping.md", "demo", "demo", ON)
