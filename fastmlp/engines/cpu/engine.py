"""The CPU engine: one network in its arena, and the team of threads that trains it."""

from collections.abc import Sequence
from typing import NoReturn, Self

import numpy as np
from scipy.sparse import issparse

from ...network.plan import Optimizer, TrainingPlan
from ...network.weights import check_parameters, n_parameters, views
from ..engine import Matrix, OptimizerMemory, PredictionNetwork
from . import layout as at
from .dispatch import clears_padding, training_calls
from .inputs import aligned, input_arrays, kernel_input
from .jobs import EPOCH_LOSS, GRADIENT_NORM, N_SUMS, ORDER, describe, set_size, work_size
from .library import Entry
from .prediction import NetworkInPlace, RowPrediction, prediction_in_training
from .row_losses import row_losses
from .threads import Team, default_n_threads
from .vector_unit import lanes

# A step with fewer multiply-adds than this is done by one thread, because a second one would gain
# less time than handing over an epoch costs.
_TEAM_MULTIPLY_ADDS = 200_000
# A prediction with fewer multiply-adds than this is done by one thread. The number is larger than
# that for a step, because each prediction has to start its team.
_TEAM_PREDICTION = 10_000_000
# Long epochs are handed over in parts of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000


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
        n_groups = at.n_groups(plan, is_sparse)
        if n_groups > 1:
            n_threads = min(n_threads, n_groups)
        self._team = Team(n_threads)
        self._layout = at.training_layout(plan, n_threads, is_sparse)
        self._layers, self._settings = self._layout.layers, self._layout.settings
        self._settings[at.CLEARS_PADDING] = clears_padding(plan.loss)
        calls, self._kernels = training_calls(plan, is_sparse)
        self._arena = aligned(self._layout.size, plan.dtype)
        self._set_constants()
        weights = np.empty(0) if sample_weight is None else sample_weight
        self._X = input_arrays(X, plan.dtype)
        self._Y, self._sample_weight = (kernel_input(array, plan.dtype) for array in (Y, weights))
        self._sums = np.zeros(N_SUMS + plan.batch_size + 3 * self._layout.n_blocks)
        self._piece = max(1, _PIECE_MULTIPLY_ADDS // (3 * work)) * plan.batch_size
        self._scalars = _plan_scalars(plan)
        # What each epoch asks of the plan is looked up once: an epoch may take 30 microseconds.
        self._decays, self._rate_factor = plan.weight_decay > 0, plan.rate_factor
        self._keeps_start = plan.optimizer != Optimizer.GRADIENT
        self._needs_norm = plan.needs_gradient_norm
        self._order = np.empty(X.shape[0], dtype=np.int64)
        self._shares = at.shares(self._layout, n_threads, lanes(plan.dtype))
        self._n_sharing = n_threads
        # They are in the order of the numbers in jobs.py.
        self._arrays = (
            self._layers, self._settings, calls, *self._X, self._order,
            self._scalars, self._room_for_entries(n_threads), self._Y, self._sample_weight,
            self._sums, self._shares,
        )  # fmt: skip
        self._job = describe(self._arrays)
        self._train = Entry("train", self._arena, self._job)
        self._kept_alive = self._arrays, self._kernels
        first = int(self._settings[at.KEEP_AT])
        # The places of the parameters from the start of the last two epochs; the newest is last.
        self._kept_at = [first, first + int(self._settings[at.N_PARAMETERS])]
        self._n_kept = 0
        # The X that was predicted last, and its prediction, which validation repeats.
        self._predicted: tuple[Matrix, RowPrediction] | None = None
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
        at.pack(theta, units, arena, layout.settings[at.PARAMETERS], layout)
        at.pack_transposed(theta, units, arena, layout)
        if state is not None:
            self.step, first, second = state
            at.pack(first, units, arena, self._start(at.TO_FIRST), layout)
            at.pack(second, units, arena, self._start(at.TO_SECOND), layout)

    def _start(self, vector: int | None = None) -> int:
        """Return where the parameters, or a vector of the optimiser's memory, lie in the arena.

        Parameters
        ----------
        vector : int or None
            The setting that says where the vector lies, such as ``at.TO_FIRST``; None stands for
            the parameters.
        """
        start = self._settings[at.PARAMETERS]
        return start if vector is None else start + self._settings[vector]

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
        at.unpack(result, units, self._arena, start, self._layout)
        return result

    def pull(self) -> np.ndarray:
        """See :meth:`fastmlp.engines.engine.Engine.pull`."""
        return self._pull()

    def state(self) -> OptimizerMemory:
        """See :meth:`fastmlp.engines.engine.Engine.state`."""
        return self.step, self._pull(at.TO_FIRST), self._pull(at.TO_SECOND)

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """See :meth:`fastmlp.engines.engine.Engine.run_epoch`.

        A long epoch is handed to the threads in parts, so that Ctrl-C acts between them.
        """
        plan = self.plan
        if self._sample_weight.size:
            plan.batch_weights(order, self._sample_weight)
        scalars, settings = self._scalars, self._settings
        if self._decays:
            scalars[at.DECAY] = 1 - learning_rate * plan.weight_decay
        scalars[at.LEARNING_RATE] = learning_rate * self._rate_factor
        self._sums[EPOCH_LOSS] = self._sums[GRADIENT_NORM] = 0.0
        if self._keeps_start:
            self._kept_at.reverse()
            self._n_kept = 2 if self._n_kept else 1
            settings[at.KEEP_AT] = self._kept_at[-1]
        self._share_blocks()
        for start in range(0, order.size, self._piece):
            piece = order[start : start + self._piece]
            scalars[at.STEPS_DONE] = self.step
            self._order[: piece.size] = piece
            set_size(self._job, ORDER, piece.size)
            self._team.run(self._train, keeps=self._kept_alive)
            if settings[at.FAILED_AT] < at.NO_FAILURE:
                self._raise_failure(piece)
            self.step += -(-piece.size // plan.batch_size)
            settings[at.KEEP_AT] = -1
        if self._needs_norm:
            n_steps = -(-order.size // plan.batch_size)
            self.gradient_norm = float(self._sums[GRADIENT_NORM]) / n_steps
        return self._sums[EPOCH_LOSS] / order.size

    def _share_blocks(self) -> None:
        """Share the blocks of weights among the threads that there are."""
        n_threads = self._team.start()
        if n_threads != self._n_sharing:
            shares = at.shares(self._layout, n_threads, lanes(self.plan.dtype))
            self._shares[: n_threads + 1] = shares
            self._n_sharing = n_threads

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

    def outputs(self, X: Matrix) -> np.ndarray:
        """See :meth:`fastmlp.engines.engine.Predictor.outputs`."""
        if self._predicted is None or self._predicted[0] is not X:
            units = self.plan.layer_units
            n_threads = _prediction_threads(units[0], n_parameters(units), X, self._n_jobs)
            start = int(self._start())
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
    n_threads = _prediction_threads(n_inputs, network.n_parameters, X, n_jobs)
    return network.outputs(arrays, X, n_threads)


def _prediction_threads(n_inputs: int, n_parameters: int, X: Matrix, n_jobs: int | None) -> int:
    """Return how many threads predict; raise ValueError where X does not fit the network."""
    if X.shape[1] != n_inputs:
        raise ValueError(f"X {X.shape} does not fit a network of {n_inputs} inputs")
    is_much = X.shape[0] * n_parameters >= _TEAM_PREDICTION
    return resolve_n_threads(n_jobs) if is_much else 1
