"""The bodies of answers: predictions in the forms of several protocols."""

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from .. import __version__
from ..tabular.batches import Predictions
from .bodies import Table
from .schema import Schema

# ``write(predictions, schema, table, name)`` returns the object that is sent.
Writer = Callable[[Predictions, Schema, Table, str], Any]


def to_json(found: Any) -> bytes:
    """Write JSON; what is not finite becomes null."""
    try:
        return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(found), separators=(",", ":")).encode()


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not isfinite(found) else found


def _columns(predictions: Predictions, schema: Schema) -> dict[str, list[Any]]:
    """Return the values that are predicted, by their names."""
    values = predictions.values
    if values.ndim == 1:
        return {schema.values[0]: values.tolist()}
    return dict(zip(schema.values, values.T.tolist(), strict=True))


def records(predictions: Predictions, schema: Schema, table: Table, name: str) -> Any:
    """Answer ``POST /predict``: an object for each row, with the columns of ``fastmlp predict``."""
    columns = _columns(predictions, schema)
    if predictions.probabilities is not None:
        of_classes = predictions.probabilities.T.tolist()
        columns |= zip(schema.probabilities, of_classes, strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"predictions": rows, "ignored_columns": table.n_ignored}


def mlflow(predictions: Predictions, schema: Schema, table: Table, name: str) -> Any:
    """Answer ``POST /invocations`` as MLflow does: a value for each row, or an object."""
    columns = _columns(predictions, schema)
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def tensors(predictions: Predictions, schema: Schema, table: Table, name: str) -> Any:
    """Answer a request of the Open Inference Protocol."""
    outputs: list[dict[str, Any]] = [
        {"name": key, "datatype": schema.datatype, "shape": [len(values)], "data": values}
        for key, values in _columns(predictions, schema).items()
    ]
    if predictions.probabilities is not None:
        n_rows, n_classes = predictions.probabilities.shape
        outputs.append(
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [n_rows, n_classes],
                "data": predictions.probabilities.ravel().tolist(),
                "parameters": {"classes": json.dumps(schema.classes)},
            }
        )
    if table.outputs:
        outputs = [output for output in outputs if output["name"] in table.outputs]
    answer = {"model_name": name, "outputs": outputs}
    return answer if table.request_id is None else {**answer, "id": table.request_id}


def metadata(schema: Schema, name: str) -> dict[str, Any]:
    """Describe a model in the words of the Open Inference Protocol."""
    outputs: list[dict[str, Any]] = [
        {"name": key, "datatype": schema.datatype, "shape": [-1]} for key in schema.values
    ]
    if schema.classes is not None:
        shape = [-1, len(schema.classes)]
        outputs.append({"name": "probabilities", "datatype": "FP32", "shape": shape})
    return {
        "name": name,
        "versions": [],
        "platform": f"fastmlp {__version__}",
        "inputs": [
            {"name": column.key, "datatype": column.datatype, "shape": [-1]}
            for column in schema.columns
        ],
        "outputs": outputs,
    }
