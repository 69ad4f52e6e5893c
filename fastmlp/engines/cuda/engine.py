"""The CUDA engine: parameters, state and, if they fit, data stay on the device for a whole fit."""

from dataclasses import replace
from math import inf

import numpy as np
from numba import cuda

from ...network.plan import Optimizer
from ...network.weights import check_parameters, n_parameters
from . import layout as at
from .blocks import THREADS
from .kernels import training_kernels
from .network import (
    DeviceNetwork,
    check_room,
    default_n_blocks,
    free_bytes,
    give_memory_back,
    has_room,
    is_on_gpu,
    memory_errors,
    one_at_a_time,
    to_device,
)
from .specialization import training_choices
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
        Of no meaning here.
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
        choices = training_choices(plan)
        self._kernels = {**self._kernels, **training_kernels(dtype, choices)}
        if self._is_wide:
            self._kernels |= wide_kernels(dtype, choices)
        # With an epoch's order, losses, and what there is for each step.
        n_kept = 2 * n_parameters(plan.layer_units)
        n_by_row = 3 + at.N_NUMBERS
        n_bytes = dtype.itemsize * (layout.size + n_kept) + len(X) * (n_by_row * dtype.itemsize + 8)
        n_sent = Y.size if is_on_gpu(X) and X.dtype == dtype else X.size + Y.size
        is_resident = has_room(n_bytes + dtype.itemsize * n_sent)
        if not is_resident:
            X = np.asarray(X)  # from the device, if it is there in another type
            check_room(n_bytes + bytes_of_a_step(plan))
            n_chunk = rows_of_a_chunk(plan, free_bytes() - n_bytes, self._steps_of_a_launch())
        arena = np.zeros(layout.size, dtype)
        layout.fill(arena)
        self._settle(*map(cuda.to_device, (arena, layout.layers, layout.settings)))
        constants = at.constants(plan)
        # As the kernels see it: a small alpha may be 0 in the plan's type.
        self._has_penalty = constants[at.ALPHA] > 0 or plan.l1 > 0
        self._constants = cuda.to_device(constants)
        self._n_rows = X.shape[0]
        self._host_weight = sample_weight
        if is_resident:
            weight = np.empty(0) if sample_weight is None else sample_weight
            self._data = to_device(X, dtype), to_device(Y, dtype), to_device(weight, dtype)
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
        self._arena = self._layers = self._settings = self._constants = self._totals = None
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
        numbers = self._numbers(order, learning_rate, self._host_weight)
        self._keep_start()
        n_steps = len(numbers)
        on_device, *sums = self._arrays_of_an_epoch(order.size, n_steps)
        on_device.copy_to_device(numbers)
        if self._chunks is None:
            self._order.copy_to_device(np.ascontiguousarray(order, np.int64))
            self._run_steps((*self._data, self._order), on_device, *sums, self.step)
        else:
            self._run_chunks(order, on_device, *sums)
        self.step += n_steps
        self._launch("add_up", *sums, self._totals, n_blocks=1)
        loss, penalty, norms = self._totals.copy_to_host().tolist()
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / n_steps
        return (loss + penalty) / order.size

    def _arrays_of_an_epoch(self, n_rows, n_steps):
        """What changes from step to step, losses of rows, and penalties and norms of steps.

        They stay for the next epoch: allocating them takes as long as many a step.
        """
        if self._epoch is None or self._epoch[1].size != n_rows:
            dtype = self.plan.dtype
            self._epoch = tuple(
                cuda.to_device(np.zeros(shape, dtype))
                for shape in ((n_steps, at.N_NUMBERS), n_rows, n_steps, n_steps)
            )
            if self._chunks is None:
                self._order = cuda.device_array(n_rows, np.int64)
        return self._epoch

    def _run_chunks(self, order, numbers, row_losses, penalties, gradient_norms):
        """All steps, over rows that come from the host."""
        stream = self._chunks.computing
        try:
            for first, rows in self._chunks.of_epoch(order):
                last = first + rows[-1].size
                first_step = first // self.plan.batch_size
                steps = slice(first_step, -(-last // self.plan.batch_size))
                self._run_steps(
                    rows, numbers[steps], row_losses[first:last], penalties[steps],
                    gradient_norms[steps], self.step + first_step, stream,
                )  # fmt: skip
        finally:
            stream.synchronize()

    def _run_steps(
        self, rows, numbers, row_losses, penalties, gradient_norms, steps_done, stream=0
    ):  # fmt: skip
        """Steps over some rows: X, Y, weights and the order in which batches are cut."""
        n_steps, n_rows = len(numbers), rows[-1].size
        tables = self._arena, self._layers, self._settings, self._constants
        sums = penalties, gradient_norms
        arguments = *tables, *rows, numbers, row_losses, *sums
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
                self._run_wide_step(rows, numbers, row_losses, step, steps_done, stream)
            else:
                self._launch(
                    "train_rows", *tables, *rows, numbers, row_losses, step, steps_done,
                    stream=stream,
                )  # fmt: skip
                self._launch("train_weights", *tables, n_rows, numbers, step, stream=stream)
            self._finish_step(tables, n_rows, numbers, *sums, step, stream)

    def _run_wide_step(self, rows, numbers, row_losses, step, steps_done, stream):
        """A step of a wide network up to the first update, by several launches."""
        X, *targets, order = rows
        arena, layers, settings, constants = (
            self._arena, self._layers, self._settings, self._constants,
        )  # fmt: skip
        n_rows = min(self.plan.batch_size, order.size - step * self.plan.batch_size)
        for name, number, is_back, n_blocks in launches(self.plan, n_rows):
            arguments = {
                "wide_gather": (settings, X, order, step),
                "wide_product": (settings, order.size, step, steps_done, number, is_back),
                "wide_outputs": (
                    settings,
                    constants,
                    *targets,
                    order,
                    numbers,
                    row_losses,
                    step,
                    steps_done,
                ),
                "wide_update": (settings, constants, order.size, numbers, step),
            }[name]
            self._launch(
                name, arena, layers, *arguments, stream=stream,
                n_blocks=min(n_blocks, self._n_blocks),
            )  # fmt: skip

    def _finish_step(self, tables, n_rows, numbers, penalties, gradient_norms, step, stream):
        """What follows the two phases of a step for some plans."""
        arena, _, settings, constants = tables
        if self.plan.clip_norm < inf:
            self._launch("clip_norm", *tables, numbers, step, stream=stream)
        if self.plan.max_norm < inf:
            self._launch("limit_columns", *tables, stream=stream)
        if self._has_penalty or self.plan.needs_gradient_norm:
            self._launch(
                "add_step", arena, settings, constants, n_rows, numbers, penalties,
                gradient_norms, step, n_blocks=1, stream=stream,
            )  # fmt: skip

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
        self._settle(
            cuda.device_array(layout.size, plan.dtype),
            cuda.to_device(layout.layers),
            cuda.to_device(layout.settings),
        )
        self._part(0).copy_to_device(np.ascontiguousarray(theta, plan.dtype))


@one_at_a_time
@memory_errors()
def outputs(plan, theta, X, n_jobs=None):
    """Predictions of a network; see :func:`fastmlp.engines.cpu.engine.outputs`."""
    check_parameters(theta, X, plan.layer_units)
    return _Predictor(plan, theta, len(X)).outputs(X)
