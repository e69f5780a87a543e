"""Judged gates as GitHub's workflow commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproj.cli.render_github import commands
from mlproj.flows.check import Judged
from mlproj.lifecycle.check import failed, passed, unknown
from mlproj.lifecycle.gates import Verdict
from mlproj.lifecycle.phases import Phase
from mlproj.project import Project
from mlproj.scoping.scope import Problem, ProblemKind, Severity
from tests.support import Run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "mlproj.toml").write_text(
        '[project]\nid = "0123456789ab"\nname = "p"\nmodule = "p"\nmodel = "p"\nenv_manager = "none"\n'
    )
    return Project.load(tmp_path)


def said(project: Project, *verdicts: Verdict, problems: tuple[Problem, ...] = ()) -> list[str]:
    return list(commands(Judged(project=project, verdicts=verdicts, problems=problems, asked_for_one=False)))


def test_what_is_open_or_not_asked_about_says_nothing(project: Project) -> None:
    fine = Verdict(phase=Phase.DATA, checks=(passed("splits", "no row in two"),))
    later = Verdict(phase=Phase.DEPLOYMENT, checks=(failed("package", "none", "make one"),))
    assert said(project, fine, later) == []


def test_a_failing_gate_is_an_error_and_what_nobody_knows_a_warning(project: Project) -> None:
    checks = (failed("raw data", "100 % lost: a, b", "go back"), unknown("splits", "not split yet", "split"))
    assert said(project, Verdict(phase=Phase.DATA, checks=checks)) == [
        "::error title=data gate raw data::100 %25 lost: a, b%0Ago back",
        "::warning title=data gate splits::not split yet%0Asplit",
    ]


def test_documents_are_named_with_their_line(project: Project) -> None:
    questions = failed("questions", "2 open", "", "problem: owner (line 9), wishes (line 7)")
    sheet = failed("datasheet", "1 open", "", "line 13: Who?")
    verdicts = (
        Verdict(phase=Phase.SCOPING, checks=(questions,)),
        Verdict(phase=Phase.DATA, checks=(sheet, failed("dictionary", "not in step", ""))),
    )
    assert [command.partition(",title")[0] for command in said(project, *verdicts)] == [
        "::error file=docs/scoping.md,line=7",
        "::error file=docs/data.md,line=13",
        "::error file=docs/data.md",
    ]


def test_each_mistake_of_the_scoping_document_is_told_once_on_its_line(project: Project) -> None:
    kind, path = ProblemKind.BOUND, project.scoping
    problems = (
        Problem(path=path, line=4, message="never", hint="less", kind=kind),
        Problem(path=path, line=8, message="odd", kind=kind, severity=Severity.WARNING),
    )
    closed = Verdict(phase=Phase.SCOPING, checks=(failed("document", "1 problem", "edit", "line 4: never"),))
    assert said(project, closed, problems=problems) == [
        "::error file=docs/scoping.md,line=4,title=scoping document::never%0Aless",
        "::warning file=docs/scoping.md,line=8,title=scoping document::odd",
    ]


def test_a_format_that_there_is_not_is_bad_usage(mlproj: Run, project: Project) -> None:
    done = mlproj("check", "--format", "githib", cwd=project.root)
    assert done.returncode == 2
    assert "write `--format github`" in done.stderr
    done = mlproj("check", "--json", "--format", "text", cwd=project.root)
    assert done.returncode == 2
    assert "are both said" in done.stderr


def test_in_github_actions_the_annotations_come_by_themselves(mlproj: Run, project: Project) -> None:
    words = ("check", "scoping")
    actions = {"GITHUB_ACTIONS": "true"}
    begins = "::error file=docs/scoping.md,line=1,title=scoping document::there is no such file"
    assert begins in mlproj(*words, cwd=project.root, env=actions).stdout
    for more in ((), ("--json",), ("--format", "text")):
        env = actions if more else {}
        assert "::error" not in mlproj(*words, *more, cwd=project.root, env=env).stdout
