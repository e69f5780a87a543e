"""Whatever is sent, the answer is a whole frame and never an error of the model; with msgspec as without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.worker import toy
from tests.serving.worker.conversation import MLFLOW_CSV, MLFLOW_JSON, PREDICT, V2, Answer, Item, Worker

Pair = tuple[Worker, Worker]

quietly = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["gold", "basic", "2024-03-01", "40", "nan", "1_0", 10**400, -0.0, "\ud800"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = st.sampled_from(["age", "charge", "plan", "since", "customer", "request_id", "entity_id"]) | st.text(
    max_size=4
)
rows = st.one_of(
    st.fixed_dictionaries({name: scalars | st.just(value) for name, value in toy.ROW.items()}),
    st.dictionaries(names, values, max_size=6),
    st.just(toy.ROW),
)
columns = st.dictionaries(names, st.lists(scalars, max_size=3) | values, max_size=5)
forms = st.one_of(
    st.fixed_dictionaries({"dataframe_records": st.lists(rows, max_size=3)}),
    st.fixed_dictionaries({"instances": st.lists(rows, max_size=3) | columns}),
    st.fixed_dictionaries({"inputs": st.lists(rows, max_size=3) | columns | rows}),
    st.fixed_dictionaries(
        {
            "dataframe_split": st.fixed_dictionaries(
                {
                    "columns": st.lists(names | values, max_size=4),
                    "data": st.lists(st.lists(scalars, max_size=4), max_size=3),
                }
            )
        }
    ),
    st.dictionaries(st.sampled_from(["dataframe_records", "inputs", "params", "x"]), values),
)
datatypes = st.sampled_from(["BYTES", "BOOL", "FP64", "FP32", "INT64", "UINT8", "BF16"])
tensors = st.fixed_dictionaries(
    {
        "name": names,
        "shape": st.sampled_from([[1], [1, 1], [2], [0]]) | st.lists(st.integers(-2, 3), max_size=3) | values,
        "datatype": datatypes | values,
    },
    optional={
        "data": st.lists(scalars, max_size=3) | values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | values}) | values,
    },
)
inferences = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=5) | values}, optional={"id": values, "outputs": values}
)
cells = st.sampled_from(
    ["age", "charge", "plan", "since", "1", "2.5", "NA", "gold", '"', "", "2024-03-01", "\x00"]
)
tables = st.lists(st.lists(cells | st.text(max_size=5), max_size=5).map(",".join), max_size=5).map("\n".join)


def written(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """As JSON, at times with some bytes changed."""
    texts = strategy.map(lambda value: json.dumps(value).encode())
    return texts | st.builds(spoilt, texts, st.integers(0, 200), st.binary(max_size=3))


def spoilt(body: bytes, at: int, put: bytes) -> bytes:
    return body[:at] + put + body[at + len(put) + 1 :]


items: st.SearchStrategy[Item] = st.one_of(
    st.tuples(st.just(PREDICT), st.just(0), written(rows | st.lists(rows, max_size=3))),
    st.tuples(st.just(MLFLOW_JSON), st.just(0), written(forms)),
    st.tuples(st.just(MLFLOW_CSV), st.just(0), tables.map(lambda text: text.encode(errors="replace"))),
    st.tuples(st.just(V2), st.sampled_from([0, 0, 10, 300]), written(inferences)),
    st.tuples(st.integers(0, 5), st.integers(0, 2**32 - 1), st.binary(max_size=40)),
)


@pytest.fixture(scope="module")
def pair(short: Path, blocked: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same package served with msgspec and without it."""
    package = toy.make(tmp_path_factory.mktemp("toy") / "package")
    workers = (Worker(package, short / "fast.sock"), Worker(package, short / "plain.sock", env=blocked))
    yield workers
    for worker in workers:
        worker.close()


def content(answers: list[Answer]) -> list[Any]:
    return [
        (
            answer.status,
            answer.body and answer.json,
            [(row.score, row.unseen, row.output, row.features) for row in answer.rows],
        )
        for answer in answers
    ]


@pytest.mark.slow
@quietly
@given(frames=st.lists(items, min_size=1, max_size=4))
def test_any_bodies_are_answered_and_alike_with_msgspec_and_without(pair: Pair, frames: list[Item]) -> None:
    fast, plain = (worker.exchange(frames) for worker in pair)
    assert content(fast) == content(plain)
    for answer in fast:
        assert answer.status in {200, 400, 413, 422}
        assert bool(answer.rows) == (answer.status == 200)
        if answer.status != 200:
            assert answer.code


@pytest.mark.slow
@quietly
@given(
    row=st.fixed_dictionaries(
        {"age": st.integers(-(10**6), 10**6), "charge": st.none() | st.floats(-1e9, 1e9)}
    )
)
def test_any_right_row_is_answered_and_kept_as_it_came(pair: Pair, row: dict[str, Any]) -> None:
    sent = {**toy.ROW, **row}
    for worker in pair:
        (answer,) = worker.exchange([(PREDICT, 0, json.dumps(sent).encode())])
        assert answer.status == 200
        assert answer.rows[0].features == sent


def test_the_worker_without_msgspec_has_none(pair: Pair, blocked: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", "import msgspec"], env=blocked, check=False)
    assert done.returncode != 0
