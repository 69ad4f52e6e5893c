"""Copies of parameters into the arena and out of it; see :mod:`.layout` for how they lie there."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...network.weights import views
from . import layout as at


def pack(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, start: int, layout: at.Layout
) -> None:
    """Copy a flat parameter vector into panels of the arena.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        The parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
        Modified in place.
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    if layout.places is None:
        pack_layers(*views(parameters, units), arena, start, layout)
    else:
        arena[start : start + layout.settings[at.N_PARAMETERS]][layout.places] = parameters


def pack_layers(
    coefs: Sequence[np.ndarray],
    intercepts: Sequence[np.ndarray],
    arena: np.ndarray,
    start: int,
    layout: at.Layout,
) -> None:
    """Copy weights and biases into panels of the arena.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    intercepts : sequence of ndarray of shape (fan_out,)
    arena : ndarray of shape (layout.size,)
        Modified in place.
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    width = int(layout.settings[at.PANEL])
    for layer, weights, biases in zip(layout.layers.tolist(), coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, width):
            panel[:, : columns.stop - columns.start] = weights[:, columns]
        to = start + layer[at.BIASES]
        arena[to : to + len(biases)] = biases


def unpack(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, start: int, layout: at.Layout
) -> None:
    """Copy panels of the arena into a flat parameter vector: the inverse of :func:`pack`.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        Modified in place: gets the parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    if layout.places is not None:
        source = arena[start : start + layout.settings[at.N_PARAMETERS]]
        source.take(layout.places, out=parameters, mode="clip")  # else it makes a copy first
        return
    coefs, intercepts = views(parameters, units)
    width = int(layout.settings[at.PANEL])
    for layer, weights, biases in zip(layout.layers.tolist(), coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, width):
            weights[:, columns] = panel[:, : columns.stop - columns.start]
        source = start + layer[at.BIASES]
        biases[:] = arena[source : source + len(biases)]


def _panels(
    arena: np.ndarray, start: int, layer: list[int], panel: int
) -> Iterator[tuple[np.ndarray, slice]]:
    """Iterate over the panels of a layer's weights.

    Parameters
    ----------
    arena : ndarray of shape (n_elements,)
    start : int
        Where the first parameter lies in the arena.
    layer : list of int
        A row of the layer table.
    panel : int
        Number of columns of a full panel.

    Yields
    ------
    matrix : ndarray of shape (fan_in, width)
        A view of the arena.
    columns : slice
        The columns of the weights that the panel holds.
    """
    for column in range(0, layer[at.OUT_WIDTH], panel):
        width = min(panel, layer[at.OUT_WIDTH] - column)
        first = start + layer[at.WEIGHTS] + column * layer[at.FAN_IN]
        matrix = arena[first : first + layer[at.FAN_IN] * width].reshape(layer[at.FAN_IN], width)
        yield matrix, slice(column, min(column + width, layer[at.FAN_OUT]))


def pack_transposed(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, layout: at.Layout
) -> None:
    """Fill the transposed copies of the weights of all layers but the first.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        The parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
        Modified in place.
    layout : Layout
    """
    coefs = views(parameters, units)[0]
    transpose_layers(coefs[1:], layout.layers[1:], arena, int(layout.settings[at.PANEL]))


def transpose_layers(
    coefs: Sequence[np.ndarray], layers: np.ndarray, arena: np.ndarray, panel: int
) -> None:
    """Fill the transposed copies of the weights of some layers.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
        Their rows of the layer table.
    arena : ndarray of shape (n_elements,)
        Modified in place.
    panel : int
        Number of columns of a full panel.
    """
    transpose(coefs, [transposed_parts(arena, layer, panel) for layer in layers.tolist()])


def transposed_parts(
    arena: np.ndarray, layer: list[int], panel: int
) -> list[tuple[np.ndarray, slice]]:
    """Find where the weights of a layer lie transposed: in full panels, and in one that is not.

    Parameters
    ----------
    arena : ndarray of shape (n_elements,)
    layer : list of int
        A row of the layer table.
    panel : int
        Number of columns of a full panel.

    Returns
    -------
    list of (ndarray of shape (n_panels, n_inputs, fan_out), slice)
        Views of the arena, and the inputs whose weights they hold.
    """
    n_full, n_left = divmod(layer[at.FAN_IN], panel)
    width, end = layer[at.IN_WIDTH] - n_full * panel, n_full * panel
    parts = []
    for n_panels, n_columns, n_inputs, first in (n_full, panel, panel, 0), (1, width, n_left, end):
        if n_panels and n_inputs:
            start = layer[at.TRANSPOSED] + first * layer[at.OUT_WIDTH]
            shape = n_panels, layer[at.OUT_WIDTH], n_columns
            view = arena[start : start + n_panels * layer[at.OUT_WIDTH] * n_columns].reshape(shape)
            view = view[:, : layer[at.FAN_OUT], :n_inputs].transpose(0, 2, 1)
            parts.append((view, slice(first, first + n_panels * n_inputs)))
    return parts


def transpose(
    coefs: Sequence[np.ndarray], parts_of_layers: Sequence[list[tuple[np.ndarray, slice]]]
) -> None:
    """Copy the weights of some layers to where they lie transposed.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    parts_of_layers : sequence of list
        For each layer what :func:`transposed_parts` returns; the views are modified in place.
    """
    for weights, parts in zip(coefs, parts_of_layers, strict=True):
        for view, inputs in parts:
            view[...] = weights[inputs].reshape(view.shape)
