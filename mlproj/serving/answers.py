"""
What the caller is told: JSON and header lines made from a worker's answer, and what was decided on it.

Everything is bytes put together from pieces that are JSON already; nothing is parsed on the way. A row's
output starts with `"prediction":` and goes on with `,"confidence":` for classes. Quotes within a label are
escaped, so neither can stand inside one.
"""

from __future__ import annotations

import json
from typing import Any

from mlproj.serving.exchange import Exchange
from mlproj.serving.frames import Row
from mlproj.serving.routing import Automation, Route

JSON = b"Content-Type: application/json\r\n"
RETRY = b"Retry-After: 1\r\n"
DEFER = b'"defer"'
NOTHING = b"null"
_PREDICTION = len(b'"prediction":')
_MOST_WORDS = 64
# To look a member up in its class takes longer than all else that is done with it here.
_SHADOW, _PARTIAL, _FULL = Automation.SHADOW, Automation.PARTIAL, Automation.FULL


def decide(route: Route, row: Row) -> bytes:
    """The decision as JSON: the prediction, "defer", or null where it is not the model's to decide.

    Where a confidence is wanted and there is none (a number's), a person decides.
    """
    automation = route.automation
    if automation is _PARTIAL:
        bound = route.defer_below
        if bound is not None and not row.confidence >= bound:
            return DEFER
    elif automation is not _FULL:
        return NOTHING
    output = row.output
    end = output.find(b',"confidence":', _PREDICTION)
    return output[_PREDICTION:] if end < 0 else output[_PREDICTION:end]


def plain(decision: bytes) -> str | None:
    """The decision as the log keeps it: a text without its quotes, None for none."""
    if decision.startswith(b'"'):
        return json.loads(decision) if b"\\" in decision else decision[1:-1].decode()
    return None if decision == NOTHING else decision.decode()


def prediction(route: Route, shown_id: str, row: Row, decision: bytes) -> bytes:
    """One row of an answer of /predict."""
    told = b'"decision":' if route.automation is _SHADOW else row.output + b',"decision":'
    return b"".join((b'{"prediction_id":"', shown_id.encode(), route.beginning, told, decision, route.end))


def predictions(parts: list[bytes], *, many: bool) -> bytes:
    """The body of an answer of /predict: one object for an object, a list for a list."""
    return b'{"predictions":[%b]}' % b",".join(parts) if many else parts[0]


def headers(exchange: Exchange, shown_id: str) -> bytes:
    """The lines that every answer to a request for predictions has, its type with them."""
    return b"%b%bX-Prediction-Id: %b\r\nX-Request-Id: %b\r\n" % (
        JSON,
        exchange.route.header,
        shown_id.encode(),
        exchange.request_id.encode("latin-1", "replace"),
    )


def decision_header(decisions: list[bytes]) -> bytes:
    """`answer` or `defer` for each row in its order, for protocols whose bodies have no place for it.

    Of more than 64 rows only how many are which: proxies refuse long headers, often from 4 kB on.
    """
    if len(decisions) > _MOST_WORDS:
        deferred = decisions.count(DEFER)
        return b"X-Decision: %d answer, %d defer\r\n" % (len(decisions) - deferred, deferred)
    words = (b"defer" if decision == DEFER else b"answer" for decision in decisions)
    return b"X-Decision: %b\r\n" % b", ".join(words)


def error(code: str, message: str, *, is_v2: bool = False) -> bytes:
    """The body of every refusal, of the gateway and of the worker alike.

    Clients of the Open Inference Protocol want a text under `error`, so for them the rest stands beside it.
    """
    rest: dict[str, Any] = {"code": code, "fields": []}
    said = {"error": message, **rest} if is_v2 else {"error": {**rest, "message": message}}
    return json.dumps(said).encode()


def error_summary(body: bytes) -> str:
    """What the log keeps of a worker's refusal: its code and message, at most 500 characters."""
    try:
        told = json.loads(body)
        said = told["error"]
        code, message = (told["code"], said) if isinstance(said, str) else (said["code"], said["message"])
        # Half a surrogate pair, quoted from a request, is no text that the log could keep.
        return f"{code}: {message}"[:500].encode(errors="replace").decode()
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or "no reason was given"
