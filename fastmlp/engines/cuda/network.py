"""Networks on the device: the base class of the engines, and helpers around the driver."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import cuda
from numpy.typing import DTypeLike

from ...network.formulas import updates
from ...network.plan import Optimizer, TrainingPlan
from ...network.weights import n_parameters
from .._numba import free_pending_memory
from ..engine import Matrix, OptimizerMemory
from . import layout as at
from .arguments import DeviceArray, Network
from .blocks import THREADS
from .kernels import prediction_kernels
from .row_losses import row_losses
from .specialization import prediction_specialization
from .support import NO_MEMORY, is_out_of_memory, is_simulated, refusal

P = ParamSpec("P")
Result = TypeVar("Result")

# Number of rows that one launch predicts.
_PREDICTED_ROWS = 16384
# An X of at most this many bytes stays on the device after it was predicted, for the next time.
_KEPT_BYTES = 2**28
# Share and bytes of the free memory that are left free: allocations take more than is asked for,
# and machine code and rows of predictions need memory, too.
_RESERVED_SHARE, _RESERVED_BYTES = 0.05, 2**28

_device = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock."""
    global _device
    _device = threading.RLock()


# A child that was forked while a thread held the lock has no thread to release it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def one_at_a_time(function: Callable[P, Result]) -> Callable[P, Result]:
    """Decorate a function so that only one thread at a time is in any function decorated so.

    Neither numba's bookkeeping of the device nor its simulator works for several threads at once.
    """

    @wraps(function)
    def take_turns(*args: P.args, **kwargs: P.kwargs) -> Result:
        with _device:
            return function(*args, **kwargs)

    return take_turns


def to_device(array: Any, dtype: DTypeLike) -> DeviceArray:
    """Copy the elements of an array to the device as a vector.

    Parameters
    ----------
    array : ndarray or DeviceMatrix
        A DeviceMatrix of the type is not copied.
    dtype : numpy.dtype or type

    Returns
    -------
    device array of shape (array.size,), dtype
        It has a single zero where the array has no elements.
    """
    if is_device_matrix(array):
        return array.astype(dtype).elements()
    array = np.ascontiguousarray(array, dtype).ravel()
    return cuda.to_device(array if array.size else np.zeros(1, dtype))


def is_device_matrix(X: Any) -> bool:
    """Tell whether X is a :class:`fastmlp.engines.cuda.arrays.DeviceMatrix`."""
    return getattr(X, "is_device_matrix", False)


def default_n_blocks() -> int:
    """Return the number of blocks of a launch, which is one for each multiprocessor."""
    return 4 if is_simulated() else int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


def free_bytes() -> float:
    """Return how many bytes are free on the device, less a reserve."""
    free = cuda.current_context().get_memory_info()[0]
    return max(0.0, free * (1 - _RESERVED_SHARE) - _RESERVED_BYTES)


def give_memory_back() -> None:
    """Free the device's memory that is no longer in use, which numba would do later."""
    free_pending_memory(cuda.current_context())


def has_room(n_bytes: float) -> bool:
    """Tell whether so many bytes are free on the device, beside the reserve."""
    if n_bytes > free_bytes():
        give_memory_back()
    return n_bytes <= free_bytes()


def check_room(n_bytes: float) -> None:
    """Raise :class:`DeviceError` unless so many bytes are free on the device."""
    if not has_room(n_bytes):
        raise refusal(
            f"the network and its batches need {n_bytes / 2**30:.1f} GiB, and "
            f"{free_bytes() / 2**30:.1f} GiB are free on the GPU beside a reserve; use device='cpu'"
        )


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise :class:`fastmlp.exceptions.DeviceError` where memory on the device runs out."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise refusal(NO_MEMORY) from error


class OneEpochAtOnce:
    """What an engine has that runs each epoch by a call of its own.

    On a GPU the launches of an epoch take longer than Python between two epochs.
    """

    epochs_at_once = 1

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """Run an epoch; see :meth:`fastmlp.engines.engine.Engine.run_epoch`."""
        raise NotImplementedError

    def run_epochs(self, orders: np.ndarray, learning_rate: float) -> list[float]:
        """Run the only epoch; see :meth:`fastmlp.engines.engine.Engine.run_epochs`."""
        (order,) = orders
        return [float(self.run_epoch(order, learning_rate))]


class DeviceNetwork:
    """A network whose parameters and optimiser memory lie in an arena on the device.

    It implements the part of :class:`fastmlp.engines.engine.Engine` that all engines of the GPU
    have in common.

    Parameters
    ----------
    plan : TrainingPlan
    n_blocks : int or None
        Number of blocks of a launch; None is one for each multiprocessor.

    Attributes
    ----------
    plan, step, gradient_norm
        See :class:`fastmlp.engines.engine.Engine`.
    """

    gradient_norm: float | None = None
    # Engines that train set these to the number of rows and their weights.
    _n_rows: int = 0
    _host_weight: np.ndarray | None = None

    def __init__(self, plan: TrainingPlan, n_blocks: int | None = None) -> None:
        self.plan = plan
        self.step = 0
        self._kernels = prediction_kernels(plan.dtype, prediction_specialization(plan))
        self._n_blocks = n_blocks or default_n_blocks()
        # The X that was predicted last, and its rows on the device.
        self._kept: tuple[Any, list[DeviceArray]] = None, []
        # The parameters at the start of the last two epochs, the newest last.
        self._starts: list[DeviceArray] = []

    def _settle(self, network: Network, first: int = 0) -> None:
        """Use the memory of a :class:`~.arguments.Network`.

        Parameters
        ----------
        network : Network
        first : int
            Element of the arena at which the parameters of this network begin.
        """
        self._network, self._first = network, first

    def _launch(self, name: str, *args: Any, n_blocks: int | None = None, stream: Any = 0) -> None:
        """Launch a kernel by its name."""
        self._kernels[name][n_blocks or self._n_blocks, THREADS, stream](*args)

    def _part(self, number: int) -> DeviceArray:
        """Return the parameters (0), or a vector of the optimiser's memory (1 or 2)."""
        n = n_parameters(self.plan.layer_units)
        return self._network.arena[self._first + number * n : self._first + (number + 1) * n]

    def _pull(self, number: int) -> np.ndarray:
        """Copy the part of the arena that :meth:`_part` returns to the host."""
        part: np.ndarray = self._part(number).copy_to_host()
        return part

    @one_at_a_time
    def push(self, theta: np.ndarray, state: OptimizerMemory | None = None) -> None:
        """Set the parameters; see :meth:`fastmlp.engines.engine.Engine.push`."""
        dtype = self.plan.dtype
        self._part(0).copy_to_device(np.ascontiguousarray(theta, dtype))
        if state is not None:
            self.step, *vectors = state
            for number, vector in enumerate(vectors, start=1):
                self._part(number).copy_to_device(np.ascontiguousarray(vector, dtype))
        self._launch("transpose", self._network)

    @one_at_a_time
    def pull(self) -> np.ndarray:
        """Copy the parameters to the host; see :meth:`fastmlp.engines.engine.Engine.pull`."""
        return self._pull(0)

    @one_at_a_time
    def state(self) -> OptimizerMemory:
        """Copy the optimiser's memory; see :meth:`fastmlp.engines.engine.Engine.state`."""
        return self.step, self._pull(1), self._pull(2)

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights of all rows."""
        if self._host_weight is None:
            return self._n_rows
        return float(np.sum(self._host_weight, dtype=float))

    def _keep_start(self) -> None:
        """Keep the parameters at the start of an epoch, and those of the epoch before."""
        if self.plan.optimizer == Optimizer.GRADIENT:
            return
        if len(self._starts) < 2:
            size = n_parameters(self.plan.layer_units)
            self._starts.append(cuda.device_array(size, self.plan.dtype))
        else:
            self._starts.reverse()
        self._starts[-1].copy_to_device(self._part(0))

    @one_at_a_time
    def last_finite(self) -> np.ndarray | None:
        """Copy parameters; see :meth:`fastmlp.engines.engine.Engine.last_finite`."""
        for start in reversed(self._starts):
            theta: np.ndarray = start.copy_to_host()
            if np.isfinite(theta).all():
                return theta
        return None

    @one_at_a_time
    @memory_errors()
    def outputs(self, X: Matrix) -> np.ndarray:
        """Predict; see :meth:`fastmlp.engines.engine.Predictor.outputs`.

        A small X is kept on the device for the next call, so its values must not change in between.
        """
        plan, n_all = self.plan, X.shape[0]
        result = np.empty((n_all, plan.n_outputs), plan.dtype)
        n_groups = -(-plan.batch_size // at.GROUP)
        most = max(1, min(8 * self._n_blocks, n_groups))
        for number, start in enumerate(range(0, n_all, _PREDICTED_ROWS)):
            rows = self._rows_to_predict(X, number, start)
            n_rows = min(n_all - start, _PREDICTED_ROWS)
            predicted = cuda.device_array((n_rows, plan.n_outputs), plan.dtype)
            n_blocks = min(most, -(-n_rows // at.GROUP))
            self._launch("predict", self._network, rows, n_rows, predicted, n_blocks=n_blocks)
            result[start : start + n_rows] = predicted.copy_to_host()
        return result

    @one_at_a_time
    @memory_errors()
    def row_losses(self, Y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Compute losses; see :meth:`fastmlp.engines.engine.Predictor.row_losses`."""
        return row_losses(self.plan, Y, outputs, self._n_blocks)

    def _rows_to_predict(self, X: Any, number: int, start: int) -> DeviceArray:
        """Copy rows to the device, and keep them there for the validation of the next epoch.

        Parameters
        ----------
        X : ndarray or DeviceMatrix of shape (n_rows, n_features)
        number : int
            Number of the launch that predicts these rows.
        start : int
            The first of the rows.
        """
        kept_X, parts = self._kept
        if kept_X is X and number < len(parts):
            return parts[number]
        rows = to_device(X[start : start + _PREDICTED_ROWS], self.plan.dtype)
        if X.size * self.plan.dtype.itemsize <= _KEPT_BYTES:
            self._kept = X, [*parts, rows] if number else [rows]
        return rows

    def _step_scalars(
        self, order: np.ndarray, learning_rate: float, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """Compute the numbers that change from step to step, for each step of an epoch.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
        learning_rate : float
        sample_weight : ndarray of shape (n_rows,) or None

        Returns
        -------
        ndarray of shape (n_steps, N_STEP_SCALARS), of the plan's dtype
            :mod:`fastmlp.engines.cuda.layout` names the columns.

        Raises
        ------
        ValueError
            When the weights of a batch sum to zero.
        """
        plan = self.plan
        starts = np.arange(0, order.size, plan.batch_size)
        t = self.step + 1.0 + np.arange(starts.size)
        step_scalars = np.zeros((starts.size, at.N_STEP_SCALARS))
        if sample_weight is None:
            totals = np.minimum(starts + plan.batch_size, order.size) - starts
        else:
            totals = plan.batch_weights(order, np.asarray(sample_weight, float))
        step_scalars[:, at.INVERSE_WEIGHT] = 1 / totals
        step_scalars[:, at.DECAY] = 1 - learning_rate * plan.weight_decay
        step_scalars[:, at.LEARNING_RATE] = learning_rate * plan.rate_factor
        rate, beta_1, beta_2 = step_scalars[:, at.LEARNING_RATE], plan.beta_1, plan.beta_2
        if plan.optimizer == Optimizer.ADAM:
            rate[:] = updates.adam_learning_rate(rate, beta_1, beta_2, t)
        elif plan.optimizer == Optimizer.NADAM:
            rate[:] = updates.nadam_learning_rate(rate, beta_1, beta_2, t)
            step_scalars[:, at.GRADIENT_SHARE] = updates.nadam_gradient_share(beta_1, t)
        return step_scalars.astype(plan.dtype)
