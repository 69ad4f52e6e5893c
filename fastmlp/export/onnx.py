"""Export of fitted models, with their preprocessing, to ONNX graphs for runtimes without Python.

It needs the ``onnx`` extra. Graphs use opset 17 of ONNX and version 3 of its operators for machine
learning.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import BaseMLP
from ..estimators.planning import prediction_plan
from ..exceptions import InputError
from ..network.formulas.activations import (
    LEAKY_SLOPE,
    SELU_SCALE,
    SELU_SCALE_ALPHA,
    SQRT_HALF,
)
from ..network.plan import Activation
from ..tabular.base import BaseTabular
from ..tabular.columns import level_places
from ..tabular.encoders.scaling import LARGEST_DISTANCE, SQUASH_BOUND, SQUASH_LIMIT
from .files import written_aside
from .graph import Graph, import_onnx
from .others import export_advice, scaler_steps

_OUTPUT_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("Softmax", {"axis": 1}),
    "logistic": ("Sigmoid", {}),
    "exp": ("Exp", {}),
    "identity": ("Identity", {}),
}
_ACTIVATIONS = {
    Activation.RELU: "Relu",
    Activation.TANH: "Tanh",
    Activation.LOGISTIC: "Sigmoid",
}


def to_onnx(model: Any) -> Any:
    """Convert a fitted model to an ONNX graph.

    The graph of a table's model has one input of shape (n_rows, 1) for each feature column:
    float64, where not-a-number is missing, or strings, where '' is missing unless it was a value
    of its own in training. Infinite numbers count as the largest ones. The graph of a
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
        When the package onnx is not installed, or the model is of another class.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    steps, last = scaler_steps(model)
    if not isinstance(last, BaseTabular | BaseMLP) or (steps and isinstance(last, BaseTabular)):
        raise InputError(f"to_onnx takes the models of fastmlp, got {export_advice(model)}")
    for step in (*steps, last):
        check_is_fitted(step)
    graph = Graph(import_onnx())
    if isinstance(last, BaseTabular):
        _write_table_model(graph, last)
    else:
        X = graph.input("X", last.coefs_[0].dtype, last.n_features_in_)
        for step in steps:
            X = _write_scaler(graph, X, step, last.coefs_[0].dtype)
        _write_outputs(graph, last, _write_network(graph, last, X))
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
    kind = type(scaler).__name__
    with_centre = {"StandardScaler": "with_mean", "RobustScaler": "with_centering"}
    with_scale = {"StandardScaler": "with_std", "RobustScaler": "with_scaling"}

    def constant(values: Any) -> str:
        return graph.constant(np.asarray(values)[None].astype(dtype))

    if kind == "MinMaxScaler":
        x = graph.node("Mul", x, constant(scaler.scale_))
        x = graph.node("Add", x, constant(scaler.min_))
    if kind in with_centre and getattr(scaler, with_centre[kind]):
        centre = scaler.mean_ if kind == "StandardScaler" else scaler.center_
        x = graph.node("Sub", x, constant(centre))
    if kind == "MaxAbsScaler" or (kind in with_scale and getattr(scaler, with_scale[kind])):
        x = graph.node("Div", x, constant(scaler.scale_))
    if getattr(scaler, "clip", False):
        limits = (-1, 1) if kind == "MaxAbsScaler" else scaler.feature_range
        x = graph.node("Clip", x, *(graph.constant(dtype.type(limit)) for limit in limits))
    return x


def _write_network(graph: Graph, estimator: BaseMLP, x: str) -> str:
    """Add the layers of a network to its inputs `x`, and return its output activations."""
    activations = (*prediction_plan(estimator).activations, Activation.IDENTITY)
    for w, b, activation in zip(estimator.coefs_, estimator.intercepts_, activations, strict=True):
        x = graph.node("Add", graph.node("MatMul", x, graph.constant(w)), graph.constant(b))
        x = _write_activation(graph, activation, x, w.dtype.type)
    operator, attributes = _OUTPUT_ACTIVATIONS[estimator.out_activation_]
    return graph.node(operator, x, **attributes)


def _write_activation(
    graph: Graph, activation: Activation, x: str, dtype: type[np.floating[Any]]
) -> str:
    """Add the activation of a hidden layer.

    The graph uses operators that runtimes provide for float32 and for float64.
    """
    if activation == Activation.IDENTITY:
        return x
    if activation in _ACTIVATIONS:
        return graph.node(_ACTIVATIONS[activation], x)

    def times(factor: float, z: str) -> str:
        return graph.node("Mul", graph.constant(dtype(factor)), z)

    def plus(term: float, z: str) -> str:
        return graph.node("Add", graph.constant(dtype(term)), z)

    if activation == Activation.SILU:
        return graph.node("Mul", x, graph.node("Sigmoid", x))
    if activation == Activation.GELU:
        # onnxruntime provides Erf only for float32.
        z = graph.cast(times(SQRT_HALF, x), np.float32)
        distribution = times(0.5, plus(1, graph.cast(graph.node("Erf", z), dtype)))
        return graph.node("Mul", x, distribution)
    zero = graph.constant(dtype(0))
    positive, negative = graph.node("Max", x, zero), graph.node("Min", x, zero)
    if activation == Activation.LEAKY_RELU:
        return graph.node("Add", positive, times(LEAKY_SLOPE, negative))
    if activation == Activation.SOFTPLUS:
        e = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
        return graph.node("Add", positive, graph.node("Log", plus(1, e)))
    e = plus(-1, graph.node("Exp", negative))
    if activation == Activation.SELU:
        positive, e = times(SELU_SCALE, positive), times(SELU_SCALE_ALPHA, e)
    return graph.node("Add", positive, e)


def _write_outputs(
    graph: Graph, estimator: Any, p: str, scale: tuple[float, float] | None = None
) -> None:
    """Add the outputs: labels and probabilities, or predicted numbers.

    Parameters
    ----------
    graph : Graph
    estimator : MLPClassifier or MLPRegressor
    p : str
        The network's output activations.
    scale : tuple of float, optional
        The factor and the offset that convert output activations to predicted numbers.
    """
    dtype: np.dtype[Any] = estimator.coefs_[0].dtype
    n_outputs = estimator.n_outputs_
    if not hasattr(estimator, "classes_"):
        if len(estimator._fitted_quantiles()) > 1:
            k = graph.constant(np.array([n_outputs]))
            p = graph.node("TopK", p, k, n_results=2, axis=1, largest=0, sorted=1)
        if scale is not None:
            dtype = np.dtype(np.float64)
            p = graph.node("Mul", graph.cast(p, dtype), graph.constant(np.float64(scale[0])))
            p = graph.node("Add", p, graph.constant(np.float64(scale[1])))
        graph.output(p, "prediction", dtype, n_outputs)
        return
    classes = estimator.classes_
    if classes.dtype.kind == "M":
        raise InputError("ONNX has no dates, and these are the classes; train on text instead")
    if estimator._label_binarizer.y_type_.startswith("multilabel"):
        label = graph.cast(graph.node("Greater", p, graph.constant(dtype.type(0.5))), np.int64)
        graph.output(label, "label", np.int64, n_outputs)
        graph.output(p, "probabilities", dtype, n_outputs)
        return
    if n_outputs == 1:
        second = graph.node("Greater", p, graph.constant(dtype.type(0.5)))
        which = graph.node("Squeeze", second, graph.constant(np.array([1])))
        which = graph.cast(which, np.int64)
        p = graph.node("Concat", graph.node("Sub", graph.constant(dtype.type(1)), p), p, axis=1)
        # If there is a single class, both columns of the probabilities have its label.
        classes = np.resize(classes, 2)
    else:
        which = graph.node("ArgMax", p, axis=1, keepdims=0)
    label = graph.node("Gather", graph.constant(classes), which)
    graph.output(label, "label", classes.dtype)
    graph.output(p, "probabilities", dtype, len(classes))


def _write_table_model(graph: Graph, model: Any) -> None:
    """Add the inputs, the preprocessing, the network and the outputs of a table's model."""
    prepared = model.preprocessor_
    for column in prepared.columns_:
        if column["kind"] in ("date", "words"):
            what = "dates" if column["kind"] == "date" else "free text"
            raise InputError(
                f"column {column['name']!r} holds {what}, which an ONNX graph cannot read; train "
                "without it, or on columns made of it"
            )
    numeric, text = (
        [str(column["name"]) for column in prepared.columns_ if column["kind"] == kind]
        for kind in ("numeric", "text")
    )
    graph.reserve((*numeric, *text))
    parts = []
    if numeric:
        columns = [graph.input(name, np.float64, 1) for name in numeric]
        parts += _write_numbers(graph, columns, prepared)
    for name, levels, table in zip(text, prepared.levels_, prepared.level_inputs_, strict=True):
        column = graph.input(name, str, 1)
        parts.append(_write_text(graph, column, levels, table))
    x, dtype = graph.node("Concat", *parts, axis=1), model.estimator_.coefs_[0].dtype
    if dtype != np.float32:  # L-BFGS computes in float64
        x = graph.cast(x, dtype)
    p = _write_network(graph, model.estimator_, x)
    scale = None
    if hasattr(model, "target_scale_"):
        scale = model.target_scale_, model.target_mean_
    _write_outputs(graph, model.estimator_, p, scale)


def _write_numbers(graph: Graph, columns: Sequence[str], prepared: Any) -> list[str]:
    """Add the scaling of numeric columns, and the indicators of missing values."""
    x = graph.node("Concat", *columns, axis=1)
    missing = graph.node("IsNaN", x)
    x = graph.node("Where", missing, graph.constant(prepared.fill_values_[None]), x)
    x = graph.node("Sub", x, graph.constant(prepared.centres_[None]))
    limits = (graph.constant(np.float64(limit)) for limit in (-LARGEST_DISTANCE, LARGEST_DISTANCE))
    x = graph.node("Clip", x, *limits)
    x = graph.node("Mul", x, graph.constant(prepared.scales_[None]))
    squashed = _write_squash(graph, x)
    if prepared.is_binary_.any():
        clipped = graph.node(
            "Clip", x, graph.constant(np.float64(-1)), graph.constant(np.float64(1))
        )
        is_binary = graph.constant(prepared.is_binary_[None])
        squashed = graph.node("Where", is_binary, clipped, squashed)
    parts = [graph.cast(squashed, np.float32)]
    if len(prepared.indicator_columns_):
        indicators = graph.node(
            "Gather", missing, graph.constant(prepared.indicator_columns_), axis=1
        )
        values = prepared.indicator_values_.astype(np.float32)
        low, high = (graph.constant(values[None, :, i]) for i in (0, 1))
        parts.append(graph.node("Where", indicators, high, low))
    return parts


def _write_text(graph: Graph, column: str, levels: Sequence[str], table: NDArray[Any]) -> str:
    """Add the inputs for the levels of a text column.

    Parameters
    ----------
    graph : Graph
    column : str
        The input.
    levels : list of str
        The levels that are told apart.
    table : ndarray of shape (n_rows, n_inputs), float32
        The inputs for each of them; the last row is for all other text.
    """
    other = len(table) - 1
    places = {text: min(place, other) for text, place in level_places(levels).items()}
    # The operator needs a key; where all levels are rare, it is one of the others.
    places = places or {"": other}
    code = graph.node(
        "LabelEncoder",
        column,
        domain="ai.onnx.ml",
        keys_strings=list(places),
        values_int64s=list(places.values()),
        default_int64=other,
    )
    code = graph.node("Squeeze", code, graph.constant(np.array([1])))
    return graph.node("Gather", graph.constant(table), code, axis=0)


def _write_squash(graph: Graph, x: str) -> str:
    """Add what :func:`fastmlp.tabular.preprocessing.squash` computes."""
    limits = (graph.constant(np.float64(limit)) for limit in (-SQUASH_LIMIT, SQUASH_LIMIT))
    x = graph.node("Clip", x, *limits)
    third = graph.node("Div", x, graph.constant(np.float64(SQUASH_BOUND)))
    square = graph.node("Mul", third, third)
    root = graph.node("Sqrt", graph.node("Add", square, graph.constant(np.float64(1))))
    return graph.node("Div", x, root)
