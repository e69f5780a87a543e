"""schemathesis against the gateway's own document: no 5xx, and no answer that is not in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving.conftest import Live

pytestmark = pytest.mark.slow

# `positive_data_acceptance` is left out: a document says what a field is, not that a date exists or that a
# prediction has been made. `ignored_auth` has no subject without a token.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)


def fuzz(live: Live, folder: Path, phases: str, *more: str) -> subprocess.CompletedProcess[str]:
    """schemathesis as a user runs it, with a seed, so that what it finds is found again."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{live.url}/openapi.json"),
            *("--phases", phases, "--checks", ",".join(CHECKS), "--seed", "20261123"),
            *("--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off", *more),
        ],
        # It keeps a database of its examples where it is run.
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("phases", "examples"),
    [("examples,coverage", "20"), ("fuzzing", "60"), ("stateful", "40")],
    ids=["examples and edges", "made up", "one after the other"],
)
def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    served: Live, tmp_path: Path, phases: str, examples: str
) -> None:
    done = fuzz(served, tmp_path, phases, "--max-examples", examples)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in served.log(), served.log()[-3000:]
    assert served.ask("/health/ready").status == 200


def test_the_document_links_predictions_to_their_records_and_to_feedback(served: Live) -> None:
    """What a state machine walks: predict, look up, tell the truth, look up again."""
    said = served.ask("/openapi.json").json()
    links = said["paths"]["/predict"]["post"]["responses"]["200"]["links"]
    assert {link["operationId"] for link in links.values()} == {"prediction", "feedback"}
    answer = served.ask("/predict", served.package()["example"])
    name = answer.headers["x-prediction-id"]
    assert served.ask(f"/predictions/{name}").json()["feedback"] == []
    assert served.ask("/feedback", {"prediction_id": name, "label": "x"}).json() == {"new": 1, "known": 0}
    (told,) = served.ask(f"/predictions/{name}").json()["feedback"]
    assert told["value"] == "x"
