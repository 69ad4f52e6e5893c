"""The computation graph of one example: every number of its way forward and back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimators.trace import Trace
from ..exceptions import InputError
from .figures import COLORS, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Larger networks would be a tangle.
_MOST_UNITS, _MOST_WEIGHTS, _MOST_LAYERS = 5, 20, 4
# In inches: the least distances of layers and of units, the height of a number at an edge, and how
# far from the middle of a unit it has to be.
_LAYER, _UNIT, _LABEL, _ROOM = 3.4, 0.95, 0.2, 1.25
_FORWARD, _BACKWARD = COLORS[-1], COLORS[1]
_SIZE = 8


def computation_graph(trace: Trace, ax: Axes | None = None) -> Axes:
    """Draw the computation graph of an example, with the numbers at its nodes and edges.

    Black numbers go forward, from the inputs to the loss: inputs, weights at the edges, and b, z
    and h of each unit. Coloured ones go back: the derivatives of the loss for the number that
    stands beside or above them.

    Parameters
    ----------
    trace : Trace
        From :func:`fastmlp.trace`, of a small network.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure of pyplot, large enough for all numbers.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        When matplotlib is missing, this is no trace, or the network is too large for a picture.
    """
    require_matplotlib()
    if not isinstance(trace, Trace):
        raise InputError(
            f"a computation graph is drawn of what trace returns, not of {type(trace).__name__}"
        )
    sizes = [len(trace.x), *(len(layer.z) for layer in trace.layers)]
    _check_size(sizes)
    height = max(
        1.2 * _LABEL * max((a + 1) * b for a, b in pairwise(sizes)), _UNIT * max(sizes), 2 * _UNIT
    )
    shares = [_share(a, b, _LABEL / height) for a, b in pairwise(sizes)]
    x = np.cumsum([0, *(max(_LAYER, _ROOM / share) for share in shares), _LAYER - 1])
    if ax is None:
        from matplotlib import pyplot

        size = float(x[-1]) + 2, height + 0.9
        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
    places = [_places(*pair, height) for pair in zip(x, sizes, strict=False)]
    _draw_edges(ax, trace, places, shares)
    for (left, y), value, signal in zip(places[0], trace.x, trace.dL_dx, strict=True):
        _draw_node(ax, left, y, [f"x = {_number(value)}"], f"dL/dx = {_number(signal)}")
    for number, layer in enumerate(trace.layers):
        h = "p" if number + 1 == len(trace.layers) else "h"
        numbers = zip(layer.b, layer.z, layer.h, layer.dL_dh, layer.dL_dz, strict=True)
        for (left, y), unit in zip(places[number + 1], numbers, strict=True):
            b, z, value, of_h, of_z = map(_number, unit)
            back = f"dL/d{h} = {of_h}\ndL/dz = dL/db = {of_z}"
            _draw_node(ax, left, y, [f"b = {b}", f"z = {z}", f"{h} = {value}"], back)
    target = ", ".join(map(_number, trace.t))
    lines = [f"t = {target}", f"L = {_number(trace.loss)}"]
    for left, y in places[-1]:
        ax.plot([left, x[-1]], [y, height / 2], color="0.8", linewidth=1, zorder=0)
    _draw_node(ax, x[-1], height / 2, lines, "")
    _finish(ax, trace, x, height)
    return ax


def _check_size(sizes: list[int]) -> None:
    """Raise InputError for a network that is too large for a picture."""
    n_weights = max(a * b for a, b in pairwise(sizes))
    if max(sizes) > _MOST_UNITS or n_weights > _MOST_WEIGHTS or len(sizes) - 1 > _MOST_LAYERS:
        shape = "-".join(map(str, sizes))
        raise InputError(
            f"a network of {shape} units is too large to draw: at most {_MOST_UNITS} units in a "
            f"layer, {_MOST_WEIGHTS} weights between two, and {_MOST_LAYERS} layers after the "
            "inputs; print the trace instead"
        )


def _share(n_left: int, n_right: int, label: float) -> float:
    """Choose how far along the edges between two layers their numbers stand.

    They stand in a column, those of one unit on the left after those of another.

    Parameters
    ----------
    n_left, n_right : int
        The numbers of units.
    label : float
        The height of a number, as a share of that of a layer.

    Returns
    -------
    float
        At most one half.
    """
    return min(0.5, (1 / n_left - label) / (1 / n_left + (n_right - 1) / n_right))


def _places(x: float, size: int, height: float) -> NDArray[np.float64]:
    """Return the places of the units of a layer, the first one at the top."""
    y = height - (np.arange(size) + 0.5) * height / size
    return np.column_stack([np.full(size, x), y])


def _number(value: float) -> str:
    return f"{value:.3g}"


def _draw_edges(
    ax: Axes, trace: Trace, places: list[NDArray[np.float64]], shares: list[float]
) -> None:
    """Draw the weights between all layers, each with its gradient."""
    pairs = zip(trace.layers, pairwise(places), shares, strict=True)
    for layer, (left, right), share in pairs:
        for i, j in np.ndindex(layer.W.shape):
            (x, y), (to_x, to_y) = left[i], right[j]
            ax.plot([x, to_x], [y, to_y], color="0.8", linewidth=1, zorder=0)
            at = (x + share * (to_x - x), y + share * (to_y - y))
            # Between two numbers the edge would look like a minus.
            ax.plot(*at, "s", color="white", markersize=_SIZE)
            _label(ax, at, _number(layer.W.item(i, j)), -1, _FORWARD)
            _label(ax, at, _number(layer.dL_dW.item(i, j)), 1, _BACKWARD)


def _label(ax: Axes, at: tuple[float, float], text: str, side: int, color: str) -> None:
    """Write a number on one side of a place of an edge."""
    ax.annotate(
        text, at, xytext=(3 * side, 0), textcoords="offset points", color=color, fontsize=_SIZE,
        ha="left" if side > 0 else "right", va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _draw_node(ax: Axes, x: float, y: float, lines: list[str], back: str) -> None:
    """Draw a node: a box with the numbers that go forward, and below it those that go back."""
    box = ax.annotate(
        "\n".join(lines), (x, y), color=_FORWARD, fontsize=_SIZE, ha="center", va="center",
        bbox={"boxstyle": "round,pad=0.35", "facecolor": "#EAF3FA", "edgecolor": COLORS[0]},
        zorder=3,
    )  # fmt: skip
    if back:
        ax.annotate(
            back, (0.5, 0), xycoords=box, xytext=(0, -8), textcoords="offset points",
            color=_BACKWARD, fontsize=_SIZE, ha="center", va="top", zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip


def _finish(ax: Axes, trace: Trace, x: NDArray[np.float64], height: float) -> None:
    """Write the names of layers above them, and set the limits."""
    kinds = [layer.activation for layer in trace.layers]
    names = ["inputs", *kinds, trace.loss_name.replace("_", " ")]
    options: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": _SIZE + 1}
    for place, name in zip(x, names, strict=True):
        ax.text(place, height + 0.1, name, color="0.35", **options)
    ax.set_xlim(-0.8, x[-1] + 0.8)
    ax.set_ylim(-0.45, height + 0.4)
    ax.set_axis_off()
