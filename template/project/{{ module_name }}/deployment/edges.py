"""Rows from the edges of what a model may be asked: where engines differ if they differ anywhere."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

# 1e30 still fits into the 32 bits that forests and ONNX compute with.
NUMBERS = (0, -1, 1e-30, 1e30, -1e30)
TEXTS = ("", "never seen before", "  ", "été 名前 😀", "missing", "nan")
LONG_TEXT = "never seen before, " * 5000
DATES = ("1970-01-01", "1999-12-31", "2024-02-29", "2099-07-04")

Row = dict[str, Any]


def edge_rows(first: Row, inputs: list[dict[str, Any]]) -> Iterator[tuple[Row, str | None]]:
    """Each row, and the name of the input that alone is missing in it, if it is such a row."""
    yield dict.fromkeys(first), None
    for column in inputs:
        name = column["name"]
        yield {**first, name: None}, name
        for value in edge_values(column):
            yield {**first, name: value}, None
    # All of a kind at once, the others as they are, then missing.
    for kind in ("number", "text", "datetime"):
        alike = [column for column in inputs if column["kind"] == kind]
        if not alike:
            continue
        for number in range(len(edge_values(alike[0]))):
            edges = {column["name"]: edge_values(column)[number] for column in alike}
            yield {**first, **edges}, None
            yield {**dict.fromkeys(first), **edges}, None


def edge_values(column: dict[str, Any]) -> list[Any]:
    if column["kind"] == "number":
        return list(NUMBERS)
    if column["kind"] == "text":
        return [*TEXTS, LONG_TEXT]
    moments = [datetime.fromisoformat(f"{date}T23:59:59") for date in DATES]
    form = column["format"]
    return [m.isoformat() if form == "ISO8601" else m.strftime(form) for m in moments]
