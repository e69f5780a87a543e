"""Frames come out as they went in, in whatever pieces they arrive; what is no frame is said to be none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlproj.serving import frames
from mlproj.serving.frames import ANSWER, HEADER, ROW, Answer, BrokenFrame, Decoder, Row

rows = some.builds(
    Row,
    some.floats(allow_nan=False),
    some.floats(allow_nan=False),
    some.binary(max_size=20),
    some.binary(max_size=40),
    some.binary(max_size=40),
)
answers = some.builds(Answer, some.integers(100, 599), some.binary(max_size=30), some.lists(rows, max_size=4))


def written(batch: int, found: list[Answer]) -> bytes:
    payload = b"".join(
        ANSWER.pack(one.status, len(one.rows), len(one.body))
        + one.body
        + b"".join(
            ROW.pack(row.score, row.confidence, len(row.unseen), len(row.output), len(row.features))
            + row.unseen
            + row.output
            + row.features
            for row in one.rows
        )
        for one in found
    )
    return HEADER.pack(len(payload), batch, len(found)) + payload


@given(some.lists(some.lists(answers, max_size=3), max_size=4), some.integers(1, 50))
def test_answers_are_read_whatever_the_pieces_they_arrive_in(found: list[list[Answer]], piece: int) -> None:
    data = b"".join(written(batch, one) for batch, one in enumerate(found))
    decoder = Decoder()
    read = [frame for at in range(0, len(data), piece) for frame in decoder.feed(data[at : at + piece])]
    assert read == list(enumerate(found))


@given(some.binary(max_size=200))
def test_rubbish_is_an_incomplete_frame_or_a_broken_one(data: bytes) -> None:
    with contextlib.suppress(BrokenFrame):
        Decoder().feed(data)


def test_a_frame_too_large_to_be_true_is_broken_before_it_is_read() -> None:
    with pytest.raises(BrokenFrame, match="announces"):
        Decoder().feed(HEADER.pack(0xFFFFFFFF, 1, 1))


def test_a_frame_with_bytes_left_over_is_broken() -> None:
    with pytest.raises(BrokenFrame):
        Decoder().feed(HEADER.pack(3, 1, 0) + b"abc")


def test_requests_are_written_as_the_contract_says() -> None:
    assert frames.encode(7, [(3, 9, b"ab"), (0, 0, b"")]) == (
        b"\x14\0\0\0\x07\0\0\0\x02\0" + b"\x03\x09\0\0\0\x02\0\0\0ab" + b"\0\0\0\0\0\0\0\0\0"
    )
