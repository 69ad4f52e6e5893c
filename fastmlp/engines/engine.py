"""The contract between training and the engines that run its epochs.

An estimator's fit opens one engine for its network; training then asks it for whole epochs, so
that the cost of a call from Python is paid once an epoch. The CPU's engine is
:class:`fastmlp.engines.cpu.engine.CpuEngine`, the GPU's
:class:`fastmlp.engines.cuda.engine.CudaEngine`; nothing above this room knows either.
"""

from typing import NamedTuple, Protocol, Self

import numpy as np
from scipy.sparse import spmatrix

from ..network.plan import TrainingPlan

Matrix = np.ndarray | spmatrix
OptimizerMemory = tuple[int, np.ndarray, np.ndarray]


class Data(NamedTuple):
    """What a network is trained on.

    Parameters
    ----------
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_outputs)
        Targets in the form of the network's outputs.
    sample_weight : ndarray of shape (n_rows,) or None
        Weight of each row in the loss; None is one each.
    """

    X: Matrix
    Y: np.ndarray
    sample_weight: np.ndarray | None = None


class Engine(Protocol):
    """One network with its optimiser and its data on a device.

    An engine is a context manager; leaving it closes it.

    Attributes
    ----------
    plan : TrainingPlan
        What the network is, its objective and its optimiser.
    step : int
        Updates done so far, as Adam's bias correction and dropout's masks count them.
    gradient_norm : float or None
        Norm of the gradient of all parameters, before it is limited to the plan's `clip_norm`,
        as the mean over the steps of the last epoch. None unless the plan wants it.
    total_weight : float
        Sum of the sample weights of all rows; without weights their number.
    """

    plan: TrainingPlan
    step: int
    gradient_norm: float | None

    @property
    def total_weight(self) -> float:
        """See the class."""

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """Update the parameters once for each mini-batch of one epoch.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
            Rows in the order in which batches are cut.
        learning_rate : float

        Returns
        -------
        loss : float
            Mean over rows of the batches' losses before their updates, penalty included.

        Raises
        ------
        ValueError
            When the sample weights of a batch sum to zero.
        """

    def push(self, theta: np.ndarray, state: OptimizerMemory | None = None) -> None:
        """Set the parameters, and the optimiser's memory (see :meth:`state`) if given.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            In the order of :mod:`fastmlp.network.weights`; copied.
        state : tuple or None
        """

    def pull(self) -> np.ndarray:
        """Return a copy of the parameters, in the order of :mod:`fastmlp.network.weights`."""

    def state(self) -> OptimizerMemory:
        """Return a copy of the optimiser's memory.

        Returns
        -------
        step : int
            Updates done.
        first, second : ndarray of shape (n_parameters,)
            The velocity or the mean gradient, and the sum or mean of squared gradients, ordered
            like the parameters. A vector that the optimiser does not use stays zero.
        """

    def last_finite(self) -> np.ndarray | None:
        """Return the newest parameters from the start of an epoch that are all finite.

        They are kept at the start of each epoch, in two slots by turns, because a loss becomes
        not finite in the first epoch whose updates overflow, or, where those were its last ones,
        in the next.

        Returns
        -------
        theta : ndarray of shape (n_parameters,) or None
            None where there are none.
        """

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute the loss at `theta` of all rows as one batch, and its gradient.

        The plan must have the optimiser ``GRADIENT`` and all rows in a batch.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
        """

    def outputs(self, X: Matrix) -> np.ndarray:
        """Predict with the current parameters.

        Parameters
        ----------
        X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)

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
            As :meth:`outputs` returns them.

        Returns
        -------
        ndarray of shape (n_rows,), float64
        """

    def close(self) -> None:
        """Give threads and memory back; only the plan can be used after that."""

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
        """Open an engine for a network and its data."""
