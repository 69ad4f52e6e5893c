"""The CPU engine: one network in its arena, and the team of threads that trains it."""

from collections.abc import Sequence
from functools import partial
from typing import NoReturn, Self

import numpy as np
from scipy.sparse import issparse

from ...network.plan import Optimizer, TrainingPlan
from ...network.weights import check_parameters, n_parameters, views
from ..engine import Matrix, OptimizerMemory, PredictionNetwork, SomeRows
from ..sharing import shared
from . import layout as at
from . import packing
from .barrier_array import END, NO_END
from .dispatch import clears_padding, training_calls
from .inputs import aligned, input_arrays, kernel_input
from .jobs import (
    EPOCH_LOSS,
    GRADIENT_NORM,
    N_RESULTS,
    N_SUMS,
    ORDER,
    SCALARS,
    describe,
    set_size,
    work_size,
)
from .library import Entry
from .prediction import NetworkInPlace, RowPrediction, prediction_in_training
from .processors import available_processors
from .row_losses import row_losses
from .thread_count import Stopwatch, keep_count, running, share_of, take_count
from .thread_plan import planned_threads
from .threads import Team, default_n_threads
from .vector_unit import lanes

# A step with fewer multiply-adds than this is done by one thread, because a second one would gain
# less time than handing over an epoch costs.
_TEAM_MULTIPLY_ADDS = 200_000
# Each thread of a prediction has at least so many multiply-adds, because to wake a thread takes
# time. The number is larger than that for a step, because a prediction is handed over by itself.
_THREAD_PREDICTION = 4_000_000
# Long epochs are handed over in parts of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000
# Short epochs are handed over together, where nobody looks at the network in between: so many at
# most, with so many multiply-adds and so many rows of all of them.
_MOST_TOGETHER, _TOGETHER_MULTIPLY_ADDS, _ROWS_TOGETHER = 32, 300_000_000, 20_000


def resolve_n_threads(n_jobs: int | None) -> int:
    """Compute the number of threads for an ``n_jobs`` parameter, as scikit-learn means it.

    Parameters
    ----------
    n_jobs : int or None
        None stands for numba's limit. Negative numbers count down from that limit, where -1
        stands for all of it.

    Returns
    -------
    int
        A number from 1 to numba's limit.
    """
    limit = default_n_threads()
    if n_jobs is None:
        return limit
    if n_jobs < 0:
        return max(1, limit + 1 + n_jobs)
    return min(n_jobs, limit)


def _plan_scalars(plan: TrainingPlan) -> np.ndarray:
    """Make the vector of a step's scalars, and set those that the plan fixes.

    The others are zero; epochs and steps set them.

    Parameters
    ----------
    plan : TrainingPlan

    Returns
    -------
    ndarray of shape (N_SCALARS,), float64
        The module :mod:`fastmlp.engines.cpu.layout` names the elements.
    """
    scalars = np.zeros(at.N_SCALARS)
    scalars[at.UNIT] = 1
    scalars[[at.ALPHA, at.L1]] = plan.alpha, plan.l1
    scalars[at.CLIP_VALUE] = plan.clip_value
    scalars[at.CLIP_NORM] = plan.clip_norm
    scalars[at.MAX_NORM] = plan.max_norm
    scalars[at.MOMENTUM] = plan.momentum
    scalars[[at.BETA_1, at.ONE_MINUS_BETA_1]] = plan.beta_1, 1 - plan.beta_1
    scalars[[at.BETA_2, at.ONE_MINUS_BETA_2]] = plan.beta_2, 1 - plan.beta_2
    scalars[at.EPSILON] = plan.epsilon
    return scalars


def _epochs_at_once(plan: TrainingPlan, n_rows: int) -> int:
    """Compute :attr:`fastmlp.engines.engine.Engine.epochs_at_once` for epochs of so many rows."""
    # A custom loss may fail, and then the epoch does not count. Gradients are asked for one by one.
    if plan.custom_loss is not None or plan.optimizer == Optimizer.GRADIENT:
        return 1
    work = 3 * n_rows * n_parameters(plan.layer_units)
    most = min(_TOGETHER_MULTIPLY_ADDS // work, _ROWS_TOGETHER // n_rows, _MOST_TOGETHER)
    return max(1, most)


class CpuEngine:
    """The :class:`fastmlp.engines.engine.Engine` of the CPU.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters in the order of :mod:`fastmlp.network.weights`; they are copied.
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
        It is kept, not copied, if it is C-contiguous (or in compressed rows) and has the plan's
        dtype.
    Y : ndarray of shape (n_rows, n_outputs)
        It is kept, not copied, if it is C-contiguous and has the plan's dtype.
    sample_weight : ndarray of shape (n_rows,) or None
        Weight of each row in the loss. It is kept, not copied, if it is C-contiguous and has the
        plan's dtype. None gives each row the weight one.
    n_jobs : int or None
        Number of threads; see :func:`resolve_n_threads`.

    Attributes
    ----------
    plan : TrainingPlan
    step : int
        Number of updates so far; see :class:`fastmlp.engines.engine.Engine`.
    gradient_norm : float or None
        Mean norm of the gradient in the last epoch; see :class:`fastmlp.engines.engine.Engine`.
    epochs_at_once : int
        See :class:`fastmlp.engines.engine.Engine`.
    """

    gradient_norm: float | None = None

    def __init__(
        self,
        plan: TrainingPlan,
        theta: np.ndarray,
        X: Matrix,
        Y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        n_jobs: int | None = None,
    ) -> None:
        plan.check_data(X, Y)
        self.plan = plan
        self.step = 0
        self._n_jobs = n_jobs
        work = plan.batch_size * n_parameters(plan.layer_units)
        n_threads = resolve_n_threads(n_jobs) if work >= _TEAM_MULTIPLY_ADDS else 1
        is_sparse = issparse(X)
        self._team = Team(n_threads)
        self._network = plan.layer_units, plan.batch_size, plan.dtype, is_sparse
        self._layout = at.training_layout(plan, n_threads, is_sparse)
        choose = partial(planned_threads, plan, self._layout)
        self._count = take_count(self._network, n_threads, choose)
        self._stopwatch = Stopwatch()
        self._layers, self._settings = self._layout.layers, self._layout.settings
        self._settings[at.CLEARS_PADDING] = clears_padding(plan.loss)
        calls, self._kernels = training_calls(plan, is_sparse)
        self._arena = aligned(self._layout.size, plan.dtype)
        self._set_constants()
        weights = np.empty(0) if sample_weight is None else sample_weight
        self._X = shared(lambda: input_arrays(X, plan.dtype))
        self._Y, self._sample_weight = (
            shared(partial(kernel_input, array, plan.dtype)) for array in (Y, weights)
        )
        self._sums = np.zeros(N_SUMS + plan.batch_size + 3 * int(self._settings[at.N_PATCHES]))
        self.epochs_at_once = _epochs_at_once(plan, X.shape[0])
        self._piece = max(1, _PIECE_MULTIPLY_ADDS // (3 * work)) * plan.batch_size
        self._epochs = np.tile(_plan_scalars(plan), (self.epochs_at_once, 1))
        self._results = np.zeros((self.epochs_at_once, N_RESULTS))
        # What each epoch asks of the plan is looked up once: an epoch may take 30 microseconds.
        self._decays, self._rate_factor = plan.weight_decay > 0, plan.rate_factor
        self._keeps_start = plan.optimizer != Optimizer.GRADIENT
        self._needs_norm = plan.needs_gradient_norm
        self._order = np.empty(self.epochs_at_once * X.shape[0], dtype=np.int64)
        self._shares = at.shares(self._layout, n_threads, lanes(plan.dtype))
        self._n_sharing = n_threads
        self._shares_of = {n_threads: self._shares.copy()}
        self._most_threads = n_threads
        # They are in the order of the numbers in jobs.py.
        self._arrays = (
            self._layers, self._settings, calls, *self._X, self._order,
            self._epochs, self._room_for_entries(n_threads), self._Y, self._sample_weight,
            self._sums, self._shares, self._results,
        )  # fmt: skip
        self._job = describe(self._arrays)
        self._train = Entry("train", self._arena, self._job)
        self._kept_alive = self._arrays, self._kernels
        first = int(self._settings[at.KEEP_AT])
        # The places of the parameters from the start of the last two epochs; the newest is last.
        self._kept_at = [first, first + int(self._settings[at.N_PARAMETERS])]
        self._n_kept = 0
        # The X that was predicted last, and its prediction, which validation repeats.
        self._predicted: tuple[Matrix | SomeRows, RowPrediction] | None = None
        self.push(theta)

    def _set_constants(self) -> None:
        """Write the numbers that kernels look up in the arena."""
        arena, settings, plan = self._arena, self._settings, self.plan
        arena[settings[at.ONE]] = 1
        arena[settings[at.MACHINE_EPSILON]] = np.finfo(plan.dtype).eps
        first = settings[at.LOSS_PARAMETERS]
        arena[first : first + len(plan.loss_parameters)] = plan.loss_parameters
        for layer, dropout in zip(self._layers, plan.dropouts, strict=False):
            arena[layer[at.DROP_SCALE]] = 1 / (1 - dropout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """See :meth:`fastmlp.engines.engine.Engine.close`."""
        self._predicted = None
        self._team.close()
        keep_count(self._network, self._team.n_threads, self._count)

    def _room_for_entries(self, n_threads: int) -> np.ndarray:
        """Make the work array for sparse inputs, and set the size of a thread's part of it.

        Parameters
        ----------
        n_threads : int

        Returns
        -------
        ndarray of shape (n_threads * work_size,), int64
            It has a part for each thread, which ``sparse.group_by_feature`` fills; it is empty
            for dense inputs.
        """
        if not self._settings[at.IS_SPARSE]:
            return np.empty(0, dtype=np.int64)
        entries = np.sort(np.diff(self._X[2]))[-self.plan.batch_size :].sum()
        size = work_size(self.plan.layer_units[0], entries)
        self._settings[at.WORK_SIZE] = size
        return np.zeros(n_threads * size, dtype=np.int64)

    def last_finite(self) -> np.ndarray | None:
        """See :meth:`fastmlp.engines.engine.Engine.last_finite`."""
        for start in self._kept_at[::-1][: self._n_kept]:
            theta = self._unpacked(start)
            if np.isfinite(theta).all():
                return theta
        return None

    def push(self, theta: np.ndarray, state: OptimizerMemory | None = None) -> None:
        """See :meth:`fastmlp.engines.engine.Engine.push`.

        Raises
        ------
        ValueError
            When there are more or fewer parameters than the network has.
        """
        units, arena, layout = self.plan.layer_units, self._arena, self._layout
        if theta.size != n_parameters(units):
            raise ValueError(f"{theta.size} parameters do not fit units {units}")
        packing.pack(theta, units, arena, self._start(), layout)
        packing.pack_transposed(theta, units, arena, layout)
        if state is not None:
            self.step, first, second = state
            packing.pack(first, units, arena, self._start(at.TO_FIRST), layout)
            packing.pack(second, units, arena, self._start(at.TO_SECOND), layout)

    def _start(self, vector: int | None = None) -> int:
        """Return where the parameters, or a vector of the optimiser's memory, lie in the arena.

        Parameters
        ----------
        vector : int or None
            The setting that says where the vector lies, such as ``at.TO_FIRST``; None stands for
            the parameters.
        """
        start = int(self._settings[at.PARAMETERS])
        return start if vector is None else start + int(self._settings[vector])

    def _pull(self, vector: int | None = None) -> np.ndarray:
        """Copy the parameters, or a vector of the optimiser's memory.

        Parameters
        ----------
        vector : int or None
            Which vector; see :meth:`_start`.

        Returns
        -------
        ndarray of shape (n_parameters,)
        """
        return self._unpacked(self._start(vector))

    def _unpacked(self, start: int) -> np.ndarray:
        """Copy the vector that lies in the arena from `start` on, in the parameters' order."""
        units = self.plan.layer_units
        result = np.empty(n_parameters(units), dtype=self.plan.dtype)
        packing.unpack(result, units, self._arena, start, self._layout)
        return result

    def pull(self) -> np.ndarray:
        """See :meth:`fastmlp.engines.engine.Engine.pull`."""
        return self._pull()

    def state(self) -> OptimizerMemory:
        """See :meth:`fastmlp.engines.engine.Engine.state`."""
        return self.step, self._pull(at.TO_FIRST), self._pull(at.TO_SECOND)

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """See :meth:`fastmlp.engines.engine.Engine.run_epoch`."""
        return self.run_epochs(order[np.newaxis], learning_rate)[0]

    def run_epochs(self, orders: np.ndarray, learning_rate: float) -> list[float]:
        """See :meth:`fastmlp.engines.engine.Engine.run_epochs`.

        A long epoch is handed to the threads in parts, so that Ctrl-C acts between them.
        """
        plan, settings = self.plan, self._settings
        n_epochs, n_rows = orders.shape
        if self._sample_weight.size:
            for order in orders:
                plan.batch_weights(order, self._sample_weight)
        epochs, results = self._epochs[:n_epochs], self._results[:n_epochs]
        if self._decays:
            epochs[:, at.DECAY] = 1 - learning_rate * plan.weight_decay
        epochs[:, at.LEARNING_RATE] = learning_rate * self._rate_factor
        results[:] = 0
        set_size(self._job, SCALARS, n_epochs)
        if self._keeps_start:
            settings[at.KEEP_AT], settings[at.KEEP_NEXT_AT] = self._kept_at
            self._starts_kept(1)
        start, rows, first_step = 0, orders.reshape(-1), self.step
        running.add(self)
        try:
            while start < rows.size:
                start += self._run_piece(rows[start : start + self._piece], n_epochs)
                settings[at.KEEP_AT] = -1
        finally:
            running.discard(self)
        losses = results[:, EPOCH_LOSS] / n_rows
        is_finite = np.isfinite(losses)
        n_run = n_epochs if is_finite.all() else int(is_finite.argmin()) + 1
        n_steps = -(-n_rows // plan.batch_size)
        self.step = first_step + n_run * n_steps
        if self._keeps_start:
            self._starts_kept(n_run - 1)
        if self._needs_norm:
            self.gradient_norm = float(results[n_run - 1, GRADIENT_NORM]) / n_steps
        return losses[:n_run].tolist()

    def _starts_kept(self, n_epochs: int) -> None:
        """Note that the parameters were kept at the start of some more epochs."""
        if n_epochs % 2:
            self._kept_at.reverse()
        self._n_kept = min(2, self._n_kept + n_epochs)

    def _run_piece(self, order: np.ndarray, n_epochs: int) -> int:
        """Hand the threads as many steps as is wise at present.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
            The rows that are left of the epoch, or as many of them as may be handed over at once.
        n_epochs : int
            The number of whole epochs that the order is of, which are handed over together; 1 for
            an epoch or a part of one.

        Returns
        -------
        int
            The number of rows that were trained on.
        """
        if self._team.n_threads == 1:
            return self._run_steps(order, 1, NO_END)
        most = min(self._most_threads, share_of(available_processors()))
        job, batch_size = self._count.next_job(most), self.plan.batch_size
        patience = job.patience if n_epochs == 1 else NO_END
        if n_epochs == 1:
            order = order[: job.most_steps * batch_size]
        n_threads = self._share_blocks(job.n_threads)
        self._stopwatch.start()
        n_rows = self._run_steps(order, n_threads, patience)
        seconds, idle = self._stopwatch.stop()
        if n_threads == job.n_threads:
            n_steps = n_epochs * -(-n_rows // (n_epochs * batch_size))
            self._count.record(n_steps, seconds, idle, n_rows < order.size)
        else:  # the system has no more threads
            self._most_threads = n_threads
        return n_rows

    def _run_steps(self, order: np.ndarray, n_threads: int, patience: int) -> int:
        """Take a step for each batch of an order, or some steps where threads sleep too often.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64
        n_threads : int
        patience : int
            How often threads may go to sleep; see :mod:`fastmlp.engines.cpu.barrier_array`.

        Returns
        -------
        int
            The number of rows that were trained on.
        """
        team = self._team
        self._epochs[0, at.STEPS_DONE] = self.step
        self._order[: order.size] = order
        set_size(self._job, ORDER, order.size)
        team.run(self._train, keeps=self._kept_alive, n_threads=n_threads, patience=patience)
        if self._settings[at.FAILED_AT] < at.NO_FAILURE:
            self._raise_failure(order)
        n_rows = (int(team.barrier[END]) if n_threads > 1 else 0) or order.size
        self.step += -(-n_rows // self.plan.batch_size)
        return n_rows

    def _share_blocks(self, n_threads: int) -> int:
        """Share the blocks of weights among some threads, or those of them that can be had.

        Parameters
        ----------
        n_threads : int
            How many are wanted.

        Returns
        -------
        int
            How many there are.
        """
        n_threads = self._team.start(n_threads) if n_threads > 1 else 1
        if n_threads != self._n_sharing:
            if n_threads not in self._shares_of:
                shares = at.shares(self._layout, n_threads, lanes(self.plan.dtype))
                self._shares_of[n_threads] = shares
            self._shares[: n_threads + 1] = self._shares_of[n_threads]
            self._n_sharing = n_threads
        return n_threads

    def _raise_failure(self, order: np.ndarray) -> NoReturn:
        """Raise the error of a custom loss that failed in a step of the rows in an order."""
        settings, plan = self._settings, self.plan
        element, number = divmod(int(settings[at.FAILED_AT]), 2)
        settings[at.FAILED_AT] = at.NO_FAILURE
        row, column = divmod(element, plan.n_outputs)
        layer = self._layers[-1]
        p = self._arena[layer[at.OUTPUT] + row * layer[at.OUTPUT_ROW] + column]
        y = self._Y[order[settings[at.FAILED_START] + row], column]
        assert plan.custom_loss is not None
        from .custom_loss import raise_failure

        raise_failure(plan.custom_loss, number, y, p)

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights of all rows; without weights, the number of rows."""
        weights = self._sample_weight
        return float(weights.sum()) if weights.size else len(self._Y)

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """See :meth:`fastmlp.engines.engine.Engine.loss_and_gradient`.

        Afterwards the engine's parameters are `theta`, and the first vector of its optimiser's
        memory holds the gradient.
        """
        self.push(theta)
        loss = self.run_epoch(np.arange(self.plan.batch_size), 0.0)
        return loss, self._pull(at.TO_FIRST)

    def outputs(self, X: Matrix | SomeRows) -> np.ndarray:
        """See :meth:`fastmlp.engines.engine.Predictor.outputs`."""
        if self._predicted is None or self._predicted[0] is not X:
            units = self.plan.layer_units
            n_threads = prediction_threads(units[0], n_parameters(units), X, self._n_jobs)
            start = self._start()
            prediction = prediction_in_training(self.plan, self._arena, start, X, n_threads)
            self._predicted = X, prediction
        return self._predicted[1].outputs()

    def row_losses(self, Y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """See :meth:`fastmlp.engines.engine.Predictor.row_losses`."""
        return row_losses(self.plan, Y, outputs)


def outputs(
    plan: TrainingPlan, theta: np.ndarray, X: Matrix, n_jobs: int | None = None
) -> np.ndarray:
    """Predict with a network: compute the activations of its output layer.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    theta : ndarray of shape (n_parameters,)
        The parameters, in the order of :mod:`fastmlp.network.weights`.
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    n_jobs : int or None
        Number of threads; see :func:`resolve_n_threads`.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    check_parameters(theta, X, plan.layer_units)
    theta = kernel_input(theta, plan.dtype)
    coefs, intercepts = views(theta, plan.layer_units)
    network = NetworkInPlace(plan, coefs, intercepts)
    return predict_rows(network, (*coefs, *intercepts), X, n_jobs)


def predict_rows(
    network: PredictionNetwork, arrays: Sequence[np.ndarray], X: Matrix, n_jobs: int | None
) -> np.ndarray:
    """Predict with a network whose weights are used where they lie.

    Parameters
    ----------
    network : fastmlp.engines.engine.PredictionNetwork
    arrays : sequence of ndarray
        All weights and then all biases, the very arrays that the network was made for.
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    n_jobs : int or None
        Number of threads; see :func:`resolve_n_threads`. Little work is done by one thread.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    n_inputs = network.plan.layer_units[0]
    n_threads = prediction_threads(n_inputs, network.n_parameters, X, n_jobs)
    return network.outputs(arrays, X, n_threads)


def prediction_threads(
    n_inputs: int, n_parameters: int, X: Matrix | SomeRows, n_jobs: int | None
) -> int:
    """Return how many threads predict; raise ValueError where X does not fit the network."""
    if X.shape[1] != n_inputs:
        raise ValueError(f"X {X.shape} does not fit a network of {n_inputs} inputs")
    most = X.shape[0] * n_parameters // _THREAD_PREDICTION
    return min(resolve_n_threads(n_jobs), most) if most > 1 else 1
