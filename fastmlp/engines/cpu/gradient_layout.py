"""The layout of the arena of input gradients on the CPU."""

from functools import lru_cache

import numpy as np

from ...network.plan import Activation, Loss, keeps_derivatives
from . import layout as at
from .vector_unit import lanes


@lru_cache(maxsize=32)
def gradient_layout(
    units: tuple[int, ...],
    activations: tuple[Activation, ...],
    loss: Loss,
    dtype: np.dtype,
    n_threads: int,
    is_packed: bool = False,
    is_sparse: bool = False,
    of_entries: bool = False,
) -> at.Layout:
    """Lay out the arena: that of a prediction, and beside it what the way back needs.

    Parameters
    ----------
    units : tuple of int
        Units of every layer, from the input features to the outputs.
    activations : tuple of Activation
        The activation of each hidden layer.
    loss : Loss
    dtype : numpy.dtype
    n_threads : int
    is_packed : bool
        Whether the weights of the way forward lie in panels of the arena, and not outside of it.
    is_sparse : bool
        Whether X is sparse. Rows of inputs have their place all the same where their gradients are
        dense.
    of_entries : bool
        Whether only entries of a sparse X have gradients, for which the weights of the first layer
        are not transposed.

    Returns
    -------
    Layout
        Deltas of outputs have a place of their own, since an output is read for several of them.
    """
    base = at.prediction_layout(units, activations, loss, dtype, n_threads, is_packed, is_sparse)
    layers, settings = base.layers.copy(), base.settings.copy()
    settings[at.BLOCK_ROWS] = at.block_rows(units[of_entries:], dtype.itemsize)
    rows = n_threads * settings[at.BLOCK_ROWS]
    reserve = at.Reservations(dtype.itemsize)
    if is_packed:
        settings[at.PARAMETERS] = reserve(settings[at.N_PARAMETERS])
    settings[at.ZEROS] = reserve(settings[at.PANEL])
    row = 0
    if not of_entries:
        row = at.row_stride(int(layers[0, at.IN_WIDTH]), dtype.itemsize, lanes(dtype))
    start = reserve(rows * row)
    for number, layer in enumerate(layers):
        layer[[at.INPUT, at.INPUT_ROW]] = start, row
        if number or not of_entries:
            layer[at.TRANSPOSED] = reserve(layer[at.OUT_WIDTH] * layer[at.IN_WIDTH])
        row = layer[at.OUTPUT_ROW]
        layer[at.OUTPUT] = start = reserve(rows * row)
        layer[at.DELTA] = reserve(rows * row)
        if number < len(activations) and keeps_derivatives(activations[number], 0.0):
            layer[at.KEPT] = reserve(rows * row)
    return at.Layout(layers, settings, reserve.end, base.n_blocks)
