"""`mlproj doctor` says which runs have got to a remote, and what brings the others."""

from __future__ import annotations

from pathlib import Path

from mlproj.flows import doctor
from mlproj.flows.doctor import Finding
from mlproj.provenance import travel
from tests.flows.past import Repository


def found(birds: Repository) -> Finding:
    (said,) = (each for each in doctor.examine(birds.root) if each.name == "snapshots")
    return said


def test_a_push_that_names_a_branch_leaves_runs_behind_and_doctor_says_so(tmp_path: Path) -> None:
    birds = Repository.made(tmp_path / "birds")
    birds.run("aaaa", 1, [("yes", "yes")], version=1)
    birds.run("bbbb", 2, [("yes", "yes")])
    birds.git("init", "-q", "--bare", str(tmp_path / "hub.git"))
    birds.git("remote", "add", "origin", str(tmp_path / "hub.git"))
    travel.set_up(birds.root)
    birds.git("push", "-q", "-u", "origin", "main")
    said = found(birds)
    assert (said.is_fine, said.needed) == (False, False)
    assert said.said == "`origin` has 0 of the 2 runs kept here as they are now"
    assert "run `git push origin`" in said.hint
    birds.git("push", "-q", "origin")
    said = found(birds)
    assert said.is_fine
    assert said.said.endswith("along, and it has all of those kept here (2)")
    (tmp_path / "hub.git").rename(tmp_path / "moved.git")
    said = found(birds)
    assert said.is_fine
    assert "could not be asked without waiting" in said.said
