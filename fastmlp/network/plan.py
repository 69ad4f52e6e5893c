"""The training plan: everything that the kernels need to know, frozen and validated."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Any, TypeAlias

import numpy as np

# Value and derivative of a custom loss, two functions of target and prediction.
LossFunctions: TypeAlias = tuple[Callable[..., Any], ...]

_FLOAT64 = np.dtype(np.float64)


class Activation(IntEnum):
    """Activation of a hidden layer."""

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
    STEP = 10

    @property
    def is_trainable(self) -> bool:
        """Whether a gradient passes it, so that the weights before it can be learned."""
        return self != Activation.STEP


class Loss(IntEnum):
    """Training loss; it determines the activation of the output layer."""

    SQUARED_ERROR = 0
    POISSON = 1
    CROSS_ENTROPY = 2
    BINARY_CROSS_ENTROPY = 3  # each output is the probability of a label of its own
    ABSOLUTE_ERROR = 4
    HUBER = 5
    QUANTILE = 6
    MARGIN = 7
    BINARY_MARGIN = 8  # as for the binary cross-entropy
    CUSTOM = 9

    @property
    def clips_probabilities(self) -> bool:
        """Whether the loss's formula takes the machine epsilon, to clip probabilities with."""
        return self in (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY)

    @property
    def has_parameter(self) -> bool:
        """Whether the loss's formula takes a number of the plan's `loss_parameters`."""
        return self in (Loss.HUBER, Loss.QUANTILE, Loss.MARGIN, Loss.BINARY_MARGIN)


OUTPUT_ACTIVATIONS = {
    Loss.SQUARED_ERROR: "identity",
    Loss.POISSON: "exp",
    Loss.CROSS_ENTROPY: "softmax",
    Loss.BINARY_CROSS_ENTROPY: "logistic",
    Loss.ABSOLUTE_ERROR: "identity",
    Loss.HUBER: "identity",
    Loss.QUANTILE: "identity",
    Loss.MARGIN: "softmax",
    Loss.BINARY_MARGIN: "logistic",
    Loss.CUSTOM: "identity",
}

# Predictions need only the output activation; this is a loss that has it.
PREDICTION_LOSSES = {
    "identity": Loss.SQUARED_ERROR,
    "exp": Loss.POISSON,
    "softmax": Loss.CROSS_ENTROPY,
    "logistic": Loss.BINARY_CROSS_ENTROPY,
}


class Optimizer(IntEnum):
    """How a gradient changes the parameters."""

    GRADIENT = 0  # leaves the parameters as they are, and stores the gradient
    SGD = 1  # with momentum, which is 0 for plain gradient descent
    NESTEROV = 2
    ADAM = 3
    ADAGRAD = 4
    RMSPROP = 5
    NADAM = 6

    @property
    def uses_first(self) -> bool:
        """Whether the optimiser uses the first vector of its state."""
        return self not in (Optimizer.ADAGRAD, Optimizer.RMSPROP)

    @property
    def uses_second(self) -> bool:
        """Whether the optimiser uses the second vector of its state."""
        return self not in (Optimizer.GRADIENT, Optimizer.SGD, Optimizer.NESTEROV)


def keeps_derivatives(activation: Activation, dropout: float) -> bool:
    """Tell whether the forward pass stores a hidden layer's derivatives for the backward pass.

    It does where they cannot be computed from the layer's activations after dropout.

    Parameters
    ----------
    activation : Activation
    dropout : float
        Probability with which a unit of the layer is switched off.

    Returns
    -------
    bool
    """
    return dropout > 0 or activation in (Activation.GELU, Activation.SILU)


@dataclass(frozen=True)
class TrainingPlan:
    """A network, its objective and its optimiser.

    Parameters
    ----------
    layer_units : tuple of int
        Units of every layer, from the input features to the outputs.
    activation : Activation or tuple of Activation
        The activation of all hidden layers, or a tuple with one for each.
    loss : Loss
    optimizer : Optimizer
    alpha : float
        L2 penalty: alpha / (2 S) * sum of squared weights is added to the loss of a batch,
        where S is the batch's total sample weight.
    batch_size : int
        Rows of a mini-batch; the last batch of an epoch may be shorter.
    momentum, beta_1, beta_2, epsilon : float
        Constants of the optimiser; RMSProp's decay is `beta_2`.
    dtype : numpy.dtype
        Type of all arithmetic: float32 or float64.
    l1 : float
        L1 penalty: l1 / S * sum of absolute weights is added to the loss of a batch.
    averages_gradients : bool
        Whether the velocity of SGD is a running mean of gradients, so that its steps are smaller
        by the factor 1 - momentum.
    weight_decay : float
        Before each step all weights are multiplied by 1 - learning rate * weight_decay.
    clip_value : float
        Largest absolute value of the gradient's elements; larger ones are clipped.
    clip_norm : float
        Largest norm of the gradient; a larger gradient is scaled down to it.
    max_norm : float
        Largest norm of each unit's incoming weights; larger ones are scaled down to it.
    dropout : tuple of float
        Probability with which the units of each hidden layer are switched off; () is no dropout.
    seed : int
        Seed of the dropout's masks, below 2^32.
    loss_parameters : tuple of float
        For the quantile loss the level of each output; for the Huber loss its limit, and for the
        margin losses their rho, once for each output.
    custom_loss : tuple of functions or None
        Value and derivative of ``Loss.CUSTOM``.
    monitors_gradient : bool
        Whether the norm of each step's gradient is measured.

    Raises
    ------
    ValueError
        For values that describe no network.
    """

    layer_units: tuple[int, ...]
    activation: Activation | tuple[Activation, ...]
    loss: Loss
    optimizer: Optimizer
    alpha: float = 0.0
    batch_size: int = 1
    momentum: float = 0.0
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0
    dtype: np.dtype = _FLOAT64
    l1: float = 0.0
    averages_gradients: bool = False
    weight_decay: float = 0.0
    clip_value: float = inf
    clip_norm: float = inf
    max_norm: float = inf
    dropout: tuple[float, ...] = ()
    seed: int = 0
    loss_parameters: tuple[float, ...] = ()
    custom_loss: LossFunctions | None = None
    monitors_gradient: bool = False

    def __post_init__(self) -> None:
        if len(self.layer_units) < 2 or min(self.layer_units) < 1:
            raise ValueError(
                "a network needs an input and an output layer, each of at least one unit; "
                f"got layer_units={self.layer_units}"
            )
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        n_hidden = len(self.layer_units) - 2
        if len(self.activations) != n_hidden or len(self.dropouts) != n_hidden:
            raise ValueError(
                f"{n_hidden} hidden layers need as many activations and dropout probabilities, "
                f"got {self.activation} and {self.dropout}"
            )

    def check_data(self, X: Any, Y: Any) -> None:
        """Raise ValueError unless data fit the network, since kernels do not check shapes.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_rows, n_features)
        Y : array of shape (n_rows, n_outputs)
        """
        if X.shape[1] != self.layer_units[0] or Y.shape != (X.shape[0], self.n_outputs):
            raise ValueError(f"X {X.shape} and Y {Y.shape} do not fit units {self.layer_units}")

    def batch_weights(self, order: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """Sum the sample weights of each mini-batch of an epoch.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
            Row numbers, in the order in which batches are cut.
        sample_weight : ndarray of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_steps,)

        Raises
        ------
        ValueError
            When one of the sums is zero.
        """
        starts = np.arange(0, order.size, self.batch_size)
        totals = np.add.reduceat(sample_weight[order], starts)
        if (np.abs(totals) < np.finfo(self.dtype).smallest_normal).any():
            raise ValueError(
                "the sample weights of a mini-batch sum to zero, so that its mean loss is not "
                "defined; remove rows of weight zero, or use larger batches"
            )
        return totals

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each hidden layer, as a tuple."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * (len(self.layer_units) - 2)

    @property
    def dropouts(self) -> tuple[float, ...]:
        """The dropout probability of each hidden layer, as a tuple."""
        return self.dropout or (0.0,) * (len(self.layer_units) - 2)

    @property
    def rate_factor(self) -> float:
        """The number that every learning rate is multiplied by.

        A velocity that is a running mean of gradients equals one that adds up smaller steps.
        """
        return 1 - self.momentum if self.averages_gradients else 1.0

    @property
    def needs_gradient(self) -> bool:
        """Whether the whole gradient is stored before the optimiser changes any weight.

        Otherwise it is computed together with the step, one weight at a time. That is not possible
        where the gradient has an L1 penalty, where it is clipped or measured, and where weights
        decay between the computation of their penalty and their step.
        """
        return (
            self.l1 > 0
            or min(self.clip_value, self.clip_norm) < inf
            or self.monitors_gradient
            or (self.weight_decay > 0 and self.alpha > 0)
        )

    @property
    def needs_gradient_norm(self) -> bool:
        """Whether the norm of each step's gradient is computed, to measure it or to limit it."""
        return self.monitors_gradient or self.clip_norm < inf

    def row_loss_parameters(self) -> np.ndarray:
        """Return the last argument of the loss's formula for each output.

        Returns
        -------
        ndarray of shape (n_outputs,), float64
            The machine epsilon of the plan's dtype for losses that clip probabilities,
            `loss_parameters` for losses that have a parameter, and zeros for all others.
        """
        parameters: tuple[float, ...] = (0.0,)
        if Loss(self.loss).clips_probabilities:
            parameters = (float(np.finfo(self.dtype).eps),)
        elif Loss(self.loss).has_parameter:
            parameters = self.loss_parameters
        result = np.empty(self.n_outputs)
        result[:] = parameters
        return result

    @property
    def n_outputs(self) -> int:
        """Number of units of the output layer."""
        return self.layer_units[-1]
