"""The CPU engine: one network in its arena, and the team of threads that trains it."""

from dataclasses import replace

import numpy as np
from scipy.sparse import issparse

from ...network.plan import Optimizer
from ...network.weights import check_parameters, n_parameters
from . import kernels
from . import layout as at
from .dispatch import prediction_calls, training_calls
from .outputs import clears_padding
from .row_losses import row_losses
from .sparse import work_size
from .threads import Team, default_n_threads
from .vector_unit import lanes
from .views import describe, set_size
from .work_sharing import EPOCH_LOSS, GRADIENT_NORM, N_SUMS

# Below this many multiply-adds a step a second thread does not pay: it gains less than handing
# over an epoch costs.
_TEAM_MULTIPLY_ADDS = 200_000
# The same for a whole prediction, which has to start its team.
_TEAM_PREDICTION = 10_000_000
# Up to this many rows, predictions use the weights as they are instead of packing them.
_FEW_ROWS = 48
# Steps are handed over in pieces of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000

_NO_FEATURES, _NO_STARTS = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)


def _aligned(size, dtype):
    """A vector of zeros that starts at a cache line.

    Parameters
    ----------
    size : int
    dtype : numpy.dtype
    """
    line = 64 // dtype.itemsize
    raw = np.zeros(size + line, dtype=dtype)
    offset = (-raw.ctypes.data % 64) // dtype.itemsize
    return raw[offset : offset + size]


def _input_arrays(X, dtype):
    """X as kernels take it: see :class:`fastmlp.engines.cpu.arguments.Inputs`.

    Parameters
    ----------
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    dtype : numpy.dtype

    Returns
    -------
    values : ndarray of shape (n_rows, n_features) or (1, n_entries)
    features : ndarray of shape (0,) or (n_entries,), int32
    row_starts : ndarray of shape (0,) or (n_rows + 1,), int64
    """
    if not issparse(X):
        return kernel_input(X, dtype), _NO_FEATURES, _NO_STARTS
    X = X.tocsr()
    values = kernel_input(X.data.reshape(1, -1), dtype)
    return values, kernel_input(X.indices, np.int32), kernel_input(X.indptr, np.int64)


class _Borrowed:
    """The memory of an array, without its read-only flag."""

    def __init__(self, array):
        self.array = array  # keeps the memory alive
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def kernel_input(array, dtype):
    """An array as kernels take it: C-contiguous, of one type, and not marked read-only.

    numba would compile every kernel again for arrays marked so. Kernels do not write inputs.

    Parameters
    ----------
    array : array-like
    dtype : numpy.dtype or type

    Returns
    -------
    ndarray
        Of the same memory where that will do; it must not be written.
    """
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.writeable else np.asarray(_Borrowed(array))


def resolve_n_threads(n_jobs):
    """Threads for an ``n_jobs`` parameter, in scikit-learn's meaning.

    Parameters
    ----------
    n_jobs : int or None
        None is numba's limit; negative numbers count down from it: -1 is all of it.

    Returns
    -------
    int
        At least 1, and no more than numba's limit.
    """
    limit = default_n_threads()
    if n_jobs is None:
        return limit
    if n_jobs < 0:
        return max(1, limit + 1 + n_jobs)
    return min(n_jobs, limit)


def _plan_scalars(plan):
    """The scalars of a step that a plan fixes; the others, which epochs and steps set, are zero.

    Parameters
    ----------
    plan : TrainingPlan

    Returns
    -------
    ndarray of shape (N_SCALARS,), float64
        See :mod:`fastmlp.engines.cpu.layout`.
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
    """Runs one plan in compiled kernels.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters in the order of :mod:`fastmlp.network.weights`; copied.
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
        Kept; copied if it is not C-contiguous, or in compressed rows, or not of the plan's dtype.
    Y : ndarray of shape (n_rows, n_outputs)
        Likewise.
    sample_weight : ndarray of shape (n_rows,) or None
        Likewise.
    n_jobs : int or None
        Threads; None is numba's limit.

    Attributes
    ----------
    step : int
        Updates done so far, as Adam's bias correction counts them.
    gradient_norm : float or None
        Norm of the gradient of all parameters, before it is limited to the plan's `clip_norm`,
        as the mean over the steps of the last epoch; None unless the plan wants it, or shapes
        gradients.
    """

    gradient_norm = None

    def __init__(self, plan, theta, X, Y, sample_weight=None, n_jobs=None):
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
        self._arena = _aligned(self._layout.size, plan.dtype)
        self._set_constants()
        weights = np.empty(0) if sample_weight is None else sample_weight
        self._X = _input_arrays(X, plan.dtype)
        self._Y, self._sample_weight = (kernel_input(array, plan.dtype) for array in (Y, weights))
        self._sums = np.zeros(N_SUMS + plan.batch_size + 3 * self._layout.n_blocks)
        self._piece = max(1, _PIECE_MULTIPLY_ADDS // (3 * work)) * plan.batch_size
        self._scalars = _plan_scalars(plan)
        self._order = np.empty(X.shape[0], dtype=np.int64)
        # The order is that of the numbers in kernels.py.
        self._arrays = (
            self._layers, self._settings, calls, *self._X, self._order,
            self._scalars, self._room_for_entries(n_threads), self._Y, self._sample_weight,
            self._sums, at.shares(self._layout, n_threads, lanes(plan.dtype)),
        )  # fmt: skip
        self._job = describe(self._arrays)
        first = int(self._settings[at.KEEP_AT])
        # Where the parameters of the last two epochs' starts are kept, the newest last.
        self._kept_at = [first, first + int(self._settings[at.N_PARAMETERS])]
        self._n_kept = 0
        self.push(theta)

    def _set_constants(self):
        """Write the numbers that kernels look up in the arena."""
        arena, settings, plan = self._arena, self._settings, self.plan
        arena[settings[at.ONE]] = 1
        arena[settings[at.MACHINE_EPSILON]] = np.finfo(plan.dtype).eps
        first = settings[at.LOSS_PARAMETERS]
        arena[first : first + len(plan.loss_parameters)] = plan.loss_parameters
        for layer, dropout in zip(self._layers, plan.dropouts, strict=False):
            arena[layer[at.DROP_SCALE]] = 1 / (1 - dropout)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Let the threads go; see :meth:`fastmlp.engines.engine.Engine.close`."""
        self._team.close()

    def _room_for_entries(self, n_threads):
        """The work array for sparse inputs, a part for each thread.

        See ``sparse.group_by_feature``.
        """
        if not self._settings[at.IS_SPARSE]:
            return np.empty(0, dtype=np.int64)
        entries = np.sort(np.diff(self._X[2]))[-self.plan.batch_size :].sum()
        size = work_size(self.plan.layer_units[0], entries)
        self._settings[at.WORK_SIZE] = size
        return np.zeros(n_threads * size, dtype=np.int64)

    def last_finite(self):
        """The newest parameters from the start of an epoch that are all finite.

        They are kept at the start of each epoch, in two places by turns, because a loss becomes
        not finite in the first epoch whose updates overflow, or, where those were its last ones,
        in the next.

        Returns
        -------
        theta : ndarray of shape (n_parameters,) or None
            None where there are none.
        """
        for start in self._kept_at[::-1][: self._n_kept]:
            theta = self._unpacked(start)
            if np.isfinite(theta).all():
                return theta
        return None

    def push(self, theta, state=None):
        """Set the parameters, and the optimiser's state if given.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
        state : tuple or None
            As :meth:`state` returns it.

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

    def _start(self, vector=None):
        """Where the parameters lie in the arena, or a vector of the optimiser's state.

        Parameters
        ----------
        vector : int or None
            The setting that says where the vector lies, such as ``at.TO_FIRST``.
        """
        start = self._settings[at.PARAMETERS]
        return start if vector is None else start + self._settings[vector]

    def _pull(self, vector=None):
        """A copy of the parameters, or of a vector as of :meth:`_start`."""
        return self._unpacked(self._start(vector))

    def _unpacked(self, start):
        """A copy of what lies in the arena from `start` on, ordered like the parameters."""
        units = self.plan.layer_units
        result = np.empty(n_parameters(units), dtype=self.plan.dtype)
        at.unpack(result, units, self._arena, start, self._layout)
        return result

    def pull(self):
        """A copy of the parameters, in the order of :mod:`fastmlp.network.weights`."""
        return self._pull()

    def state(self):
        """A copy of the optimiser's state: updates done and two vectors ordered like theta.

        The vectors are the velocity or the mean gradient, and the sum or mean of squared
        gradients; one that an optimiser does not use stays zero.
        """
        return self.step, self._pull(at.TO_FIRST), self._pull(at.TO_SECOND)

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
        plan = self.plan
        if self._sample_weight.size:
            plan.batch_weights(order, self._sample_weight)
        scalars, settings = self._scalars, self._settings
        scalars[at.DECAY] = 1 - learning_rate * plan.weight_decay
        scalars[at.LEARNING_RATE] = learning_rate * plan.rate_factor
        self._sums[EPOCH_LOSS] = self._sums[GRADIENT_NORM] = 0.0
        if plan.optimizer != Optimizer.GRADIENT:
            self._kept_at.reverse()
            self._n_kept = 2 if self._n_kept else 1
            settings[at.KEEP_AT] = self._kept_at[-1]
        for start in range(0, order.size, self._piece):
            piece = order[start : start + self._piece]
            scalars[at.STEPS_DONE] = self.step
            self._order[: piece.size] = piece
            set_size(self._job, kernels.ORDER, piece.size)
            self._team.run(kernels.train, self._arena, self._job, keeps=self._arrays)
            self.step += -(-piece.size // plan.batch_size)
            settings[at.KEEP_AT] = -1
        if plan.needs_gradient:
            n_steps = -(-order.size // plan.batch_size)
            self.gradient_norm = float(self._sums[GRADIENT_NORM]) / n_steps
        return self._sums[EPOCH_LOSS] / order.size

    @property
    def total_weight(self):
        """Sum of the sample weights of all rows; without weights their number."""
        weights = self._sample_weight
        return float(weights.sum()) if weights.size else len(self._Y)

    def loss_and_gradient(self, theta):
        """Loss at `theta` of all rows as one batch, and its gradient.

        The plan has the optimiser ``GRADIENT`` and all rows in a batch.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
        """
        self.push(theta)
        loss = self.run_epoch(np.arange(self.plan.batch_size), 0.0)
        return loss, self._pull(at.TO_FIRST)

    def outputs(self, X):
        """Predictions of the current parameters; see :func:`outputs`."""
        return outputs(self.plan, self.pull(), X, self._n_jobs)

    def row_losses(self, Y, outputs):
        """Losses of rows by their predictions: see :mod:`fastmlp.engines.cpu.row_losses`."""
        return row_losses(self.plan, Y, outputs)


def loss_and_gradient(plan, theta, X, Y, sample_weight=None, n_jobs=None):
    """Loss of all rows as one batch, and its gradient.

    Parameters
    ----------
    plan : TrainingPlan
        Its optimiser and batch size do not matter.
    theta, X, Y, sample_weight, n_jobs
        As for :class:`CpuEngine`.

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n_parameters,)
    """
    plan = replace(plan, optimizer=Optimizer.GRADIENT, batch_size=X.shape[0])
    with CpuEngine(plan, theta, X, Y, sample_weight, n_jobs) as engine:
        return engine.loss_and_gradient(theta)


def outputs(plan, theta, X, n_jobs=None):
    """Predictions of a network: its output activations.

    Parameters
    ----------
    plan : TrainingPlan
        Its optimiser and batch size do not matter.
    theta : ndarray of shape (n_parameters,)
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    units, dtype, n_rows = plan.layer_units, plan.dtype, X.shape[0]
    check_parameters(theta, X, units)
    many = n_rows > _FEW_ROWS
    work = n_rows * n_parameters(units)
    n_threads = resolve_n_threads(n_jobs) if work >= _TEAM_PREDICTION else 1
    is_sparse = issparse(X)
    layout = at.prediction_layout(
        units, plan.activation, plan.loss, dtype, n_threads, many, is_sparse
    )
    arena = _aligned(layout.size, dtype)
    start = layout.settings[at.PARAMETERS]
    if many:
        at.pack(theta, units, arena, start, layout)
    else:
        arena[start : start + len(theta)] = theta
    calls = prediction_calls(plan.activations, plan.loss, dtype, is_sparse)
    order = np.arange(n_rows) if is_sparse else _NO_STARTS
    result = np.empty((n_rows, plan.n_outputs), dtype=dtype)
    with Team(n_threads) as team:
        # The order is that of the numbers in kernels.py.
        arrays = layout.layers, layout.settings, calls, *_input_arrays(X, dtype), order, result
        team.run(kernels.predict, arena, describe(arrays), keeps=arrays)
    return result
