"""Arguments of kernels that travel together."""

from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """A network: pointers to its arena, and to the tables that describe it.

    As pointers they are passed in registers; ``views.arrays_of`` makes arrays of them.
    """

    arena: int
    """Numbers of the network's dtype: see :mod:`fastmlp.engines.cpu.layout`."""
    layers: int
    """A matrix of int64 with a row for each layer; layout.py names the columns."""
    settings: int
    """A vector of int64: sizes, places in the arena and flags; layout.py names the elements."""
    calls: int
    """A vector of uint64: addresses of kernels, and nothing else; slots.py names the elements."""


class Inputs(NamedTuple):
    """Rows of X, and the order in which they are used."""

    values: np.ndarray
    """Matrix of the network's dtype: X, or one row with the entries of a sparse X."""
    features: np.ndarray
    """Vector of int32: the column of each entry of a sparse X; empty for a dense X."""
    row_starts: np.ndarray
    """Vector of int64: where the entries of each row start; empty for a dense X."""
    order: np.ndarray
    """Vector of int64: row numbers, from which batches are cut."""


class Size(NamedTuple):
    """Size of a matrix product: (rows, depth) times (depth, width)."""

    rows: int
    width: int
    depth: int


class Matrix(NamedTuple):
    """A matrix in the arena whose rows are contiguous."""

    start: int
    row_step: int
    """Distance between rows; 0 repeats one row."""


class StridedMatrix(NamedTuple):
    """A matrix in the arena with any distance between rows and between columns."""

    start: int
    row_step: int
    column_step: int
