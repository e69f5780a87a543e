"""The OpenAPI document of the model that is served: its own fields, their types, examples and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlproj.base.errors import ConfigError
from mlproj.serving.package import Input, Package, load

_LISTED_CATEGORIES = 50
_REQUEST_HEADERS = (
    (
        "X-Request-Id",
        "Your name for the request; given back, and logged. Made up if you send none.",
        "^[ -~]*$",
    ),
    ("X-Entity-Id", "Whose request it is, in UTF-8: the same entity always meets the same version.", None),
)


class Cache:
    """The document, made anew when another package or version is served."""

    def __init__(self) -> None:
        self._package_of: tuple[Path | None, Package | None] = (None, None)
        self._key: tuple[Path | None, str, int, bool] | None = None
        self._made: dict[str, Any] = {}

    def document(self, folder: Path | None, *, model: str, version: int, has_token: bool) -> dict[str, Any]:
        key = (folder, model, version, has_token)
        if key != self._key:
            self._made = document(self._load(folder), model=model, version=version, has_token=has_token)
            self._key = key
        return self._made

    def tensors(self, folder: Path | None) -> dict[str, Any]:
        """`inputs` and `outputs` of the Open Inference Protocol's model metadata."""
        package = self._load(folder)
        if package is None:
            return {"inputs": [], "outputs": []}
        inputs = [
            {"name": one.name, "datatype": "FP64" if one.kind == "number" else "BYTES", "shape": [-1]}
            for one in package.inputs
        ]
        labels = package.outputs.classes
        datatype = (
            "BYTES" if labels and isinstance(labels[0], str) else "BOOL" if _are_bools(labels) else "INT64"
        )
        outputs = [{"name": "prediction", "datatype": datatype if labels else "FP64", "shape": [-1]}]
        if labels:
            outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, len(labels)]})
        return {"inputs": inputs, "outputs": outputs}

    def _load(self, folder: Path | None) -> Package | None:
        if folder is None:
            return None
        if self._package_of[0] != folder:
            try:
                self._package_of = (folder, load(folder))
            except ConfigError:
                # The worker refuses such a package and says why; the documentation does without its fields.
                return None
        return self._package_of[1]


def _are_bools(labels: tuple[Any, ...]) -> bool:
    return bool(labels) and all(isinstance(label, bool) for label in labels)


def document(package: Package | None, *, model: str, version: int, has_token: bool) -> dict[str, Any]:
    """The whole document; without a package, the model's own fields are any."""
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": model,
            "version": str(version),
            "description": f"Predictions of `{model}`. Every answer names its prediction and the version.",
        },
        "paths": {
            "/predict": {"post": _predict(package)},
            "/invocations": {"post": _invocations(package)},
            f"/v2/models/{model}/infer": {"post": _infer()},
            "/predictions/{id}": {"get": _prediction()},
            "/feedback": {"post": _feedback()},
            "/health/live": {"get": _plain("The gateway runs", "live")},
            "/health/ready": {"get": _plain("A model is ready and predictions can be logged", "ready", 503)},
        },
        "components": {
            "schemas": {
                "Row": _row(package),
                "Prediction": _answer(package),
                "Error": _ERROR,
                "V2Error": _V2_ERROR,
            },
        },
    }
    if has_token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        for path in ("/health/live", "/health/ready"):
            made["paths"][path]["get"]["security"] = []
    return made


_WRONG_FIELDS = {
    "type": "array",
    "description": "Every wrong field, at most 20.",
    "items": {
        "type": "object",
        "properties": {
            "field": {"type": "string"},
            "row": {"type": "integer"},
            "message": {"type": "string"},
        },
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": _WRONG_FIELDS,
            },
        }
    },
}
_V2_ERROR = {
    "type": "object",
    "description": "As the Open Inference Protocol has it, a text; what Error has besides stands beside it.",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "fields": _WRONG_FIELDS,
    },
}
_WHY = {
    "400": "Not JSON, or not the form this path takes",
    "401": "No token, or a wrong one",
    "404": "Nothing is there",
    "409": "The prediction was recorded and is not told (automation `shadow`)",
    "413": "The body is too large, or has too many rows",
    "415": "A media type or an encoding that is not read",
    "422": "Fields are missing, unknown or of a wrong type; the body names each",
    "500": "The model failed on this input; logged",
    "503": "Overloaded, no model is ready, or the log cannot be written; try again",
    "504": "The model did not answer in time",
}


def _errors(*statuses: str, schema: str = "Error") -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def _headers() -> dict[str, Any]:
    return {
        "X-Prediction-Id": {
            "schema": {"type": "string"},
            "description": "The id of the first row's prediction",
        },
        "X-Model-Version": {"schema": {"type": "integer"}, "description": "The version that answered"},
        "X-Request-Id": {"schema": {"type": "string"}, "description": "Yours, or the one made up"},
    }


def _parameters() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string", "maxLength": 200, **({"pattern": pattern} if pattern else {})},
        }
        for name, text, pattern in _REQUEST_HEADERS
    ]


_LINKS = {
    "record": {
        "operationId": "prediction",
        "description": "What is kept of the prediction",
        "parameters": {"id": "$response.header.X-Prediction-Id"},
    },
    "truth": {
        "operationId": "feedback",
        "description": "What became true, or what a person decided",
        "requestBody": {"prediction_id": "$response.header.X-Prediction-Id", "label": "1"},
    },
}


def _predict(package: Package | None) -> dict[str, Any]:
    row = {"$ref": "#/components/schemas/Row"}
    answer = {"$ref": "#/components/schemas/Prediction"}
    many = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": answer}},
    }
    body: dict[str, Any] = {"schema": {"oneOf": [row, {"type": "array", "items": row, "minItems": 1}]}}
    if package is not None:
        body["example"] = package.example
    return {
        "summary": "Predict one row, or several",
        "operationId": "predict",
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": "One prediction for a row, a list for a list",
                "headers": _headers(),
                "links": _LINKS,
                "content": {"application/json": {"schema": {"oneOf": [answer, many]}}},
            },
            **_errors("400", "401", "413", "415", "422", "500", "503", "504"),
        },
    }


def _invocations(package: Package | None) -> dict[str, Any]:
    rows: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
    schema = {
        "type": "object",
        "properties": {
            "dataframe_records": rows,
            "dataframe_split": {
                "type": "object",
                "required": ["columns", "data"],
                "properties": {
                    "index": {"type": "array"},
                    "columns": {"type": "array", "items": {"type": "string"}},
                    "data": {"type": "array", "items": {"type": "array"}},
                },
            },
            "instances": {},
            "inputs": {},
            "params": {"description": "The model takes none; an empty one is left aside."},
        },
    }
    content: dict[str, Any] = {"schema": schema}
    if package is not None:
        content["example"] = {"dataframe_records": [package.example]}
    told = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array"}},
    }
    return {
        "summary": "Predict as MLflow's scoring server does",
        "operationId": "invocations",
        "parameters": _parameters(),
        "requestBody": {
            "required": True,
            "content": {"application/json": content, "text/csv": {"schema": {"type": "string"}}},
        },
        "responses": {
            "200": {
                "description": "The predictions, in the order of the rows",
                "headers": _headers(),
                "content": {"application/json": {"schema": told}},
            },
            **_errors("400", "401", "409", "413", "415", "422", "500", "503", "504"),
        },
    }


def _infer() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "parameters": {"type": "object"},
            "data": {},
        },
    }
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor}},
    }
    told = {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {"outputs": {"type": "array"}},
    }
    return {
        "summary": "Predict by the Open Inference Protocol",
        "operationId": "infer",
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": {
                "description": "Outputs `prediction` and, for classes, `probabilities`",
                "headers": _headers(),
                "content": {"application/json": {"schema": told}},
            },
            **_errors("400", "401", "409", "413", "415", "422", "500", "503", "504", schema="V2Error"),
        },
    }


def _prediction() -> dict[str, Any]:
    return {
        "summary": "The record of a prediction, with the feedback on it",
        "operationId": "prediction",
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {
                "description": "The record",
                "content": {
                    "application/json": {"schema": {"type": "object", "required": ["prediction_id"]}}
                },
            },
            **_errors("401", "404", "503"),
        },
    }


def _feedback() -> dict[str, Any]:
    text = {"type": "string"}
    value = {"type": ["string", "number", "boolean"]}
    one = {
        "type": "object",
        "additionalProperties": False,
        "description": "`prediction_id`, or `entity` with `since` and `until`; and `label`, `decision`, "
        "or a business `metric` with its `value`.",
        "properties": {
            **dict.fromkeys(("prediction_id", "entity", "since", "until", "at", "source"), text),
            **dict.fromkeys(("label", "decision"), value),
            "metric": {"type": "string", "pattern": "^[^=]*$"},
            "value": {"type": ["number", "string"]},
        },
        "example": {"prediction_id": "06awk8s1c0400", "label": "Yes"},
    }
    counts = {
        "type": "object",
        "required": ["new", "known"],
        "properties": {"new": {"type": "integer"}, "known": {"type": "integer"}},
    }
    return {
        "summary": "Tell what became true, or what a person decided",
        "operationId": "feedback",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one}]}}},
        },
        "responses": {
            "200": {
                "description": "Kept; the same again is known and changes nothing",
                "content": {"application/json": {"schema": counts}},
            },
            **_errors("400", "401", "413", "422", "503"),
        },
    }


def _plain(text: str, name: str, *failures: int) -> dict[str, Any]:
    schema = {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}
    content = {"application/json": {"schema": schema}}
    return {
        "summary": text,
        "operationId": name,
        "responses": {
            "200": {"description": text, "content": content},
            **{str(status): {"description": "Not now", "content": content} for status in failures},
        },
    }


def _row(package: Package | None) -> dict[str, Any]:
    if package is None:
        return {"type": "object"}
    properties = {one.name: _field(one) for one in package.inputs}
    names = {one.name for one in package.inputs}
    entity = package.entity or "entity_id"
    # No types: a header goes first, and what cannot be a name names nothing; it is not refused for that.
    if entity not in names:
        properties[entity] = {
            "description": "Whose request it is, a text or a number: the same entity always meets the same "
            "version. Optional; at most 200 characters.",
        }
    if "request_id" not in names:
        properties["request_id"] = {
            "description": "Your name for the request, a text. Optional; at most 200 characters of ASCII.",
        }
    for name in package.ignored:
        properties.setdefault(name, {"description": "Not used by this version; may be sent all the same."})
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [one.name for one in package.inputs],
        "properties": properties,
        "example": package.example,
    }


def _field(one: Input) -> dict[str, Any]:
    """An input as a schema. Training's range and categories are told, not demanded."""
    kind = "number" if one.kind == "number" else "string"
    made: dict[str, Any] = {"type": [kind, "null"] if one.nullable else kind}
    remarks = []
    if one.kind == "number" and one.integer:
        remarks.append("Whole numbers in training.")
    if one.minimum is not None and one.maximum is not None:
        remarks.append(f"From {one.minimum:g} to {one.maximum:g} in training.")
    if one.categories:
        more = len(one.categories) - _LISTED_CATEGORIES
        listed = ", ".join(f"`{category}`" for category in one.categories[:_LISTED_CATEGORIES])
        remarks.append(f"In training: {listed}{f' and {more} more' if more > 0 else ''}.")
    if one.kind == "datetime":
        remarks.append(f"A time, written as {one.format or 'ISO8601'}.")
    if remarks:
        made["description"] = " ".join(remarks)
    if one.example is not None:
        made["examples"] = [one.example]
    return made


def _answer(package: Package | None) -> dict[str, Any]:
    prediction: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "prediction_id": {"type": "string"},
        "model_version": {"type": "integer"},
        "prediction": prediction,
        "decision": {"description": "The prediction, `defer` (a person decides), or null (never the model)"},
        "automation": {"enum": ["full", "partial", "assist", "shadow"]},
    }
    labels = package.outputs.classes if package is not None else ()
    if labels:
        prediction["enum"] = list(labels)
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1.000001}
        properties["probabilities"] = {"type": "object", "additionalProperties": {"type": "number"}}
    elif package is not None:
        prediction["type"] = "number"
    return {
        "type": "object",
        "required": ["prediction_id", "model_version", "decision", "automation"],
        "properties": properties,
    }
