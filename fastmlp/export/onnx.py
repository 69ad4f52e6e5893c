"""Export of fitted models, with their preprocessing, to ONNX graphs for runtimes without Python.

It needs the ``onnx`` extra. Graphs use opset 17 of ONNX and version 3 of its operators for machine
learning.
"""

from os import PathLike
from typing import Any

import numpy as np

from ..estimators.base import BaseMLP
from ..estimators.classifier import MLPClassifier
from ..tabular.base import BaseTabular
from .files import written_aside
from .graph import Graph, import_onnx
from .onnx_networks import (
    write_classes,
    write_multilabel,
    write_networks,
    write_sorted,
)
from .onnx_tables import write_table_model
from .others import exportable, scaler_operations


def to_onnx(model: Any) -> Any:
    """Convert a fitted model to an ONNX graph.

    The graph of a table's model has one input of shape (n_rows, 1) for each feature column:
    float64, where not-a-number is missing, or strings, where '' is missing unless it was a value
    of its own in training. Infinite numbers count as the largest ones. The networks of a pack are
    all in the graph, and the output is their weighted mean. The graph of a
    network has the input ``X`` of shape (n_rows, n_features) in the type of the weights; scalers
    that stand before it in a pipeline become a part of the graph.

    The output of a regression is ``prediction`` of shape (n_rows, n_outputs). A classification
    has the outputs ``label`` of shape (n_rows,) and ``probabilities`` of shape
    (n_rows, n_classes); for a multilabel problem ``label`` has the shape of ``probabilities``.
    If a column has the name of an output, that output is called ``label_output`` and so on.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        A fitted model, or a fitted pipeline that ends with one. The steps before a network may be
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler and 'passthrough'.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    InputError
        When the package onnx is not installed, the model is of another class, or it reads dates or
        free text.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    steps, last = exportable(model, "to_onnx")
    graph = Graph(import_onnx())
    if isinstance(last, BaseTabular):
        write_table_model(graph, last)
    else:
        X = graph.input("X", last.coefs_[0].dtype, last.n_features_in_)
        for step in steps:
            X = _write_scaler(graph, X, step, last.coefs_[0].dtype)
        _write_network(graph, last, X)
    return graph.model(type(last).__name__)


def export_onnx(model: Any, path: str | PathLike[str]) -> None:
    """Write the ONNX graph of a fitted model to a file.

    The file appears whole or not at all. :func:`to_onnx` describes inputs and outputs.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        A fitted model, or a fitted pipeline that ends with one. The steps before a network may be
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler and 'passthrough'.
    path : str or Path
        The file to write. The usual ending is ``.onnx``.

    Raises
    ------
    InputError
        When the file cannot be written, the package onnx is not installed, or the model is of
        another class.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    graph = to_onnx(model)
    with written_aside(path) as aside, open(aside, "wb") as file:
        file.write(graph.SerializeToString())


def is_onnx_file(path: str | PathLike[str]) -> bool:
    """Tell whether a file holds an ONNX graph."""
    onnx = import_onnx()
    try:
        return len(onnx.load(path, load_external_data=False).graph.node) > 0
    except Exception:  # protobuf raises errors of many kinds for other files
        return False


def _write_scaler(graph: Graph, x: str, scaler: Any, dtype: np.dtype[Any]) -> str:
    """Add what a scaler of scikit-learn computes, in the order in which it does."""
    operators = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div"}
    for operation, values in scaler_operations(scaler):
        if operation == "clip":
            limits = (graph.constant(dtype.type(limit)) for limit in values)
            x = graph.node("Clip", x, *limits)
        else:
            constant = graph.constant(np.asarray(values)[None].astype(dtype))
            x = graph.node(operators[operation], x, constant)
    return x


def _write_network(graph: Graph, network: BaseMLP, x: str) -> None:
    """Add a network to its inputs `x`, and its outputs."""
    p = write_networks(graph, [network], x)
    dtype, n_outputs = network.coefs_[0].dtype, network.n_outputs_
    if not isinstance(network, MLPClassifier):
        if len(network._fitted_quantiles()) > 1:
            p = write_sorted(graph, p, n_outputs)
        graph.output(p, "prediction", dtype, n_outputs)
    elif network._label_binarizer.y_type_.startswith("multilabel"):
        write_multilabel(graph, p, dtype, n_outputs)
    else:
        write_classes(graph, p, dtype, n_outputs, network.classes_)
