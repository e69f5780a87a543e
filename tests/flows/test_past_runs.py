"""What became of past runs, which one a word means, and what a new one is held against."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.cli import render_live, render_runs, render_trace
from mlproj.decisions import store as notebook
from mlproj.decisions.links import Links
from mlproj.decisions.record import Decision
from mlproj.flows import deploy, handover, litter, regressions, runs, trace
from mlproj.flows.litter import Kind
from mlproj.flows.past import Past
from mlproj.flows.runs import Asked
from mlproj.provenance import travel
from mlproj.scoping.scope import NEGATIVE_FLIPS, Direction, Target, TargetKind
from mlproj.serving.deployment import Mode
from tests.flows.past import Repository

GOOD = [("yes", "yes"), ("no", "no"), ("yes", "yes"), ("no", "no")]
WORSE = [("yes", "no"), ("no", "no"), ("yes", "yes"), ("no", "no")]


@pytest.fixture
def birds(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "birds")


def promise(**said: object) -> Target:
    given = {
        "kind": TargetKind.ML,
        "metric": NEGATIVE_FLIPS,
        "direction": Direction.AT_MOST,
        "bound": 0.1,
        **said,
    }
    return Target(**given)  # type: ignore[arg-type]


def states(repository: Repository) -> dict[str, str]:
    return {run.run[:4]: run.state for run in Past(repository.project).runs}


def test_a_run_s_state_follows_what_is_deployed(birds: Repository) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    two = birds.run("bbbb", 2, GOOD, version=2)
    birds.run("cccc", 3, GOOD)
    assert states(birds) == {"cccc": "", "bbbb": "candidate", "aaaa": "registered"}
    birds.deploy(1, one)
    birds.deploy(2, two, Mode.SHADOW)
    assert states(birds) == {"cccc": "", "bbbb": "shadow", "aaaa": "live"}
    birds.deploy(2, two)
    assert states(birds) == {"cccc": "", "bbbb": "live", "aaaa": "retired"}


def test_a_number_that_a_new_registry_gave_anew_is_the_run_s_that_is_served_under_it(
    birds: Repository,
) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    birds.run("bbbb", 2, GOOD, version=1)
    birds.deploy(1, one)
    assert states(birds) == {"bbbb": "candidate", "aaaa": "live"}
    assert Past(birds.project).named("v1").run == one


def test_a_word_means_a_run(birds: Repository) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    two = birds.run("aaab", 2, GOOD, version=2)
    birds.deploy(1, one)
    past = Past(birds.project)
    named = {
        word: past.named(word).run for word in ("live", "LIVE", "1", "v1", "aaaa", "candidate", "HEAD", "2")
    }
    assert named == {
        **dict.fromkeys(("live", "LIVE", "1", "v1", "aaaa"), one),
        **dict.fromkeys(("candidate", "HEAD", "2"), two),
    }
    for word, said in (("aaa", "no run"), ("v3", "no run"), ("candidat", "no run")):
        with pytest.raises(ConfigError, match=said):
            past.named(word)
    birds.run("aaaab", 3, GOOD)
    with pytest.raises(ConfigError, match="begins the ids of 2 runs"):
        Past(birds.project).named("aaaa")


def test_a_run_is_held_against_what_is_live_or_was_or_was_registered_before(birds: Repository) -> None:
    def held() -> str | None:
        past = Past(birds.project)
        found = past.before(past.named("HEAD"))
        return found.run[:4] if found else None

    one = birds.run("aaaa", 1, GOOD, version=1)
    assert held() is None
    two = birds.run("bbbb", 2, GOOD, version=2)
    assert held() == "aaaa"
    three = birds.run("cccc", 3, WORSE, version=3)
    assert held() == "bbbb"
    birds.deploy(1, one)
    assert held() == "aaaa"
    birds.deploy(3, three)
    assert held() == "aaaa"  # it is live itself: what it took over from
    birds.deploy(2, two)
    assert held() == "bbbb"
    # What was taken back is no measure for others.
    birds.deploy(3, three, back="version 2 was bad")
    assert held() == "aaaa"


def test_flips_against_the_live_version_are_counted_by_slice(birds: Repository) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    target = promise(slices=("Sex",), with_confidence=0.9)
    (nothing,) = regressions.measure(birds.project, [target])
    assert "nothing to compare with yet" in nothing["nothing"]
    birds.run("bbbb", 2, WORSE)
    birds.deploy(1, one)
    (found,) = regressions.measure(birds.project, [target])
    assert found["against"] == "run aaaa0000 (version 1, live)"
    assert (found["value"], found["rows"], found["with_confidence"]) == (0.25, 4, 0.9)
    assert found["low"] < 0.25 < found["high"]
    assert {each["level"]: each["value"] for each in found["slices"]} == {"F": 0.0, "M": 0.5}
    (whole,) = regressions.measure(birds.project, [promise()])
    assert whole["slices"] == []
    (lacking,) = regressions.measure(birds.project, [promise(slices=("Age",))])
    assert "no slices by `Age`" in lacking["reason"]
    (dev,) = regressions.measure(birds.project, [promise(split="dev")])
    assert "no row of dev is in both runs" in dev["reason"]


def test_answers_that_only_the_remote_has_are_read_there(birds: Repository, tmp_path: Path) -> None:
    birds.run("aaaa", 1, GOOD, version=1)
    birds.run("bbbb", 2, WORSE)
    (tmp_path / "remote").mkdir()
    (birds.root / ".dvc" / "cache" / "files").rename(tmp_path / "remote" / "files")
    (lost,) = regressions.measure(birds.project, [promise()])
    assert "neither in the cache nor on a remote, for none is configured" in lost["reason"]
    birds.write(
        ".dvc/config", f"[core]\n    remote = here\n['remote \"here\"']\n    url = {tmp_path / 'remote'}\n"
    )
    (found,) = regressions.measure(birds.project, [promise()])
    assert found["value"] == 0.25


def test_answers_of_an_earlier_model_are_not_taken_for_those_of_a_new_one(birds: Repository) -> None:
    birds.run("aaaa", 1, GOOD, version=1)
    birds.run("bbbb", 2, WORSE)
    # Trained since, and not evaluated yet.
    said = (birds.root / "models" / "run.json").read_text(encoding="utf-8")
    birds.write("models/run.json", said.replace("bbbb", "cccc"))
    (found,) = regressions.measure(birds.project, [promise()])
    assert "run cccc0000 kept no answers" in found["reason"]


def test_runs_are_chosen_by_parameters_of_the_model_that_was_used(
    birds: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    birds.run("aaaa", 1, GOOD)
    birds.run("bbbb", 2, WORSE, raw="2" * 32)

    def found(**asked: object) -> list[str]:
        rows = runs.find(birds.project, Asked(**asked), limit=9).rows  # type: ignore[arg-type]
        return [row.run.run[:4] for row in rows]

    assert found() == ["bbbb", "aaaa"]
    assert found(params=("train.tree.depth=2",)) == ["bbbb"]
    with pytest.raises(ConfigError, match="no run has a parameter"):
        found(params=("train.bush.depth=-2",))
    with pytest.raises(ConfigError) as short:
        found(params=("depth=2",))
    assert short.value.hint == "did you mean `train.tree.depth`?"
    assert found(metrics=("test.accuracy<1",)) == ["bbbb"]
    assert found(data="2222") == ["bbbb"]
    assert found(by="test") == ["bbbb", "aaaa"]
    asked = Asked(by="nobody")
    render_runs.show(runs.find(birds.project, asked, limit=9), asked)
    assert capsys.readouterr().out == "no run fits\n"
    assert found(words=("tree",), data="1111") == ["aaaa"]


def test_a_rare_word_counts_more_and_a_title_most(birds: Repository) -> None:
    birds.run("aaaa", 1, GOOD)
    on = date(2026, 11, 1)
    for title, why in (
        ("Leaves", "the tree has fewer of them, and then some more words about wings"),
        ("Wings", "measured twice"),
        ("Beaks", "wings, wings and the tree"),
    ):
        notebook.add(birds.project.decisions, Decision(title=title, on=on, why=why))
    beside = runs.find(birds.project, Asked(words=("wings",)), limit=9).beside
    assert [each.title for each in beside] == ["Wings", "Beaks", "Leaves"]
    # A word of the page's own form is on every page, and found on none.
    assert runs.find(birds.project, Asked(words=("written",)), limit=9).beside == ()


def names(birds: Repository, kind: Kind, **given: int) -> list[str]:
    return [item.name for item in litter.look(birds.project, **given).items if item.kind is kind]


def test_only_versions_that_nothing_hangs_on_are_offered(birds: Repository) -> None:
    one, two = (birds.run(run, day, GOOD, version=day) for run, day in (("aaaa", 1), ("bbbb", 2)))
    birds.run("cccc", 3, GOOD, version=3)
    birds.run("dddd", 4, GOOD, version=4)
    birds.deploy(2, two)
    found = [item for item in litter.look(birds.project).items if item.kind is Kind.VERSION]
    assert [item.name for item in found] == ["version 3 (run cccc0000)", "version 1 (run aaaa0000)"]
    for command in found[1].command.split(" && "):
        birds.git(*command.split()[1:])
    assert [run.run[:4] for run in Past(birds.project).runs] == ["dddd", "cccc", "bbbb"]
    # What speaks of a version owns it.
    about = Links(runs=(found[0].name[-9:-1],))
    notebook.add(birds.project.decisions, Decision(title="Keep", on=date(2026, 11, 5), about=about))
    assert names(birds, Kind.VERSION) == []
    assert one not in birds.git("for-each-ref")


def test_a_version_that_was_retired_on_the_remote_too_does_not_come_back_with_a_fetch(
    birds: Repository, tmp_path: Path
) -> None:
    for day, run in enumerate(("aaaa", "bbbb", "cccc", "dddd"), start=1):
        birds.run(run, day, GOOD, version=day if run != "bbbb" else None)
    birds.git("init", "-q", "--bare", str(tmp_path / "hub.git"))
    birds.git("remote", "add", "hub", str(tmp_path / "hub.git"))
    travel.set_up(birds.root)
    birds.git("push", "-q", "hub")
    birds.git("fetch", "-q", "hub")
    found = litter.look(birds.project).items
    commands = [item.command for item in found if item.name in ("version 1 (run aaaa0000)", "run bbbb0000")]
    assert [command.count("git push hub :refs/") for command in commands] == [1, 1]
    for command in commands:
        subprocess.run(command, shell=True, cwd=birds.root, check=True, capture_output=True)
    birds.git("fetch", "-q", "--tags", "hub")
    kept = birds.git("for-each-ref")
    assert [run for run in ("aaaa", "bbbb", "cccc", "dddd") if f"{run}0000" in kept] == ["cccc", "dddd"]


def test_a_deployment_is_to_be_reviewed_on_the_day_that_a_decision_names(
    birds: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (birds.run(run, day, GOOD, version=day) for run, day in (("aaaa", 1), ("bbbb", 2)))
    birds.deploy(1, one)
    birds.deploy(2, two, Mode.SHADOW)
    assert names(birds, Kind.DEPLOYMENT) == []
    later = datetime.now(UTC).timestamp() + 100 * 86400
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(later)))
    items = [item for item in litter.look(birds.project).items if item.kind is Kind.DEPLOYMENT]
    assert [item.command.split(" --")[0] for item in items] == [
        "mlproj retire 2",
        'mlproj decide "Version 1 stays"',
    ]
    assert names(birds, Kind.DEPLOYMENT, review_days=200) == []
    review = datetime.fromtimestamp(later + 86400 * 9, UTC).date()
    stays = Decision(title="Version 1 stays", on=review, about=Links(runs=(one,)), review=review)
    notebook.add(birds.project.decisions, stays)
    assert [name.partition(",")[0] for name in names(birds, Kind.DEPLOYMENT)] == ["version 2"]


def test_what_answered_is_kept_when_the_log_cannot_be_read(birds: Repository) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    for run, day in (("bbbb", 2), ("cccc", 3), ("dddd", 4)):
        birds.deploy(day, birds.run(run, day, GOOD, version=day))
    assert names(birds, Kind.VERSION) == ["version 2 (run bbbb0000)", "version 1 (run aaaa0000)"]
    log = birds.project.home / "log"
    log.mkdir()
    (log / "2026-11-01.db").write_bytes(b"torn")
    found = litter.look(birds.project)
    assert [item.name for item in found.items if item.kind is Kind.VERSION] == ["version 1 (run aaaa0000)"]
    assert "cannot be read" in found.notes[0]
    assert one


def test_handover_litter_and_runs_find_the_same_decisions(birds: Repository) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    # On the commit that the run was made from, and naming neither the run nor its version.
    decision = Decision(title="Fewer birds", on=date(2026, 11, 2), commit=birds.git("rev-parse", "HEAD"))
    elsewhere = Decision(title="Version 12 is better", on=date(2026, 11, 2))
    notebook.add(birds.project.decisions, elsewhere)
    birds.deploy(1, one)
    birds.run("bbbb", 2, GOOD)

    def unexplained() -> list[str]:
        return [
            gap.what for gap in handover.examine(birds.project).gaps if "no decision says why" in gap.what
        ]

    def lonely() -> list[str]:
        return [item.name for item in litter.look(birds.project).items if item.kind is Kind.RUN]

    assert lonely() == ["run aaaa0000 (version 1, live)"]
    assert unexplained() == [
        "run aaaa0000 was registered as version 1, and no decision says why",
        "version 1 was deployed by tester, and no decision says why",
    ]
    notebook.add(birds.project.decisions, decision)
    assert (lonely(), unexplained()) == ([], [])
    row = runs.find(birds.project, Asked(), limit=9).rows[-1]
    assert (row.run.run, row.decisions) == (one, ("Fewer birds",))


def test_a_version_that_waits_for_a_rollback_is_not_called_live(
    birds: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    one = birds.run("aaaa", 1, GOOD, version=1)
    two = birds.run("bbbb", 2, GOOD, version=2)
    birds.deploy(1, one)
    birds.deploy(2, two, Mode.BLUE_GREEN)
    found = deploy.overview(birds.project)
    said = render_live.overview_json(found)["deployments"]
    assert [(each["version"], each["state"]) for each in said] == [(2, "live"), (1, "kept")]
    render_live.overview(found, last=None)
    assert "full of version 1, by tester: kept for a rollback" in capsys.readouterr().out
    traced = trace.trace(birds.project, "1", trace.Options())
    assert [rollout.state for version in traced.versions for rollout in version.rollouts] == ["kept"]
    render_trace.show(traced)
    assert "; kept for a rollback" in " ".join(capsys.readouterr().out.replace("│", "").split())
