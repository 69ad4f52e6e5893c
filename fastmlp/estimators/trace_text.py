"""A traced network as text: a table of units and one of weights for each layer."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .trace import Trace, TracedLayer

# Larger layers are shown in part.
_MOST_UNITS, _MOST_WEIGHTS = 8, 12


def written(trace: "Trace") -> str:
    """Write a trace as tables.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    str
        Lines that end without a newline.
    """
    shapes = [f"{len(trace.x)} inputs", *(f"{len(a.z)} {a.activation}" for a in trace.layers)]
    whose = "one example" if trace.n_examples == 1 else f"{trace.n_examples} examples (means)"
    lines = [f"Computation graph of {whose}: {' -> '.join(shapes)}"]
    if trace.n_examples > 1:
        lines.append("The equations hold for each example, and not for the means.")
    lines.append("")
    rows = [
        [f"x_{i + 1}", number(value), number(signal)]
        for i, (value, signal) in enumerate(zip(trace.x, trace.dL_dx, strict=True))
    ]
    lines += _table(["input", "x", "dL/dx"], rows, _MOST_UNITS, "inputs")
    for place, layer in enumerate(trace.layers):
        lines += ["", *_of_layer(place, layer, place + 1 == len(trace.layers))]
    target = ", ".join(number(value) for value in trace.t[:_MOST_UNITS])
    more = ", ..." if len(trace.t) > _MOST_UNITS else ""
    lines += ["", f"t = {target}{more}", f"L = {number(trace.loss)} ({called(trace.loss_name)})"]
    if trace.penalty:
        lines.append(
            f"penalty = {number(trace.penalty)}, which training adds to L, and its gradient to "
            "dL/dW"
        )
    return "\n".join(lines)


def called(loss_name: str) -> str:
    """Return the name of a loss in words."""
    return loss_name.replace("_", " ")


def number(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:.4g}"


def _of_layer(place: int, layer: "TracedLayer", is_last: bool) -> list[str]:
    """Write a layer: its units, and the weights that lead to them."""
    h, layer_number = ("p" if is_last else "h"), place + 1
    is_softmax = layer.dh_dz.ndim == 2
    slopes = np.diagonal(layer.dh_dz) if is_softmax else layer.dh_dz
    rows = [
        [str(j + 1), *map(number, numbers)]
        for j, numbers in enumerate(
            zip(layer.b, layer.z, layer.h, slopes, layer.dL_dh, layer.dL_dz, strict=True)
        )
    ]
    before = "x" if place == 0 else f"h{place}"
    this = "output layer" if is_last else f"layer {layer_number}"
    head = ["unit", "b", "z", f"{h} = f(z)", f"d{h}/dz", f"dL/d{h}", "dL/dz = dL/db"]
    lines = [
        f"{this}: z_j = sum_i {before}_i W_ij + b_j, f = {layer.activation}",
        *_table(head, rows, _MOST_UNITS, "units"),
    ]
    if is_softmax:
        lines.append("dp_j/dz_k = p_j ([j = k] - p_k); the table shows j = k")
    weights = [
        [f"W_{i + 1},{j + 1}", number(layer.W.item(i, j)), number(layer.dL_dW.item(i, j))]
        for i, j in islice(np.ndindex(layer.W.shape), _MOST_WEIGHTS)
    ]
    head = ["weight", "W_ij", f"dL/dW_ij = {before}_i dL/dz_j"]
    return [*lines, "", *_table(head, weights, _MOST_WEIGHTS, "weights", layer.W.size)]


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], most: int, what: str, n: int | None = None
) -> list[str]:
    """Write rows below a head, aligned; of many the first ones, and how many there are more."""
    shown, n = rows[:most], len(rows) if n is None else n
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *shown)
    ]
    return [*lines, f"... and {n - most} more {what}"] if n > most else lines
