"""The training plan: everything that the kernels need to know, frozen and validated."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

_FLOAT64 = np.dtype(np.float64)


class Activation(IntEnum):
    """Activation of the hidden layers."""

    IDENTITY = 0
    LOGISTIC = 1
    TANH = 2
    RELU = 3
    LEAKY_RELU = 4
    ELU = 5
    SELU = 6
    GELU = 7
    SILU = 8
    SOFTPLUS = 9


class Loss(IntEnum):
    """Training loss; it implies the activation of the output layer."""

    SQUARED_ERROR = 0  # identity
    POISSON = 1  # exp
    CROSS_ENTROPY = 2  # softmax
    BINARY_CROSS_ENTROPY = 3  # logistic, one for each output


class Optimizer(IntEnum):
    """How a gradient changes the parameters."""

    GRADIENT = 0  # changes nothing: the gradient itself is wanted
    SGD = 1  # momentum, 0 for plain gradient descent
    NESTEROV = 2
    ADAM = 3


@dataclass(frozen=True)
class TrainingPlan:
    """A network, its objective and its optimiser.

    Parameters
    ----------
    layer_units : tuple of int
        Units of every layer, from the input features to the outputs.
    activation : Activation
    loss : Loss
    optimizer : Optimizer
    alpha : float
        L2 penalty: alpha / (2 S) * sum of squared weights is added to the loss of a batch,
        S being the batch's total sample weight.
    batch_size : int
        Rows a step; the last batch of an epoch may be shorter.
    momentum, beta_1, beta_2, epsilon : float
        Constants of the optimiser.
    dtype : numpy.dtype
        float32 or float64, of all arithmetic.
    """

    layer_units: tuple[int, ...]
    activation: Activation
    loss: Loss
    optimizer: Optimizer
    alpha: float = 0.0
    batch_size: int = 1
    momentum: float = 0.0
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0
    dtype: np.dtype = _FLOAT64

    def __post_init__(self):
        if len(self.layer_units) < 2 or min(self.layer_units) < 1:
            raise ValueError(
                "a network needs an input and an output layer, each of at least one unit; "
                f"got layer_units={self.layer_units}"
            )
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def check_data(self, X, Y):
        """Raise ValueError unless these matrices fit the network: kernels do not look."""
        if X.shape[1] != self.layer_units[0] or Y.shape != (X.shape[0], self.n_outputs):
            raise ValueError(f"X {X.shape} and Y {Y.shape} do not fit units {self.layer_units}")

    def batch_weights(self, order, sample_weight):
        """Total weight of each mini-batch of an epoch.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
        sample_weight : ndarray of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_steps,)

        Raises
        ------
        ValueError
            When one is zero.
        """
        starts = np.arange(0, order.size, self.batch_size)
        totals = np.add.reduceat(sample_weight[order], starts)
        if (totals == 0).any():
            raise ValueError(
                "the sample weights of a mini-batch sum to zero, so that its mean loss is not "
                "defined; remove rows of weight zero, or use larger batches"
            )
        return totals

    @property
    def n_outputs(self):
        """Units of the output layer."""
        return self.layer_units[-1]
