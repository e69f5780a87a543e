"""Our OpenLineage events as OpenLineage's own client reads and writes them."""

from __future__ import annotations

from typing import Any

from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    BaseFacet,
    dataset_version_dataset,
    job_type_job,
    output_statistics_output_dataset,
    source_code_location_job,
)
from openlineage.client.serde import Serde

FACETS: dict[str, type[BaseFacet]] = {
    "jobType": job_type_job.JobTypeJobFacet,
    "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


def as_openlineage(said: dict[str, Any]) -> event_v2.RunEvent:
    """A whole event through the types of OpenLineage's own client, which refuse what the specification does.

    What they write must be what was said: no key that they do not know, no schema of another version.
    """

    def facets(given: dict[str, Any]) -> dict[str, Any]:
        return {
            name: FACETS[name](
                producer=facet["_producer"],
                **{key: value for key, value in facet.items() if key not in ("_producer", "_schemaURL")},
            )
            for name, facet in given.items()
        }

    def all_facets(of: dict[str, Any]) -> dict[str, Any]:
        return {key: facets(value) if key.lower().endswith("facets") else value for key, value in of.items()}

    event = event_v2.RunEvent(
        eventTime=said["eventTime"],
        producer=said["producer"],
        eventType=event_v2.RunState[said["eventType"]],
        run=event_v2.Run(**all_facets(said["run"])),
        job=event_v2.Job(**all_facets(said["job"])),
        inputs=[event_v2.InputDataset(**all_facets(each)) for each in said["inputs"]],
        outputs=[event_v2.OutputDataset(**all_facets(each)) for each in said["outputs"]],
    )
    assert _without_empty(Serde.to_dict(event)) == _without_empty(said)
    return event


def _without_empty(said: Any) -> Any:
    """Less the facets and lists that are empty, which may be left out."""
    if isinstance(said, list):
        return [_without_empty(each) for each in said]
    if isinstance(said, dict):
        return {key: _without_empty(value) for key, value in said.items() if value not in ({}, [])}
    return said
