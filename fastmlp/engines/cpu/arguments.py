"""Tuples of values that kernels pass to each other as one argument."""

from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Pointers to a network's arena, and to the tables that describe it.

    Pointers are passed in processor registers, and arrays are not; ``views.arrays_of`` makes
    arrays of the pointers.
    """

    arena: int
    """Points to numbers of the network's dtype, see :mod:`fastmlp.engines.cpu.layout`."""
    layers: int
    """Points to a matrix of int64 with a row for each layer; layout.py names the columns."""
    settings: int
    """Points to a vector of int64 with sizes, places and flags; layout.py names the elements."""
    calls: int
    """Points to a vector of uint64 with the addresses of kernels; slots.py names the elements."""


class Inputs(NamedTuple):
    """Rows of X, and the order in which they are used."""

    values: np.ndarray
    """X, or one row with the entries of a sparse X: a matrix of the network's dtype."""
    features: np.ndarray
    """The column of each entry of a sparse X, empty for a dense X: a vector of int32."""
    row_starts: np.ndarray
    """Where the entries of each row start, empty for a dense X: a vector of int64."""
    order: np.ndarray
    """Row numbers, in the order in which batches are cut: a vector of int64."""


class Size(NamedTuple):
    """The size of a product of matrices of shape (rows, depth) and (depth, width)."""

    rows: int
    width: int
    depth: int


class Matrix(NamedTuple):
    """A matrix in the arena whose rows are contiguous."""

    start: int
    """The place of its first element in the arena."""
    row_step: int
    """The distance between rows; 0 repeats one row."""


class StridedMatrix(NamedTuple):
    """A matrix in the arena with any distance between rows and between columns."""

    start: int
    """The place of its first element in the arena."""
    row_step: int
    """The distance between rows."""
    column_step: int
    """The distance between columns."""
