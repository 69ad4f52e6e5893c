"""The nodes of networks: layers, packs of networks, and the outputs of a graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from ..tabular.pack.members import Member, Pack
from ..tabular.pack.tails import LARGEST_EXPONENT, LogTarget
from .graph import Graph

_OUTPUT_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("Softmax", {"axis": -1}),
    "logistic": ("Sigmoid", {}),
    "exp": ("Exp", {}),
    "identity": ("Identity", {}),
}
_ACTIVATIONS = {
    Activation.RELU: "Relu",
    Activation.TANH: "Tanh",
    Activation.LOGISTIC: "Sigmoid",
}


def write_networks(graph: Graph, networks: Sequence[BaseMLP], x: str) -> str:
    """Add the layers of networks that have the same layers.

    Parameters
    ----------
    graph : Graph
    networks : sequence of BaseMLP
    x : str
        Their inputs, of shape (n_rows, n_features).

    Returns
    -------
    str
        The activations of the output layer, of shape (n_rows, n_outputs), or of shape
        (n_networks, n_rows, n_outputs) for more than one network.
    """
    first, is_one = networks[0], len(networks) == 1
    activations = (*prediction_plan(first).activations, Activation.IDENTITY)
    for i, activation in enumerate(activations):
        w = np.stack([network.coefs_[i] for network in networks])
        b = np.stack([network.intercepts_[i][None] for network in networks])
        if is_one:
            w, b = w[0], b[0, 0]
        x = graph.node("Add", graph.node("MatMul", x, graph.constant(w)), graph.constant(b))
        x = _write_activation(graph, activation, x, w.dtype.type)
    operator, attributes = _OUTPUT_ACTIVATIONS[first.out_activation_]
    return graph.node(operator, x, **attributes)


def write_pack(graph: Graph, pack: Pack, x: str, n_inputs: int) -> str:
    """Add the networks of a pack and their weighted mean.

    Networks that are alike are computed together, by products of stacked matrices.

    Parameters
    ----------
    graph : Graph
    pack : Pack
    x : str
        The inputs of all members, of shape (n_rows, n_inputs).
    n_inputs : int

    Returns
    -------
    str
        The mean of the output activations, of shape (n_rows, n_outputs).
    """
    alike: dict[Any, tuple[list[Member], list[float]]] = {}
    for member, weight in zip(pack.members, pack.member_weights(), strict=True):
        members, weights = alike.setdefault(_form(member), ([], []))
        members.append(member)
        weights.append(weight)
    ranges, parts = {(0, n_inputs): x}, []
    for members, weights in alike.values():
        start, stop = members[0].start, members[0].stop
        if (start, stop) not in ranges:
            limits = (graph.constant(np.array([at])) for at in (start, stop, 1))
            ranges[start, stop] = graph.node("Slice", x, *limits)
        p = write_networks(graph, [m.network for m in members], ranges[start, stop])
        if (change := members[0].log_target) is not None:
            p = _write_change_back(graph, p, LogTarget(*change))
        if pack.bounds is not None:
            p = graph.node("Clip", p, *(graph.constant(np.float32(limit)) for limit in pack.bounds))
        if len(members) > 1:
            p = graph.node("ReduceMean", p, axes=[0], keepdims=0)
        parts.append(graph.node("Mul", p, graph.constant(np.float32(sum(weights)))))
    return graph.node("Sum", *parts) if len(parts) > 1 else parts[0]


def _form(member: Member) -> Any:
    """Return what members have in common that can be computed together."""
    network = member.network
    shapes = tuple(w.shape for w in network.coefs_)
    activations = prediction_plan(network).activations
    # Those of one kind have equal weights, too.
    form = member.kind, member.start, member.stop, shapes, activations, network.out_activation_
    return *form, member.log_target


def _write_change_back(graph: Graph, p: str, change: LogTarget) -> str:
    """Add what :meth:`LogTarget.change_back` computes."""
    p = graph.node("Mul", p, graph.constant(np.float32(change.scale)))
    p = graph.node("Add", p, graph.constant(np.float32(change.mean)))
    p = graph.node("Min", p, graph.constant(np.float32(LARGEST_EXPONENT)))
    return graph.node("Sub", graph.node("Exp", p), graph.constant(np.float32(change.shift)))


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
    if activation == Activation.STEP:
        return graph.cast(graph.node("Greater", x, zero), dtype)
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


def write_scaled(graph: Graph, p: str, n_outputs: int, factor: float, offset: Any) -> str:
    """Add the conversion of output activations to predicted numbers.

    Parameters
    ----------
    graph : Graph
    p : str
        The output activations, of shape (n_rows, n_outputs).
    n_outputs : int
    factor : float
    offset : float or ndarray of shape (n_outputs,)
        Several outputs are sorted, since they are quantiles.

    Returns
    -------
    str
        The numbers, of shape (n_rows, n_outputs), float64.
    """
    p = graph.node("Mul", graph.cast(p, np.float64), graph.constant(np.float64(factor)))
    p = graph.node("Add", p, graph.constant(np.asarray(offset, np.float64)))
    return write_sorted(graph, p, n_outputs) if n_outputs > 1 else p


def write_sorted(graph: Graph, p: str, n_outputs: int) -> str:
    """Add that each row is sorted in increasing order."""
    k = graph.constant(np.array([n_outputs]))
    return graph.node("TopK", p, k, n_results=2, axis=1, largest=0, sorted=1)


def write_multilabel(graph: Graph, p: str, dtype: np.dtype[Any], n_outputs: int) -> None:
    """Add the outputs of a problem in which each label is true or not."""
    label = graph.cast(graph.node("Greater", p, graph.constant(dtype.type(0.5))), np.int64)
    graph.output(label, "label", np.int64, n_outputs)
    graph.output(p, "probabilities", dtype, n_outputs)


def write_classes(
    graph: Graph,
    p: str,
    dtype: np.dtype[Any],
    n_outputs: int,
    classes: NDArray[Any],
    threshold: float = 0.5,
) -> None:
    """Add the outputs of a classification: labels and probabilities.

    Parameters
    ----------
    graph : Graph
    p : str
        The output activations, of shape (n_rows, n_outputs): a single output is the probability
        of the second class.
    dtype : numpy.dtype
        Their type.
    n_outputs : int
    classes : ndarray of shape (n_classes,)
    threshold : float, default=0.5
        What the probability of the second of two classes must exceed.

    Raises
    ------
    InputError
        When the classes are dates.
    """
    if classes.dtype.kind == "M":
        raise InputError("ONNX has no dates, and these are the classes; train on text instead")
    if n_outputs == 1:
        second = graph.node("Greater", p, graph.constant(dtype.type(threshold)))
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
