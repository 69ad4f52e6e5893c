"""What the members of a pack learn, and what they predict of rows that they have not seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kinds import Groups, Kind
from .tails import LogTarget

# ``make_network(kind, n_rows, seed)`` makes the network of a member with so many training rows.
MakeNetwork = Callable[[Kind, int, int], Any]


@dataclass(frozen=True)
class Problem:
    """What the members of a pack learn.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, n_inputs), float32
    groups : dict of str to tuple of int
        The range of each group of inputs.
    targets : ndarray of shape (n_rows,)
        The number of each row's class, or its standardised value.
    folds : ndarray of shape (n_rows,), of int
    make_network : callable
    labels : ndarray of shape (n_rows,)
        What the networks are given as targets.
    given_weight : ndarray of shape (n_rows,) or None
        What the networks are given as weights of the rows.
    weight : ndarray of shape (n_rows,) or None
        Weight of each row in losses, that of its class included.
    classes : ndarray of shape (n_classes,) or None
        None for a regression.
    scale : float
        Unit of the targets; losses are reported in units of the numbers to predict.
    bounds : tuple of float or None
        The lowest and highest number that members may predict.
    log_target : LogTarget or None
        What kinds of the logarithm learn instead of the target.
    levels : tuple of float
        Levels of the quantiles that members predict; () for means and classes.
    """

    inputs: NDArray[np.float32]
    groups: Groups
    targets: NDArray[Any]
    folds: NDArray[np.intp]
    make_network: MakeNetwork
    labels: NDArray[Any]
    given_weight: NDArray[np.float64] | None = None
    weight: NDArray[np.float64] | None = None
    classes: NDArray[Any] | None = None
    scale: float = 1.0
    bounds: tuple[float, float] | None = None
    log_target: LogTarget | None = None
    levels: tuple[float, ...] = ()

    def labels_of(self, kind: Kind) -> NDArray[Any]:
        """Return what networks of a kind are given as targets."""
        if kind.is_of_log and self.log_target is not None:
            return self.log_target.change(self.labels)
        return self.labels


@dataclass(frozen=True)
class OutOfFold:
    """What a pack predicts for rows that its members have not seen.

    Parameters
    ----------
    rows : ndarray of shape (n_held_rows,), of int
    predicted : ndarray of shape (n_held_rows, n_outputs) or (n_held_rows,)
        Probabilities, or standardised numbers or quantiles.
    """

    rows: NDArray[np.intp]
    predicted: NDArray[np.float64]
