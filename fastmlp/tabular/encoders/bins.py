"""Piecewise-linear encoding: each number becomes a row of pieces that it fills from the left.

A piece between two edges is 0 below the first, 1 above the second, and grows evenly between them.
A network can so follow a function of one column that bends at the edges (Gorishniy et al., 2022,
"On embeddings for numerical features in tabular deep learning").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NARROWEST = 1e-5
_SMALLEST_RANGE = 1e-6
_MOST_INPUTS = 1600  # of all columns together
_FEWEST_LEAF_ROWS, _MOST_LEAF_ROWS, _LEAF_SHARE = 5, 64, 50


@dataclass
class Pieces:
    """The pieces of all columns; the arrays have the shape (n_pieces,).

    Attributes
    ----------
    columns : ndarray of int64
        The column of scaled numbers that each piece belongs to.
    starts : ndarray of float64
        Where it begins.
    widths : ndarray of float64
        How far it reaches.
    """

    columns: NDArray[np.int64]
    starts: NDArray[np.float64]
    widths: NDArray[np.float64]

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Encode scaled numbers of shape (n_rows, n_numbers); minus infinity fills no piece."""
        result: NDArray[np.float64] = x.take(self.columns, axis=1)
        result -= self.starts
        result /= self.widths
        return result.clip(0, 1, out=result)

    def slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of each piece for its scaled number; at an edge, half of it.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_numbers), float64

        Returns
        -------
        ndarray of shape (n_rows, n_pieces), float64
        """
        places = (x.take(self.columns, axis=1) - self.starts) / self.widths
        sides = ((places >= 0) & (places < 1)) + ((places > 0) & (places <= 1)).astype(np.float64)
        result: NDArray[np.float64] = sides / (2 * self.widths)
        return result


def pieces_between(edges: Sequence[NDArray[np.float64]]) -> Pieces:
    """Make the pieces between the edges of each column, of which there may be none."""
    n_pieces = [max(0, len(of_column) - 1) for of_column in edges]
    columns = np.repeat(np.arange(len(edges), dtype=np.int64), n_pieces)
    none = [np.empty(0)]
    starts = np.concatenate(none + [of_column[:-1] for of_column in edges])
    widths = np.concatenate(none + [np.diff(of_column) for of_column in edges])
    return Pieces(columns, starts, widths)


def bins_of_each(n_bins: int, n_columns: int) -> int:
    """Return the number of pieces of a column, which is smaller where there are many columns."""
    bins = min(n_bins, _MOST_INPUTS // max(1, n_columns))
    return bins if bins > 1 else 0


def quantile_edges(x: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    """Choose edges so that each piece has about as many rows.

    Where a column has few values, each of them is an edge. A value that many rows share is an
    edge between edges at its neighbours, so that it can be told from all others.

    Parameters
    ----------
    x : ndarray of shape (n_rows,), float64
        The scaled numbers of a column, without the missing ones.
    n_bins : int
        The number of pieces that it may have at most.

    Returns
    -------
    ndarray of float64
        In increasing order; empty where a straight line says as much.
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) <= n_bins + 1:
        return _usable(values)
    heavy = np.flatnonzero(counts > max(2, len(x) / n_bins))
    # Each takes up to three edges, and two are at the ends.
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")][: (n_bins - 1) // 3]
    near = np.unique(np.clip([*(heavy - 1), *heavy, *(heavy + 1)], 0, len(values) - 1).astype(int))
    others = x[~np.isin(x, values[heavy])]
    spread = np.quantile(others, np.linspace(0, 1, max(2, n_bins + 1 - len(near))))
    return _usable(np.unique([*values[near], *spread]))


def tree_edges(
    x: NDArray[np.float64], y: NDArray[Any], n_bins: int, is_class: bool
) -> NDArray[np.float64]:
    """Choose as edges the thresholds of a decision tree that predicts a target by a column.

    Parameters
    ----------
    x : ndarray of shape (n_rows,), float64
        The scaled numbers of a column, without the missing ones.
    y : ndarray of shape (n_rows,)
        The numbers of the classes, or the values of the target.
    n_bins : int
        The number of leaves that the tree may have at most.
    is_class : bool
        Whether the target is a class.

    Returns
    -------
    ndarray of float64
        In increasing order; empty where a straight line says as much.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if len(x) < 2:
        return np.empty(0)
    fewest = int(np.clip(len(x) // _LEAF_SHARE, _FEWEST_LEAF_ROWS, _MOST_LEAF_ROWS))
    maker: Any = DecisionTreeClassifier if is_class else DecisionTreeRegressor
    tree = maker(max_leaf_nodes=n_bins, min_samples_leaf=fewest, random_state=0)
    fitted = tree.fit(x[:, None], y).tree_
    thresholds = fitted.threshold[fitted.feature >= 0]
    return _usable(np.unique([x.min(), *thresholds, x.max()]))


def _usable(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out edges that are too close to the one before; return none if less than 3 are left."""
    if not len(edges) or edges[-1] - edges[0] < _SMALLEST_RANGE:
        return np.empty(0)
    kept = [edges[0]]
    for edge in edges[1:]:
        if edge - kept[-1] > _NARROWEST:
            kept.append(edge)
    return np.array(kept) if len(kept) > 2 else np.empty(0)
