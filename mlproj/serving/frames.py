"""
What the gateway and a worker say to each other over a Unix socket: frames of requests, frames of answers.

Little endian. A request frame is `<IIH` (bytes after this header, batch id, count), then for each request
`<BII` (kind, extra, length) and its body. An answer frame has the same header, then for each request
`<HHI` (status, rows, body length), the body, and for each row `<ddHII` (score, confidence, and the lengths of
unseen, output, features) and those three. The worker answers one frame whole before it reads the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct, error
from typing import NamedTuple

HEADER = Struct("<IIH")
REQUEST = Struct("<BII")
ANSWER = Struct("<HHI")
ROW = Struct("<ddHII")
# 64 requests of 1,000 rows of 2 kB are 128 MB; a header that announces more was not written by a worker.
LARGEST_FRAME = 1 << 28


class Kind(IntEnum):
    """The protocol a body is written in."""

    PREDICT = 0
    MLFLOW_JSON = 1
    MLFLOW_CSV = 2
    V2 = 3


class Row(NamedTuple):
    """What the model said of one row.

    `output` is JSON without its braces; `features` a JSON object; `unseen` names fields, joined by \\x1f.
    """

    score: float
    confidence: float
    unseen: bytes
    output: bytes
    features: bytes


class Answer(NamedTuple):
    """What became of one request: a status of HTTP, a ready body (may be empty), its rows when it is 200."""

    status: int
    body: bytes
    rows: list[Row]


class BrokenFrame(ValueError):
    """The bytes are not a frame: the other side is broken and no later byte of it can be trusted."""


def encode(batch: int, requests: Iterable[tuple[int, int, bytes]]) -> bytes:
    """One frame of requests, each (kind, extra, body)."""
    pack = REQUEST.pack
    parts = []
    for kind, extra, body in requests:
        parts.append(pack(kind, extra, len(body)))
        parts.append(body)
    payload = b"".join(parts)
    return HEADER.pack(len(payload), batch, len(parts) // 2) + payload


def decode_answers(payload: bytes, count: int) -> list[Answer]:
    """The answers in a frame's payload (all after its header); raises BrokenFrame."""
    answers = []
    place, size = 0, len(payload)
    next_answer, answer_size = ANSWER.unpack_from, ANSWER.size
    next_row, row_size = ROW.unpack_from, ROW.size
    try:
        for _ in range(count):
            status, row_count, length = next_answer(payload, place)
            place += answer_size
            body = payload[place : place + length]
            place += length
            rows = []
            for _ in range(row_count):
                score, confidence, unseen_length, output_length, features_length = next_row(payload, place)
                unseen_at = place + row_size
                output_at = unseen_at + unseen_length
                features_at = output_at + output_length
                place = features_at + features_length
                rows.append(
                    Row(
                        score,
                        confidence,
                        payload[unseen_at:output_at],
                        payload[output_at:features_at],
                        payload[features_at:place],
                    )
                )
            answers.append(Answer(status, body, rows))
    except error as cause:
        raise BrokenFrame(f"a frame of {size} bytes ends within an answer") from cause
    if place != size:
        raise BrokenFrame(f"a frame of {size} bytes has answers of {place} bytes")
    return answers


class Decoder:
    """Puts answer frames together from the pieces a socket delivers."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, list[Answer]]]:
        """The frames that `data` completes, each (batch id, answers); raises BrokenFrame."""
        if self._pieces:
            self._pieces += data
            data = b""
        frames = []
        place = 0
        source: bytes | bytearray = data or self._pieces
        while len(source) - place >= HEADER.size:
            length, batch, count = HEADER.unpack_from(source, place)
            if length > LARGEST_FRAME:
                raise BrokenFrame(f"a frame announces {length} bytes")
            end = place + HEADER.size + length
            if len(source) < end:
                break
            frames.append((batch, decode_answers(bytes(source[place + HEADER.size : end]), count)))
            place = end
        if data:
            self._pieces += data[place:]
        else:
            del self._pieces[:place]
        return frames
