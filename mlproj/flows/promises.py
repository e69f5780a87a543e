"""What a run had promised and what was measured of it, as its snapshot tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlproj.flows.reading import read_bytes, table
from mlproj.project import Project
from mlproj.provenance.trace import Approval, Measured

EVALUATION = "reports/evaluation.json"


def promised(project: Project, run: str, first: Mapping[str, bytes]) -> dict[str, Any]:
    """The targets with what was measured, and who signed them off, as they stood in the run's snapshot."""
    from mlproj.scoping import document
    from mlproj.scoping.scope import TargetKind, holds

    name = project.relative(project.scoping)
    text = first.get(name, b"").decode("utf-8", "replace")
    scope = document.parse(project.scoping, text).scope if text else None
    if scope is None:
        return {}
    entries = table(first.get(EVALUATION)).get("targets")
    found = {
        (entry.get("metric"), entry.get("split"), entry.get("class")): entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    }
    loaded = _loaded(project, run)
    targets = []
    for target in scope.targets:
        entry, by = found.get((target.metric, str(target.split), target.class_label), {}), ""
        if target.kind is TargetKind.SOFTWARE:
            entry = loaded.get(target.metric) or {}
            by = "the load on its package" if entry else "`mlproj stage deployment`, which loads its package"
        elif target.kind is TargetKind.BUSINESS:
            by = "people, once the model is in use"
        value, low, high = (entry.get(key) for key in ("value", "low", "high"))
        targets.append(Measured(target=target.sentence, value=value, low=low, high=high, by=by))
    approvals = tuple(
        Approval(
            role=each.role,
            name=each.name,
            on=each.date.isoformat(),
            of=each.of,
            holds=holds(each, scope.targets),
        )
        for each in scope.approvals
    )
    return {"targets": tuple(targets), "approvals": approvals}


def _loaded(project: Project, run: str) -> Mapping[str, Any]:
    """What a load measured, where the package in the work tree is the run's and was loaded."""
    from mlproj.flows import evidence

    packaged = table(read_bytes(project.root / evidence.PACKAGE / "package.json"))
    load = evidence.load_of(project) if packaged.get("run_id") == run else None
    metrics = (load or {}).get("metrics")
    return metrics if isinstance(metrics, dict) else {}
