"""How far answers may count: no further than promised, for every version."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from mlproj.flows import deploy
from mlproj.lifecycle.evidence import Evidence
from mlproj.scoping.scope import Automation
from mlproj.serving.package import Package


def closed(degree: Automation) -> list[str]:
    """The names of what stands against a version that was packaged before, of which there is no evidence."""
    scope = SimpleNamespace(automation=Automation.ASSIST)
    document = SimpleNamespace(scope=scope)
    evidence = SimpleNamespace(package=None, document=document, document_path=Path("docs/scoping.md"))
    found = SimpleNamespace(run_id="r")
    return [each.name for each in deploy._closed(cast(Evidence, evidence), cast(Package, found), degree)]


def test_a_version_packaged_before_is_told_of_no_further_than_the_scoping_document_promises() -> None:
    assert closed(Automation.FULL) == closed(Automation.PARTIAL) == ["automation"]
    assert closed(Automation.ASSIST) == closed(Automation.SHADOW) == []
