"""A log of events as raw data: `ingest` of a generated repository folds it as of the cut-off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.template.rendered import MakeProject, Rendered
from tests.template.test_generated_modules import change

pytestmark = pytest.mark.slow

PLANS = ("basic", "plus", "pro")


def write_log(path: Path) -> Path:
    """90 customers: all begin in January, every third changes plan in May, every tenth is deleted in June."""
    lines = ["customer,changed_at,change,plan,fee,review,left"]
    for row in range(90):
        end = f"{8 + row},2026-{7 + row % 3:02}-{row % 28 + 1:02},{('no', 'no', 'yes')[row % 3]}"
        lines.append(f"c{row:02},2026-01-{row % 28 + 1:02},create,{PLANS[row % 3]},{end}")
    lines += [f"c{row:02},2026-05-02,update,{PLANS[row % 2]},30,2026-06-01,yes" for row in range(0, 90, 3)]
    lines += [f"c{row:02},2026-06-03,delete,,,," for row in range(0, 90, 10)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(project: Rendered) -> dict[str, dict[str, str]]:
    script = (
        "import pandas; from made import config; "
        "print(pandas.read_parquet(config.TABLE).set_index('customer').astype(str).to_json(orient='index'))"
    )
    found: dict[str, dict[str, str]] = json.loads(project.run("python", "-c", script))
    return found


def test_the_same_log_gives_the_table_of_any_past_day(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(write_log(tmp_path / "log.csv"), "left")
    keys = "key: customer, time: changed_at, kind: change, planned: [review]"
    change(project, "params.yaml", "events: null", f"events: {{{keys}, cut_off: '2026-05-31'}}")
    said = project.run("dvc", "repro", "ingest")
    assert "0 rows are later" not in said
    may = table(project)
    assert len(may) == 90
    assert (may["c03"]["plan"], may["c03"]["fee"], may["c04"]["fee"]) == ("plus", "30.0", "12.0")
    report = json.loads((project.root / "reports/ingest.json").read_text(encoding="utf-8"))
    assert report["rows_read"] == 129
    assert report["dropped"] == {
        "after_cut_off": 9,
        "superseded": 30,
        "deleted": 0,
        "duplicates": 0,
        "missing_target": 0,
    }

    change(project, "params.yaml", "2026-05-31", "2026-06-30")
    project.run("dvc", "repro", "ingest")
    assert len(table(project)) == 81

    change(project, "params.yaml", "planned: [review]", "planned: []")
    refused = project.run("dvc", "repro", "ingest", code=255)
    assert "column `review`: 2026-08-02 00:00:00 is later than the cut-off, 2026-06-30 (row " in refused
    assert "Traceback" not in refused
