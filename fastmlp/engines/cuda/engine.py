"""The engine of a GPU, which keeps parameters and, if they fit, data on the device for a fit."""

from dataclasses import replace
from math import inf
from typing import Any, Self

import numpy as np
from numba import cuda

from ...network.plan import Optimizer, TrainingPlan
from ...network.weights import check_parameters, n_parameters
from ..engine import Matrix
from . import layout as at
from .arguments import DeviceArray, Network, Rows, StepRecord
from .blocks import THREADS
from .kernels import training_kernels
from .network import (
    DeviceNetwork,
    OneEpochAtOnce,
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

# Largest number of multiply-adds of a launch of many steps, and of its busiest block. Either takes
# about a second, so that Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e11
_BLOCK_MULTIPLY_ADDS = 2e10
# Largest number of steps of a launch, since even the smallest step takes microseconds.
_LAUNCH_STEPS = 50_000
# The memory of an engine that is closed.
_NO_NETWORK = Network(None, None, None, None)


class CudaEngine(OneEpochAtOnce, DeviceNetwork):
    """A :class:`fastmlp.engines.engine.Engine` that trains one network on a GPU.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters in the order of :mod:`fastmlp.network.weights`; they are copied.
    X : ndarray or DeviceMatrix of shape (n_rows, n_features)
        Where the device's memory is too small for X, Y and the network, rows are sent in chunks
        during each epoch.
    Y : ndarray of shape (n_rows, n_outputs)
    sample_weight : ndarray of shape (n_rows,) or None
    n_jobs : object
        It is not used. It is there because the engine of the CPU takes a number of threads.
    n_blocks : int or None
        Number of blocks of a launch; None is one for each multiprocessor. Results do not depend
        on it.
    is_cooperative : bool or None
        Whether many steps are one cooperative launch. Otherwise each phase of a step is a launch,
        and in wide networks (:mod:`fastmlp.engines.cuda.wide`) each product of matrices is one.
        None is True, except in the simulator.

    Attributes
    ----------
    plan, step, gradient_norm
        See :class:`fastmlp.engines.engine.Engine`.

    Raises
    ------
    DeviceError
        When CUDA cannot be used, or the device has too little memory for the network.
    """

    @one_at_a_time
    @memory_errors()
    def __init__(
        self,
        plan: TrainingPlan,
        theta: np.ndarray,
        X: Matrix,
        Y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        n_jobs: object = None,
        *,
        n_blocks: int | None = None,
        is_cooperative: bool | None = None,
    ) -> None:
        require()
        plan.check_data(X, Y)
        super().__init__(plan, n_blocks)
        dtype = plan.dtype
        layout = at.device_layout(plan, plan.batch_size)
        layout.settings[at.IS_WEIGHTED] = sample_weight is not None
        if is_cooperative is None:
            is_cooperative = not is_simulated()  # the simulator runs one block at a time
        self._is_cooperative = is_cooperative
        self._is_checked = False
        self._is_wide = is_wide(plan)
        self._train = "train_wide" if self._is_wide else "train"
        specialization = training_specialization(plan)
        self._kernels = {**self._kernels, **training_kernels(dtype, specialization)}
        if self._is_wide:
            self._kernels |= wide_kernels(dtype, specialization)
        # An epoch needs its order, the loss of each row and the numbers of each step. There are at
        # most as many steps as rows.
        n_kept, n_rows = 2 * n_parameters(plan.layer_units), X.shape[0]
        n_by_row = 3 + at.N_STEP_SCALARS
        n_bytes = dtype.itemsize * (layout.size + n_kept) + n_rows * (n_by_row * dtype.itemsize + 8)
        n_sent = Y.size if is_device_matrix(X) and X.dtype == dtype else X.size + Y.size
        is_resident = has_room(n_bytes + dtype.itemsize * n_sent)
        if not is_resident:
            X = np.asarray(X)  # it may lie on the device in another type
            check_room(n_bytes + bytes_of_a_step(plan))
            n_chunk = rows_of_a_chunk(plan, free_bytes() - n_bytes, self._steps_of_a_launch())
        arena = np.zeros(layout.size, dtype)
        layout.fill(arena)
        constants = at.constants(plan)
        # Kernels read alpha in the plan's dtype, in which a small alpha may be zero.
        self._has_penalty = constants[at.ALPHA] > 0 or plan.l1 > 0
        tables = arena, layout.layers, layout.settings, constants
        self._settle(Network(*map(cuda.to_device, tables)))
        self._n_rows = n_rows
        self._host_weight = sample_weight
        self._data: list[DeviceArray] = []
        self._chunks: Chunks | None = None
        if is_resident:
            weight = np.empty(0) if sample_weight is None else sample_weight
            self._data = [to_device(array, dtype) for array in (X, Y, weight)]
        else:
            self._chunks = Chunks(plan, X, Y, sample_weight, n_chunk)
        self._totals = cuda.to_device(np.zeros(3))
        self._epoch: StepRecord | None = None
        self._order: DeviceArray = None
        self.push(theta)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @one_at_a_time
    def close(self) -> None:
        """Free the device's memory; see :meth:`fastmlp.engines.engine.Engine.close`."""
        self._network, self._data = _NO_NETWORK, []
        self._totals = self._chunks = self._epoch = self._order = None
        self._kept, self._starts = (None, []), []
        give_memory_back()

    @one_at_a_time
    @memory_errors()
    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """Run an epoch; see :meth:`fastmlp.engines.engine.Engine.run_epoch`.

        Memory that runs out on the device is a :class:`fastmlp.exceptions.DeviceError`.
        """
        step_scalars = self._step_scalars(order, learning_rate, self._host_weight)
        self._keep_start()
        n_steps = len(step_scalars)
        record = self._record_of_an_epoch(order.size, n_steps)
        record.step_scalars.copy_to_device(step_scalars)
        if self._chunks is None:
            self._order.copy_to_device(np.ascontiguousarray(order, np.int64))
            X, Y, sample_weight = self._data
            self._run_steps(Rows(X, Y, sample_weight, self._order), record, self.step)
        else:
            self._run_chunks(self._chunks, order, record)
        self.step += n_steps
        self._launch("add_up", record, self._totals, n_blocks=1)
        loss, penalty, norms = self._totals.copy_to_host().tolist()
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / n_steps
        return float((loss + penalty) / order.size)

    def _record_of_an_epoch(self, n_rows: int, n_steps: int) -> StepRecord:
        """Return memory for the :class:`~.arguments.StepRecord` of an epoch.

        All epochs of the same size use the same memory, since an allocation takes as long as many
        steps.
        """
        if self._epoch is None or self._epoch.row_losses.size != n_rows:
            shapes = (n_steps, at.N_STEP_SCALARS), n_rows, n_steps, n_steps
            dtype = self.plan.dtype
            self._epoch = StepRecord(*(cuda.to_device(np.zeros(shape, dtype)) for shape in shapes))
            if self._chunks is None:
                self._order = cuda.device_array(n_rows, np.int64)
        return self._epoch

    def _run_chunks(self, chunks: Chunks, order: np.ndarray, record: StepRecord) -> None:
        """Run all steps of an epoch over data that stay on the host."""
        stream = chunks.computing
        try:
            for first, rows in chunks.of_epoch(order):
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

    def _run_steps(self, rows: Rows, record: StepRecord, steps_done: int, stream: Any = 0) -> None:
        """Run all steps over some rows, in cooperative launches or in several launches a step.

        Parameters
        ----------
        rows : Rows
        record : StepRecord
            The record of these steps.
        steps_done : int
            Number of steps that were done before the first one.
        stream : object
            A stream of numba-cuda, or 0 for the default one.
        """
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

    def _run_wide_step(
        self, rows: Rows, record: StepRecord, step: int, steps_done: int, stream: Any
    ) -> None:
        """Launch the phases of a step of a wide network, up to the update of the weights."""
        n_in_order = rows.order.size
        n_rows = min(self.plan.batch_size, n_in_order - step * self.plan.batch_size)
        for name, number, is_back, n_blocks in launches(self.plan, n_rows):
            arguments: tuple[Any, ...] = {
                "wide_gather": (rows, step),
                "wide_product": (n_in_order, step, steps_done, number, is_back),
                "wide_outputs": (rows, record, step, steps_done),
                "wide_update": (record, n_in_order, step),
            }[name]
            n_blocks = min(n_blocks, self._n_blocks)
            self._launch(name, self._network, *arguments, stream=stream, n_blocks=n_blocks)

    def _finish_step(self, record: StepRecord, n_in_order: int, step: int, stream: Any) -> None:
        """Launch the phases that some plans have after the update of the weights."""
        if self.plan.clip_norm < inf:
            self._launch("clip_norm", self._network, record, step, stream=stream)
        if self.plan.max_norm < inf:
            self._launch("limit_columns", self._network, stream=stream)
        if self._has_penalty or self.plan.needs_gradient_norm:
            self._launch(
                "add_step", self._network, record, n_in_order, step, n_blocks=1, stream=stream
            )

    def _steps_of_a_launch(self) -> int:
        """Compute how many steps one launch may have, so that it takes about a second at most."""
        size = n_parameters(self.plan.layer_units)
        # A block takes whole groups of rows forward and back through the network.
        n_groups = -(-self.plan.batch_size // at.GROUP)
        work_of_block = 2 * at.GROUP * -(-n_groups // self._n_blocks) * size
        most = min(
            _LAUNCH_MULTIPLY_ADDS // (3 * self.plan.batch_size * size),
            _BLOCK_MULTIPLY_ADDS // work_of_block,
        )
        return min(_LAUNCH_STEPS, max(1, int(most)))

    def _fits_at_once(self, *arguments: Any) -> bool:
        """Limit the number of blocks to those that the GPU can run at the same time.

        Parameters
        ----------
        *arguments
            The arguments of the training kernel, whose types it is compiled for.

        Returns
        -------
        bool
            Whether at least one block can run.
        """
        if self._is_checked or is_simulated():
            return True
        kernel = self._kernels[self._train]
        types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
        most = kernel.compile(types).max_cooperative_grid_blocks(THREADS)
        self._n_blocks = min(self._n_blocks, max(1, most))
        self._is_checked = True
        self._is_cooperative = bool(most >= 1)
        return self._is_cooperative

    @one_at_a_time
    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Compute both; see :meth:`fastmlp.engines.engine.Engine.loss_and_gradient`."""
        self.push(theta)
        loss = self.run_epoch(np.arange(self.plan.batch_size), 0.0)
        return loss, self._pull(1)


class _Predictor(DeviceNetwork):
    """A network on the device that can only predict.

    Its arena has parameters and the activations of some rows, and no memory of an optimiser.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    n_rows : int
        Number of rows that will be predicted.
    """

    def __init__(self, plan: TrainingPlan, theta: np.ndarray, n_rows: int) -> None:
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
def outputs(plan: TrainingPlan, theta: np.ndarray, X: Matrix) -> np.ndarray:
    """Compute the output activations of a network on the GPU.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    theta : ndarray of shape (n_parameters,)
    X : ndarray or DeviceMatrix of shape (n_rows, n_features)

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)

    Raises
    ------
    DeviceError
        When the device has too little memory.
    """
    check_parameters(theta, X, plan.layer_units)
    return _Predictor(plan, theta, X.shape[0]).outputs(X)
