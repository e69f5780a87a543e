"""A trace as a graph, as a picture, and in the words of PROV and OpenLineage."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from prov.model import ProvDocument

from mlproj.provenance import drawing, export_openlineage, export_prov, graph
from mlproj.provenance.graph import Kind
from mlproj.provenance.things import Kept
from tests.provenance import story
from tests.provenance.openlineage_client import FACETS, as_openlineage


def test_arrows_run_in_the_order_of_time() -> None:
    found = graph.of(story.trace())
    arrows = {(arrow.source, arrow.target) for arrow in found.arrows}
    way = [
        f"data/{'1' * 32}/raw.csv",
        f"stage/{story.RUN}/split",
        f"data/{'2' * 32}/train.parquet",
        f"stage/{story.RUN}/train",
        "version/churn/3",
        "deployment/churn/5",
        "prediction/0safxhkk40400",
        "feedback/0safxhkk40400/1",
    ]
    assert [pair for pair in pairwise(way) if pair not in arrows] == []


def test_files_in_git_are_in_the_exports_and_not_in_the_picture() -> None:
    assert not any("train.py" in name for name in graph.of(story.trace()).nodes)
    assert any("train.py" in name for name in graph.of(story.trace(), with_all_files=True).nodes)


def test_no_two_boxes_of_the_picture_overlap_and_every_arrow_runs_to_the_right() -> None:
    found = graph.of(story.trace())
    document = ElementTree.fromstring(drawing.svg(found, title="a < b", subtitle="& so on"))
    boxes = [
        (float(each.attrib["x"]), float(each.attrib["y"]))
        for each in document.iter("{http://www.w3.org/2000/svg}rect")
        if "x" in each.attrib
    ]
    assert len(boxes) == len(found.nodes)
    for at, (x, y) in enumerate(boxes):
        assert all(x != left or abs(y - top) >= 58 for left, top in boxes[at + 1 :])
    paths = [each.attrib["d"] for each in document.iter("{http://www.w3.org/2000/svg}path")]
    for path in paths:
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d", path)]
        assert not numbers or numbers[0] < numbers[-2]


def test_what_is_lost_is_dashed() -> None:
    origin = story.origin()
    lost = replace(origin.files["raw.csv"], kept=Kept.LOST)
    trace = story.trace(origins=(replace(origin, files={**origin.files, "raw.csv": lost}),))
    assert drawing.svg(graph.of(trace), title="").count("stroke-dasharray") == 1
    assert "stroke-dasharray" not in drawing.svg(graph.of(story.trace()), title="")


def test_the_picture_of_nothing_is_a_picture() -> None:
    assert drawing.svg(graph.of(story.trace(prediction=None, chain=None, origins=())), title="x")


def test_prov_reads_the_document_and_knows_what_each_thing_is() -> None:
    found = graph.of(story.trace(), with_all_files=True)
    said = export_prov.document(found, project_id="0123456789ab")
    document = ProvDocument.deserialize(content=json.dumps(said))
    assert len(list(document.get_records())) == len(found.nodes) + len(found.arrows)
    kinds = {name: len(said[name]) for name in ("entity", "activity", "agent")}
    assert kinds["activity"] == sum(node.kind.is_activity for node in found.nodes.values())
    assert kinds["agent"] == sum(node.kind is Kind.PERSON for node in found.nodes.values())
    assert {"used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo"} - {
        "wasDerivedFrom"
    } <= said.keys()


def test_a_name_with_blanks_is_a_name_in_prov() -> None:
    origin = story.origin()
    files = {**origin.files, "raw.csv": replace(origin.files["raw.csv"], path="my raw (1).csv")}
    found = graph.of(story.trace(origins=(replace(origin, files=files),)))
    said = json.dumps(export_prov.document(found, project_id="0123456789ab"))
    assert ProvDocument.deserialize(content=said)


def test_training_is_a_run_of_openlineage_with_its_own_id_and_times() -> None:
    trace = story.trace()
    events = list(export_openlineage.events(trace, graph.of(trace, with_all_files=True)))
    trained = [event for event in events if event["job"]["name"] == "churn.train"]
    assert {event["run"]["runId"] for event in trained} == {str(uuid.UUID(story.RUN))}
    assert [event["eventTime"] for event in trained] == [story.origin().started, story.origin().finished]
    assert {each["name"] for each in trained[1]["outputs"]} == {
        "models/model",
        "models/run.json",
        "version/churn/3",
    }


def test_every_facet_is_what_openlineage_s_own_client_would_write() -> None:
    trace = story.trace(repository="https://host.example/churn.git")
    events = list(export_openlineage.events(trace, graph.of(trace, with_all_files=True)))
    for event in events:
        as_openlineage(event)
    shown = json.dumps(events)
    assert [name for name in FACETS if f'"{name}": {{"_producer"' not in shown] == []


def test_a_stage_of_which_no_time_was_recorded_makes_no_event() -> None:
    trace = story.trace(origins=(story.origin(started=None, finished=None),))
    events = list(export_openlineage.events(trace, graph.of(trace, with_all_files=True)))
    assert {event["job"]["name"] for event in events} == {"churn.deploy"}


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@host.example:team/churn.git", "ssh://host.example/team/churn.git"),
        ("https://host.example/churn.git", "https://host.example/churn.git"),
        ("/srv/git/churn.git", None),
        (None, None),
    ],
)
def test_where_the_code_lies_is_told_as_a_url_where_it_is_one(remote: str | None, url: str | None) -> None:
    trace = story.trace(repository=remote)
    event = next(export_openlineage.events(trace, graph.of(trace)))
    assert event["job"]["facets"].get("sourceCodeLocation", {}).get("url") == url
