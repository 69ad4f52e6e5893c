"""The CUDA engine: data, parameters and optimiser state stay on the device for a whole fit."""

from dataclasses import replace

import numpy as np
from numba import cuda

from ..parameters import check_parameters, n_parameters
from ..plan import Optimizer
from . import layout as at
from .kernels import ROWS, THREADS, kernels
from .support import is_simulated, refusal, require

if not is_simulated():
    from numba.cuda.core import config

    # A grid of one block for each multiprocessor is meant.
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

# Multiply-adds of one launch of many steps: about a second, so that Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e11
# Steps of one launch, where each takes little: barriers and start cost microseconds.
_LAUNCH_STEPS = 50_000
# Rows that are predicted by one launch.
_PREDICTED_ROWS = 16384


def _to_device(array, dtype):
    """An array on the device; one element where it is empty, which numba cannot pass."""
    array = np.ascontiguousarray(array, dtype)
    return cuda.to_device(array if array.size else np.zeros((1,) * array.ndim, dtype))


def _n_blocks():
    """Blocks of a launch: one for each multiprocessor."""
    return 4 if is_simulated() else cuda.get_current_device().MULTIPROCESSOR_COUNT


def _check_room(n_bytes):
    """Raise unless so much memory is free on the device."""
    context = cuda.current_context()
    free, _ = context.get_memory_info()
    if n_bytes > free:
        context.deallocations.clear()  # numba puts them off
        free, _ = context.get_memory_info()
    if n_bytes > free:
        raise refusal(
            f"the data and the network need {n_bytes / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB "
            "are free on the GPU; use device='cpu'"
        )


class CudaEngine:
    """Runs one plan on a GPU; the contract of :class:`fastmlp.cpu.engine.CpuEngine`.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters in the order of :mod:`fastmlp.parameters`; copied.
    X : ndarray of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_outputs)
    sample_weight : ndarray of shape (n_rows,) or None
    n_jobs : object
        Of no meaning here.
    n_blocks : int or None
        Blocks of a launch; None is one for each multiprocessor. Results are the same for any
        number.
    is_cooperative : bool
        Whether an epoch is one cooperative launch; else each phase of a step is a launch.

    Attributes
    ----------
    step : int
        Updates done so far, as Adam's bias correction counts them.
    """

    def __init__(
        self, plan, theta, X, Y, sample_weight=None, n_jobs=None, *, n_blocks=None,
        is_cooperative=None,
    ):  # fmt: skip
        require()
        plan.check_data(X, Y)
        self.plan = plan
        self.step = 0
        dtype = plan.dtype
        self._layout = at.device_layout(plan, plan.batch_size)
        settings = self._layout.settings
        settings[at.IS_WEIGHTED] = sample_weight is not None
        self._kernels = kernels(dtype)
        self._n_blocks = n_blocks or _n_blocks()
        if is_cooperative is None:
            is_cooperative = not is_simulated()  # whose grids have one block at a time
        self._is_cooperative = is_cooperative
        self._is_checked = False
        n_kept = 2 * n_parameters(plan.layer_units)
        _check_room(dtype.itemsize * (self._layout.size + n_kept + X.size + Y.size))
        self._arena = cuda.to_device(np.zeros(self._layout.size, dtype))
        self._layers, self._settings = (
            cuda.to_device(array) for array in (self._layout.layers, settings)
        )
        self._constants = cuda.to_device(at.constants(plan))
        self._X, self._Y = _to_device(X, dtype), _to_device(Y, dtype)
        self._n_rows = X.shape[0]
        self._host_weight = sample_weight
        weight = np.empty(0) if sample_weight is None else sample_weight
        self._sample_weight = _to_device(weight, dtype)
        self._total = cuda.to_device(np.zeros(1))
        n_slots = 0 if plan.optimizer == Optimizer.GRADIENT else 2
        nothing = np.full(n_parameters(plan.layer_units), np.nan, dtype)
        self._kept = [cuda.to_device(nothing) for _ in range(n_slots)]
        self.push(theta)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        """Nothing to close: the device's memory goes with the arrays."""

    @property
    def total_weight(self):
        """Sum of the sample weights of all rows; without weights their number."""
        if self._host_weight is None:
            return self._n_rows
        return float(np.sum(self._host_weight, dtype=float))

    def _launch(self, name, *args, n_blocks=None):
        self._kernels[name][n_blocks or self._n_blocks, THREADS](*args)

    def _part(self, number):
        n = n_parameters(self.plan.layer_units)
        return self._arena[number * n : (number + 1) * n]

    def push(self, theta, state=None):
        """Set the parameters, and the optimiser's state (see :meth:`state`) if given."""
        dtype = self.plan.dtype
        self._part(0).copy_to_device(np.ascontiguousarray(theta, dtype))
        if state is not None:
            self.step, *vectors = state
            for number, vector in enumerate(vectors, start=1):
                self._part(number).copy_to_device(np.ascontiguousarray(vector, dtype))
        self._launch("transpose", self._arena, self._layers, self._settings)

    def pull(self):
        """A copy of the parameters, in the order of :mod:`fastmlp.parameters`."""
        return self._part(0).copy_to_host()

    def state(self):
        """A copy of the optimiser's state: updates done and two vectors ordered like theta."""
        return self.step, self._part(1).copy_to_host(), self._part(2).copy_to_host()

    def last_finite(self):
        """The newest parameters from the start of an epoch that are all finite; or None.

        See :meth:`fastmlp.cpu.engine.CpuEngine.last_finite`.
        """
        for kept in reversed(self._kept):
            theta = kept.copy_to_host()
            if np.isfinite(theta).all():
                return theta
        return None

    def run_epoch(self, order, learning_rate):
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
        plan, dtype = self.plan, self.plan.dtype
        starts = np.arange(0, order.size, plan.batch_size)
        n_steps = starts.size
        rates = cuda.to_device(self._rates(learning_rate, n_steps).astype(dtype))
        inverses = cuda.to_device((1 / self._batch_weights(order, starts)).astype(dtype))
        if self._kept:
            self._kept.reverse()
            self._kept[-1].copy_to_device(self._part(0))
        n_tiles = int(self._layout.settings[at.N_TILES])
        row_losses = cuda.device_array(order.size, dtype)
        n_norms = n_steps * n_tiles if plan.alpha > 0 else 1
        norms = cuda.device_array(n_norms, dtype)  # every step writes its own
        order = cuda.to_device(np.ascontiguousarray(order, np.int64))
        tables = self._arena, self._layers, self._settings, self._constants
        rows = self._X, self._Y, self._sample_weight, order
        arguments = *tables, *rows, rates, inverses, row_losses, norms
        if self._is_cooperative and self._fits_at_once(*arguments, 0, 0):
            work = 3 * plan.batch_size * n_parameters(plan.layer_units)
            piece = min(_LAUNCH_STEPS, max(1, int(_LAUNCH_MULTIPLY_ADDS // work)))
            for first in range(0, n_steps, piece):
                self._launch("train", *arguments, first, min(n_steps, first + piece))
                cuda.synchronize()
        else:
            for step in range(n_steps):
                self._launch("train_rows", *tables, *rows, inverses, row_losses, step)
                self._launch("train_weights", *tables, order.size, rates, inverses, norms, step)
        self.step += n_steps
        loss = self._sum(row_losses)
        if plan.alpha > 0:
            loss += self._sum(norms)
        return loss / order.size

    def _fits_at_once(self, *arguments):
        """Take no more blocks than can be resident together; False where not even one can."""
        if self._is_checked or is_simulated():
            return True
        kernel = self._kernels["train"]
        types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
        most = kernel.compile(types).max_cooperative_grid_blocks(THREADS)
        self._n_blocks = min(self._n_blocks, max(1, most))
        self._is_checked = True
        self._is_cooperative = most >= 1
        return self._is_cooperative

    def _rates(self, learning_rate, n_steps):
        """The learning rate of each step, Adam's bias correction included."""
        if self.plan.optimizer != Optimizer.ADAM:
            return np.full(n_steps, float(learning_rate))
        t = self.step + 1.0 + np.arange(n_steps)
        beta_1, beta_2 = self.plan.beta_1, self.plan.beta_2
        return learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)

    def _batch_weights(self, order, starts):
        if self._host_weight is None:
            stops = np.minimum(starts + self.plan.batch_size, order.size)
            return (stops - starts).astype(float)
        return self.plan.batch_weights(order, np.asarray(self._host_weight, float))

    def _sum(self, values):
        self._launch("add_up", values, self._total, n_blocks=1)
        return float(self._total.copy_to_host()[0])

    def loss_and_gradient(self, theta):
        """Loss at `theta` of all rows as one batch, and its gradient.

        The plan has the optimiser ``GRADIENT`` and all rows in a batch.
        """
        self.push(theta)
        loss = self.run_epoch(np.arange(self.plan.batch_size), 0.0)
        return loss, self._part(1).copy_to_host()

    def outputs(self, X):
        """Predictions of the current parameters; see :func:`outputs`."""
        return outputs(self.plan, self.pull(), X)


def outputs(plan, theta, X, n_jobs=None):
    """Predictions of a network; see :func:`fastmlp.cpu.engine.outputs`."""
    dtype, n_rows = plan.dtype, X.shape[0]
    check_parameters(theta, X, plan.layer_units)
    capacity = min(n_rows, _PREDICTED_ROWS)
    plan = replace(plan, optimizer=Optimizer.GRADIENT, batch_size=max(1, capacity))
    nothing = np.zeros((1, plan.n_outputs), dtype)
    engine = CudaEngine(plan, theta, np.zeros((1, plan.layer_units[0]), dtype), nothing)
    result = np.empty((n_rows, plan.n_outputs), dtype=dtype)
    order = cuda.to_device(np.arange(capacity))
    for start in range(0, n_rows, _PREDICTED_ROWS):
        part = np.ascontiguousarray(X[start : start + _PREDICTED_ROWS], dtype)
        predicted = cuda.device_array((len(part), plan.n_outputs), dtype)
        engine._launch(
            "predict", engine._arena, engine._layers, engine._settings,
            cuda.to_device(part), order, 0, len(part), predicted,
            n_blocks=min(engine._n_blocks * 8, -(-len(part) // ROWS)),
        )  # fmt: skip
        result[start : start + _PREDICTED_ROWS] = predicted.copy_to_host()
    return result
