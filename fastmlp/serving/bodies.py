"""The bodies of requests: rows of a table in the forms of several protocols."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from ..exceptions import DataError
from ..tabular.train import read_for
from .limits import Limits, RequestError
from .schema import Schema

Row = dict[Any, Any]
_NUMBERS = ("FP16", "FP32", "FP64", "BF16")
_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_MOST_COLUMNS = 20_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
_BZIP2 = re.compile(r"BZh[1-9]1AY&SY")
_MISSING_VALUE = "write null where its value is missing"


@dataclass
class Table:
    """The rows of a request.

    Attributes
    ----------
    rows : list of dict, or pandas.DataFrame
    n_ignored : int
        The number of columns that the model does not use.
    request_id : str, or None
        What the client calls the request, in the Open Inference Protocol.
    outputs : list of str
        The outputs that the client asks for; none are all.
    """

    rows: Any
    n_ignored: int = 0
    request_id: str | None = None
    outputs: list[str] = field(default_factory=list)


# ``read(body, model, schema, limits)`` returns the table in a body.
Reader = Callable[[bytes, Any, Schema, Limits], Table]


def read_json(body: bytes) -> Any:
    """Read JSON; RequestError says where it ends to be JSON."""
    try:
        return json.loads(body)
    except RecursionError:
        raise RequestError(400, "the body is JSON of too many levels") from None
    except UnicodeDecodeError:
        raise RequestError(400, "the body is no JSON: it is not encoded in UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RequestError(400, f"the body is no JSON: {error.msg} in {where}") from None
    except ValueError:
        raise RequestError(400, "the body has a number of too many digits") from None


def rows_of_predict(body: bytes, model: Any, schema: Schema, limits: Limits) -> Table:
    """Read ``{"rows": [{column: value}, ...]}``."""
    found = _object(read_json(body))
    if "rows" not in found:
        raise RequestError(400, 'the object has no "rows"; send {"rows": [{column: value}, ...]}')
    return _table_of_records(found["rows"], '"rows"', schema, limits)


def rows_of_csv(body: bytes, model: Any, schema: Schema, limits: Limits) -> Table:
    """Read a CSV file in the way of the training."""
    _check_plain_text(body)
    first = body[: body.find(b"\n") if b"\n" in body else len(body)]
    if max(map(first.count, (b",", b";", b"\t", b"|"))) >= _MOST_COLUMNS:
        raise RequestError(413, f"the body has more than {_MOST_COLUMNS} columns")
    try:
        frame = read_for(model, io.BytesIO(body))
    except DataError as error:
        raise RequestError(400, str(error).replace("the file:", "the body:")) from None
    _check_number(len(frame), limits)
    used = {column.name for column in schema.columns}
    return Table(frame, sum(name not in used for name in frame.columns))


def _check_plain_text(body: bytes) -> None:
    """Refuse archives, which could be thousands of times as large as they look."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(400, "the body is no CSV: it is not encoded in UTF-8") from None
    if _CONTROL.search(text) or _BZIP2.match(text):
        raise RequestError(400, "the body is no CSV: it is no text, or is compressed")


def rows_of_mlflow(body: bytes, model: Any, schema: Schema, limits: Limits) -> Table:
    """Read what MLflow's scoring server takes: one of four keys."""
    found = _object(read_json(body))
    keys = [
        key for key in ("dataframe_split", "dataframe_records", "instances", "inputs")
        if key in found
    ]  # fmt: skip
    if len(keys) != 1:
        raise RequestError(
            400, "the object needs one of dataframe_split, dataframe_records, instances and inputs"
        )
    (key,) = keys
    value = found[key]
    if key == "dataframe_split":
        value = _records_of_split(value)
    elif key == "inputs" and isinstance(value, dict):
        value = _records_of_columns(value)
    elif key != "dataframe_records" and isinstance(value, list) and _are_lists(value):
        value = _records_of_lists(value, schema.given, f'"{key}"')
    return _table_of_records(value, f'"{key}"', schema, limits)


def rows_of_tensors(body: bytes, model: Any, schema: Schema, limits: Limits) -> Table:
    """Read a request of the Open Inference Protocol: a tensor for each column, or one for all."""
    found = _object(read_json(body))
    request_id, outputs = found.get("id"), found.get("outputs") or []
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(400, "the id is no text")
    tensors = found.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise RequestError(400, 'the object has no list of tensors, "inputs"')
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        name, shape, data = _tensor(tensor)
        if name in columns:
            raise RequestError(400, f"there are two tensors called {name!r}")
        if len(tensors) == 1 and len(shape) == 2 and shape[1] > 1:
            n_columns = len(schema.given)
            if shape[1] != n_columns:
                raise RequestError(
                    400, f"tensor {name!r} has {shape[1]} columns, and the model has {n_columns}"
                )
            columns = {key: data[i::n_columns] for i, key in enumerate(schema.given)}
        else:
            columns[name] = data
    table = _table_of_records(_records_of_columns(columns), '"inputs"', schema, limits)
    table.request_id, table.outputs = request_id, _names_of_outputs(outputs, schema)
    return table


def _tensor(tensor: Any) -> tuple[str, list[int], list[Any]]:
    """Return the name, the shape and the values of a tensor, one after the other."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise RequestError(400, "each tensor must be an object with a name")
    name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
    parameters = tensor.get("parameters") or {}
    if data is None and isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise RequestError(400, f"tensor {name!r} is binary data; send its values as JSON")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise RequestError(400, f"tensor {name!r} has no shape such as [3] or [3, 1]")
    if not isinstance(data, list) or len(shape) not in (1, 2):
        raise RequestError(400, f"tensor {name!r} must have one or two dimensions, and a list data")
    if len(shape) == 2 and data and all(isinstance(row, list) for row in data):
        if len(data) != shape[0] or any(len(row) != shape[1] for row in data):
            raise RequestError(400, f"tensor {name!r} has other data than its shape {shape} says")
        data = [value for row in data for value in row]
    if len(data) != prod(shape):
        raise RequestError(
            400, f"tensor {name!r} has the shape {shape}, and its data have {len(data)} values"
        )
    datatype = tensor.get("datatype")
    fits = _fits(datatype)
    for row, value in enumerate(data):
        if value is not None and not fits(value):
            row = row // (shape[1] if len(shape) == 2 and shape[1] else 1)
            raise RequestError(
                400, f"tensor {name!r} has {_shown(value)} in row {row + 1}, which is no {datatype}"
            )
    return name, shape, data


def _fits(datatype: Any) -> Callable[[Any], bool]:
    """Return what tells whether a value is of a type of tensors."""
    if datatype in _NUMBERS:
        return lambda value: type(value) in (int, float)
    if datatype in _INTEGERS:
        return lambda value: type(value) is int
    if datatype == "BOOL":
        return lambda value: type(value) is bool
    if datatype == "BYTES":
        return lambda value: type(value) is str
    raise RequestError(400, f"the datatype {_shown(datatype)} is none of FP64, INT64, BOOL, BYTES")


def _names_of_outputs(outputs: Any, schema: Schema) -> list[str]:
    """Return the names of the outputs that a client asks for."""
    known = output_names(schema)
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise RequestError(400, "the outputs are no list of objects with names")
    names = [output.get("name") for output in outputs]
    for name in names:
        if name not in known:
            raise RequestError(400, f"there is no output {_shown(name)}; there are {known}")
    return names


def output_names(schema: Schema) -> list[str]:
    """Return the names of the tensors in an answer of the Open Inference Protocol."""
    return [*schema.values, *(["probabilities"] if schema.classes is not None else [])]


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise RequestError(400, "the body must be a JSON object, {...}")
    return found


def _are_lists(rows: list[Any]) -> bool:
    return bool(rows) and all(isinstance(row, list) for row in rows)


def _records_of_split(split: Any) -> list[Row]:
    columns, data = (
        (split.get("columns"), split.get("data")) if isinstance(split, dict) else (None, None)
    )
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RequestError(400, '"dataframe_split" needs the lists "columns" and "data"')
    return _records_of_lists(data, [str(name) for name in columns], '"data"')


def _records_of_lists(rows: list[Any], names: Sequence[str], called: str) -> list[Row]:
    """Make records of rows that are lists of values."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != len(names):
            n_values = len(row) if isinstance(row, list) else 1
            raise RequestError(
                400, f"row {number} of {called} has {n_values} values for {len(names)} columns"
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _records_of_columns(columns: Mapping[str, Any]) -> list[Row]:
    """Make records of columns that are lists of values."""
    lengths = {}
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError(400, f"column {name!r} is no list of values")
        lengths[name] = len(values)
    if len(set(lengths.values())) > 1:
        (first, n_first), *others = lengths.items()
        name, n_rows = next(item for item in others if item[1] != n_first)
        raise RequestError(
            400, f"column {first!r} has {n_first} rows, and column {name!r} has {n_rows}"
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _table_of_records(records: Any, called: str, schema: Schema, limits: Limits) -> Table:
    """Take the columns that the model uses out of records."""
    if not isinstance(records, list) or not records:
        raise RequestError(400, f"{called} must be a list of at least one row")
    _check_number(len(records), limits)
    columns = [(column.key, column.name) for column in schema.columns]
    used, found, ignored = {key for key, _ in columns}, [], set[str]()
    for number, record in enumerate(records, 1):
        if type(record) is not dict:
            raise RequestError(400, f"row {number} of {called} is no object {{column: value}}")
        try:
            found.append({name: record[key] for key, name in columns})
        except KeyError as missing:
            lacks = f"row {number} has no column {missing.args[0]!r}"
            raise RequestError(400, f"{lacks}; {_MISSING_VALUE}") from None
        if len(record) > len(columns):
            ignored |= record.keys() - used
    return Table(found, len(ignored))


def _check_number(n_rows: int, limits: Limits) -> None:
    if n_rows > limits.rows:
        raise RequestError(
            413, f"there are {n_rows} rows, and a request may have {limits.rows}; send several"
        )
    if not n_rows:
        raise RequestError(400, "there are no rows")


def _shown(value: Any) -> str:
    """Return a value as a message shows it."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
