"""What the guides tell people to type: curl against every path, and how the answers behave."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.serving.conftest import Answered, Live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

Row = dict[str, Any]
_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{13}")


def curl(live: Live, path: str, *words: str, body: bytes | None = None) -> Answered:
    """curl as a person calls it, with the head of the answer before its body."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "30", *words, live.url + path],
        input=body,
        capture_output=True,
        check=True,
        timeout=60,
    )
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Answered(int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest)


def post(live: Live, path: str, said: Any, *words: str) -> Answered:
    """POST JSON with curl, as the content type that `-d` alone sends."""
    return curl(live, path, "--data-binary", "@-", *words, body=json.dumps(said).encode())


def test_one_row_gives_one_prediction_that_can_be_looked_up_at_once(served: Live, rows: list[Row]) -> None:
    answer = post(served, "/predict", rows[0])
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    classes = served.package()["outputs"]["classes"]
    assert set(said) == {
        *("prediction_id", "model_version", "prediction", "confidence"),
        *("probabilities", "decision", "automation"),
    }
    assert _ID.fullmatch(said["prediction_id"])
    assert list(said["probabilities"]) == classes
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    assert (
        said["confidence"] == max(said["probabilities"].values()) == said["probabilities"][said["prediction"]]
    )
    assert (said["decision"], said["automation"]) == (said["prediction"], "full")
    assert answer.headers["x-prediction-id"] == said["prediction_id"]
    assert answer.headers["x-model-version"] == str(said["model_version"]) == "1"
    record = curl(served, f"/predictions/{said['prediction_id']}").json()
    assert record["features"] == rows[0]
    assert record["output"]["prediction"] == said["prediction"]
    assert record["output"]["probabilities"] == said["probabilities"]
    assert (record["role"], record["status"], record["feedback"]) == ("primary", 200, [])
    assert record["run"] == served.package()["run_id"]
    assert record["engine"] == served.package()["engine"]
    assert record["request_id"] == answer.headers["x-request-id"]


def test_several_rows_give_a_prediction_each_in_their_order(served: Live, rows: list[Row]) -> None:
    answer = post(served, "/predict", rows)
    found = answer.json()["predictions"]
    assert [one["prediction"] for one in found] == [
        post(served, "/predict", row).json()["prediction"] for row in rows
    ]
    names = [one["prediction_id"] for one in found]
    assert names == sorted(set(names))
    records = [curl(served, f"/predictions/{name}").json() for name in names]
    assert [record["row"] for record in records] == list(range(len(rows)))
    assert {record["request_id"] for record in records} == {answer.headers["x-request-id"]}
    assert [record["features"] for record in records] == rows


def test_an_entity_comes_from_the_header_or_from_a_field_and_the_header_goes_first(
    served: Live, rows: list[Row]
) -> None:
    def entity(said: Row, *words: str) -> Any:
        name = post(served, "/predict", said, *words).json()["prediction_id"]
        return curl(served, f"/predictions/{name}").json()["entity"]

    field = served.package()["entity"] or "entity_id"
    assert entity(rows[0]) is None
    assert entity(rows[0], "-H", "X-Entity-Id: bird 7") == "bird 7"
    assert entity({**rows[0], field: "bird 8"}) == "bird 8"
    assert entity({**rows[0], field: 9}) == "9"
    assert entity({**rows[0], field: "bird 8"}, "-H", "X-Entity-Id: bird 7") == "bird 7"
    assert entity(rows[0], "-H", "X-Entity-Id: Pingüin ペンギン") == "Pingüin ペンギン"


def test_an_entity_that_is_no_text_is_refused_and_not_taken_for_another(
    served: Live, rows: list[Row]
) -> None:
    answer = post(served, "/predict", rows[0], "-H", "X-Entity-Id: bird \udcff")
    assert (answer.status, answer.json()["error"]["message"]) == (400, "X-Entity-Id is not UTF-8")


def test_a_request_id_is_the_callers_and_comes_back(served: Live, rows: list[Row]) -> None:
    for said, words in (
        (rows[0], ("-H", "X-Request-Id: order-17")),
        ({**rows[0], "request_id": "order-17"}, ()),
    ):
        answer = post(served, "/predict", said, *words)
        assert answer.headers["x-request-id"] == "order-17"
        record = curl(served, f"/predictions/{answer.headers['x-prediction-id']}").json()
        assert record["request_id"] == "order-17"
        assert record["features"] == rows[0]
    made = {post(served, "/predict", rows[0]).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3


def test_feedback_by_id_is_kept_once_and_the_last_one_is_last(served: Live, rows: list[Row]) -> None:
    name = post(served, "/predict", rows[0]).json()["prediction_id"]
    label = {
        "prediction_id": name,
        "label": "Gentoo penguin (Pygoscelis papua)",
        "at": "2026-01-02T03:04:05Z",
    }
    assert post(served, "/feedback", label).json() == {"new": 1, "known": 0}
    assert post(served, "/feedback", label).json() == {"new": 0, "known": 1}
    later = [{**label, "label": "Chinstrap penguin (Pygoscelis antarctica)", "at": "2026-01-03"}, label]
    assert post(served, "/feedback", later).json() == {"new": 1, "known": 1}
    told = curl(served, f"/predictions/{name}").json()["feedback"]
    assert [one["value"] for one in told] == [label["label"], later[0]["label"]]
    assert [one["kind"] for one in told] == ["label", "label"]
    assert told[0]["at"].startswith("2026-01-02T03:04:05")


def test_feedback_by_entity_and_window_reaches_the_predictions_within_it(
    served: Live, rows: list[Row]
) -> None:
    def predicted(entity: str) -> str:
        answer = post(served, "/predict", rows[0], "-H", f"X-Entity-Id: {entity}")
        return str(answer.json()["prediction_id"])

    mine, anothers = predicted("window 1"), predicted("window 2")
    now = datetime.now(UTC)
    said = {"entity": "window 1", "decision": "seen to", "source": "desk 3"}
    past = {"since": (now - timedelta(hours=2)).isoformat(), "until": (now - timedelta(hours=1)).isoformat()}
    around = {"since": past["until"], "until": (now + timedelta(hours=1)).isoformat()}
    assert post(served, "/feedback", {**said, **past}).json()["new"] == 1
    assert curl(served, f"/predictions/{mine}").json()["feedback"] == []
    assert post(served, "/feedback", {**said, **around}).json()["new"] == 1
    (told,) = curl(served, f"/predictions/{mine}").json()["feedback"]
    assert (told["kind"], told["value"], told["source"]) == ("decision", "seen to", "desk 3")
    assert curl(served, f"/predictions/{anothers}").json()["feedback"] == []


def test_feedback_that_cannot_be_used_is_refused_as_a_whole(served: Live, rows: list[Row]) -> None:
    name = post(served, "/predict", rows[0]).json()["prediction_id"]
    good = {"prediction_id": name, "label": "x"}
    for wrong in ({**good, "lable": "y"}, {"label": "x"}, {**good, "prediction_id": "no id"}, 3):
        answer = post(served, "/feedback", [good, wrong])
        assert answer.status == 422, answer.body
        assert "feedback 1" in answer.json()["error"]["message"]
    assert curl(served, f"/predictions/{name}").json()["feedback"] == []


def test_refusals_name_every_wrong_field_and_are_records_too(served: Live, rows: list[Row]) -> None:
    first, second, *_ = [one["name"] for one in served.package()["inputs"] if one["kind"] == "number"]
    said = {**rows[0], first: "much", "colour": "black"}
    del said[second]
    answer = post(served, "/predict", said)
    assert answer.status == 422
    error = answer.json()["error"]
    assert error["code"] == "wrong_type"
    assert {one["field"] for one in error["fields"]} == {first, second, "colour"}
    record = curl(served, f"/predictions/{answer.headers['x-prediction-id']}").json()
    assert (record["status"], record["output"]) == (422, None)
    assert first in record["error"]
    assert record["features"] == said
    broken = curl(served, "/predict", "--data-binary", "@-", body=b'{"tenure": ')
    assert (broken.status, broken.json()["error"]["code"]) == (400, "not_json")
    record = curl(served, f"/predictions/{broken.headers['x-prediction-id']}").json()
    assert (record["status"], record["features"]) == (400, '{"tenure": ')


def test_too_much_is_refused_with_413_by_rows_and_by_bytes(served: Live, rows: list[Row]) -> None:
    many = post(served, "/predict", [rows[0]] * 1001)
    assert (many.status, many.json()["error"]["code"]) == (413, "too_many_rows")
    large = curl(served, "/predict", "--data-binary", "@-", body=b" " * 5_000_000)
    assert (large.status, large.json()["error"]["code"]) == (413, "too_large")
    assert post(served, "/predict", rows[0]).status == 200


def test_a_category_that_training_never_saw_is_served_kept_and_counted(served: Live, rows: list[Row]) -> None:
    text = next(one["name"] for one in served.package()["inputs"] if one["categories"])

    def counted() -> float:
        return metric(served, "mlproj_unseen_categories_total", field=text)

    before = counted()
    answer = post(served, "/predict", {**rows[0], text: "Atlantis"})
    assert answer.status == 200
    assert curl(served, f"/predictions/{answer.json()['prediction_id']}").json()["unseen"] == [text]
    assert counted() == before + 1


def metric(live: Live, name: str, **labels: str) -> float:
    """The sum over the samples of that name that have these labels."""
    text = curl(live, "/metrics").body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_metrics_are_read_by_prometheus_own_parser_and_count_what_was_asked(
    served: Live, rows: list[Row]
) -> None:
    before = metric(served, "mlproj_requests_total", status="200")
    for row in rows:
        assert post(served, "/predict", row).status == 200
    assert metric(served, "mlproj_requests_total", status="200") == before + len(rows)
    answer = curl(served, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        if family.type == "histogram":
            by_labels: dict[frozenset[tuple[str, str]], list[float]] = {}
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    others = frozenset(item for item in sample.labels.items() if item[0] != "le")
                    by_labels.setdefault(others, []).append(sample.value)
            assert all(counts == sorted(counts) for counts in by_labels.values()), family.name


class _Page(HTMLParser):
    """Tags with their attributes, and the text in between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_for_people_names_every_field_and_needs_nothing_from_elsewhere(
    served: Live, rows: list[Row]
) -> None:
    answer = curl(served, "/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert curl(served, "/").body == answer.body
    page = _Page(answer.body.decode())
    shown = set(page.text)
    assert {one["name"] for one in served.package()["inputs"]} <= shown
    elsewhere = [tag for tag in page.tags if {"src", "srcset"} & tag[1].keys()]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert elsewhere == []
    assert all(link is not None and link.startswith(("/", "#")) for link in links)
    assert not [tag for tag, _ in page.tags if tag == "link"]
    # What it tells to type is one shell command that works.
    (command,) = re.findall(r"-d '(\{.*\})'", "".join(page.text))
    said = json.loads(command.replace("'\\''", "'"))
    assert said == served.package()["example"]
    form = next(text for text in page.text if text.startswith("{\n"))
    assert json.loads(form) == said


def test_the_openapi_document_has_the_models_own_fields_and_an_example_that_is_answered(served: Live) -> None:
    said = curl(served, "/openapi.json").json()
    row = said["components"]["schemas"]["Row"]
    assert row["required"] == [one["name"] for one in served.package()["inputs"]]
    example = said["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert post(served, "/predict", example).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/predict", 405, {"POST"}),
        ("PUT", "/invocations", 405, {"POST"}),
        ("OPTIONS", "/predict", 405, {"POST"}),
        ("DELETE", "/v2/models/penguins/infer", 405, {"POST"}),
        ("GET", "/feedback", 405, {"POST"}),
        ("POST", "/metrics", 405, {"GET", "HEAD"}),
        ("DELETE", "/predictions/0safrtzvc0400", 405, {"GET", "HEAD"}),
        ("OPTIONS", "/docs", 405, {"GET", "HEAD"}),
        ("GET", "/nowhere", 404, set()),
        ("POST", "/v2/models/whales/infer", 404, set()),
        ("GET", "/predictions/0000000000000", 404, set()),
        ("GET", "/predictions/not-an-id", 404, set()),
        ("GET", "/predictions/", 404, set()),
        ("GET", "/..%2f..%2fetc/passwd", 404, set()),
    ],
)
def test_wrong_methods_and_paths_are_told_so_in_json(
    served: Live, method: str, path: str, status: int, allow: set[str]
) -> None:
    answer = curl(served, path, "-X", method, "--path-as-is")
    assert answer.status == status, answer.body
    error = answer.json()["error"]
    assert error if path.startswith("/v2") else error["message"]
    assert {word.strip() for word in answer.headers.get("allow", "").split(",") if word} == allow


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/v2"]
)
def test_head_is_get_without_the_body(served: Live, path: str) -> None:
    got, headed = curl(served, path), curl(served, path, "--head")
    assert (got.status, headed.status, headed.body) == (200, 200, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert headed.headers["content-length"] == str(len(got.body))


def test_one_connection_serves_many_requests_of_all_kinds(served: Live, rows: list[Row]) -> None:
    paths = ["/health/live", "/predict", "/nowhere", "/metrics", "/predict"]
    words: list[str] = []
    for at, path in enumerate(paths):
        words += ["--next"] * (at > 0) + ["-s", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n"]
        words += ["-d", json.dumps(rows[0])] * (path == "/predict") + [served.url + path]
    done = subprocess.run(["curl", *words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:-1] == ["200 1", "200 0", "404 0", "200 0", "200 0"]


def test_metadata_that_mlflows_tools_look_for_is_there(served: Live) -> None:
    assert curl(served, "/ping").status == 200
    assert re.fullmatch(r"[0-9][0-9a-z.+]*", curl(served, "/version").body.decode())


def test_a_gateway_is_ready_seconds_after_it_was_asked_for_and_gone_once_stopped(live: Live) -> None:
    began = time.monotonic()
    assert live.ask("/health/ready").json() == {"ready": True}
    live.stop()
    assert time.monotonic() - began < 30
    with pytest.raises(OSError, match="refused"):
        live.ask("/health/live")
    live.deploy()
    assert live.ask("/health/ready").status == 200
