"""A trace as OpenLineage events (specification 2-0-2): one run of a job for each stage and deployment.

OpenLineage wants a time for each event. Training has its own in the manifest; of the stages before it, it is
known that they had ended when it began, of those after, that they began when it had ended. An activity of
which not even that was recorded makes no events, since a made-up time would be a lie.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from mlproj import __version__
from mlproj.provenance import lineage
from mlproj.provenance.graph import Graph, Kind, Node, Relation
from mlproj.provenance.trace import Origin, Trace

_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_PRODUCER = f"mlproj://mlproj/{__version__}"
_SHOWN = (Kind.DATA, Kind.CODE, Kind.ENVIRONMENT, Kind.TARGETS, Kind.VERSION)


def events(trace: Trace, graph: Graph) -> Iterator[dict[str, Any]]:
    """The events in the order of the pipeline, each a JSON object."""
    for origin in trace.origins:
        yield from _of_run(trace, graph, origin)
    for node in graph.nodes.values():
        if node.kind is Kind.DEPLOYMENT and node.at is not None:
            yield from _of_deployment(trace, graph, node)


def _of_run(trace: Trace, graph: Graph, origin: Origin) -> Iterator[dict[str, Any]]:
    trained = lineage.trained_by(origin.stages)
    before = {stage.name for stage in lineage.leading_to(origin.stages, lineage.MANIFEST)}
    for stage in origin.stages:
        node = graph.nodes[f"stage/{origin.run}/{stage.name}"]
        if stage is trained:
            times = (origin.started, origin.finished)
        else:
            times = (origin.started,) * 2 if stage.name in before else (origin.finished,) * 2
        if None in times:
            continue
        for state, at in zip(("START", "COMPLETE"), times, strict=True):
            yield _event(trace, graph, node, stage.name, state, str(at), origin=origin)


def _of_deployment(trace: Trace, graph: Graph, node: Node) -> Iterator[dict[str, Any]]:
    yield _event(trace, graph, node, "deploy", "START", str(node.at), outputs=False)
    made = [
        graph.nodes[arrow.target]
        for arrow in graph.arrows
        if arrow.source == node.id and arrow.relation is Relation.MADE
    ]
    for prediction in made:
        yield _event(trace, graph, node, "deploy", "RUNNING", str(prediction.at))
    if node.until is not None:
        yield _event(trace, graph, node, "deploy", "COMPLETE", node.until, outputs=False)


def _event(
    trace: Trace,
    graph: Graph,
    node: Node,
    job: str,
    state: str,
    at: str,
    *,
    outputs: bool = True,
    origin: Origin | None = None,
) -> dict[str, Any]:
    read = [graph.nodes[arrow.source] for arrow in graph.arrows if arrow.target == node.id]
    made = [graph.nodes[arrow.target] for arrow in graph.arrows if arrow.source == node.id]
    made = [each for each in made if each.kind in (Kind.DATA, Kind.VERSION, Kind.PREDICTION)]
    return {
        "eventType": state,
        "eventTime": at,
        "run": {"runId": _run_id(trace, node), "facets": {}},
        "job": {
            "namespace": f"mlproj://{trace.project_id}",
            "name": f"{trace.project}.{job}",
            "facets": _job_facets(trace, job, origin),
        },
        "inputs": [_dataset(trace, each) for each in read if each.kind in _SHOWN],
        "outputs": [_dataset(trace, each, made=True) for each in made] if outputs else [],
        "producer": _PRODUCER,
        "schemaURL": _SPEC,
    }


def _run_id(trace: Trace, node: Node) -> str:
    """Of training, the MLflow run as it is; of the others, the same for the same stage of the same run."""
    run = node.facts.get("run", "")
    if node.kind is Kind.STAGE and re.fullmatch(r"[0-9a-f]{32}", run):
        return str(uuid.UUID(run))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mlproj://{trace.project_id}/{node.id}"))


def _job_facets(trace: Trace, job: str, origin: Origin | None) -> dict[str, Any]:
    kind = "DEPLOYMENT" if origin is None else "STAGE"
    facets = {
        "jobType": {
            **_facet("2-0-4/JobTypeJobFacet"),
            "processingType": "STREAMING" if origin is None else "BATCH",
            "integration": "MLPROJ" if origin is None else "DVC",
            "jobType": kind,
        }
    }
    url = _url(trace.repository)
    if origin is not None and origin.code is not None and url is not None:
        facets["sourceCodeLocation"] = {
            **_facet("1-1-0/SourceCodeLocationJobFacet"),
            "type": "git",
            "url": url,
            "repoUrl": url,
            "path": "dvc.yaml",
            "version": origin.code.snapshot or origin.code.commit_id or "",
        }
    return facets


def _dataset(trace: Trace, node: Node, *, made: bool = False) -> dict[str, Any]:
    facts = node.facts
    version = next((facts[key] for key in ("md5", "sha256", "commit") if key in facts), None)
    found: dict[str, Any] = {
        "namespace": f"mlproj://{trace.project_id}",
        "name": facts.get("path") or node.id.replace(f"/{version}", ""),
        "facets": {},
    }
    if version is not None:
        found["facets"]["version"] = {
            **_facet("1-0-1/DatasetVersionDatasetFacet"),
            "datasetVersion": version,
        }
    if made and "rows" in facts:
        found["outputFacets"] = {
            "outputStatistics": {
                **_facet("1-0-2/OutputStatisticsOutputDatasetFacet"),
                "rowCount": int(facts["rows"].replace(",", "")),
            }
        }
    return found


def _facet(name: str) -> dict[str, str]:
    definition = name.rpartition("/")[2]
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{name}.json#/$defs/{definition}"}


def _url(repository: str | None) -> str | None:
    """A git remote as a URL: `git@host:path` is `ssh://git@host/path`; a folder of this machine is none."""
    if repository is None:
        return None
    if "://" in repository:
        return repository
    matched = re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!/)(.+)", repository)
    return f"ssh://{matched[1]}/{matched[2]}" if matched else None
