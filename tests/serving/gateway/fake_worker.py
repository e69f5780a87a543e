"""A worker that predicts nothing and misbehaves on request: it speaks the frames, and injects faults.

    python fake_worker.py SOCKET [--label Yes] [--sleep-ms 0] [--rubbish] [--crash-every N] [--hang]

A body of /predict that is an object may name a `fault`: `hang`, `crash`, `rubbish`, `error` (500), `refuse`
(422), `surrogate` (422 that quotes half a character), and `sleep` (seconds); `confidence` is what its answer
has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<IIH")
REQUEST = struct.Struct("<BII")
ANSWER = struct.Struct("<HHI")
ROW = struct.Struct("<ddHII")
REFUSAL = {
    "error": {"code": "missing_field", "message": "fields are missing", "fields": [{"field": "tenure"}]}
}


def read(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(size - len(pieces))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def row(said: Any, features: bytes, options: argparse.Namespace) -> bytes:
    confidence = said.get("confidence", 0.9) if isinstance(said, dict) else 0.9
    unseen = b"Contract\x1fRegion" if isinstance(said, dict) and said.get("unseen") else b""
    if options.number:
        output = b'"prediction":12.5'
        confidence = float("nan")
    else:
        output = b'"prediction":%b,"confidence":%.3f,"probabilities":{"No":0.1,"Yes":0.9}' % (
            json.dumps(options.label).encode(),
            confidence,
        )
    return ROW.pack(0.9, confidence, len(unseen), len(output), len(features)) + unseen + output + features


def answer(kind: int, body: bytes, options: argparse.Namespace) -> bytes:
    if options.fast:
        return ANSWER.pack(200, 1, 0) + row(None, body, options)
    try:
        said = json.loads(body) if kind != 2 else {}
    except ValueError:
        told = b'{"error":{"code":"not_json","message":"the body is not JSON","fields":[]}}'
        return ANSWER.pack(400, 0, len(told)) + told
    fault = "error" if options.error else said.get("fault") if isinstance(said, dict) else None
    if isinstance(said, dict) and "sleep" in said:
        time.sleep(said["sleep"])
    match fault:
        case "hang":
            signal.pause()
        case "crash":
            os._exit(9)
        case "rubbish":
            return b"\xff" * 20
        case "error":
            told = b'{"error":{"code":"model_error","message":"the model failed","fields":[]}}'
            return ANSWER.pack(500, 0, len(told)) + told
        case "refuse":
            told = json.dumps(REFUSAL).encode()
            return ANSWER.pack(422, 0, len(told)) + told
        case "surrogate":
            told = b'{"error":{"code":"unexpected_field","message":"`\\ud800`: no such input","fields":[]}}'
            return ANSWER.pack(422, 0, len(told)) + told
    rows = said if isinstance(said, list) else [said]
    told = b"" if kind == 0 else json.dumps({"predictions": [options.label] * len(rows)}).encode()
    parts = [row(one, json.dumps(one).encode(), options) for one in rows]
    return ANSWER.pack(200, len(rows), len(told)) + told + b"".join(parts)


def serve(connection: socket.socket, options: argparse.Namespace) -> None:
    while True:
        size, batch, count = HEADER.unpack(read(connection, HEADER.size))
        payload = read(connection, size)
        place = 0
        parts = []
        for _ in range(count):
            kind, _, length = REQUEST.unpack_from(payload, place)
            place += REQUEST.size
            parts.append(answer(kind, payload[place : place + length], options))
            place += length
        if options.sleep_ms:
            time.sleep(options.sleep_ms / 1000)
        if options.hang:
            signal.pause()
        if options.crash:
            os._exit(9)
        told = b"".join(parts)
        if options.rubbish:
            told = b"\xff" * len(told)
        connection.sendall(HEADER.pack(len(told), batch, count) + told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--label", default="Yes")
    parser.add_argument("--sleep-ms", type=float, default=0.0)
    for fault in ("rubbish", "crash", "hang", "error", "fast", "number"):
        parser.add_argument(f"--{fault}", action="store_true")
    options = parser.parse_args()
    Path(options.socket).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options.socket)
    listener.listen(1)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(EOFError, ConnectionError), connection:
            serve(connection, options)


if __name__ == "__main__":
    main()
