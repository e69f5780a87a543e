from __future__ import annotations

from mlproj.scoping import schema
from mlproj.scoping.keys import KEYS
from mlproj.scoping.scope import ML_METRICS, SOFTWARE_METRICS


def test_the_schema_shipped_is_the_one_the_tables_give() -> None:
    made_again = "run `python -m mlproj.scoping.schema`"
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), made_again


def test_the_schema_knows_every_key_and_every_metric() -> None:
    properties = schema.build()["properties"]
    assert list(properties) == [key.name for key in KEYS]
    targets = properties["targets"]["else"]["properties"]
    for kind, metrics in (("ml", ML_METRICS), ("software", SOFTWARE_METRICS)):
        entry = targets[kind]["else"]["items"]
        assert entry["properties"]["metric"]["else"] == {"enum": list(metrics)}
        assert [rule["if"]["properties"]["metric"]["const"] for rule in entry["allOf"]] == list(metrics)
    recall = next(
        rule["then"]["properties"]
        for rule in targets["ml"]["else"]["items"]["allOf"]
        if rule["if"]["properties"]["metric"]["const"] == "recall"
    )
    assert recall == {"at_least": {"minimum": 0, "maximum": 1}, "at_most": False}
