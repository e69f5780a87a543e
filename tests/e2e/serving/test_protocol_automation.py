"""Degrees of automation: what callers are told, what was decided, and what the record keeps of both."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.serving.conftest import Live, Serve

pytestmark = pytest.mark.slow

_LOOK_S = 60.0

Row = dict[str, Any]


def record(live: Live, name: str) -> Any:
    return live.ask(f"/predictions/{name}").json()


def test_full_decides_and_assist_leaves_the_decision_to_a_person(live: Live, rows: list[Row]) -> None:
    full = live.ask("/predict", rows[0]).json()
    assert (full["automation"], full["decision"]) == ("full", full["prediction"])
    assert record(live, full["prediction_id"])["decision"] == full["prediction"]
    live.deploy("--automation", "assist")
    assist = live.ask("/predict", rows[0]).json()
    assert (assist["automation"], assist["decision"]) == ("assist", None)
    assert assist["prediction"] == full["prediction"]
    kept = record(live, assist["prediction_id"])
    assert (kept["decision"], kept["output"]["prediction"]) == (None, full["prediction"])


def test_partial_defers_what_is_less_sure_than_said_by_every_protocol(place: Serve, rows: list[Row]) -> None:
    live = place()
    live.deploy()
    sure = [one["confidence"] for one in live.ask("/predict", rows).json()["predictions"]]
    bound = sorted(sure)[len(sure) // 2]
    wanted = ["answer" if confidence >= bound else "defer" for confidence in sure]
    assert set(wanted) == {"answer", "defer"}
    live.deploy("--automation", "partial", "--defer-below", repr(bound))

    found = live.ask("/predict", rows).json()["predictions"]
    assert ["defer" if one["decision"] == "defer" else "answer" for one in found] == wanted
    for one in found:
        assert one["automation"] == "partial"
        assert one["decision"] in ("defer", one["prediction"])
        kept = record(live, one["prediction_id"])
        assert (kept["decision"], kept["output"]["prediction"]) == (one["decision"], one["prediction"])

    answer = live.ask("/invocations", {"dataframe_records": rows})
    assert answer.json()["predictions"] == [one["prediction"] for one in found]
    assert answer.headers["x-decision"].split(", ") == wanted
    (made, *_) = live.overview()["deployments"]
    assert (made["automation"], made["defer_below"]) == ("partial", bound)
    text = live.ask("/metrics").body.decode()
    assert f'mlproj_deferrals_total{{version="1"}} {wanted.count("defer") * 2}' in text


def test_shadow_automation_records_and_tells_nobody(live: Live, rows: list[Row]) -> None:
    expected = live.ask("/predict", rows[0]).json()["prediction"]
    live.deploy("--automation", "shadow")
    answer = live.ask("/predict", rows[0])
    assert answer.status == 200
    said = answer.json()
    assert said.keys() == {"prediction_id", "model_version", "decision", "automation"}
    assert (said["automation"], said["decision"]) == ("shadow", None)
    assert expected not in answer.body.decode()
    kept = record(live, said["prediction_id"])
    assert (kept["output"]["prediction"], kept["decision"], kept["status"]) == (expected, None, 200)

    refused = live.ask("/invocations", {"dataframe_records": rows[:1]})
    assert (refused.status, refused.json()["error"]["code"]) == (409, "recorded_only")
    assert record(live, refused.headers["x-prediction-id"])["output"]["prediction"] == expected
    inputs = [
        {
            "name": one["name"],
            "shape": [1],
            "datatype": "FP64" if one["kind"] == "number" else "BYTES",
            "data": [rows[0][one["name"]]],
        }
        for one in live.package()["inputs"]
    ]
    refused = live.ask("/v2/models/penguins/infer", {"inputs": inputs})
    assert (refused.status, refused.json()["code"]) == (409, "recorded_only")
    assert isinstance(refused.json()["error"], str)


def test_more_automation_than_was_promised_is_a_closed_gate(place: Serve) -> None:
    live = place()
    path = live.root / "docs" / "scoping.md"
    text = path.read_text(encoding="utf-8")
    assert "automation: full" in text
    path.write_text(text.replace("automation: full", "automation: assist"), encoding="utf-8")
    done = live.run("deploy", "--automation", "full")
    assert done.returncode == 3
    assert "`full` is more than the scoping document promises" in done.stdout


def test_a_shadow_of_people_is_told_their_decisions_and_reports_how_far_it_agrees(
    place: Serve, rows: list[Row]
) -> None:
    """Nothing is live: callers go on deciding themselves, and post what they decided."""
    live = place()
    live.deploy("--mode", "shadow")
    classes = live.package()["outputs"]["classes"]
    decisions = []
    for at in range(40):
        answer = live.ask("/predict", rows[at % len(rows)], headers={"X-Entity-Id": f"bird {at}"})
        assert answer.status == 200, answer.body
        said = answer.json()
        assert "prediction" not in said
        name = said["prediction_id"]
        would = record(live, name)["output"]["prediction"]
        # People see it another way one time in ten.
        other = classes[(classes.index(would) + 1) % len(classes)]
        decisions.append({"prediction_id": name, "decision": other if at % 10 == 9 else would})
    assert live.ask("/feedback", decisions).json() == {"new": 40, "known": 0}

    until = time.monotonic() + _LOOK_S
    latest: dict[str, Any] = {}
    while time.monotonic() < until:
        (made,) = live.overview()["deployments"]
        latest = made["latest"] or {}
        if (
            "people" in latest.get("agreement", {})
            and latest["agreement"]["people"]["groups"][0]["pairs"] == 40
        ):
            break
        time.sleep(0.5)
    overall, *_ = latest["agreement"]["people"]["groups"]
    assert (overall["pairs"], overall["agree"]["value"]) == (40, pytest.approx(0.9))
    assert sum(flip[2] for flip in overall["flipped"]) == 4
    kappa = overall["kappa"]
    assert 0.6 < kappa["low"] < kappa["value"] < kappa["high"] <= 1
    assert "36 of 40 agree, kappa 0." in live.must("deployments")


def test_a_request_id_ties_the_records_of_chained_models_together(place: Serve, rows: list[Row]) -> None:
    """The first model's answer is a field of the request to the second; the caller names the request once."""
    first, second = place(), place()
    first.deploy()
    second.deploy()
    text = next(one["name"] for one in second.package()["inputs"] if one["kind"] == "text")
    names = {"X-Request-Id": "order 4711", "X-Entity-Id": "bird 7"}
    said = first.ask("/predict", rows[0], headers=names)
    chained = {**rows[0], text: said.json()["prediction"]}
    then = second.ask("/predict", chained, headers=names)
    assert said.headers["x-request-id"] == then.headers["x-request-id"] == "order 4711"
    for live, name, features in (
        (first, said.json()["prediction_id"], rows[0]),
        (second, then.json()["prediction_id"], chained),
    ):
        kept = record(live, name)
        assert (kept["request_id"], kept["entity"], kept["features"]) == ("order 4711", "bird 7", features)
    assert first.home != second.home
    assert second.ask(f"/predictions/{said.json()['prediction_id']}").status == 404
