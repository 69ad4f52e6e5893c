"""What the members of a pack learn, and what they predict of rows that they have not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders.assembly import write_means
from ..encoders.means import LevelMeans
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
    means : sequence of LevelMeans or None
        Of each text column, what makes the means of the target at the end of the group 'base'.
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
    means: Sequence[LevelMeans | None] = ()

    @property
    def has_means(self) -> bool:
        """Whether there are means of the target among the inputs."""
        return any(found is not None for found in self.means)

    def inputs_between(self, start: int, stop: int, fold: int) -> NDArray[np.float32]:
        """Return a range of inputs for networks that hold out a fold, as a contiguous array.

        The means of the target that the other rows see are made without the rows of this fold.
        """
        if not self.has_means:
            return np.ascontiguousarray(self.inputs[:, start:stop])
        inputs = np.array(self.inputs[:, start:stop], order="C")  # never a view: it is changed
        n_means = sum(found.sums.shape[2] + 1 for found in self.means if found is not None)
        at = self.groups["base"][1] - n_means - start
        number = int(np.searchsorted(np.unique(self.folds), fold))
        write_means(inputs, at, self.means, number)
        return inputs

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
