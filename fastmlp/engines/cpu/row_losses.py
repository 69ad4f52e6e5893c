"""Losses of rows that are not trained on, in float64, by the same formulas as in training."""

import numpy as np
from numpy.typing import ArrayLike

from ...network.plan import Loss, TrainingPlan
from ..forks import importing
from . import library
from .catalogue import loss_name
from .jobs import describe


def row_losses(plan: TrainingPlan, Y: ArrayLike, outputs: ArrayLike) -> np.ndarray:
    """Compute the loss of each row, without weights and penalties.

    It is the sum of the losses of the row's outputs, or for the squared error their mean.

    Parameters
    ----------
    plan : TrainingPlan
        It has the loss and its parameters. Losses that clip probabilities use the machine epsilon
        of its dtype.
    Y : array-like of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : array-like of shape (n_rows, n_outputs)
        Activations of the output layer, all finite.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        A loss that is too large for a number is infinite.

    Raises
    ------
    CustomLossError
        When the value of a custom loss raises an exception.
    """
    # The kernel is compiled for one type of array. Copies have it: they are not marked read-only.
    Y, P = (np.array(array, dtype=np.float64, order="C") for array in (Y, outputs))
    result = np.empty(len(P))
    if plan.custom_loss is not None:
        with importing:
            from .custom_loss import raise_failure, row_losses_kernel

        element = row_losses_kernel(plan.custom_loss)(Y, P, result)
        if element >= 0:
            raise_failure(plan.custom_loss, 0, Y.ravel()[element], P.ravel()[element])
        return result
    arrays = Y, P, plan.row_loss_parameters(), result  # in the order of the numbers in jobs.py
    job = describe(arrays)
    kernel = library.function(loss_name("row_losses", plan.loss), Y.dtype)
    kernel(job.ctypes.data)
    return result / plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else result
