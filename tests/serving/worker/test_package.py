"""package.json as mlproj reads it: every fault by its place, and the package's own name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlproj.base.errors import ConfigError
from mlproj.serving import package as packages
from tests.serving.worker import toy


def changed(folder: Path, change: dict[str, Any]) -> Path:
    path = folder / "package.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return folder


def test_a_package_is_read_whole(package: Path) -> None:
    found = packages.load(package)
    assert (found.model, found.task, found.module, found.engine) == (
        "toy-model",
        "binary",
        "toy_model",
        "numpy",
    )
    assert [entry.name for entry in found.inputs] == ["age", "charge", "plan", "since"]
    assert found.inputs[0] == packages.Input(
        name="age", kind="number", integer=True, nullable=False, example=40
    )
    assert found.inputs[2].categories == ("basic", "gold")
    assert found.inputs[3].format == "%Y-%m-%d"
    assert found.outputs == packages.Outputs(kind="classes", classes=("No", "Yes"), positive="Yes")
    assert found.engines["numpy"] == packages.EngineReport(passes=True, rows=10, ms_per_row=0.1)
    assert found.environment.lock == "uv.lock"
    assert found.entity == "customer"
    assert found.example == toy.ROW
    assert found.files.keys() == toy.digests(package).keys()
    packages.verify(package)


def test_a_folder_without_a_package_says_how_to_make_one(tmp_path: Path) -> None:
    for ask in (packages.load, packages.verify, packages.digest):
        with pytest.raises(ConfigError, match=r"package\.json") as stopped:
            ask(tmp_path)
        assert "mlproj stage deployment" in stopped.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00"])
def test_what_is_no_package_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "package.json").write_text(text)
    with pytest.raises(ConfigError, match=r"package\.json"):
        packages.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format 2, 1 is wanted"),
        ({"model": 3}, "`model` is 3, a text is wanted"),
        ({"inputs": {}}, "`inputs` is {}, a list is wanted"),
        ({"inputs": []}, "`inputs` is empty"),
        ({"inputs": [{"kind": "text"}]}, "`inputs[0].name` is missing, a text is wanted"),
        ({"inputs": [{"name": "a", "kind": "colour"}]}, "the input `a` is of kind `colour`"),
        ({"inputs": [{"name": "a", "kind": "text"}] * 2}, "`inputs` names `a` twice"),
        ({"inputs": [{"name": "a", "kind": "text", "categories": [1]}]}, "`inputs[0].categories`"),
        ({"outputs": {"kind": "colour"}}, "`outputs.kind` is `colour`"),
        ({"outputs": {"kind": "classes", "classes": ["a"]}}, "fewer than two classes"),
        ({"engine": "onnx"}, "`engine` is `onnx`, of which `engines` says nothing"),
        ({"engines": {"numpy": {"passes": False, "reason": "2 rows differ"}}}, "did not pass its comparison"),
        ({"engines": {"numpy": {"passes": "yes"}}}, '`engines.numpy.passes` is "yes", true or false'),
        ({"files": {"a": 3}}, "`files`"),
        ({"example": None}, "`example` is null, an object is wanted"),
        ({"recorded": {}}, "`recorded.tolerance` is missing, a number is wanted"),
    ],
)
def test_a_fault_is_told_by_its_place(package: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as stopped:
        packages.load(changed(package, change))
    assert said in stopped.value.message
    assert "package.json" in stopped.value.message


def test_all_faults_are_told_at_once(package: Path) -> None:
    with pytest.raises(ConfigError) as stopped:
        packages.load(changed(package, {"model": 1, "run_id": None, "engine": []}))
    assert all(f"`{name}`" in stopped.value.message for name in ("model", "run_id", "engine"))


def test_a_digest_stands_for_every_file(package: Path) -> None:
    before = packages.digest(package)
    assert len(before) == 64
    (package / "engines" / "linear.json").write_text("{}")
    changed(package, {"files": toy.digests(package)})
    packages.verify(package)
    assert packages.digest(package) != before
