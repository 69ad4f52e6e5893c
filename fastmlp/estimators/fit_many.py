"""fit_many, which fits many networks at a time: one on each thread, or many on a GPU."""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from functools import partial
from numbers import Real
from typing import Any, TypeAlias, TypeVar

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context, get_config
from sklearn.utils import check_array

from ..engines.devices import (
    cpu_threads,
    fit_group,
    host_array,
    is_device_array,
    limit_threads,
    open_engine,
)
from ..engines.sharing import SharedArrays, sharing
from ..exceptions import InterruptedTrainingWarning, warn_user
from ..network.weights import n_parameters
from ..training.history import Epoch
from ..training.signals import WaitingSignals
from . import planning
from ._sklearn import get_feature_names
from .base import BaseMLP
from .holdout import HeldRows
from .sparse_inputs import check_sparse

# Largest number of networks that are trained together on a GPU, each by a thread that mostly waits.
_MOST_TOGETHER = 512
# Limit of the memory for the copies of rows that these fits make.
_BYTES_TOGETHER = 2**32

_Network = TypeVar("_Network", bound=BaseMLP)
# It is told of each estimator that is fitted, and of its number.
_Told: TypeAlias = Callable[[Any, int], Any]


def fit_many(
    estimators: Sequence[_Network],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    n_jobs: int | None = None,
    held_out: Sequence[Any] | None = None,
    callback: _Told | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[_Network]:
    """Fit estimators on the same data, each on a thread of its own.

    Small networks cannot share the work of a step among threads, so that this is faster than to
    fit them one after the other. Unlike processes, threads share the data and start at once. The
    results are the same as those of single fits, unless estimators share a ``RandomState``
    object, from which they then draw in any order. Without `should_stop` those with the most work
    begin first, so that all threads end at about the same time.

    On a GPU small networks are trained together, with one launch of a kernel for an epoch of all.
    A network counts as small among n ones if a step takes at most ``2**18 * min(n, 128)``
    multiply-adds, which is its parameters times the rows of a batch. Larger networks take turns.

    Parameters
    ----------
    estimators : sequence of MLPClassifier and MLPRegressor
        Different objects, which are fitted in place. Each uses one thread, whatever its ``n_jobs``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        All fits share what is made of it, of y and of the weights: with early stopping and
        `held_out`, too, there is one copy in memory. X may lie on the GPU, as for
        :meth:`fastmlp.MLPClassifier.fit`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional
    n_jobs : int or None, default=None
        Number of estimators that are fitted at a time. None is numba's limit of threads, and 512
        for those that share a GPU. There are fewer on a GPU where their copies of the rows that
        validate them would take more than 4 GiB, or where so many threads cannot start.
    held_out : sequence of array-like of shape (n_held,) or None, optional
        For each estimator the numbers of rows that it is not trained on, or None. They validate it
        after each epoch as those of ``fit(..., eval_set=...)`` do: their loss and score are in
        ``history_``, and with ``early_stopping=True`` the score decides which weights are kept. The
        result is that of a fit of the other rows, but that the classifier knows all classes of y,
        and that these rows are not copied (except by ``solver='lbfgs'``). The weights of balanced
        classes are those of the rows that are trained on, and 1 for a class that has none there.
    callback : callable, optional
        It is called as ``callback(estimator, number)`` with each estimator whose fit is complete,
        and its number among `estimators`. This happens in the thread of the fit, one call at a
        time. When it returns True the other fits end as if `should_stop` had returned True.
    should_stop : callable, optional
        It is called without arguments before each fit and after each of its epochs, in the thread
        of the fit, so in several threads at a time. Once it returns True all fits end with that
        epoch, and keep what they have learned: with early stopping the weights of their best epoch.
        Fits that have not begun never do. Of these three kinds, only estimators whose fit is
        complete are told to `callback`, and those that were never fitted have no ``coefs_``.
        ``lambda: time.monotonic() > end`` is a limit of time.

    Returns
    -------
    list of MLPClassifier and MLPRegressor
        The given estimators.

    Raises
    ------
    TypeError
        When an estimator is of another class.
    ValueError
        When one estimator occurs twice, when `held_out` does not fit the estimators or the rows,
        and where ``fit`` raises it. If fits fail, all others are completed before the error of the
        first one is raised. An error of `callback` or `should_stop` ends all fits.

    Warns
    -----
    fastmlp.exceptions.InterruptedTrainingWarning
        After Ctrl-C. Estimators in training keep what they have learned; later ones are not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier, fit_many
    >>> X, y = load_iris(return_X_y=True)
    >>> seeds = [MLPClassifier(max_iter=500, random_state=seed) for seed in range(4)]
    >>> [model.score(X, y) > 0.9 for model in fit_many(seeds, X, y)]
    [True, True, True, True]
    """
    fitted = list(estimators)
    _check_distinct(fitted)
    n_threads = cpu_threads(n_jobs)
    if n_threads < 1:
        raise ValueError(f"n_jobs must be None or an integer other than 0, got {n_jobs}")
    most = _MOST_TOGETHER if n_jobs is None or n_jobs < 0 else min(n_jobs, _MOST_TOGETHER)
    y = host_array(y)
    held_rows = _checked_rows(held_out, len(fitted), y)
    fits = _Fits(_as_fits_read(X), y, host_array(sample_weight), callback, should_stop)
    with ThreadPoolExecutor(n_threads, "fastmlp-fit") as pool:
        try:
            fits.start(fitted, held_rows, pool, n_threads, most)
            failures = fits.failures(fitted)
        except KeyboardInterrupt:
            fits.stop_requested.set()
            failures = fits.failures(fitted)
            warn_user("Training interrupted by user.", InterruptedTrainingWarning)
        except BaseException:
            fits.stop_requested.set()
            raise
    for failure in failures:
        if failure is not None:
            raise failure
    return fitted


def _check_distinct(estimators: Sequence[Any]) -> None:
    """Raise an error unless the estimators are different networks of this package."""
    for estimator in estimators:
        if not isinstance(estimator, BaseMLP):
            raise TypeError(
                f"fit_many takes MLPClassifier and MLPRegressor, got {type(estimator).__name__}"
            )
    if len({id(estimator) for estimator in estimators}) < len(estimators):
        raise ValueError("an estimator occurs twice; pass a clone of it")


def _checked_rows(
    held_out: Sequence[Any] | None, n_estimators: int, y: Any
) -> list[HeldRows | None]:
    """Check the rows that are held out, and return them for each estimator.

    Raises
    ------
    ValueError
        The message says which estimator's rows are wrong, and how.
    """
    if held_out is None:
        return [None] * n_estimators
    if len(held_out) != n_estimators:
        raise ValueError(
            f"held_out has {len(held_out)} entries for {n_estimators} estimators; give each an "
            "array of row numbers, or None"
        )
    n_rows = int((np.shape(y) or (0,))[0])
    return [
        None if rows is None else HeldRows(_row_numbers(f"held_out[{i}]", rows, n_rows), n_rows)
        for i, rows in enumerate(held_out)
    ]


def _row_numbers(name: str, rows: Any, n_rows: int) -> np.ndarray:
    """Return the numbers of different rows, but not of all, as int64; raise ValueError else."""
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
        remedy = "; use np.flatnonzero of a mask" if numbers.dtype.kind == "b" else ""
        what = f"{numbers.dtype} of shape {numbers.shape}"
        raise ValueError(f"{name} must be a vector of row numbers, or None, got {what}{remedy}")
    least, most = int(numbers.min()), int(numbers.max())
    if least < 0 or most >= n_rows:
        wrong = least if least < 0 else most
        raise ValueError(f"{name} has row {wrong}, and the {n_rows} rows count from 0")
    found, counts = np.unique(numbers, return_counts=True)
    if found.size < numbers.size:
        raise ValueError(f"{name} has row {found[counts.argmax()]} more than once")
    if numbers.size == n_rows:
        raise ValueError(f"{name} has all {n_rows} rows, and leaves none to train on")
    return numbers.astype(np.int64)


class _FitCallback:
    """The callback of a fit, which ends it once a stop is requested.

    Parameters
    ----------
    is_stop_requested : callable

    Attributes
    ----------
    is_cut_short : bool
        Whether the fit was ended before its last epoch.
    """

    sees_estimator = False  # so that no epoch takes time to bring the estimator up to date

    def __init__(self, is_stop_requested: Callable[[], bool]) -> None:
        self._is_stop_requested = is_stop_requested
        self.is_cut_short = False

    def __call__(self, epoch: Epoch) -> bool:
        if epoch.epoch < epoch.max_epochs:
            self.is_cut_short = self._is_stop_requested()
        return self.is_cut_short


class _Fits:
    """Fits of many estimators on the same data, each in a thread.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,) or None
    callback, should_stop : callable or None
        See :func:`fit_many`.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        callback: _Told | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._data, self._arrays = (X, y, sample_weight), SharedArrays()
        self._callback, self._should_stop = callback, should_stop
        self._telling = threading.Lock()
        # For each estimator its number and the rows that it is validated on.
        self._places: dict[int, tuple[int, HeldRows | None]] = {}
        self._config = get_config()  # each thread has one of its own
        self._futures: dict[int, Future[None]] = {}
        # Fits that no thread has begun, and whether there is a thread that will.
        self._waiting: deque[tuple[BaseMLP, Future[None]]] = deque()
        self._has_thread = False
        self._handed_over: list[Future[None]] = []
        self.stop_requested = threading.Event()

    def start(
        self,
        estimators: Sequence[BaseMLP],
        held_rows: Sequence[HeldRows | None],
        pool: ThreadPoolExecutor,
        n_threads: int,
        most: int,
    ) -> None:
        """Start all fits; those that share a GPU have ended when this returns.

        Parameters
        ----------
        estimators : sequence of BaseMLP
        held_rows : sequence of HeldRows or None
            For each estimator the rows that validate it.
        pool : ThreadPoolExecutor
            Its threads fit what does not share a GPU.
        n_threads : int
            Number of threads of the pool.
        most : int
            Largest number of estimators that are trained together on a GPU.
        """
        X = self._data[0]
        apart, together = [], []
        for number, (estimator, held) in enumerate(zip(estimators, held_rows, strict=True)):
            self._places[id(estimator)] = number, held
            if estimator.device == "cpu" or issparse(X) or is_device_array(X):
                apart.append(estimator)
            else:
                together.append(estimator)
        if self._should_stop is None:  # it leaves out those that are given last
            apart.sort(key=self._length, reverse=True)
        for estimator in apart:
            self._submit(pool, estimator)
        while together:
            group = together[: self._n_together(together[:most])]
            shared = fit_group(len(group), n_threads) if len(group) > 1 else None
            if shared is None:
                for estimator in group:
                    self._submit(pool, estimator)
            elif not self._fit_together(group, shared):
                most = (len(group) + 1) // 2
                continue
            together = together[len(group) :]

    def _length(self, estimator: BaseMLP) -> float:
        """Estimate how long a fit takes, in any unit; those of an equal length stay in order."""
        try:
            n_features = int(np.shape(self._data[0])[1])
            units = [n_features, *planning.hidden_units(estimator), 1]
            return float(estimator.max_iter) * n_parameters(units)
        except (TypeError, ValueError, IndexError):  # the fit will say what is wrong
            return 0.0

    def failures(self, estimators: Sequence[BaseMLP]) -> list[BaseException | None]:
        """Wait for the fits, and return what each has raised, in the order of the estimators."""
        if not self._has_thread or self.stop_requested.is_set():
            while self._waiting:
                self._fit_next()
        for turn in self._handed_over:
            turn.exception()
        started = [estimator for estimator in estimators if id(estimator) in self._futures]
        return [self._futures[id(estimator)].exception() for estimator in started]

    def _submit(self, pool: ThreadPoolExecutor, estimator: BaseMLP) -> None:
        """Let a thread of the pool fit an estimator, or this one where no thread can be started."""
        future = self._futures[id(estimator)] = Future()
        self._waiting.append((estimator, future))
        try:
            with WaitingSignals():  # see its notes on locks
                self._handed_over.append(pool.submit(self._fit_next))
        except RuntimeError:  # the threads that there are will do it
            return
        self._has_thread = True

    def _fit_next(self) -> None:
        """Fit the next estimator that waits, and note in its future how that ended."""
        try:
            estimator, future = self._waiting.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            self._fit(estimator)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    def _fit(self, estimator: BaseMLP, slot: Any = None) -> None:
        """Fit an estimator in this thread, with an engine in a slot of a group if there is one."""
        X, y, sample_weight = self._data
        number, held = self._places[id(estimator)]
        told = _FitCallback(self._is_stop_requested)
        options: dict[str, Any] = {} if held is None else {"eval_set": held}
        with limit_threads(1), sharing(self._arrays), config_context(**self._config):
            # A fit that never begins leaves its slot, too: the others of its group wait for it.
            with slot or nullcontext():
                if self._is_stop_requested():
                    return
                if slot is not None:
                    # A subclass may have a fit of its own: it need not know how the engine opens.
                    estimator._open_engine = partial(open_engine, slot=slot)
                try:
                    estimator.fit(X, y, sample_weight, callback=told, **options)
                finally:
                    # The estimator's own fit may have failed before ours used it.
                    estimator.__dict__.pop("_open_engine", None)
            if not told.is_cut_short:
                self._tell(estimator, number)

    def _is_stop_requested(self) -> bool:
        """Tell whether fits shall end, and remember it where the caller says so now."""
        if self._should_stop is not None and not self.stop_requested.is_set():
            try:
                if self._should_stop():
                    self.stop_requested.set()
            except BaseException:
                self.stop_requested.set()
                raise
        return self.stop_requested.is_set()

    def _tell(self, estimator: BaseMLP, number: int) -> None:
        """Tell the caller of a fit that is complete."""
        if self._callback is None:
            return
        with self._telling:
            try:
                if self._callback(estimator, number):
                    self.stop_requested.set()
            except BaseException:
                self.stop_requested.set()
                raise

    def _fit_together(self, estimators: Sequence[BaseMLP], group: Any) -> bool:
        """Fit a group of estimators that share a GPU, each in a thread of its own.

        The fits of a group wait for each other in every epoch. Therefore none begins before all
        have their threads.

        Parameters
        ----------
        estimators : sequence of BaseMLP
        group : fastmlp.engines.cuda.grouped.FitGroup

        Returns
        -------
        bool
            False where the threads cannot be started; then no estimator was fitted.
        """
        all_have_threads = threading.Event()
        slots: list[Any] = []

        def fit_in_slot(number: int) -> None:
            all_have_threads.wait()
            if slots:
                self._fit(estimators[number], slots[number])

        with ThreadPoolExecutor(len(estimators), "fastmlp-fit") as pool:
            try:
                try:
                    for number, estimator in enumerate(estimators):
                        with WaitingSignals():
                            self._futures[id(estimator)] = pool.submit(fit_in_slot, number)
                except RuntimeError:
                    all_have_threads.set()
                    return False
                slots[:] = [group.slot() for _ in estimators]
                all_have_threads.set()
                wait([self._futures[id(estimator)] for estimator in estimators])
            except BaseException:
                self.stop_requested.set()
                all_have_threads.set()
                raise
        return True

    def _n_together(self, estimators: Sequence[BaseMLP]) -> int:
        """Return the number of estimators, at least one, whose copies of rows fit in memory."""
        X, y, _ = self._data
        n_X, n_y = (math.prod(getattr(array, "shape", ())) for array in (X, y))
        size = getattr(getattr(X, "dtype", None), "itemsize", 8)
        n_bytes = 0.0
        for number, estimator in enumerate(estimators):
            # A GPU gets a copy of the rows that validate each fit. All share the others.
            held = self._places[id(estimator)][1]
            copied = 0.0
            if held is not None:
                copied = held.numbers.size / held.n_rows
            elif estimator.early_stopping and isinstance(estimator.validation_fraction, Real):
                copied = float(estimator.validation_fraction)
            n_bytes += size * copied * (n_X + 2 * n_y)
            if n_bytes > _BYTES_TOGETHER:
                return max(1, number)
        return len(estimators)


def _as_fits_read(X: Any) -> Any:
    """Convert X as each fit would; return it as it is where fits have to read it themselves.

    Raises
    ------
    ValueError
        When X is a damaged sparse matrix.
    """
    check_sparse("X", X)
    if not is_device_array(X):
        # Where the conversion fails the fits will raise the error.
        with suppress(TypeError, ValueError):
            if get_feature_names(X) is None:
                types = [np.float64, np.float32]
                return check_array(X, accept_sparse="csr", dtype=types, ensure_all_finite=False)
    return X
