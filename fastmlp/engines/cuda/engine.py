"""The CUDA engine: parameters, state and, if they fit, data stay on the device for a whole fit."""

from dataclasses import replace
from math import inf

import numpy as np
from numba import cuda

from ...network.plan import Optimizer
from ...network.weights import check_parameters, n_parameters
from . import layout as at
from .arguments import Network, Rows, StepRecord
from .blocks import THREADS
from .kernels import training_kernels
from .network import (
    DeviceNetwork,
    check_room,
    default_n_blocks,
    free_bytes,
    give_memory_back,
    has_room,
    is_device_matrix,
    memory_errors,
    one_at_a_time,
    to_device,
)
from .specialization import training_specialization
from .streaming import Chunks, bytes_of_a_step, rows_of_a_chunk
from .support import is_simulated, require
from .wide import is_wide, launches, wide_kernels

# Multiply-adds of one launch of many steps, and those of the block that has most to do: each at
# most about a second, so that Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e11
_BLOCK_MULTIPLY_ADDS = 2e10
# Steps of one launch, where each takes little: barriers and start cost microseconds.
_LAUNCH_STEPS = 50_000


class CudaEngine(DeviceNetwork):
    """Runs one plan on a GPU; the contract of :class:`fastmlp.engines.cpu.engine.CpuEngine`.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters in the order of :mod:`fastmlp.network.weights`; copied.
    X : ndarray or DeviceMatrix of shape (n_rows, n_features)
        Where it does not fit the device's memory with Y and the network, rows are sent in
        chunks during each epoch.
    Y : ndarray of shape (n_rows, n_outputs)
    sample_weight : ndarray of shape (n_rows,) or None
    n_jobs : object
        Unused; it is there because other engines take a number of threads.
    n_blocks : int or None
        Blocks of a launch; None is one for each multiprocessor. Results are the same for any
        number.
    is_cooperative : bool
        Whether an epoch is one cooperative launch; else each phase of a step is a launch, and in
        wide networks (:mod:`fastmlp.engines.cuda.wide`) each product of matrices.

    Attributes
    ----------
    step : int
        Updates done so far, as Adam's bias correction and dropout's masks count them.
    gradient_norm : float or None
        See :class:`fastmlp.engines.cuda.network.DeviceNetwork`.
    """

    @one_at_a_time
    @memory_errors()
    def __init__(
        self, plan, theta, X, Y, sample_weight=None, n_jobs=None, *, n_blocks=None,
        is_cooperative=None,
    ):  # fmt: skip
        require()
        plan.check_data(X, Y)
        super().__init__(plan, n_blocks)
        dtype = plan.dtype
        layout = at.device_layout(plan, plan.batch_size)
        layout.settings[at.IS_WEIGHTED] = sample_weight is not None
        if is_cooperative is None:
            is_cooperative = not is_simulated()  # whose grids have one block at a time
        self._is_cooperative = is_cooperative
        self._is_checked = False
        self._is_wide = is_wide(plan)
        self._train = "train_wide" if self._is_wide else "train"
        specialization = training_specialization(plan)
        self._kernels = {**self._kernels, **training_kernels(dtype, specialization)}
        if self._is_wide:
            self._kernels |= wide_kernels(dtype, specialization)
        # An epoch needs its order and, for each row and each step, losses and scalars.
        n_kept = 2 * n_parameters(plan.layer_units)
        n_by_row = 3 + at.N_STEP_SCALARS
        n_bytes = dtype.itemsize * (layout.size + n_kept) + len(X) * (n_by_row * dtype.itemsize + 8)
        n_sent = Y.size if is_device_matrix(X) and X.dtype == dtype else X.size + Y.size
        is_resident = has_room(n_bytes + dtype.itemsize * n_sent)
        if not is_resident:
            X = np.asarray(X)  # from the device, if it is there in another type
            check_room(n_bytes + bytes_of_a_step(plan))
            n_chunk = rows_of_a_chunk(plan, free_bytes() - n_bytes, self._steps_of_a_launch())
        arena = np.zeros(layout.size, dtype)
        layout.fill(arena)
        constants = at.constants(plan)
        # The kernels see constants in the plan's type, in which a small alpha may be 0.
        self._has_penalty = constants[at.ALPHA] > 0 or plan.l1 > 0
        tables = arena, layout.layers, layout.settings, constants
        self._settle(Network(*map(cuda.to_device, tables)))
        self._n_rows = X.shape[0]
        self._host_weight = sample_weight
        if is_resident:
            weight = np.empty(0) if sample_weight is None else sample_weight
            self._data = [to_device(array, dtype) for array in (X, Y, weight)]
            self._chunks = None
        else:
            self._chunks = Chunks(plan, X, Y, sample_weight, n_chunk)
        self._totals = cuda.to_device(np.zeros(3))
        self._epoch = self._order = None
        self.push(theta)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @one_at_a_time
    def close(self):
        """Give the device's memory back; see :meth:`fastmlp.engines.engine.Engine.close`."""
        self._network = self._totals = None
        self._data = self._chunks = self._epoch = self._order = None
        self._kept, self._starts = (None, []), []
        give_memory_back()

    @property
    def total_weight(self):
        """Sum of the sample weights of all rows; without weights their number."""
        if self._host_weight is None:
            return self._n_rows
        return float(np.sum(self._host_weight, dtype=float))

    @one_at_a_time
    @memory_errors()
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
        step_scalars = self._step_scalars(order, learning_rate, self._host_weight)
        self._keep_start()
        n_steps = len(step_scalars)
        record = self._record_of_an_epoch(order.size, n_steps)
        record.step_scalars.copy_to_device(step_scalars)
        if self._chunks is None:
            self._order.copy_to_device(np.ascontiguousarray(order, np.int64))
            self._run_steps(Rows(*self._data, self._order), record, self.step)
        else:
            self._run_chunks(order, record)
        self.step += n_steps
        self._launch("add_up", record, self._totals, n_blocks=1)
        loss, penalty, norms = self._totals.copy_to_host().tolist()
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / n_steps
        return (loss + penalty) / order.size

    def _record_of_an_epoch(self, n_rows, n_steps):
        """Return the :class:`~.arguments.StepRecord` of an epoch.

        The next epoch uses the same memory: allocating it takes as long as many steps.
        """
        if self._epoch is None or self._epoch.row_losses.size != n_rows:
            shapes = (n_steps, at.N_STEP_SCALARS), n_rows, n_steps, n_steps
            dtype = self.plan.dtype
            self._epoch = StepRecord(*(cuda.to_device(np.zeros(shape, dtype)) for shape in shapes))
            if self._chunks is None:
                self._order = cuda.device_array(n_rows, np.int64)
        return self._epoch

    def _run_chunks(self, order, record):
        """Do all steps of an epoch over rows that come from the host."""
        stream = self._chunks.computing
        try:
            for first, rows in self._chunks.of_epoch(order):
                last = first + rows.order.size
                first_step = first // self.plan.batch_size
                steps = slice(first_step, -(-last // self.plan.batch_size))
                part = StepRecord(
                    record.step_scalars[steps], record.row_losses[first:last],
                    record.penalties[steps], record.gradient_norms[steps],
                )  # fmt: skip
                self._run_steps(rows, part, self.step + first_step, stream)
        finally:
            stream.synchronize()

    def _run_steps(self, rows, record, steps_done, stream=0):
        """Do all steps over some rows: in one cooperative launch, or several launches a step."""
        arguments = self._network, rows, record
        n_steps = len(record.step_scalars)
        if self._is_cooperative and self._fits_at_once(*arguments, 0, 0, steps_done):
            piece = self._steps_of_a_launch()
            for first in range(0, n_steps, piece):
                last = min(n_steps, first + piece)
                self._launch(self._train, *arguments, first, last, steps_done, stream=stream)
                if stream == 0:
                    cuda.synchronize()
            return
        for step in range(n_steps):
            if self._is_wide:
                self._run_wide_step(rows, record, step, steps_done, stream)
            else:
                self._launch("train_rows", *arguments, step, steps_done, stream=stream)
                self._launch(
                    "train_weights", self._network, record, rows.order.size, step, stream=stream
                )
            self._finish_step(record, rows.order.size, step, stream)

    def _run_wide_step(self, rows, record, step, steps_done, stream):
        """Launch a step of a wide network up to the first update."""
        n_in_order = rows.order.size
        n_rows = min(self.plan.batch_size, n_in_order - step * self.plan.batch_size)
        for name, number, is_back, n_blocks in launches(self.plan, n_rows):
            arguments = {
                "wide_gather": (rows, step),
                "wide_product": (n_in_order, step, steps_done, number, is_back),
                "wide_outputs": (rows, record, step, steps_done),
                "wide_update": (record, n_in_order, step),
            }[name]
            n_blocks = min(n_blocks, self._n_blocks)
            self._launch(name, self._network, *arguments, stream=stream, n_blocks=n_blocks)

    def _finish_step(self, record, n_in_order, step, stream):
        """Launch what follows the two phases of a step for some plans."""
        if self.plan.clip_norm < inf:
            self._launch("clip_norm", self._network, record, step, stream=stream)
        if self.plan.max_norm < inf:
            self._launch("limit_columns", self._network, stream=stream)
        if self._has_penalty or self.plan.needs_gradient_norm:
            self._launch(
                "add_step", self._network, record, n_in_order, step, n_blocks=1, stream=stream
            )

    def _steps_of_a_launch(self):
        size = n_parameters(self.plan.layer_units)
        # A block has whole groups of rows, forward and back.
        n_groups = -(-self.plan.batch_size // at.GROUP)
        work_of_block = 2 * at.GROUP * -(-n_groups // self._n_blocks) * size
        most = min(
            _LAUNCH_MULTIPLY_ADDS // (3 * self.plan.batch_size * size),
            _BLOCK_MULTIPLY_ADDS // work_of_block,
        )
        return min(_LAUNCH_STEPS, max(1, int(most)))

    def _fits_at_once(self, *arguments):
        """Take no more blocks than can be resident together; False where not even one can."""
        if self._is_checked or is_simulated():
            return True
        kernel = self._kernels[self._train]
        types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
        most = kernel.compile(types).max_cooperative_grid_blocks(THREADS)
        self._n_blocks = min(self._n_blocks, max(1, most))
        self._is_checked = True
        self._is_cooperative = most >= 1
        return self._is_cooperative

    @one_at_a_time
    def loss_and_gradient(self, theta):
        """Loss at `theta` of all rows as one batch, and its gradient.

        The plan has the optimiser ``GRADIENT`` and all rows in a batch.
        """
        self.push(theta)
        loss = self.run_epoch(np.arange(self.plan.batch_size), 0.0)
        return loss, self._part(1).copy_to_host()


class _Predictor(DeviceNetwork):
    """A network that only predicts: parameters, and activations of some rows."""

    def __init__(self, plan, theta, n_rows):
        capacity = max(1, min(n_rows, 8 * at.GROUP * default_n_blocks()))
        plan = replace(plan, optimizer=Optimizer.GRADIENT, batch_size=capacity)
        super().__init__(plan)
        layout = at.device_layout(plan, capacity, is_trained=False)
        check_room(plan.dtype.itemsize * (layout.size + capacity * plan.layer_units[0]))
        tables = layout.layers, layout.settings, at.constants(plan)
        arena = cuda.device_array(layout.size, plan.dtype)
        self._settle(Network(arena, *map(cuda.to_device, tables)))
        self._part(0).copy_to_device(np.ascontiguousarray(theta, plan.dtype))


@one_at_a_time
@memory_errors()
def outputs(plan, theta, X, n_jobs=None):
    """Predictions of a network; see :func:`fastmlp.engines.cpu.engine.outputs`."""
    check_parameters(theta, X, plan.layer_units)
    return _Predictor(plan, theta, len(X)).outputs(X)
