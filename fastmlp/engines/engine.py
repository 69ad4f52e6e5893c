"""The contract between training and the engines that run its epochs.

The fit of an estimator opens one engine for its network. Training then asks the engine for whole
epochs, and for several short ones at once, so that few calls from Python are needed. The engine of
the CPU is :class:`fastmlp.engines.cpu.engine.CpuEngine`, and that of the GPU is
:class:`fastmlp.engines.cuda.engine.CudaEngine`. Training and estimators know neither of them, only
the protocols in this module.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from scipy.sparse import spmatrix

from ..network.plan import TrainingPlan

Matrix: TypeAlias = np.ndarray | spmatrix
# The number of updates, and the optimiser's two vectors; see Engine.state.
OptimizerMemory: TypeAlias = tuple[int, np.ndarray, np.ndarray]


class SomeRows:
    """Some rows of a matrix, which are predicted where they lie.

    Parameters
    ----------
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_all, n_features)
    numbers : ndarray of shape (n_rows,), int64
        The numbers of the rows.

    Attributes
    ----------
    shape : tuple (n_rows, n_features)
    size : int
        Number of elements, as of a dense matrix.
    """

    def __init__(self, X: Matrix, numbers: np.ndarray) -> None:
        self.X, self.numbers = X, numbers
        self.shape = numbers.size, int(X.shape[1])
        self.size = self.shape[0] * self.shape[1]

    def __getitem__(self, which: slice) -> Matrix:
        """Copy rows; ``[:]`` is all of them."""
        return self.X[self.numbers[which]]


class Data(NamedTuple):
    """The data that a network is trained on.

    Parameters
    ----------
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_outputs)
        Targets in the form of the network's outputs.
    sample_weight : ndarray of shape (n_rows,) or None
        Weight of each row in the loss; None gives each the weight one.
    """

    X: Matrix
    Y: np.ndarray
    sample_weight: np.ndarray | None = None


class Predictor(Protocol):
    """A network with parameters: the part of an engine that validation needs."""

    @property
    def plan(self) -> TrainingPlan:
        """The network, its objective and its optimiser."""

    def pull(self) -> np.ndarray:
        """Return the parameters, in the order of :mod:`fastmlp.network.weights`."""

    def outputs(self, X: Matrix | SomeRows) -> np.ndarray:
        """Predict with the current parameters.

        Parameters
        ----------
        X : ndarray, DeviceMatrix, scipy.sparse matrix or SomeRows of shape (n_rows, n_features)
            An engine may keep it, or a copy, for the next call with the same object: its values
            must not change in between.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            Activations of the output layer, in the plan's dtype.
        """

    def row_losses(self, Y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Compute the plan's loss of each row, without weights and penalties.

        Parameters
        ----------
        Y : ndarray of shape (n_rows, n_outputs)
            Targets as they are trained on.
        outputs : ndarray of shape (n_rows, n_outputs)
            Activations of the output layer, as :meth:`outputs` returns them.

        Returns
        -------
        ndarray of shape (n_rows,), float64

        Raises
        ------
        CustomLossError
            When the value of a custom loss raises an exception.
        """


class PredictionNetwork(Protocol):
    """A network that predicts with arrays where they lie.

    It is made by :func:`fastmlp.engines.devices.prediction_network`, and used by
    :func:`fastmlp.engines.devices.predict_rows`.
    """

    plan: TrainingPlan
    n_parameters: int

    def is_of(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Tell whether these are the very arrays that the network predicts with."""

    def outputs(self, arrays: Sequence[np.ndarray], X: Matrix, n_threads: int) -> np.ndarray:
        """Compute the activations of the output layer.

        Parameters
        ----------
        arrays : sequence of ndarray
            All weights and then all biases, the very arrays that the network was made for.
        X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
        n_threads : int

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
        """


class Engine(Predictor, Protocol):
    """One network with its optimiser and its data on a device.

    An engine is a context manager; leaving it closes it.

    Attributes
    ----------
    plan : TrainingPlan
        The network, its objective and its optimiser.
    step : int
        Number of updates so far, which Adam's bias correction and dropout's masks depend on.
    gradient_norm : float or None
        Norm of the gradient of all parameters, before it is limited to the plan's `clip_norm`,
        as the mean over the steps of the last epoch. None unless the plan needs it: see
        :attr:`fastmlp.network.plan.TrainingPlan.needs_gradient_norm`.
    total_weight : float
        Sum of the sample weights of all rows, which is their number where no weights are given.
    epochs_at_once : int
        How many epochs :meth:`run_epochs` takes in one call.
    """

    step: int
    gradient_norm: float | None

    @property
    def epochs_at_once(self) -> int:
        """How many epochs :meth:`run_epochs` takes in one call."""

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights of all rows."""

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """Update the parameters once for each mini-batch of one epoch.

        Parameters
        ----------
        order : ndarray of shape (n_trained,), int64
            Rows to train on, which may be some of those that the engine has, in the order in which
            batches are cut.
        learning_rate : float

        Returns
        -------
        loss : float
            Mean over rows of the losses of their batches. The loss of a batch is that before its
            update, and includes the penalty.

        Raises
        ------
        ValueError
            When the sample weights of a batch sum to zero.
        CustomLossError
            When a function of a custom loss raises an exception on the CPU; the step in which it
            does so is not taken. On a GPU the loss is then NaN.
        """

    def run_epochs(self, orders: np.ndarray, learning_rate: float) -> list[float]:
        """Run some epochs, one after the other, as :meth:`run_epoch` does.

        An epoch whose loss is not finite is the last one.

        Parameters
        ----------
        orders : ndarray of shape (n_epochs, n_trained), int64
            The order of the rows in each epoch; no more epochs than `epochs_at_once`.
        learning_rate : float

        Returns
        -------
        list of float
            The loss of each epoch that was run, as :meth:`run_epoch` returns it.

        Raises
        ------
        ValueError
            When the sample weights of a batch sum to zero.
        CustomLossError
            See :meth:`run_epoch`.
        """

    def push(self, theta: np.ndarray, state: OptimizerMemory | None = None) -> None:
        """Set the parameters, and the optimiser's memory where it is given.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            The parameters, in the order of :mod:`fastmlp.network.weights`; they are copied.
        state : tuple or None
            The optimiser's memory, as :meth:`state` returns it; None leaves it as it is.
        """

    def pull(self) -> np.ndarray:
        """Return a copy of the parameters, in the order of :mod:`fastmlp.network.weights`."""

    def state(self) -> OptimizerMemory:
        """Return a copy of the optimiser's memory.

        Returns
        -------
        step : int
            Number of updates so far.
        first : ndarray of shape (n_parameters,)
            The velocity or the mean gradient, in the order of the parameters; zeros where the
            optimiser uses neither.
        second : ndarray of shape (n_parameters,)
            The sum or mean of squared gradients, in the order of the parameters; zeros where the
            optimiser uses neither.
        """

    def last_finite(self) -> np.ndarray | None:
        """Return the parameters at the start of the latest epoch that began with finite ones.

        An engine keeps the parameters at the start of the last two epochs. Two are needed: where
        the last updates of an epoch overflow, its loss is still finite, and only the loss of the
        next epoch shows it.

        Returns
        -------
        theta : ndarray of shape (n_parameters,) or None
            None where neither are finite.
        """

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute the loss of all rows as one batch, and its gradient.

        The plan must have the optimiser ``GRADIENT`` and all rows in a batch.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            The parameters at which to compute them.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
        """

    def close(self) -> None:
        """Release threads and memory. After that only the plan can be used."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class OpenEngine(Protocol):
    """A function that opens an engine, such as :func:`fastmlp.engines.devices.open_engine`."""

    def __call__(
        self,
        device: str,
        plan: TrainingPlan,
        theta: np.ndarray,
        data: Data,
        *,
        n_jobs: int | None = None,
        n_epochs: int = 0,
    ) -> Engine:
        """Open an engine; see :func:`fastmlp.engines.devices.open_engine`."""
