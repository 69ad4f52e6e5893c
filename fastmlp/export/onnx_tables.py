"""The nodes of models of tables: from the columns of a table to predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tabular.encoders.scaling import (
    LARGEST_DISTANCE,
    SQUASH_BOUND,
    SQUASH_LIMIT,
    UNSQUASHED_LIMIT,
)
from ..tabular.levels import level_places
from ..tabular.pack.members import Pack
from ..tabular.several import models_of
from .graph import Graph
from .naming import columns_by_kind
from .onnx_networks import write_classes, write_networks, write_pack, write_scaled


def write_table_model(graph: Graph, model: Any) -> None:
    """Add the inputs, the preprocessing, the network or pack and the outputs of a table's model.

    Raises
    ------
    InputError
        When it learns from columns, or has classes, that ONNX cannot express.
    """
    columns = _write_columns(graph, model)
    if len(models := models_of(model)) > 1:
        numbers = [_write_outputs(graph, one, columns) for one in models]
        p = graph.node("Concat", *(found[0] for found in numbers), axis=1)
        graph.output(p, "prediction", np.float64, len(models))
        return
    p, dtype, n_outputs = _write_outputs(graph, model, columns)
    if model._task == "regression":
        graph.output(p, "prediction", dtype, n_outputs)
    else:
        classes, threshold = model.estimator_.classes_, getattr(model, "threshold_", 0.5)
        write_classes(graph, p, dtype, n_outputs, classes, threshold)


def _write_outputs(
    graph: Graph, model: Any, columns: dict[str, list[str]]
) -> tuple[str, np.dtype[Any], int]:
    """Add the preprocessing of a model for one target, and its network or pack.

    Returns
    -------
    outputs : str
        The predicted numbers, or the output activations of classes, of shape (n_rows, n_outputs).
    dtype : numpy.dtype
        Their type.
    n_outputs : int
    """
    x, n_inputs = _write_inputs(graph, model.preprocessor_, columns)
    fitted = model.estimator_
    dtype: np.dtype[Any] = np.dtype(np.float32)
    if isinstance(fitted, Pack):
        p = write_pack(graph, fitted, x, n_inputs)
        n_outputs = fitted.members[0].network.n_outputs_
    else:
        dtype, n_outputs = fitted.coefs_[0].dtype, fitted.n_outputs_
        if dtype != np.float32:  # L-BFGS computes in float64
            x = graph.cast(x, dtype)
        p = write_networks(graph, [fitted], x)
    if model._task == "regression":
        offset = model.target_mean_ + getattr(model, "quantile_offsets_", 0.0)
        p = write_scaled(graph, p, n_outputs, model.target_scale_, offset)
        dtype = np.dtype(np.float64)
    return p, dtype, n_outputs


def _write_columns(graph: Graph, model: Any) -> dict[str, list[str]]:
    """Add the inputs of a graph, and return those of each kind of columns."""
    columns = columns_by_kind(model, "an ONNX graph")
    graph.reserve((*columns["numeric"], *columns["text"]))
    for kind, names in columns.items():
        for name in names:
            graph.input(name, np.float64 if kind == "numeric" else str, 1)
    return columns


def _write_inputs(graph: Graph, prepared: Any, columns: dict[str, list[str]]) -> tuple[str, int]:
    """Add the preprocessing of the columns of a table.

    Returns
    -------
    inputs : str
        The inputs of networks, of shape (n_rows, n_inputs), float32, in the groups of the
        preprocessor.
    n_inputs : int
    """
    parts: dict[str, list[str]] = {name: [] for name in prepared.groups_}
    if columns["numeric"]:
        _write_numeric(graph, columns["numeric"], prepared, parts)
    if columns["text"]:
        parts["base"] += _write_text(graph, columns["text"], prepared)
    parts["base"] += _write_number_means(graph, columns["numeric"], prepared)
    listed = [part for of_group in parts.values() for part in of_group]
    x = graph.node("Concat", *listed, axis=1) if len(listed) > 1 else listed[0]
    return x, max(stop for _, stop in prepared.groups_.values())


def _write_numeric(
    graph: Graph, columns: Sequence[str], prepared: Any, parts: dict[str, list[str]]
) -> None:
    """Add what becomes of numeric columns, and append it to the parts of its groups.

    Results are float32, and are computed in float64.
    """
    numbers = graph.node("Concat", *columns, axis=1)
    missing = graph.node("IsNaN", numbers)
    numbers = graph.node("Where", missing, graph.constant(prepared.fill_values_[None]), numbers)
    x = _write_scaled(graph, numbers, prepared.centres_, prepared.scales_)
    scaled = _write_squash(graph, x)
    if prepared.is_binary_.any():
        is_binary = graph.constant(prepared.is_binary_[None])
        scaled = graph.node("Where", is_binary, _write_clip(graph, x, -1, 1), scaled)
    parts["base"].append(graph.cast(scaled, np.float32))
    if len(prepared.indicator_columns_):
        indicators = graph.node(
            "Gather", missing, graph.constant(prepared.indicator_columns_), axis=1
        )
        values = prepared.indicator_values_.astype(np.float32)
        low, high = (graph.constant(values[None, :, i]) for i in (0, 1))
        parts["base"].append(graph.node("Where", indicators, high, low))
    if len(prepared.piece_columns_):
        _write_pieces(graph, scaled, missing, prepared, parts)
    if len(chosen := prepared.linear_columns_):
        x = graph.node("Gather", numbers, graph.constant(chosen), axis=1)
        x = _write_scaled(graph, x, prepared.linear_means_, prepared.linear_scales_)
        x = _write_clip(graph, x, -UNSQUASHED_LIMIT, UNSQUASHED_LIMIT)
        parts["linear"].append(graph.cast(x, np.float32))


def _write_pieces(
    graph: Graph, scaled: str, missing: str, prepared: Any, parts: dict[str, list[str]]
) -> None:
    """Add the piecewise-linear components of scaled numbers; missing ones fill no piece."""
    x = graph.node("Where", missing, graph.constant(np.float64(-np.inf)), scaled)
    x = graph.node("Gather", x, graph.constant(prepared.piece_columns_), axis=1)
    x = graph.node("Sub", x, graph.constant(prepared.piece_starts_[None]))
    x = graph.node("Div", x, graph.constant(prepared.piece_widths_[None]))
    x = graph.cast(_write_clip(graph, x, 0, 1), np.float32)
    n_first = prepared.groups_["tree"][1] if "tree" in parts else 0
    for name, first, behind in (
        ("tree", 0, n_first),
        ("bins", n_first, len(prepared.piece_columns_)),
    ):
        if first == behind:
            continue
        limits = (graph.constant(np.array([at])) for at in (first, behind, 1))
        parts[name].append(graph.node("Slice", x, *limits))


def _write_scaled(
    graph: Graph, x: str, centres: NDArray[np.float64], scales: NDArray[np.float64]
) -> str:
    """Add what :class:`fastmlp.tabular.encoders.scaling.Scaling` computes first."""
    x = graph.node("Sub", x, graph.constant(centres[None]))
    x = _write_clip(graph, x, -LARGEST_DISTANCE, LARGEST_DISTANCE)
    return graph.node("Mul", x, graph.constant(scales[None]))


def _write_clip(graph: Graph, x: str, low: float, high: float) -> str:
    return graph.node("Clip", x, *(graph.constant(np.float64(limit)) for limit in (low, high)))


def _write_squash(graph: Graph, x: str) -> str:
    """Add what :func:`fastmlp.tabular.encoders.scaling.squash` computes."""
    limits = (graph.constant(np.float64(limit)) for limit in (-SQUASH_LIMIT, SQUASH_LIMIT))
    x = graph.node("Clip", x, *limits)
    third = graph.node("Div", x, graph.constant(np.float64(SQUASH_BOUND)))
    square = graph.node("Mul", third, third)
    root = graph.node("Sqrt", graph.node("Add", square, graph.constant(np.float64(1))))
    return graph.node("Div", x, root)


def _write_number_means(graph: Graph, columns: Sequence[str], prepared: Any) -> list[str]:
    """Add the means of the target by the values of numbers."""
    means = []
    for column, values, table in zip(
        prepared.number_mean_columns_,
        prepared.number_mean_values_,
        prepared.number_means_,
        strict=True,
    ):
        code = graph.node(
            "LabelEncoder",
            graph.cast(columns[column], np.float32),
            domain="ai.onnx.ml",
            keys_floats=values.tolist(),
            values_int64s=list(range(len(values))),
            default_int64=len(values),
        )
        code = graph.node("Squeeze", code, graph.constant(np.array([1])))
        means.append(graph.node("Gather", graph.constant(table), code, axis=0))
    return means


def _write_text(graph: Graph, columns: Sequence[str], prepared: Any) -> list[str]:
    """Add the inputs for the levels of text columns, and then their means of the target."""
    hot, means = [], []
    for column, levels, of_levels, of_means in zip(
        columns, prepared.levels_, prepared.level_inputs_, prepared.level_means_, strict=True
    ):
        other, last = len(levels), len(of_levels) - 1
        places = level_places(levels)
        has_means = of_means.shape[1] > 0
        if not has_means:  # levels behind the last row are alike
            other = last
            places = {text: min(place, last) for text, place in places.items()}
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
        if has_means:
            means.append(graph.node("Gather", graph.constant(of_means), code, axis=0))
            code = graph.node("Min", code, graph.constant(np.int64(last)))
        hot.append(graph.node("Gather", graph.constant(of_levels), code, axis=0))
    return hot + means
