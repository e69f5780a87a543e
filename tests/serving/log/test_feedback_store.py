from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError, MlprojError
from mlproj.serving import feedback, ids
from mlproj.serving.feedback import Added, Store
from mlproj.serving.record import Feedback, Kind

NUMBER = 912526403017125888
SHOWN = ids.text(NUMBER)


def said(value: str, at_us: int = 0, **changes: Any) -> Feedback:
    given: dict[str, Any] = {"prediction_id": NUMBER, "kind": Kind.LABEL, "source": "crm", **changes}
    return Feedback(value=value, at_us=at_us, **given)


def about(home: Path) -> list[str]:
    return [one.value for one in feedback.said(home, [NUMBER], [])]


def test_the_same_feedback_again_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.add([said("Yes", 5), said("No", 6)]) == Added(new=2, known=0)
    assert store.add([said("No", 6), said("Yes", 5), said("Yes", 5, source="other")]) == Added(new=1, known=2)
    assert store.add([]) == Added(new=0, known=0)
    store.close()


def test_the_last_by_event_time_then_by_arrival_comes_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([said("third", 30), said("first", 10)])
    store.add([said("second", 20, arrived_us=9), said("fourth", 30, arrived_us=2**60)])
    assert about(tmp_path) == ["first", "second", "third", "fourth"]
    store.close()


def test_without_a_time_a_repetition_is_known_and_a_change_of_mind_is_new(tmp_path: Path) -> None:
    store = Store(tmp_path)
    added = [store.add([said(value)]).new for value in ("Yes", "Yes", "No", "No", "Yes")]
    assert added == [1, 0, 1, 0, 1]
    assert about(tmp_path) == ["Yes", "No", "Yes"]
    window: dict[str, Any] = {"prediction_id": None, "entity": "7590", "since_us": 5, "until_us": 9}
    assert store.add([said("Yes", **window), said("Yes", **window)]) == Added(new=1, known=1)
    store.close()


def test_a_batch_that_cannot_be_kept_whole_is_not_kept_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(MlprojError, match="could not be written"):
        store.add([said("Yes", 1), said("\ud800", 2)])
    assert about(tmp_path) == []
    assert store.add([said("Yes", 1)]).new == 1
    store.close()


def test_the_gateway_and_the_command_add_at_the_same_time(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mlproj.serving.feedback import Store;"
        "from mlproj.serving.record import Feedback, Kind; store = Store(Path(sys.argv[1]));\n"
        "for at in range(1, 201): store.add([Feedback(prediction_id=at, kind=Kind.LABEL, value='x', at_us=at,"
        " source='cli')])"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as other:

        def add() -> None:
            store = Store(tmp_path)
            for at in range(1, 201):
                store.add([said("x", at)])
            store.close()

        thread = threading.Thread(target=add)
        thread.start()
        thread.join()
    assert other.returncode == 0
    assert len(list(feedback.rows(tmp_path))) == 400


def test_a_csv_file_is_read_with_ids_windows_labels_and_decisions(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "prediction_id,entity,since,until,label,decision,at,source\n"
        f"{SHOWN.upper()},,,,Yes,,2026-11-23T10:00:00+02:00,\n"
        ',"7590, VHVEG",2026-11-01,2026-12-01,,approve,,desk\n'
        "\n",
        encoding="utf-8-sig",
    )
    assert feedback.read(file) == [
        said("Yes", 1_795_420_800_000_000, source="labels.csv"),
        Feedback(
            entity="7590, VHVEG",
            since_us=1_793_491_200_000_000,
            until_us=1_796_083_200_000_000,
            kind=Kind.DECISION,
            value="approve",
            at_us=0,
            source="desk",
        ),
    ]
    assert [one.source for one in feedback.read(file, source="erp")] == ["erp", "desk"]


def test_json_lines_keep_what_kind_of_label_it_was(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    lines = [{"prediction_id": SHOWN, "label": label} for label in ("Yes", 12.5, 3, True)]
    lines.append({"entity": 7590, "since": "2026-11-01", "until": "2026-11-02", "decision": "no"})
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    read = feedback.read(file)
    assert [one.value for one in read] == ["Yes", "12.5", "3", "true", "no"]
    assert read[-1].entity == "7590"


def test_what_an_answer_did_for_the_business_is_told_by_metric(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    lines = [f"{SHOWN},retained,1", f"{SHOWN},minutes,12.5"]
    file.write_text("\n".join(["prediction_id,metric,value", *lines]) + "\n")
    told = feedback.read(file)
    assert [(one.kind, one.value) for one in told] == [
        (Kind.METRIC, "retained=1.0"),
        (Kind.METRIC, "minutes=12.5"),
    ]
    store = Store(tmp_path)
    assert (store.add(told).new, store.add(told).new) == (2, 0), "two metrics are no change of mind"
    store.add(
        [replace(told[0], value="retained=0.5"), replace(told[0], value="retained=3.0", prediction_id=9)]
    )
    store.close()
    assert feedback.means(tmp_path) == {"retained": (1.75, 2), "minutes": (12.5, 1)}, (
        "the last of each counts"
    )
    file.write_text(f"prediction_id,metric,value\n{SHOWN},retained,many\n")
    with pytest.raises(ConfigError, match="line 2: the `metric` `retained` needs its number as `value`"):
        feedback.read(file)


def test_all_wrong_lines_are_named_together(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "prediction_id,entity,since,until,label,decision,at,source\n"
        "abc,,,,Yes,,,\n"
        f"{SHOWN},,,,Yes,,,\n"
        f"{SHOWN},,,,Yes,approve,,\n"
        f"{SHOWN},,,,,,,\n"
        ",7590,,,Yes,,,\n"
        ',7590,2026-12-01,2026-11-01,"Y\nes",,,\n'
        f"{SHOWN},7590,,,Yes,,,\n"
        f"{SHOWN},,,,Yes,,yesterday,\n"
        f"{SHOWN},Yes\n"
        f"{SHOWN},,2026-11-01,,Yes,,,\n"
    )
    with pytest.raises(ConfigError) as caught:
        feedback.read(file)
    assert "9 wrong lines; nothing was imported" in caught.value.message
    for line in (
        "line 2: `abc` is not the id of a prediction",
        "line 4: one of `label`, `decision` and `metric` is wanted, not two",
        "line 5: one of `label`, `decision` and `metric` is wanted\n",
        "line 6: an `entity` needs the times `since` and `until`",
        "line 7: `until` is not after `since`",
        "line 9: one of `prediction_id` and `entity` is wanted, not both",
        "line 10: `at` is not a time: `yesterday`",
        "line 11: 2 values for 8 columns",
        "line 12: `since` and `until` belong to an `entity`",
    ):
        assert line in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "prediction_id,lable\n",
            "line 1: `lable` is not a column of feedback; did you mean `label`",
        ),
        ("a.csv", "label,label\n", "the column `label` is there twice"),
        ("a.csv", "", "there is no header"),
        ("a.jsonl", '{"prediction_id": 1}\n[]\n{"a"\n', "line 2: not a JSON object"),
        ("a.jsonl", '{"prediction_id": "x", "lable": 1}\n', "did you mean `label`"),
        ("a.jsonl", f'{{"prediction_id": "{SHOWN}", "label": ["Yes"]}}\n', "`label` is not a text"),
        ("a.jsonl", f'{{"prediction_id": "{SHOWN}", "label": "\\ud800"}}\n', "`label` is not Unicode text"),
        ("a.jsonl", f'{{"prediction_id": "{SHOWN}", "label": "x", "at": 5}}\n', "`at` is not a text"),
    ],
)
def test_a_file_that_is_no_feedback_is_refused_with_the_reason(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        feedback.read(file)
    assert message in caught.value.message


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        feedback.read(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("prediction_id,label\n1,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        feedback.read(tmp_path / "latin.csv")
    assert "UTF-8" in caught.value.hint


def test_feedback_of_nothing_is_empty_where_none_was_ever_given(tmp_path: Path) -> None:
    assert feedback.said(tmp_path, [1], ["a"]) == []
    assert list(feedback.rows(tmp_path)) == []
    assert not feedback.path(tmp_path).exists()
