"""Networks on the device: what those that are trained alone and in groups have in common."""

import os
import threading
from contextlib import contextmanager
from functools import wraps

import numpy as np
from numba import cuda

from ...network.formulas import updates
from ...network.plan import Optimizer
from ...network.weights import n_parameters
from . import layout as at
from .blocks import THREADS
from .kernels import prediction_kernels
from .row_losses import row_losses
from .specialization import prediction_specialization
from .support import NO_MEMORY, is_out_of_memory, is_simulated, refusal

# Rows that are predicted by one launch.
_PREDICTED_ROWS = 16384
# Bytes of rows to predict that stay on the device for the next time.
_KEPT_BYTES = 2**28
# Memory that is not asked for: an allocation needs some more, as do code and rows of predictions.
_RESERVED_SHARE, _RESERVED_BYTES = 0.05, 2**28

_device = threading.RLock()


def _renew_lock():
    global _device
    _device = threading.RLock()


# A child that was forked while a thread held the lock has no thread to release it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def one_at_a_time(function):
    """Threads take turns: neither numba's bookkeeping nor its simulator is made for several."""

    @wraps(function)
    def take_turns(*args, **kwargs):
        with _device:
            return function(*args, **kwargs)

    return take_turns


def to_device(array, dtype):
    """The elements of an array on the device as a vector; a single zero where it has none."""
    if is_device_matrix(array):
        return array.astype(dtype).elements()
    array = np.ascontiguousarray(array, dtype).ravel()
    return cuda.to_device(array if array.size else np.zeros(1, dtype))


def is_device_matrix(X):
    """Whether X is a :class:`fastmlp.engines.cuda.arrays.DeviceMatrix`."""
    return getattr(X, "is_device_matrix", False)


def default_n_blocks():
    """Blocks of a launch: one for each multiprocessor."""
    return 4 if is_simulated() else cuda.get_current_device().MULTIPROCESSOR_COUNT


def free_bytes():
    """Memory that is free on the device, less a reserve."""
    free = cuda.current_context().get_memory_info()[0]
    return max(0, free * (1 - _RESERVED_SHARE) - _RESERVED_BYTES)


def give_memory_back():
    """Free the device's memory that is no longer in use: numba puts that off."""
    manager = getattr(cuda.current_context(), "memory_manager", None)  # none in the simulator
    if manager is not None:
        manager.deallocations.clear()


def has_room(n_bytes):
    """Whether so much memory is free on the device."""
    if n_bytes > free_bytes():
        give_memory_back()
    return n_bytes <= free_bytes()


def check_room(n_bytes):
    """Raise unless so much memory is free on the device."""
    if not has_room(n_bytes):
        raise refusal(
            f"the network and its batches need {n_bytes / 2**30:.1f} GiB, and "
            f"{free_bytes() / 2**30:.1f} GiB are free on the GPU beside a reserve; use device='cpu'"
        )


@contextmanager
def memory_errors():
    """Inside, memory that runs out on the device is a :class:`fastmlp.exceptions.DeviceError`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise refusal(NO_MEMORY) from error


class DeviceNetwork:
    """A network whose parameters and optimiser state lie in an arena on the device.

    Parameters
    ----------
    plan : TrainingPlan
    n_blocks : int or None
        Blocks of a launch; None is one for each multiprocessor.

    Attributes
    ----------
    step : int
        Updates done so far, as Adam's bias correction counts them.
    gradient_norm : float or None
        Norm of the gradient of all parameters, before it is limited to the plan's `clip_norm`,
        as the mean over the steps of the last epoch; None unless the plan wants or limits it.
    """

    gradient_norm = None

    def __init__(self, plan, n_blocks=None):
        self.plan = plan
        self.step = 0
        self._kernels = prediction_kernels(plan.dtype, prediction_specialization(plan))
        self._n_blocks = n_blocks or default_n_blocks()
        self._kept = None, []
        self._starts = []

    def _settle(self, network, first=0):
        """Use the memory of a :class:`~.arguments.Network`, the arena from element `first` on."""
        self._network, self._first = network, first

    def _launch(self, name, *args, n_blocks=None, stream=0):
        self._kernels[name][n_blocks or self._n_blocks, THREADS, stream](*args)

    def _part(self, number):
        n = n_parameters(self.plan.layer_units)
        return self._network.arena[self._first + number * n : self._first + (number + 1) * n]

    @one_at_a_time
    def push(self, theta, state=None):
        """Set the parameters, and the optimiser's state (see :meth:`state`) if given."""
        dtype = self.plan.dtype
        self._part(0).copy_to_device(np.ascontiguousarray(theta, dtype))
        if state is not None:
            self.step, *vectors = state
            for number, vector in enumerate(vectors, start=1):
                self._part(number).copy_to_device(np.ascontiguousarray(vector, dtype))
        self._launch("transpose", self._network)

    @one_at_a_time
    def pull(self):
        """A copy of the parameters, in the order of :mod:`fastmlp.network.weights`."""
        return self._part(0).copy_to_host()

    @one_at_a_time
    def state(self):
        """A copy of the optimiser's state: updates done and two vectors ordered like theta."""
        return self.step, self._part(1).copy_to_host(), self._part(2).copy_to_host()

    def _keep_start(self):
        """Keep the parameters with which an epoch begins, and those of the one before."""
        if self.plan.optimizer == Optimizer.GRADIENT:
            return
        if len(self._starts) < 2:
            size = n_parameters(self.plan.layer_units)
            self._starts.append(cuda.device_array(size, self.plan.dtype))
        else:
            self._starts.reverse()
        self._starts[-1].copy_to_device(self._part(0))

    @one_at_a_time
    def last_finite(self):
        """The newest parameters from the start of an epoch that are all finite; or None.

        See :meth:`fastmlp.engines.cpu.engine.CpuEngine.last_finite`.
        """
        for start in reversed(self._starts):
            theta = start.copy_to_host()
            if np.isfinite(theta).all():
                return theta
        return None

    @one_at_a_time
    @memory_errors()
    def outputs(self, X):
        """Predictions of the current parameters; see :func:`fastmlp.engines.cpu.engine.outputs`.

        A small X stays on the device: it must not change before it is passed again.
        """
        plan = self.plan
        result = np.empty((len(X), plan.n_outputs), plan.dtype)
        n_groups = -(-plan.batch_size // at.GROUP)
        most = max(1, min(8 * self._n_blocks, n_groups))
        for number, start in enumerate(range(0, len(X), _PREDICTED_ROWS)):
            rows = self._rows_to_predict(X, number, start)
            n_rows = min(len(X) - start, _PREDICTED_ROWS)
            predicted = cuda.device_array((n_rows, plan.n_outputs), plan.dtype)
            n_blocks = min(most, -(-n_rows // at.GROUP))
            self._launch("predict", self._network, rows, n_rows, predicted, n_blocks=n_blocks)
            result[start : start + n_rows] = predicted.copy_to_host()
        return result

    @one_at_a_time
    @memory_errors()
    def row_losses(self, Y, outputs):
        """Losses of rows by their predictions; see :mod:`fastmlp.engines.cuda.row_losses`."""
        return row_losses(self.plan, Y, outputs, self._n_blocks)

    def _rows_to_predict(self, X, number, start):
        """Some rows on the device, kept there for the validation of the next epoch."""
        kept_X, parts = self._kept
        if kept_X is X and number < len(parts):
            return parts[number]
        rows = to_device(X[start : start + _PREDICTED_ROWS], self.plan.dtype)
        if X.size * self.plan.dtype.itemsize <= _KEPT_BYTES:
            self._kept = X, [*parts, rows] if number else [rows]
        return rows

    def _step_scalars(self, order, learning_rate, sample_weight):
        """Compute what changes from step to step, a row for each step of an epoch.

        Returns
        -------
        ndarray of shape (n_steps, N_STEP_SCALARS), of the plan's dtype
            Columns as :mod:`fastmlp.engines.cuda.layout` names them.

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
