"""The training plan: everything that the kernels need to know, frozen and validated."""

from dataclasses import dataclass
from enum import IntEnum
from math import inf

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

    SQUARED_ERROR = 0
    POISSON = 1
    CROSS_ENTROPY = 2
    BINARY_CROSS_ENTROPY = 3  # one for each output
    ABSOLUTE_ERROR = 4
    HUBER = 5
    QUANTILE = 6
    MARGIN = 7
    BINARY_MARGIN = 8  # one for each output
    CUSTOM = 9

    @property
    def clips_probabilities(self):
        """Whether its formula takes the machine's epsilon, by which probabilities are clipped."""
        return self in (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY)

    @property
    def has_parameter(self):
        """Whether its formula takes a number of the plan's `loss_parameters`."""
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

# One loss for each output activation: predictions need no more.
PREDICTION_LOSSES = {
    "identity": Loss.SQUARED_ERROR,
    "exp": Loss.POISSON,
    "softmax": Loss.CROSS_ENTROPY,
    "logistic": Loss.BINARY_CROSS_ENTROPY,
}


class Optimizer(IntEnum):
    """How a gradient changes the parameters."""

    GRADIENT = 0  # changes nothing: the gradient itself is wanted
    SGD = 1  # momentum, 0 for plain gradient descent
    NESTEROV = 2
    ADAM = 3
    ADAGRAD = 4
    RMSPROP = 5
    NADAM = 6

    @property
    def uses_first(self):
        """Whether it keeps something in the first vector of its state."""
        return self not in (Optimizer.ADAGRAD, Optimizer.RMSPROP)

    @property
    def uses_second(self):
        """Whether it keeps something in the second vector of its state."""
        return self not in (Optimizer.GRADIENT, Optimizer.SGD, Optimizer.NESTEROV)


def keeps_derivatives(activation, dropout):
    """Whether a hidden layer's derivatives are kept from the forward to the backward pass.

    They are where the activations after dropout do not tell them.

    Parameters
    ----------
    activation : Activation
    dropout : float
        Probability of the layer's units to be switched off.
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
        Of all hidden layers, or of each.
    loss : Loss
    optimizer : Optimizer
    alpha : float
        L2 penalty: alpha / (2 S) * sum of squared weights is added to the loss of a batch,
        S being the batch's total sample weight.
    batch_size : int
        Rows a step; the last batch of an epoch may be shorter.
    momentum, beta_1, beta_2, epsilon : float
        Constants of the optimiser; RMSProp's decay is `beta_2`.
    dtype : numpy.dtype
        float32 or float64, of all arithmetic.
    l1 : float
        L1 penalty: l1 / S * sum of absolute weights.
    averages_gradients : bool
        Whether a velocity is a running mean of gradients: steps of SGD shrink by 1 - momentum.
    weight_decay : float
        Before a step weights shrink by the factor 1 - learning rate * weight_decay.
    clip_value, clip_norm : float
        Limits of a gradient's elements, and of its norm.
    max_norm : float
        Limit of the norm of each unit's incoming weights.
    dropout : tuple of float
        Probability of each hidden layer's units to be switched off; () is none.
    seed : int
        Of the dropout's masks, below 2^32.
    loss_parameters : tuple of float
        The quantile of each output; the Huber loss's limit, or the margin loss's rho, for all.
    custom_loss : tuple of functions or None
        Value and derivative of ``Loss.CUSTOM``.
    monitors_gradient : bool
        Whether the norm of each step's gradient is wanted.
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
    custom_loss: tuple | None = None
    monitors_gradient: bool = False

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
        n_hidden = len(self.layer_units) - 2
        if len(self.activations) != n_hidden or len(self.dropouts) != n_hidden:
            raise ValueError(
                f"{n_hidden} hidden layers need as many activations and dropout probabilities, "
                f"got {self.activation} and {self.dropout}"
            )

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
    def activations(self):
        """The activation of each hidden layer, as a tuple."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * (len(self.layer_units) - 2)

    @property
    def dropouts(self):
        """The dropout probability of each hidden layer, as a tuple."""
        return self.dropout or (0.0,) * (len(self.layer_units) - 2)

    @property
    def rate_factor(self):
        """The number that every learning rate is multiplied by.

        A velocity that is a running mean of gradients is one that adds up steps of a smaller rate.
        """
        return 1 - self.momentum if self.averages_gradients else 1.0

    @property
    def needs_gradient(self):
        """Whether the gradient is made before weights change, apart from the optimiser.

        It is more than that of loss and L2 penalty, or wanted for its norm, or weights decay
        between their penalty and their step.
        """
        return (
            self.l1 > 0
            or min(self.clip_value, self.clip_norm) < inf
            or self.monitors_gradient
            or (self.weight_decay > 0 and self.alpha > 0)
        )

    @property
    def needs_gradient_norm(self):
        """Whether the norm of each step's gradient is made: it is wanted, or limited."""
        return self.monitors_gradient or self.clip_norm < inf

    def row_loss_parameters(self):
        """The last argument of the loss's formula for each output.

        Returns
        -------
        ndarray of shape (n_outputs,), float64
            The machine's epsilon in the plan's dtype, for losses that clip probabilities; or
            `loss_parameters`; or zeros, for formulas that take none.
        """
        parameters = (0.0,)
        if Loss(self.loss).clips_probabilities:
            parameters = (np.finfo(self.dtype).eps,)
        elif Loss(self.loss).has_parameter:
            parameters = self.loss_parameters
        result = np.empty(self.n_outputs)
        result[:] = parameters
        return result

    @property
    def n_outputs(self):
        """Units of the output layer."""
        return self.layer_units[-1]
