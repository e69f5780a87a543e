"""A trace in the words of W3C PROV, as PROV-JSON (W3C Member Submission of 24 April 2013)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mlproj.provenance.graph import Graph, Kind, Node, Relation

# Relations of PROV-DM, section 5, each with the roles of what came later and what came before.
_USED = ("used", "prov:activity", "prov:entity")
_GENERATED = ("wasGeneratedBy", "prov:entity", "prov:activity")
_DERIVED = ("wasDerivedFrom", "prov:generatedEntity", "prov:usedEntity")
_ASSOCIATED = ("wasAssociatedWith", "prov:activity", "prov:agent")
_ATTRIBUTED = ("wasAttributedTo", "prov:entity", "prov:agent")
_INFLUENCED = ("wasInfluencedBy", "prov:influencee", "prov:influencer")
_TYPES = {
    Kind.DATA: "Dataset",
    Kind.CODE: "Code",
    Kind.ENVIRONMENT: "Environment",
    Kind.TARGETS: "Targets",
    Kind.STAGE: "Stage",
    Kind.VERSION: "ModelVersion",
    Kind.DEPLOYMENT: "Deployment",
    Kind.PREDICTION: "Prediction",
    Kind.FEEDBACK: "Feedback",
    Kind.DECISION: "Decision",
    Kind.PERSON: "Person",
}


def document(graph: Graph, *, project_id: str) -> dict[str, Any]:
    """The PROV-JSON of a graph. Ids are local to the project, whose id is in the prefix."""
    found: dict[str, Any] = {
        "prefix": {"project": f"urn:mlproj:{project_id}:", "mlproj": "urn:mlproj:terms:"},
    }
    for node in graph.nodes.values():
        found.setdefault(_class(node), {})[_name(node)] = _attributes(node)
    for number, arrow in enumerate(graph.arrows, start=1):
        source, target = graph.nodes[arrow.source], graph.nodes[arrow.target]
        (relation, of_target, of_source) = _relation(source, target, arrow.relation)
        said = {of_target: _name(target), of_source: _name(source)}
        if relation == "wasGeneratedBy" and target.at is not None and "T" in target.at:
            said["prov:time"] = target.at
        found.setdefault(relation, {})[f"_:r{number}"] = said
    return found


def _relation(source: Node, target: Node, says: Relation) -> tuple[str, str, str]:
    """The relation with the roles of the arrow's target and source in it; PROV looks back in time."""
    if source.kind is Kind.PERSON:
        return _ASSOCIATED if target.kind.is_activity else _ATTRIBUTED
    if says in (Relation.DECIDED, Relation.ABOUT, Relation.BESIDE):
        return _INFLUENCED
    if target.kind.is_activity:
        return _USED
    return _GENERATED if source.kind.is_activity else _DERIVED


def _class(node: Node) -> str:
    if node.kind is Kind.PERSON:
        return "agent"
    return "activity" if node.kind.is_activity else "entity"


def _name(node: Node) -> str:
    return f"project:{quote(node.id, safe='/')}"


def _attributes(node: Node) -> dict[str, Any]:
    kind = "prov:Person" if node.kind is Kind.PERSON else f"mlproj:{_TYPES[node.kind]}"
    said: dict[str, Any] = {
        "prov:type": {"$": kind, "type": "prov:QUALIFIED_NAME"},
        "prov:label": node.title,
        **{f"mlproj:{key}": value for key, value in node.facts.items() if value},
    }
    if node.kept is not None:
        said["mlproj:kept"] = str(node.kept)
    if node.kind.is_activity:
        said |= {"prov:startTime": node.at} if node.at else {}
        said |= {"prov:endTime": node.until} if node.until else {}
    elif node.at:
        said["mlproj:at"] = node.at
    return said
