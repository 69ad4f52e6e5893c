"""Folders that the Triton Inference Server serves: a graph of ONNX and its description."""

from os import PathLike
from typing import Any

from .c_source import string
from .files import check_output_folder, folder_written_aside
from .graph import import_onnx
from .onnx import to_onnx

_LARGEST_BATCH = 1024
# The types of Triton, by the names of ONNX's.
_TYPES = {
    "BOOL": "TYPE_BOOL", "DOUBLE": "TYPE_FP64", "FLOAT": "TYPE_FP32", "FLOAT16": "TYPE_FP16",
    "INT8": "TYPE_INT8", "INT16": "TYPE_INT16", "INT32": "TYPE_INT32", "INT64": "TYPE_INT64",
    "STRING": "TYPE_STRING", "UINT8": "TYPE_UINT8", "UINT16": "TYPE_UINT16",
    "UINT32": "TYPE_UINT32", "UINT64": "TYPE_UINT64",
}  # fmt: skip


def export_triton(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted model as a folder of a model repository of the Triton Inference Server.

    Triton calls the model by the name of the folder. It has ``1/model.onnx``, with the inputs and
    outputs that :func:`fastmlp.to_onnx` describes, and ``config.pbtxt``, by which requests that
    wait are predicted together, up to 1024 rows at once. In a request each tensor has a row for
    each row of the table, so labels have the shape (n_rows, 1). The folder appears whole or not
    at all.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        As for :func:`fastmlp.to_onnx`.
    path : str or Path
        The folder, which is new or empty.

    Raises
    ------
    InputError
        When the folder cannot be made or holds something, the package onnx is not installed, or
        the model cannot become an ONNX graph.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    check_output_folder(path)
    graph = to_onnx(model)
    config = _config(graph)
    with folder_written_aside(path) as aside:
        (aside / "config.pbtxt").write_text(config, encoding="ascii", newline="\n")
        (aside / "1").mkdir()
        (aside / "1" / "model.onnx").write_bytes(graph.SerializeToString())


def _config(graph: Any) -> str:
    """Return the configuration of an ``onnx.ModelProto``."""
    parts = [f'platform: "onnxruntime_onnx"\nmax_batch_size: {_LARGEST_BATCH}\n']
    for kind, values in (("input", graph.graph.input), ("output", graph.graph.output)):
        parts += [_tensor(kind, value) for value in values]
    return "".join([*parts, "dynamic_batching { }\n"])


def _tensor(kind: str, value: Any) -> str:
    """Describe an input or an output, the first dimension of which is that of the batch."""
    tensor = value.type.tensor_type
    known = import_onnx().TensorProto.DataType.Name(tensor.elem_type)
    sizes = [dimension.dim_value for dimension in tensor.shape.dim][1:]
    # Where there is one number for each row, Triton wants a dimension that the graph has not.
    reshape = "" if sizes else "  reshape { shape: [ ] }\n"
    dims = ", ".join(map(str, sizes or [1]))
    name = string(value.name, "the name")
    return (
        f"{kind} {{\n  name: {name}\n  data_type: {_TYPES[known]}\n  dims: [ {dims} ]\n"
        f"{reshape}}}\n"
    )
