"""`GET /predictions/{id}` where several machines share a database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mlproj.serving import feedback, ids
from mlproj.serving.record import Feedback, Kind
from mlproj.serving.spool import Spool
from tests.serving.gateway.stage import Stage
from tests.serving.log.test_postgres_spool import server, url
from tests.serving.log.world import DAY, of_day, put

__all__ = ["server", "url"]


def test_a_prediction_of_any_machine_is_shown_with_what_was_said_to_any(
    empty_stage: Stage, tmp_path: Path, url: str
) -> None:
    here, there, *_ = of_day(DAY, 10, entity="e-1")
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, [there])
    put(empty_stage.home, [here])
    told = [
        Feedback(kind=Kind.LABEL, value="Yes", at_us=1, source="a", prediction_id=one.id)
        for one in (here, there)
    ]
    with closing(feedback.Store(elsewhere)) as store:
        store.add(told)
    with closing(feedback.Store(empty_stage.home)) as store:
        store.add(
            [told[0], Feedback(kind=Kind.LABEL, value="No", at_us=2, source="b", prediction_id=here.id)]
        )
    shipper = Spool(elsewhere, url)
    shipper.ship()
    shipper.close()
    empty_stage.settings |= {"postgres": url}
    empty_stage.start()

    shown = empty_stage.ask("GET", f"/predictions/{ids.text(there.id)}")
    assert shown.status == 200
    assert (shown.json["model_version"], shown.json["entity"]) == (there.version, "e-1")
    assert [one["value"] for one in shown.json["feedback"]] == ["Yes"]
    # Said here and there: once.
    shown = empty_stage.ask("GET", f"/predictions/{ids.text(here.id)}")
    assert [one["value"] for one in shown.json["feedback"]] == ["Yes", "No"]
    assert empty_stage.ask("GET", f"/predictions/{ids.text(here.id + 7)}").status == 404

    empty_stage.apply(postgres="postgresql://127.0.0.1:1/nowhere")
    shown = empty_stage.ask("GET", f"/predictions/{ids.text(here.id)}")
    assert [one["value"] for one in shown.json["feedback"]] == ["Yes", "No"]
    shown = empty_stage.ask("GET", f"/predictions/{ids.text(there.id)}")
    assert shown.status == 503
    assert "could not be looked up" in shown.json["error"]["message"]
