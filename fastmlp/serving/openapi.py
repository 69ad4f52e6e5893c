"""The description of a server's addresses in OpenAPI 3.1, for programs that make clients."""

from typing import Any

from .. import __version__
from .batching import Served
from .schema import InputColumn

_TEXT = {
    "text": "one of the levels below, or another one, which counts as rare",
    "date": "a date or a time of the day",
    "words": "free text",
}


def describe(served: Served, settings: Any) -> dict[str, Any]:
    """Describe the addresses of a server.

    Parameters
    ----------
    served : Served
    settings : fastmlp.serving.app.Settings

    Returns
    -------
    dict
        What ``/openapi.json`` returns.
    """
    schema, limits = served.schema, settings.limits
    row = {
        "type": "object",
        "properties": {column.key: _column(column) for column in schema.columns},
        "required": [column.key for column in schema.columns],
    }
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": limits.rows}
    example = {column.key: column.example for column in schema.columns}
    values: dict[str, Any] = {name: {} for name in schema.values}
    values |= {name: {"type": "number"} for name in schema.probabilities}
    csv = {"text/csv": {"schema": {"type": "string"}}}
    predict = {
        "application/json": {
            "schema": _object({"rows": rows}),
            "example": {"rows": [example]},
        },
        **csv,
    }
    prediction = {"type": "object", "properties": values, "required": list(values)}
    predictions = _object({
        "predictions": {"type": "array", "items": prediction},
        "ignored_columns": {"type": "integer"},
    })  # fmt: skip
    name = {"name": "name", "in": "path", "required": True, "schema": {"const": served.name}}
    paths = {
        "/predict": {"post": _operation("Predict rows", predictions, predict)},
        "/invocations": {"post": _operation("Predict as MLflow does", {"type": "object"}, {
            "application/json": {"schema": _mlflow(rows)}, **csv,
        })},
        "/v2": {"get": _operation("Name and version of the server")},
        "/v2/health/live": {"get": _operation("Whether the server lives")},
        "/v2/health/ready": {"get": _operation("Whether the server can predict")},
        "/v2/models/{name}": {
            "parameters": [name], "get": _operation("Inputs and outputs of the model"),
        },
        "/v2/models/{name}/ready": {
            "parameters": [name], "get": _operation("Whether the model can predict"),
        },
        "/v2/models/{name}/infer": {
            "parameters": [name],
            "post": _operation("Predict by the Open Inference Protocol", {"type": "object"}, {
                "application/json": {"schema": _object({"inputs": {
                    "type": "array", "items": _ref("Tensor"), "minItems": 1,
                }})},
            }),
        },
    }  # fmt: skip
    tensor = _object({
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": ["FP64", "FP32", "INT64", "BOOL", "BYTES"]},
        "data": {"type": "array"},
    })  # fmt: skip
    components: dict[str, Any] = {
        "schemas": {"Row": row, "Tensor": tensor, "Error": _object({"error": {"type": "string"}})}
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": served.name, "version": __version__},
        "paths": paths,
        "components": components,
    }
    if settings.token is not None:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Describe an object that has all of some properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _mlflow(rows: dict[str, Any]) -> dict[str, Any]:
    table = _object({
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array"}},
    })  # fmt: skip
    return {"oneOf": [_object({"dataframe_records": rows}), _object({"dataframe_split": table})]}


def _column(column: InputColumn) -> dict[str, Any]:
    """Describe a value of a column, which may be missing."""
    if column.kind == "numeric" and not column.form:
        return {"type": ["number", "boolean", "null"]}
    if column.kind == "numeric":
        words = f"a number, or text such as {column.form}"
        return {"type": ["number", "string", "null"], "description": words}
    found: dict[str, Any] = {"type": ["string", "null"], "description": _TEXT[column.kind]}
    return {**found, "examples": column.levels} if column.levels else found


def _operation(
    summary: str, answer: dict[str, Any] | None = None, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a method of an address."""
    error = {"content": {"application/json": {"schema": _ref("Error")}}}
    content = {"application/json": {"schema": answer or {"type": "object"}}}
    responses: dict[str, Any] = {"200": {"description": "success", "content": content}}
    if body is not None:
        responses |= {
            "4XX": {"description": "the request is refused", **error},
            "503": {"description": "too many requests wait", **error},
        }
        return {
            "summary": summary,
            "requestBody": {"required": True, "content": body},
            "responses": responses,
        }
    return {"summary": summary, "responses": {**responses, "4XX": {"description": "no", **error}}}
